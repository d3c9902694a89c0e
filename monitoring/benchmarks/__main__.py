"""`python -m monitoring.benchmarks PLAN`: the measuring process, in a scratch database and a private home of its own.

Writes one JSON object to a line, as `python -m queues.benchmarks` does: `tell`, and in the end `rows`, or `error`.
"""

import json
import logging
import os
import sys
import time
from dataclasses import asdict

import django


def main() -> None:
    """Make the tables, fill them, then request every page."""
    from queues.benchmarks.__main__ import facts, say

    plan, load = json.loads(sys.argv[1]), os.getloadavg()[0]
    say(tell="making the tables")
    django.setup()
    from django.core.management import call_command

    from monitoring.benchmarks import addresses, pages
    from queues.benchmarks import fill

    if missing := addresses.without_example():
        say(error=f"monitoring/benchmarks/addresses.py has no example for the arguments of {', '.join(missing)}")
        return
    address = os.environ["DATABASE_URL"]
    # That a viewer may not act is no news here; what breaks is.
    logging.getLogger("django.request").setLevel(logging.ERROR)
    call_command("migrate", interactive=False, verbosity=0)
    began = time.monotonic()
    filled = fill.fill(address, fill.QUICK if plan["quick"] else fill.WHOLE, lambda text: say(tell=text))
    took = time.monotonic() - began
    wanted = list(addresses.all_of(filled))
    if plan["only"]:
        wanted = [one for one in wanted if any(one.name.startswith(name) for name in plan["only"])]
    timings = pages.measure(wanted, plan["repetitions"], lambda text: say(tell=text))
    rows = [asdict(one) | {"answered": one.answered, "passed": one.passed} for one in timings]
    more = {"rows of jobs": filled.facts["jobs"], "rows of the archive": filled.facts["archived jobs"]}
    say(rows=rows, facts={**facts(address, load), **more, "seconds to fill": round(took)})


if __name__ == "__main__":
    main()
