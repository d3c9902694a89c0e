"""What a queue asks of its payloads, at every way in."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from queues import codec
from queues.domain.payload import DEFAULT_RULES, JsonText, PayloadError, check_text, check_value
from queues.domain.payload_wishes import parse_wishes, rules_of
from queues.models import Batch, Chunk, Job, Queue
from queues.services.enqueue import EnqueueError, JobSpec, add_jobs, enqueue, enqueue_batch
from queues.services.submit import submit
from tests.queues.working import make_queue

RULES = {
    "max_bytes": 200,
    "max_depth": 3,
    "max_string": 10,
    "forbidden": ["__proto__", "constructor"],
    "required": ["id", "to"],
}
GOOD = {"id": 1, "to": "ann"}
BAD: list[tuple[Any, str]] = [
    ({"id": 1, "to": "a" * 11}, "$.to: text of 11 characters, more than the 10 allowed"),
    ({"id": 1, "to": ["b" * 10, "c" * 12]}, "$.to[1]: text of 12 characters"),
    ({"id": 1, "to": 2, "k" * 11: 3}, '$: key "kkkkkkkkkkk" of 11 characters'),
    ({"id": 1, "to": 2, "__proto__": 3}, '$: key "__proto__" is forbidden'),
    ({"id": 1, "to": [{"constructor": 3}]}, '$.to[0]: key "constructor" is forbidden'),
    ({"id": 1}, '$: key "to" is required'),
    ({"inner": GOOD}, '$: keys "id", "to" are required'),
    ([GOOD], '$: an object with keys "id", "to" is required'),
    ({"id": 1, "to": [[[1]]]}, "nested deeper than 3"),
    ({"id": 1, "to": ["x" * 9] * 20}, "bytes, more than the 200 allowed"),
]


# The rules themselves


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ([], "an object is needed, not list"),
        ("{}", "an object is needed, not str"),
        ({"max_size": 3}, "'max_size' is no rule; there are max_bytes, max_depth"),
        ({"max_bytes": 1}, "max_bytes: a whole number of 2 to 1,048,576, not 1"),
        ({"max_bytes": 2**21}, "max_bytes: a whole number of 2 to 1,048,576"),
        ({"max_bytes": True}, "max_bytes: a whole number"),
        ({"max_bytes": 10.0}, "max_bytes: a whole number"),
        ({"max_depth": 0}, "max_depth: a whole number of 1 to 64, not 0"),
        ({"max_depth": 65}, "max_depth: "),
        ({"max_string": 0}, "max_string: "),
        ({"max_string": None}, "max_string: "),
        ({"forbidden": "id"}, "forbidden: a list of keys, not 'id'"),
        ({"forbidden": []}, "forbidden: 1 to 100 keys, not 0"),
        ({"required": [1]}, "required: a list of keys"),
        ({"required": ["a", "a"]}, "required: 'a' is there twice"),
        ({"required": ["a\0"]}, "required: 'a\\x00' is no key"),
        ({"required": ["\ud800"]}, "required: '\\ud800' is no key"),
        ({"required": ["k" * 201]}, "is no key of at most 200 characters"),
        ({"required": [str(n) for n in range(101)]}, "required: 1 to 100 keys, not 101"),
        ({"required": ["a"], "forbidden": ["a"]}, "required: 'a' is forbidden as well"),
    ],
    ids=lambda value: str(value).encode("ascii", "replace").decode()[:40],
)
def test_rules_that_cannot_be_kept_are_refused_where_they_are_set(wishes: Any, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_wishes(wishes)
    assert said in str(refused.value)
    with pytest.raises(ValidationError) as unclean:
        Queue(name="ruled", payload_rules=wishes).clean()
    assert said in unclean.value.message_dict["payload_rules"][0]


def test_no_rules_are_the_rules_of_all() -> None:
    assert parse_wishes({}) is DEFAULT_RULES is rules_of(None)
    assert not DEFAULT_RULES.picky
    assert not parse_wishes({"max_bytes": 100, "max_depth": 2}).picky
    assert rules_of('{"max_depth": 3}') is rules_of('{"max_depth": 3}')


@pytest.mark.parametrize(("payload", "said"), BAD, ids=lambda value: str(value)[:30])
def test_value_and_text_are_judged_alike(payload: Any, said: str) -> None:
    import json

    rules = parse_wishes(RULES)
    check_value(GOOD, rules)
    assert check_text(json.dumps(GOOD), rules) == json.dumps(GOOD)
    for refuse in (
        lambda: codec.encode(payload, rules),
        lambda: codec.encode(JsonText(json.dumps(payload)), rules),
        lambda: codec.encode_block([GOOD] * 600 + [payload], rules),
        lambda: codec.encode_block([JsonText(json.dumps(GOOD)), JsonText(json.dumps(payload))], rules),
    ):
        with pytest.raises(PayloadError) as refused:
            refuse()
        assert said in str(refused.value)


def test_odd_spellings_of_a_key_are_seen() -> None:
    rules = parse_wishes({"forbidden": ["__proto__"]})
    with pytest.raises(PayloadError, match="__proto__"):
        check_text('{"\\u005f_proto__": 1}', rules)


# Every way in


@pytest.fixture
def queue(db: None) -> Iterator[Queue]:
    yield make_queue(payload_rules=RULES)


def nothing_written() -> None:
    assert (Batch.objects.count(), Chunk.objects.count(), Job.objects.count()) == (0, 0, 0)


@pytest.mark.parametrize(("payload", "said"), BAD, ids=lambda value: str(value)[:30])
def test_one_job_and_many_are_refused_and_the_item_is_named(queue: Queue, payload: Any, said: str) -> None:
    with pytest.raises(EnqueueError) as refused:
        enqueue("tested.do", payload)
    assert str(refused.value).startswith("payload: ") and said in str(refused.value)
    for payloads in ([GOOD, GOOD, payload], iter([GOOD, JobSpec(GOOD, priority="high"), JobSpec(payload)])):
        with pytest.raises(EnqueueError) as refused:
            enqueue_batch("tested.do", payloads)
        assert str(refused.value).startswith("item 2: ") and said in str(refused.value)
    nothing_written()


def test_what_keeps_the_rules_comes_in(queue: Queue) -> None:
    assert enqueue("tested.do", GOOD)
    assert enqueue_batch("tested.do", [GOOD, JsonText('{"id":1.10,"to":"bob"}')]).total == 2
    assert Job.objects.order_by("-pk")[0].payload == '{"id":1.10,"to":"bob"}'


def test_what_is_added_to_an_open_batch_is_judged(queue: Queue) -> None:
    batch = enqueue_batch("tested.do", [GOOD], open=True)
    with pytest.raises(EnqueueError, match=r'^item 1: \$: key "to" is required'):
        add_jobs(batch, [GOOD, {"id": 3}])
    assert add_jobs(batch, [GOOD]) == 1
    assert Job.objects.count() == 2


@pytest.mark.parametrize(
    ("form", "text"), [("jsonl", b'{"id":1,"to":2}\n\n{"id":1}\n'), ("csv", b"id,to\n1,2\n3,bobbobbobbob\n")]
)
def test_a_file_names_its_line(queue: Queue, form: str, text: bytes) -> None:
    with pytest.raises(EnqueueError, match=r"^line 3: "):
        submit(stream=io.BytesIO(text), form=form, handler="tested.do", queue=None, actor="a", source="api")
    nothing_written()


def test_the_command_names_the_line(queue: Queue, tmp_path: Path) -> None:
    from tests.queues.commanding import command

    path = tmp_path / "jobs.jsonl"
    path.write_text('{"id":1,"to":2}\n{"id":1,"to":{"constructor":1}}\n')
    answer = command("enqueue", "tested.do", path)
    assert answer.code == 1
    assert 'line 2: $.to: key "constructor" is forbidden; nothing was enqueued' in answer.err
    nothing_written()


def test_other_queues_of_the_same_handler_ask_for_nothing(queue: Queue) -> None:
    make_queue("free")
    assert enqueue("tested.do", [1], queue="free")


def test_a_callback_is_not_a_payload_of_others(queue: Queue) -> None:
    from tests.queues.working import drain

    make_queue("free")
    batch = enqueue_batch("tested.do", [1], queue="free", callback="tested.do")
    drain("free")
    batch.refresh_from_db()
    assert batch.finished_at is not None
    assert Job.objects.filter(batch=None).count() == 1


def test_rules_that_somebody_wrote_past_the_checks_are_told(queue: Queue) -> None:
    Queue.objects.update(payload_rules={"max_bytes": -1})
    with pytest.raises(EnqueueError, match=r"queue 'tested' has payload_rules that cannot be kept: max_bytes"):
        enqueue("tested.do", GOOD)
