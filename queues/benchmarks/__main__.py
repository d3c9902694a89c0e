"""`python -m queues.benchmarks PLAN`: the measuring process, in a scratch database and a private home of its own.

Writes one JSON object to a line: `tell`, how far it is, and in the end `rows`, or `error`.
"""

import json
import os
import platform
import sys
from typing import Any

import django


def say(**values: Any) -> None:
    """One line to whoever has started us."""
    print(json.dumps(values), flush=True)


def facts(address: str, load: float) -> dict[str, Any]:
    """What the figures depend on. A load before the run is somebody else's, and makes all of it slower."""
    from queues.benchmarks import bare

    with bare.connect(address) as connection:
        version = connection.info.server_version
    return {
        "PostgreSQL": f"{version // 10_000}.{version % 10_000}",
        "Python": platform.python_version(),
        "cores": os.cpu_count(),
        "load before the run": round(load, 1),
    }


def main() -> None:
    """Make the tables, then measure what the plan asks for."""
    plan = json.loads(sys.argv[1])
    say(tell="making the tables")
    load = os.getloadavg()[0]
    django.setup()
    from django.core.management import call_command

    from queues.benchmarks.bench import Bench
    from queues.benchmarks.scenarios import measure
    from queues.benchmarks.sizes import QUICK, WHOLE
    from queues.benchmarks.work import BenchmarkError
    from queues.services.sync_queues import sync_queues

    call_command("migrate", interactive=False, verbosity=0)
    sync_queues()
    bench = Bench(
        os.environ["DATABASE_URL"],
        QUICK if plan["quick"] else WHOLE,
        plan["repetitions"],
        lambda text: say(tell=text),
    )
    try:
        rows = measure(bench, set(plan["names"]))
    except BenchmarkError as error:
        say(error=str(error))
    else:
        say(rows=[row.as_dict() for row in rows], facts=facts(os.environ["DATABASE_URL"], load))


if __name__ == "__main__":
    main()
