"""Waiting for what another process or thread does, without guessing how long it takes."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
MOST_PATIENCE = 10.0


def wait_for(condition: Callable[[], T], timeout: float = 10.0, what: str = "the condition") -> T:
    """Ask until the answer is true, and return it; fail with `what` after `timeout` seconds of a machine at rest."""
    began = time.monotonic()
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > began + timeout and time.monotonic() > began + timeout * patience():
            raise AssertionError(f"waited {time.monotonic() - began:.1f} s in vain for {what}")
        time.sleep(0.02)


def patience() -> float:
    """How many times as long as at rest things take here, as more processes want to run than there are cores."""
    return min(MOST_PATIENCE, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
