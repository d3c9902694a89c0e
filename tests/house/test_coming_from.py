"""`docs/coming-from.md`: a promise of another system counts as kept only where a test is named that exists."""

import ast
import re
from functools import cache

import pytest

from tests.house.processes import PROJECT

PAGE = PROJECT / "docs" / "coming-from.md"
SYSTEMS = ["pgqrs", "Hammerwork", "sitq", "Database and message queue coordination", "Kafee"]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
EXCUSE = re.compile(r"not yet|to ?do|planned|partly|unsupported|later version", re.IGNORECASE)


def tables() -> dict[str, list[list[str]]]:
    """The rows below each heading of a system, cell by cell."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:].strip()
        elif line.startswith("|") and not re.match(r"\|[\s:|-]+\|?$", line):
            found.setdefault(heading, []).append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return {heading: rows[1:] for heading, rows in found.items()}


ROWS = [(system, row) for system, rows in tables().items() for row in rows]


@cache
def functions_of(path: str) -> set[str]:
    """The test functions of a file."""
    tree = ast.parse((PROJECT / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_each_system_has_its_table() -> None:
    assert list(tables()) == SYSTEMS
    assert all(len(rows) >= 10 for rows in tables().values())


@pytest.mark.parametrize(("system", "row"), ROWS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_each_promise_names_how_it_is_kept_and_the_test_that_shows_it(system: str, row: list[str]) -> None:
    assert len(row) == 4, "what it is, how it is said there, how it is done here, the test"
    assert all(row), "no cell is empty"
    assert not EXCUSE.search(" ".join(row))
    named = NAMED.findall(row[3])
    assert named, f"no test is named in {row[3]!r}"
    for path, name in named:
        assert (PROJECT / path).exists(), path
        assert name in functions_of(path), f"{path} has no {name}"
