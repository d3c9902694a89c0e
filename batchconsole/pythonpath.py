"""The environment of our own child processes."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def child_environment() -> dict[str, str]:
    """Ours, and this project importable wherever the child starts: `manage.py` may have been called by its path."""
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}
