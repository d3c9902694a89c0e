"""Calling our commands as a shell would, within the test's transaction."""

import io
import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its answer to `--json`."""
        return json.loads(self.out)


class _Stream(io.StringIO):
    def __init__(self, content: bytes, tty: bool) -> None:
        super().__init__(content.decode(errors="replace"))
        self.buffer = io.BytesIO(content)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


def command(*arguments: Any, stdin: bytes = b"", tty: bool = False) -> Answer:
    """Run `manage.py ARGUMENTS...`; with `tty`, a person sits in front of all three streams."""
    out, err = _Stream(b"", tty), _Stream(b"", tty)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stdin", _Stream(stdin, tty))
        try:
            call_command(*map(str, arguments), stdout=out, stderr=err)
            code, said = 0, ""
        except CommandError as error:
            code, said = error.returncode, str(error)
        except SystemExit as ending:
            code, said = int(ending.code or 0), ""
    return Answer(code, out.getvalue(), err.getvalue() + said)
