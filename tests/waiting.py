"""Waiting for what another process or thread does, without guessing how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], timeout: float = 10.0, what: str = "the condition") -> T:
    """Ask until the answer is true, and return it; fail with `what` after `timeout` seconds."""
    until = time.monotonic() + timeout
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}")
        time.sleep(0.02)
