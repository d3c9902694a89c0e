"""What `manage.py benchmark` measures, and the bare SQL that it is measured against.

The command makes a scratch database and a private home, and starts `python -m queues.benchmarks` in them: there this
package is an installed app, whose handlers nobody else knows. Celery workers, bare processes and the process whose
memory is watched are children of that one. Every repetition runs all variants, in an order that is drawn anew, so that
what else the machine does hits all of them alike.
"""
