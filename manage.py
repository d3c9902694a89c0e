#!/usr/bin/env python3
"""Django's command line for batchconsole."""

import os
import sys
from pathlib import Path

INTERRUPTED = 128 + 2  # what a shell says of a program that Ctrl-C has ended


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "batchconsole.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    # Closed standard streams are None in Python; what is said to them is lost, as the caller wished.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"batchconsole is not set up as it must be: {error}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        # Also while everything is still being imported. Commands that have something to end do that before.
        sys.exit(INTERRUPTED)
