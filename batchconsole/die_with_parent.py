"""Become another program that the kernel ends when the parent dies, `kill -9` included.

Run as a script, so that it starts in some 20 ms:
    python -I -S die_with_parent.py PARENT_PID SIGNAL UID GID PROGRAM ARGUMENT...
UID and GID are -1 to stay who we are. Only Linux can do this; elsewhere the program is just started.
A program instead of subprocess's `preexec_fn`, which is not safe in a process with threads; and the change of user is
done here because it takes the death signal away again, and because the new user may not be able to enter Python's
own folder.
"""

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def command(arguments: list[str], *, signal: int, user: tuple[int, int] = (-1, -1)) -> list[str]:
    """The command line that runs `arguments` bound to the calling process.

    Start it from the main thread: to the kernel, the parent is the thread that forked.
    """
    script = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    return [*script, str(os.getpid()), str(int(signal)), str(user[0]), str(user[1]), *arguments]


def main() -> None:
    """Bind, change the user, and become the program."""
    parent, signal, uid, gid = map(int, sys.argv[1:5])
    program = sys.argv[5:]
    if uid != -1:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:  # it died before we were bound to it
        sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
