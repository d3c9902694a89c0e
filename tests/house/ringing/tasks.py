"""Tasks whose effects a test can see from outside."""

import time
from pathlib import Path

from celery import shared_task

from queues import shutdown


@shared_task(name="tests.mark")
def mark(path: str) -> None:
    """Add one line with the time."""
    with Path(path).open("a") as file:
        file.write(f"{time.time()}\n")


@shared_task(name="tests.until_shutdown")
def until_shutdown(path: str) -> None:
    """Work until this process learns that its worker is to stop."""
    Path(f"{path}.started").touch()
    until = time.monotonic() + 30
    while not shutdown.requested() and time.monotonic() < until:
        time.sleep(0.01)
    Path(path).write_text(f"{shutdown.requested()}")
