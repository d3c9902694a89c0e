"""The supervisor, with small programs in the place of the real ones."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from tests.house.processes import python, running
from tests.waiting import wait_for

SUPERVISOR = """
import signal, sys, time
from pathlib import Path
from batchconsole.supervise import Program, Supervisor
stops = 0
def on_signal(*_):
    global stops
    stops += 1
signal.signal(signal.SIGTERM, on_signal)
folder = Path(sys.argv[1])
def program(name):
    within = 3.0 if name == "stubborn" else 9.0
    return Program(name, [sys.executable, "-c", (folder / "child.py").read_text(), str(folder), name], within)
supervisor = Supervisor(folder / "logs", lambda text: print(text, flush=True))
supervisor.start([[program(name) for name in group.split(",")] for group in sys.argv[2:]])
while not stops:
    supervisor.look()
    time.sleep(0.02)
supervisor.stop(hurry=lambda: stops > 1)
"""
# A child with a child; it notes when it is told to stop, which "stubborn" ones never do, and "slow" ones not soon.
CHILD = """
import os, signal, subprocess, sys, time
from pathlib import Path
folder, name = Path(sys.argv[1]), sys.argv[2]
def stop(*_):
    if name == "slow":
        time.sleep(60)
    with (folder / "stopped").open("a") as file:
        file.write(f"{name} ")
    sys.exit()
signal.signal(signal.SIGTERM, signal.SIG_IGN if name == "stubborn" else stop)
grandchild = subprocess.Popen(["sleep", "300"])
print("an ordinary line", flush=True)
for number in range(20):
    print(f"ERROR number {number} of {name}", flush=True)
aside = folder / f".{name}"
aside.write_text(f"{os.getpid()} {grandchild.pid}")
aside.rename(folder / name)
while True:
    time.sleep(1)
"""


class Supervised:
    """A running supervisor and what its children have left in the folder."""

    def __init__(self, process: "Popen[str]", folder: Path, names: list[str]) -> None:
        self.process = process
        self.folder = folder
        self.names = names

    def family(self, name: str) -> list[psutil.Process]:
        """The child of this name and its own child, once it runs."""
        text = wait_for(lambda: self._text(name), 20, f"{name} to start")
        return [psutil.Process(int(pid)) for pid in text.split()]

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""


Start = Callable[..., Supervised]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a supervisor of these groups, and wait for the children."""
    (tmp_path / "child.py").write_text(CHILD)
    with ExitStack() as stack:

        def started(*groups: str) -> Supervised:
            arguments = python("-c", SUPERVISOR, str(tmp_path), *groups)
            process = stack.enter_context(running(arguments, dict(os.environ), output=tmp_path / "said"))
            supervised = Supervised(process, tmp_path, ",".join(groups).split(","))
            for name in supervised.names:
                supervised.family(name)
            return supervised

        yield started


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_it_stops_in_the_opposite_order_and_leaves_nobody(start: Start) -> None:
    supervised = start("web", "control,work", "beat")
    everybody = [process for name in supervised.names for process in supervised.family(name)]
    assert len(alive(everybody)) == 8
    supervised.process.terminate()
    assert supervised.process.wait(9) == 0
    order = (supervised.folder / "stopped").read_text().split()
    assert (order[0], set(order[1:3]), order[3]) == ("beat", {"control", "work"}, "web")
    # What was killed last may still be on its way out.
    wait_for(lambda: not alive(everybody), 5, "the last of them to be gone")


def test_what_dies_is_started_again_and_its_children_end(start: Start) -> None:
    supervised = start("work")
    for _ in range(2):
        child, grandchild = supervised.family("work")
        (supervised.folder / "work").unlink()
        child.kill()
        again = supervised.family("work")
        assert again[0].pid != child.pid
        wait_for(lambda stray=grandchild: not alive([stray]), 5, "the grandchild to end")
    assert "work ended with signal 9; starting it again in 0.5 s" in supervised.said()
    assert "starting it again in 1 s" in supervised.said()


def test_who_does_not_stop_is_killed_in_time(start: Start) -> None:
    supervised = start("web", "stubborn")
    everybody = supervised.family("web") + supervised.family("stubborn")
    began = time.monotonic()
    supervised.process.terminate()
    assert supervised.process.wait(9) == 0
    assert 2.5 < time.monotonic() - began < 6
    assert "stubborn does not end: killed" in supervised.said()
    assert alive(everybody) == []


def test_the_second_signal_hurries(start: Start) -> None:
    supervised = start("slow")
    everybody = supervised.family("slow")
    began = time.monotonic()
    for _ in range(2):
        supervised.process.terminate()
        time.sleep(0.3)  # two signals at once are one
    assert supervised.process.wait(9) == 0
    assert time.monotonic() - began < 5
    assert alive(everybody) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells children that their parent was killed")
def test_children_of_a_killed_supervisor_die(start: Start) -> None:
    supervised = start("web", "stubborn")
    children = [supervised.family(name)[0] for name in supervised.names]
    strays = [supervised.family(name)[1] for name in supervised.names]
    supervised.process.send_signal(signal.SIGKILL)
    wait_for(lambda: not alive(children), 5, "the children to die")
    for stray in strays:
        stray.kill()


def test_everything_is_in_the_log_and_a_flood_of_errors_not_on_the_terminal(start: Start) -> None:
    supervised = start("web")
    wait_for(lambda: "number 4 of web" in supervised.said(), 5, "the echo")
    log = (supervised.folder / "logs" / "web.log").read_text()
    assert "an ordinary line" in log
    assert "number 19" in log
    assert "ordinary" not in supervised.said()
    assert "number 5" not in supervised.said()
