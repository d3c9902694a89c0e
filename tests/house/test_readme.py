"""The commands that the README promises, in a fresh clone with a fresh environment and an empty home.

They install from a package index, so that they run only where BATCHCONSOLE_TEST_README is set: in CI. There the second
command, the tests, has already been run when this test starts: CI takes it from the README, and it is what runs this.
"""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from batchconsole import embedded
from batchconsole.locks import holder_note
from tests.house.processes import PROJECT, running
from tests.waiting import wait_for

FINISHED = """
from queues.models import Batch
batches = Batch.objects.filter(parent=None)
print("finished" if batches and all(batch.finished_at for batch in batches) else "running")
"""
SITE_VARIABLES = re.compile(r"BATCHCONSOLE_(?!SERVICE_DIR)|DJANGO_|DATABASE_URL|CELERY_|PYTHONPATH|VIRTUAL_ENV")


def commands() -> list[str]:
    return [line for line in (PROJECT / "README.md").read_text().splitlines() if line.startswith("python3 -m venv")]


def test_the_readme_begins_with_one_command_to_run_and_one_to_test() -> None:
    run, test = commands()
    assert run.endswith("manage.py up --demo")
    assert test.endswith("-m pytest")


def manage(clone: Path, env: dict[str, str], *arguments: str) -> str:
    return subprocess.run(
        [".venv/bin/python", "manage.py", *arguments],
        cwd=clone,
        env=env,
        text=True,
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout.strip()


@pytest.mark.skipif("BATCHCONSOLE_TEST_README" not in os.environ, reason="installs from a package index")
def test_the_first_command_comes_up_and_the_demo_finishes(tmp_path: Path) -> None:
    clone, output = tmp_path / "clone", tmp_path / "output"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(clone)], check=True)
    env = {name: value for name, value in os.environ.items() if not SITE_VARIABLES.match(name)}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["sh", "-c", f"{commands()[0]} --port {port}"]
    with running(command, env, output=output, cwd=clone) as process:
        wait_for(lambda: "is ready" in output.read_text() or process.poll() is not None, 600, "up to be ready")
        assert process.poll() is None, output.read_text()
        assert "/login/link/#" in output.read_text()
        wait_for(
            lambda: manage(clone, env, "shell", "-v", "0", "-c", FINISHED) == "finished", 120, "the demo to finish"
        )
        note = holder_note(clone / "var" / "locks" / "up")
        assert note
        os.kill(int(note.split()[0]), signal.SIGTERM)
        assert process.wait(12) == 0
    assert embedded.keeper_pid(clone / "var") is None
