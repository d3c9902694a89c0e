"""What `manage.py up` tells its operator: with a spinner on a terminal, as plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class Terminal:
    """Standard output, from any thread."""

    def __init__(self) -> None:
        """Look whether a person is there."""
        self._console = Console(highlight=False, markup=False, soft_wrap=True)
        self._lively = sys.stdout.isatty()

    def say(self, text: str = "", style: str = "") -> None:
        """One line."""
        self._console.print(text, style=style)

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """Something that takes a while; what is yielded reports where it is."""
        began = time.monotonic()
        if self._lively:
            with self._console.status(text) as status:
                yield lambda detail: status.update(f"{text}: {detail}")
            self.say(f"✓ {text} ({time.monotonic() - began:.1f} s)", style="green")
        else:
            self.say(f"{text} ...")
            yield lambda detail: self.say(f"  {detail}")
