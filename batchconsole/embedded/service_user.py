"""Who runs the server when batchconsole itself runs as root, and what that user must be able to read."""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from batchconsole.embedded.places import EmbeddedError, Places, service_folder

USER = "batchconsole"


def server_user(places: Places) -> tuple[int, int]:
    """User and group id for the server's processes; (-1, -1) = as we are."""
    if os.geteuid() != 0:
        return (-1, -1)
    if places.data.exists():
        # Files may come from another machine, where the user had another number.
        owner = places.data.stat()
        if owner.st_uid:
            return owner.st_uid, owner.st_gid
    account = _account(USER) or _created_account() or _account("nobody")
    if account is None:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and there is neither useradd nor a user named nobody: "
            f"create a user named {USER}, run batchconsole as another user, or set DATABASE_URL"
        )
    return account.pw_uid, account.pw_gid


def make_folder(folder: Path, mode: int, user: tuple[int, int] = (-1, -1)) -> None:
    """Create the folder with exactly this mode, or accept it as it is when it is ours and nobody else can write."""
    owner = os.geteuid() if user[0] == -1 else user[0]
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077 & ~mode:
            raise EmbeddedError(
                f"{folder} is not a folder that belongs to user {owner} alone: remove or rename it"
            ) from None
        return
    if user[0] != -1:
        os.chown(folder, *user)
    folder.chmod(mode)


def make_service_folder() -> None:
    """As root: the folder above all servers of this machine, readable by their users."""
    service_folder().parent.mkdir(parents=True, exist_ok=True)
    make_folder(service_folder(), 0o755)


def readable_copy(package: Path, version: str, installation: str) -> Path:
    """As root: the wheel's binaries where the server's user can run them; copied once for each version."""
    copy = service_folder() / f"binaries-{version}"
    if not copy.exists():
        aside = service_folder() / f".{copy.name}.{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        _copy_readable(package / installation, aside / package.name / installation)
        # The libraries that the binaries look for beside their package, or within it on macOS.
        for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
            if libraries.exists():
                _copy_readable(libraries, aside / libraries.relative_to(package.parent))
        for folder in (aside, aside / package.name):
            folder.chmod(0o755)
        try:
            aside.rename(copy)
        except OSError:  # another home was quicker
            shutil.rmtree(aside)
    return copy / package.name / installation


def _copy_readable(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"))
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def _account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _created_account() -> pwd.struct_passwd | None:
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        return None
    shell = shutil.which("nologin", path="/usr/sbin:/sbin") or "/bin/false"
    subprocess.run(
        [program, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", shell, USER],
        check=False,  # two first starts at once: the second finds the user of the first
        capture_output=True,
    )
    return _account(USER)
