"""What the fault tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.concurrency import handlers
from tests.concurrency.crew import Trace

__all__ = ["handlers"]


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """An empty trace."""
    return Trace(tmp_path / "trace")


@pytest.fixture
def broken(worker_env: dict[str, str]) -> Iterator[Callable[[], None]]:
    """The broker's folder is a file, until what is given is called."""
    folder = Path(settings.HOME) / "broker"
    aside = folder.with_name("broker aside")
    existed = folder.exists()
    if existed:
        folder.rename(aside)
    folder.write_text("no folder")

    def repair() -> None:
        if folder.is_file():
            folder.unlink()
            if existed:
                aside.rename(folder)

    yield repair
    repair()
