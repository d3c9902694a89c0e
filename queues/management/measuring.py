"""Follows a measuring process, for the commands that start one."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console

STOP_SECONDS = 15.0


def measure(module: str, plan: Mapping[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """Run `python -m MODULE PLAN` to its end and return its last words, which hold `rows`."""
    command = [sys.executable, "-m", module, json.dumps(plan)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    last: dict[str, Any] = {}
    try:
        last = _follow(process)
    finally:
        if not last:
            process.send_signal(signal.SIGINT)
        _end(process)
    if "rows" not in last:
        raise CommandError(last.get("error") or "the measuring process has ended with an error")
    return last


def _follow(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Show where it is; its last words."""
    assert process.stdout is not None
    values: dict[str, Any] = {}
    with Console(stderr=True).status("starting") as status:
        for line in process.stdout:
            values = json.loads(line)
            if "tell" in values:
                status.update(values["tell"])
    return values


def _end(process: "subprocess.Popen[str]") -> None:
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
