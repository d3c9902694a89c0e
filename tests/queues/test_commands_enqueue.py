"""`enqueue`: whole files become batches, and what is wrong with one names its line and leaves nothing behind."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from queues import handlers
from queues.models import AuditEntry, Batch, Chunk, Job, JobKey, Queue
from tests.checker import assert_sound
from tests.queues.commanding import command
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db


def _payloads() -> list[str]:
    return list(Job.objects.order_by("pk").values_list("payload", flat=True))


def _nothing_written() -> None:
    for model in (Batch, Chunk, Job, JobKey, AuditEntry):
        assert model.objects.count() == 0, model.__name__


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(content: str | bytes, name: str = "jobs.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_jsonl_is_stored_as_written(write: Any) -> None:
    make_queue()
    lines = ['{"price": 1.10, "big": 123456789012345678901234567890}', "[1,  2]", '"Grüße"', "null", "1e5"]
    path = write("\ufeff" + "\r\n".join(lines))
    answer = command("enqueue", "tested.do", path, "--json")
    batch = Batch.objects.get()
    assert answer.code == 0
    assert answer.document == {
        "batch": batch.pk,
        "name": "jobs.jsonl",
        "queue": "tested",
        "handler": "tested.do",
        "jobs": 5,
        "parts": 0,
    }
    assert _payloads() == lines
    assert batch.created_by
    assert_sound()


def test_csv_becomes_objects_of_strings(write: Any) -> None:
    make_queue()
    path = write('name,note\r\nann,"one, two"\n\nbob,"first\nsecond"\n"",3\n', "people.CSV")
    assert command("enqueue", "tested.do", path).code == 0
    assert [json.loads(text) for text in _payloads()] == [
        {"name": "ann", "note": "one, two"},
        {"name": "bob", "note": "first\nsecond"},
        {"name": "", "note": "3"},
    ]


def test_standard_input_and_all_options() -> None:
    make_queue()
    answer = command(
        *("enqueue", "tested.do", "-", "--name", "by hand", "--priority", "low", "--run-at", "2999-01-01T00:00:00Z"),
        *("--metadata", '{"ticket": 7}', "--failure-mode", "fail_fast", "--idempotency-key", "k"),
        stdin=b'{"n": 1}\n{"n": 2}\n',
    )
    assert answer.code == 0
    batch, chunk = Batch.objects.get(), Chunk.objects.get()
    assert (batch.name, batch.metadata, batch.failure_mode) == ("by hand", {"ticket": 7}, "fail_fast")
    assert (chunk.priority, chunk.run_at.year, chunk.size) == (3, 2999, 2)
    again = command(
        *("enqueue", "tested.do", "-", "--idempotency-key", "k", "--run-at", "2999-01-01T00:00:00Z"),
        *("--priority", "low", "--json"),
        stdin=b'{"n": 1}\n{"n": 2}\n',
    )
    assert again.document["batch"] == batch.pk
    other = command("enqueue", "tested.do", "-", "--idempotency-key", "k", stdin=b'{"n": 3}\n')
    assert (other.code, Batch.objects.count()) == (1, 1)
    assert "belongs to a batch with other content" in other.err


def test_a_relative_time_is_from_now() -> None:
    make_queue()
    assert command("enqueue", "tested.do", "-", "--run-at", "+10m", stdin=b"1\n").code == 0
    assert 590 < (Chunk.objects.get().run_at - timezone.now()).total_seconds() <= 600


def test_a_queue_stands_for_its_handler() -> None:
    make_queue()
    assert command("enqueue", "tested", "-", stdin=b"1\n").code == 0
    make_queue("second")
    assert command("enqueue", "tested.do", "-", "--queue", "second", stdin=b"1\n").code == 0
    Queue.objects.update(handler="")
    answer = command("enqueue", "second", "-", stdin=b"1\n")
    assert (answer.code, Batch.objects.count()) == (1, 2)
    assert "queue 'second' has 0 handlers: name the handler instead" in answer.err
    answer = command("enqueue", "tested", "-", stdin=b"1\n")
    served = [handler for handler in handlers.known() if handler.queue == "tested"]
    assert len(served) > 1
    assert f"has {len(served)} handlers" in answer.err


def test_large_files_are_split_or_refused(settings: Any, write: Any) -> None:
    settings.BATCH_MAX_JOBS = 100
    make_queue()
    path = write("".join(f'{{"n": {n}}}\n' for n in range(250)))
    answer = command("enqueue", "tested.do", path)
    assert answer.code == 1
    assert "a batch holds at most 100: --split makes parts; nothing was enqueued" in answer.err
    _nothing_written()
    answer = command("enqueue", "tested.do", path, "--split", "--json")
    assert (answer.document["jobs"], answer.document["parts"]) == (250, 3)
    drain()
    assert Batch.objects.get(pk=answer.document["batch"]).state == "completed"
    assert_sound()


REFUSED: list[tuple[str, bytes, str, str]] = [
    ("not json", b'{"a": 1}\n\n\n{"a":}\n{}\n', "jsonl", "line 4: $: not JSON"),
    ("two values", b'{"a": 1} {"b": 2}\n', "jsonl", "line 1: $: not JSON"),
    ("NaN", b'1\n{"a": [NaN]}\n', "jsonl", "line 2: $.a[0]: NaN"),
    ("duplicate key", b'{"a": 1, "a": 2}\n', "jsonl", "line 1: $.a: duplicate key"),
    ("NUL", b'1\n2\n{"a": "\\u0000"}\n', "jsonl", "line 3: $.a: "),
    ("lone surrogate", b'{"a": "\\ud800"}\n', "jsonl", "line 1: $.a: "),
    ("too deep", b"1\n" + b"[" * 65 + b"]" * 65 + b"\n", "jsonl", "line 2: $: "),
    ("long number", b"1\n" + b"9" * 1001 + b"\n", "jsonl", "line 2: $: "),
    ("large exponent", b"1e200000\n", "jsonl", "line 1: $: "),
    ("too large", b'1\n"' + b"x" * 1024 * 1024 + b'"\n', "jsonl", "line 2: more than 1,048,576 bytes"),
    ("not utf-8", b'1\n"\xff"\n', "jsonl", "line 2: not UTF-8 at byte 2"),
    ("empty", b"", "jsonl", "at least one job"),
    ("blank", b"\n \n\r\n", "jsonl", "at least one job"),
    ("last line", b"1\n" * 5_000 + b"oops", "jsonl", "line 5001: $: not JSON"),
    ("no header", b"", "csv", "at least one job"),
    ("only a header", b"a,b\n", "csv", "at least one job"),
    ("short row", b"a,b\n1,2\n3\n", "csv", "line 3: 1 fields, but the header has 2"),
    ("long row", b'a,b\n"x\ny",2\n3,4,5\n', "csv", "line 4: 3 fields, but the header has 2"),
    ("same column twice", b"a,b,a\n1,2,3\n", "csv", "line 1: the header has the column 'a' twice"),
    ("column without a name", b"a,,b\n1,2,3\n", "csv", "line 1: the header has a column without a name"),
    ("quote in a field", b'a\n"x"y\n', "csv", "line 2: "),
    (
        "quote that never ends",
        b'a\n1\n"x\ny\n',
        "csv",
        "line 3: unexpected end of data; the row goes on to line 4: perhaps",
    ),
    ("row after one that cannot be read", b'a,b\n"x"y,1\n1\n', "csv", "line 2: "),
    ("field too large", b'a\n"' + (b"x" * 1000 + b"\n") * 1100 + b'"\n', "csv", "field larger than"),
    ("NUL in csv", b"a\n1\n\x00\n", "csv", "line 3: "),
]


@pytest.mark.parametrize(("content", "form", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_bad_file_is_refused_with_its_line(content: bytes, form: str, said: str, write: Any) -> None:
    make_queue(chunk_size=10)
    answer = command("enqueue", "tested.do", write(content, f"jobs.{form}"))
    assert answer.code == 1
    assert said in answer.err
    assert "\n" not in answer.err.strip()
    _nothing_written()


def test_what_makes_no_sense_is_refused(write: Any, tmp_path: Path) -> None:
    make_queue()
    path = write("1\n")
    for arguments, code, said in [
        (("nobody", path), 1, "'nobody' is neither a handler nor a queue; "),
        (("tested.do", tmp_path / "missing.jsonl"), 1, "No such file"),
        (("tested.do", tmp_path, "--format", "csv"), 1, "directory"),
        (("tested.do", write("1\n", "jobs.txt")), 2, "--format jsonl or csv is needed"),
        (("tested.do", path, "--metadata", "[1]"), 2, "an object is needed"),
        (("tested.do", path, "--metadata", "{"), 2, "not JSON"),
        (("tested.do", path, "--metadata", '{"a": NaN}'), 1, "metadata: $.a"),
        (("tested.do", path, "--queue", "unknown"), 1, "unknown queue 'unknown'"),
        (("tested", path, "--queue", "tested"), 2, "--queue goes with a handler"),
        (("tested.do", path, "--name", "x" * 201), 1, "name: text of at most 200"),
        (("tested.do", path, "--priority", "urgent"), 1, "invalid choice: 'urgent'"),
        (("tested.do", path, "--run-at", "2030-01-01T00:00:00"), 1, "has no time zone"),
        (("tested.do", path, "--run-at", "soon"), 1, "neither a time"),
        (("tested.do", path, "--idempotency-key", "x" * 201), 1, "idempotency_key: "),
    ]:
        answer = command("enqueue", *arguments)
        assert (answer.code, said in answer.err) == (code, True), (arguments, answer)
        _nothing_written()


def test_a_bar_is_drawn_only_for_a_person(write: Any) -> None:
    make_queue()
    path = write("1\n" * 3)
    assert command("enqueue", "tested.do", path).err == ""
    assert do is handlers.find("tested.do").function
