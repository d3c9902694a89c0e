"""What beat rings for the console; safe to run twice and safe to miss."""

from celery import shared_task

from monitoring import standing
from monitoring.rollup import forget, roll_up


@shared_task(name="monitoring.tasks.rollup", ignore_result=True)
def rollup() -> None:
    """Write the figures of the last minutes and how everything stands, and let go of old ones."""
    roll_up()
    standing.note()
    forget()
