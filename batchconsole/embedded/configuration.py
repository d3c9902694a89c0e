"""The server's configuration files, written anew at each start so that they follow the version of batchconsole."""

import os
import pwd
from pathlib import Path

from batchconsole.embedded.places import PORT, ROLE, Places

# For a small machine that also runs the workers. Durability stays complete: fsync and synchronous_commit are on.
SETTINGS = {
    "listen_addresses": "''",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    # Few checkpoints, and cheap ones: after each, the first change of a page writes the whole page to the WAL.
    "max_wal_size": "4GB",
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "jit": "off",
    "random_page_cost": "1.1",
    # Parallel queries would take the cores from the workers, and their shared memory fills the 64 MB of /dev/shm that
    # containers have.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "'%m [%p] %q%a '",
    "log_timezone": "'UTC'",
    "timezone": "'UTC'",
    "lc_messages": "'C'",
}
SUPERUSER = "postgres"


def write_configuration(places: Places) -> Path:
    """Write the three files beside the data folder and return the main one.

    Beside, not within: as root the data folder belongs to another user, who must not decide where root writes.
    """
    access, names = places.base / "pg_hba.conf", places.base / "pg_ident.conf"
    access.write_text(f"local all {ROLE},{SUPERUSER} peer map=batchconsole\n")
    account = _account_name()
    names.write_text("".join(f'batchconsole "{account}" {role}\n' for role in (ROLE, SUPERUSER)))
    own = {
        "hba_file": _quoted(access),
        "ident_file": _quoted(names),
        "unix_socket_directories": _quoted(places.sockets),
    }
    main = places.base / "postgresql.conf"
    lines = [f"include {_quoted(places.data / 'postgresql.conf')}"]  # what initdb found out about this machine
    lines += [f"{name} = {value}" for name, value in (SETTINGS | own).items()]
    main.write_text("\n".join(lines) + "\n")
    for path in (access, names, main):
        path.chmod(0o644)
    return main


def _account_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container that runs as a bare number; initdb will say that it cannot
        return str(os.geteuid())


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
