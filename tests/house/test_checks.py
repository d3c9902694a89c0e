"""Style, types and the rules of importing, by the tools that know them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.processes import PROJECT

TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy", "--strict"], ["lint-imports"]],
    ids=" ".join,
)
def test_the_tool_has_nothing_to_say(command: list[str]) -> None:
    done = subprocess.run(
        [TOOLS / command[0], *command[1:]],
        cwd=PROJECT,
        # mypy loads Django's settings: the product's, not those of the tests.
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "batchconsole.settings"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout
