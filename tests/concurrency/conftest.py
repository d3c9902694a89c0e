"""What the fault tests share."""

from pathlib import Path

import pytest

from tests.concurrency import handlers
from tests.concurrency.crew import Trace

__all__ = ["handlers"]


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """An empty trace."""
    return Trace(tmp_path / "trace")
