"""The house rules that a linter does not know, and the documents held against the code."""

import re
from pathlib import Path

from django.core.management import get_commands

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("batchconsole", "queues", "monitoring")
SOURCES = [path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py"))]
SQL = sorted((PROJECT / "queues/sql").glob("*.sql"))
# Benchmarks compare with bare SQL on a connection of their own; the embedded server is not yet Django's database.
OWN_CONNECTIONS = {"queues/store.py", "queues/benchmarks", "batchconsole/embedded"}


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def test_only_the_store_opens_a_cursor() -> None:
    guilty = [
        _name(path)
        for path in SOURCES
        if re.search(r"\.cursor\(|\bCursor\(|\.raw\(|RawSQL", path.read_text())
        and not any(_name(path).startswith(allowed) for allowed in OWN_CONNECTIONS)
    ]
    assert guilty == []


def test_every_statement_says_why_it_is_there_and_is_used() -> None:
    code = "\n".join(path.read_text() for path in [*SOURCES, *(PROJECT / "tests").rglob("*.py")])
    for path in SQL:
        assert path.read_text().startswith("-- "), f"{path.name} begins with a line of purpose"
        assert f'"{path.stem}"' in code, f"{path.name} is used by nobody"


def test_no_file_is_too_long() -> None:
    long = {
        _name(path): count
        for path in SOURCES
        if "migrations" not in path.parts and (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_no_path_of_a_machine_is_committed() -> None:
    texts = [*SOURCES, *SQL, *PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), PROJECT / "pyproject.toml"]
    guilty = [_name(path) for path in texts if re.search(r"/(?:work|root|home/\w+)/", path.read_text())]
    assert guilty == []


def test_links_of_the_documents_lead_somewhere() -> None:
    for page in [PROJECT / "README.md", *PROJECT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_command_is_in_the_documents() -> None:
    text = "\n".join(page.read_text() for page in [PROJECT / "README.md", *PROJECT.glob("docs/*.md")])
    ours = {name for name, app in get_commands().items() if app in PACKAGES}
    missing = {name for name in ours if f"`{name}" not in text and f"manage.py {name}" not in text}
    assert missing == set()


def test_every_setting_of_the_environment_is_in_the_documents() -> None:
    code = "\n".join(path.read_text() for path in sorted((PROJECT / "batchconsole").rglob("*.py")))
    names = set(re.findall(r'"(BATCHCONSOLE_[A-Z_]+|DATABASE_URL|CELERY_BROKER_URL)"', code))
    text = (PROJECT / "docs/settings.md").read_text()
    assert {name for name in names if f"`{name}`" not in text} == set()
