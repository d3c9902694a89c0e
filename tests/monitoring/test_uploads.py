"""A new batch in two steps: every line is looked at before anything is written, and columns become keys."""

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from monitoring import uploads
from queues import handlers
from queues.models import Batch, Chunk, Job, Queue, Run
from queues.services.sync_queues import sync_queues
from tests.monitoring.worlds import run

pytestmark = pytest.mark.django_db


def _handler(job: object) -> None:
    pass


@pytest.fixture
def operator(signed_in: Callable[[str], Client], settings: Any, tmp_path: Path) -> Client:
    settings.HOME = tmp_path
    handlers.handler(queue="uploads", name="tests.upload")(_handler)
    sync_queues()
    return signed_in("operator")


def send(client: Client, content: bytes, name: str = "people.csv", **fields: str) -> Any:
    data = {"target": "uploads", "step": "preview", "file": SimpleUploadedFile(name, content), **fields}
    return client.post(reverse("new-batch"), data, follow=True)


def step(client: Client, answer: Any, **fields: Any) -> Any:
    return client.post(
        answer.redirect_chain[-1][0] if answer.redirect_chain else answer.request["PATH_INFO"], fields, follow=True
    )


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def kept(path: Path) -> list[str]:
    return [place.name for place in (path / "uploads").iterdir()]


def test_a_file_is_shown_as_payloads_and_nothing_is_written(operator: Client) -> None:
    answer = send(operator, b"id,name\r\n1,Ann\r\n2,Bob\r\n")
    assert "{&quot;id&quot;:&quot;1&quot;,&quot;name&quot;:&quot;Ann&quot;}" in text_of(answer)
    assert "Enqueue 2 jobs" in text_of(answer)
    assert not Batch.objects.exists()


def test_columns_become_keys_of_the_wanted_kind(operator: Client, tmp_path: Path) -> None:
    answer = send(operator, b'id,price,tags,note\r\n007,1.10,"[1, 2]",x\r\n8,,,\r\n')
    mapping = {
        "key-0": "code", "kind-0": "text", "key-1": "price", "kind-1": "number",
        "key-2": "tags", "kind-2": "json", "key-3": "note", "kind-3": "omit",
    }  # fmt: skip
    answer = step(operator, answer, step="map", **mapping)
    assert "{&quot;code&quot;:&quot;007&quot;,&quot;price&quot;:1.10,&quot;tags&quot;:[1, 2]}" in text_of(answer)
    assert not Batch.objects.exists()
    step(operator, answer, step="enqueue", name="Prices", chunk_size="1", **mapping)
    batch = Batch.objects.get()
    assert (batch.name, batch.total, batch.chunk_size, batch.created_by) == ("Prices", 2, 1, "operator")
    assert list(Job.objects.order_by("id").values_list("payload", flat=True)) == [
        '{"code":"007","price":1.10,"tags":[1, 2]}',
        '{"code":"8","price":null,"tags":null}',
    ]
    assert not [*tmp_path.glob("uploads/*/lines")]


def test_a_bad_line_is_named_with_what_to_do_and_the_file_is_sent_again(operator: Client) -> None:
    answer = send(operator, b"id,age\r\n1,30\r\n2\r\n3,40\r\n")
    assert "line 3" in text_of(answer) and "1 fields, but the header has 2" in text_of(answer)
    assert "Enqueue 3" not in text_of(answer) and 'id="enqueue"' not in text_of(answer)
    # A person who presses on all the same is shown the same again.
    step(operator, answer, step="enqueue")
    assert not Batch.objects.exists()
    answer = step(
        operator, answer, step="again", file=SimpleUploadedFile("b.csv", b"id,age\r\n1,30\r\n2,35\r\n3,40\r\n")
    )
    assert "Enqueue 3 jobs" in text_of(answer)
    answer = step(operator, answer, step="enqueue")
    assert Batch.objects.get().total == 3
    assert answer.redirect_chain[-1][0] == f"/batches/{Batch.objects.get().pk}/"


def test_pasted_lines_are_corrected_on_the_page(operator: Client, tmp_path: Path) -> None:
    text = '\r\n{"id": 1}\r\n{"id": }\r\n{"say": "</textarea><script>alert(1)"}'
    data = {"target": "uploads", "step": "preview", "text": text, "name": "By hand", "metadata": "tenant=acme"}
    answer = operator.post(reverse("new-batch"), data, follow=True)
    shown = text_of(answer)
    assert "line 3" in shown and "<code>{&quot;id&quot;: }</code>" in shown
    assert 'type="file"' not in shown and "<script>alert" not in shown
    # The browser drops one line break after the tag: the empty first line is there still, and counts.
    field = shown[shown.index('<textarea name="text"') : shown.index("</textarea>")].partition(">")[2]
    assert unescape(field) == "\n" + text
    answer = step(operator, answer, step="again", format="jsonl", text=text.replace('"id": }', '"id": 2}'))
    assert "Enqueue 3 jobs" in text_of(answer)
    assert len(kept(tmp_path)) == 1
    step(operator, answer, step="enqueue", name="By hand")
    batch = Batch.objects.get()
    assert (batch.total, batch.name, batch.metadata) == (3, "By hand", {"tenant": "acme"})


def test_a_correction_that_cannot_be_kept_is_not_lost(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"target": "uploads", "step": "preview", "text": "id,age\n1\n"}
    answer = operator.post(reverse("new-batch"), data, follow=True)
    monkeypatch.setattr(uploads, "MOST", 1)
    answer = step(operator, answer, step="again", format="csv", text="id,age\n1,2\n")
    assert answer.status_code == 422
    assert "files of yours wait already" in text_of(answer)
    assert "\nid,age\n1,2\n</textarea>" in text_of(answer)
    # The table still tells of what was looked at.
    assert "<code>1</code>" in text_of(answer)


def test_what_is_too_long_to_be_pasted_is_sent_as_a_file(operator: Client, settings: Any) -> None:
    answer = operator.post(
        reverse("new-batch"), {"target": "uploads", "step": "preview", "text": "id,age\n1\n"}, follow=True
    )
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 5
    shown = text_of(operator.get(answer.redirect_chain[-1][0]))
    assert "<textarea" not in shown and 'type="file"' in shown


def test_the_mapping_survives_a_corrected_file(operator: Client) -> None:
    answer = send(operator, b"id,age\r\n1,old\r\n")
    answer = step(
        operator, answer, step="map", **{"key-0": "id", "kind-0": "text", "key-1": "years", "kind-1": "number"}
    )
    assert "column age: &#x27;old&#x27; is not a number; correct it, or take the column as text" in text_of(answer)
    answer = step(operator, answer, step="again", file=SimpleUploadedFile("b.csv", b"id,age\r\n1,70\r\n"))
    assert "{&quot;id&quot;:&quot;1&quot;,&quot;years&quot;:70}" in text_of(answer)


def test_all_lines_are_looked_at_and_the_first_twenty_shown(operator: Client) -> None:
    lines = b"".join(b'{"n": }\n' if number % 2 else b'{"n": 1}\n' for number in range(60))
    text = text_of(send(operator, lines, "jobs.jsonl"))
    assert "The first 20 of 30 bad lines" in text
    assert "line 40<" in text and "line 42<" not in text


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"\xff\n{}\n[", "a.jsonl", ["line 1", "not UTF-8", "line 3"]),
        (b"a,a\n1,2\n", "a.csv", ["line 1", "twice"]),
        (b'a,b\n1,"x\n', "a.csv", ["line 2"]),
        (b"", "a.jsonl", ["there are no jobs"]),
        (b"{}\n" + b'"' + b"x" * 1_100_000 + b'"\n{\n', "a.jsonl", ["line 2", "more than 1,048,576 bytes", "line 3"]),
    ],
)
def test_what_cannot_be_read_is_named_by_line(operator: Client, content: bytes, name: str, said: list[str]) -> None:
    answer = send(operator, content or b"\n", name)
    for words in said:
        assert words in text_of(answer)
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"key-0": "", "kind-0": "text"}, "give it a key, or leave it out"),
        ({"key-0": "b", "kind-0": "text", "key-1": "b", "kind-1": "text"}, "have the same key b"),
        ({"kind-0": "omit", "kind-1": "omit"}, "every column is left out"),
        ({"chunk_size": "many"}, "a whole number from 1"),
    ],
)
def test_a_mapping_that_cannot_be_says_why(operator: Client, fields: dict[str, str], said: str) -> None:
    answer = send(operator, b"a,b\n1,2\n")
    answer = step(operator, answer, step="enqueue", **fields)
    assert answer.status_code == 422
    assert said in text_of(answer)
    assert not Batch.objects.exists()


def test_a_file_is_its_owners_and_can_be_discarded(
    operator: Client, person: Callable[[str], Any], tmp_path: Path
) -> None:
    answer = send(operator, b"a\n1\n")
    where = answer.redirect_chain[-1][0]
    other = Client()
    user = person("viewer")
    user.user_permissions.set(operator.get("/").wsgi_request.user.user_permissions.all())
    other.force_login(user)
    assert other.get(where).status_code == 404
    assert operator.get("/batches/new/" + "0" * 32 + "/").status_code == 404
    step(operator, answer, step="discard")
    assert kept(tmp_path) == []
    assert operator.get(where).status_code == 404


def test_old_files_go_and_others_stay(operator: Client, tmp_path: Path) -> None:
    send(operator, b"a\n1\n")
    place = tmp_path / "uploads" / kept(tmp_path)[0]
    long_ago = time.time() - uploads.KEPT_FOR - 60
    for path in (*place.iterdir(), place):
        os.utime(path, (long_ago, long_ago))
    send(operator, b"a\n2\n")
    assert len(kept(tmp_path)) == 1 and place.name not in kept(tmp_path)
    assert (tmp_path / "uploads").stat().st_mode & 0o77 == 0


def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(
    operator: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LARGEST", 10)
    answer = send(operator, b"a\n" + b"1\n" * 100)
    assert answer.status_code == 422
    assert "use manage.py enqueue" in text_of(answer)
    assert kept(tmp_path) == []


def test_an_insertion_whose_process_died_is_told_and_can_be_tried_again(operator: Client, tmp_path: Path) -> None:
    answer = send(operator, b"a\n1\n")
    where = answer.redirect_chain[-1][0]
    found = uploads.find(kept(tmp_path)[0], operator.get("/").wsgi_request.user.pk)
    assert found is not None and uploads.begin(found, "inserting")
    assert not uploads.begin(found, "inserting")
    progress = text_of(operator.get(where))
    assert "Enqueueing <b>people.csv</b>" in progress and 'hx-trigger="every 1s"' in progress
    assert "<html" not in text_of(operator.get(where, headers={"HX-Request": "true"}))
    state = tmp_path / "uploads" / found.token / "state.json"
    os.utime(state, (time.time() - 60, time.time() - 60))
    assert "has stopped: try again" in text_of(operator.get(where))
    step(operator, answer, step="enqueue")
    assert Batch.objects.get().total == 1


def test_a_second_try_of_the_same_insertion_makes_no_second_batch(operator: Client, tmp_path: Path) -> None:
    answer = send(operator, b"a\n1\n")
    token = kept(tmp_path)[0]
    place = tmp_path / "uploads" / token
    saved = {path.name: path.read_bytes() for path in place.iterdir()}
    step(operator, answer, step="enqueue")
    for name, content in saved.items():
        (place / name).write_bytes(content)
    step(operator, answer, step="enqueue")
    assert Batch.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_large_file_goes_on_in_the_background_and_leads_to_its_batch(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.waiting import wait_for

    monkeypatch.setattr(uploads, "AT_ONCE", 100)
    answer = send(operator, b'{"n": 1}\n' * 5_000, "jobs.jsonl")
    where = answer.redirect_chain[-1][0]
    wait_for(lambda: "Enqueue 5,000 jobs" in text_of(operator.get(where)))
    operator.post(where, {"step": "enqueue"})
    wait_for(lambda: Batch.objects.filter(total=5_000).exists())

    def arrived() -> bool:
        found = operator.get(where, headers={"HX-Request": "true"})
        return found.get("HX-Redirect") == f"/batches/{Batch.objects.get().pk}/"

    wait_for(arrived)
    assert json.loads(Job.objects.earliest("id").payload) == {"n": 1}


def test_a_handler_can_be_chosen_for_a_queue_with_several(operator: Client) -> None:
    handlers.handler(queue="uploads", name="tests.upload_other")(lambda job: None)
    try:
        answer = send(operator, b"a\n1\n")
        assert answer.status_code in (200, 422)
        answer = send(operator, b"a\n1\n", handler="tests.upload_other")
        step(operator, answer, step="enqueue")
        assert Batch.objects.get().handler == "tests.upload_other"
    finally:
        handlers._handlers.pop("tests.upload_other")


def test_who_goes_back_and_enqueues_again_is_led_to_the_same_batch(operator: Client) -> None:
    answer = send(operator, b"a\n1\n")
    first = step(operator, answer, step="enqueue")
    assert "1 jobs are enqueued." in text_of(first)
    where = answer.redirect_chain[-1][0]
    for again in (operator.post(where, {"step": "enqueue"}, follow=True), operator.get(where, follow=True)):
        assert again.redirect_chain[-1][0] == f"/batches/{Batch.objects.get().pk}/"
        assert "were enqueued already: this is their batch" in text_of(again)
    assert Batch.objects.count() == 1


def test_the_wishes_of_the_form_come_true(operator: Client) -> None:
    wishes = {"run_at": "2099-01-31T14:00", "metadata": "tenant=acme\nrun=7", "key": "prices 7", "priority": "high"}
    answer = send(operator, b"a\n1\n", failure_mode="fail_fast", **wishes)
    for words in ("2099-01-31 14:00 UTC", "tenant=acme, run=7", "prices 7", "cancel what waits"):
        assert words in text_of(answer)
    step(operator, answer, step="enqueue")
    batch = Batch.objects.get()
    assert (batch.metadata, batch.idempotency_key, batch.failure_mode) == (
        {"tenant": "acme", "run": "7"}, "prices 7", "fail_fast",
    )  # fmt: skip
    assert Chunk.objects.get().run_at.isoformat() == "2099-01-31T14:00:00+00:00"
    again = step(operator, send(operator, b"a\n1\n", **wishes), step="enqueue")
    assert "were enqueued already" in text_of(again) and Batch.objects.count() == 1
    other = step(operator, send(operator, b"a\n2\n", **wishes), step="enqueue")
    assert "belongs to a batch with other content" in text_of(other) and Batch.objects.count() == 1


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"run_at": "tomorrow"}, "not before: &#x27;tomorrow&#x27; is not a time"),
        ({"metadata": "acme"}, "is not key=value"),
        ({"metadata": "{1}"}, "metadata: not JSON"),
    ],
)
@pytest.mark.parametrize("way", ["preview", "enqueue"])
def test_a_wish_that_cannot_be_understood_says_so(
    operator: Client, wishes: dict[str, str], said: str, way: str, tmp_path: Path
) -> None:
    answer = send(operator, b"a\n1\n", **{**wishes, "step": way})
    assert answer.status_code == 422 and said in text_of(answer)
    assert not Batch.objects.exists() and not [*tmp_path.glob("uploads/*")]


def test_the_chunk_size_is_advised_by_how_long_the_jobs_take(operator: Client) -> None:
    answer = send(operator, b"id\n1\n2\n")
    assert "there is no advice on the chunk size" in text_of(answer)
    queue = Queue.objects.get(name="uploads")
    for handler, each in (("tests.upload", 0.050), ("tests.other", 3.0)):
        ended = run(queue, started=timedelta(seconds=100 * each), ended=timedelta(0), succeeded=100)
        Run.objects.filter(pk=ended.pk).update(handler=handler)
    url = answer.redirect_chain[-1][0]
    shown = text_of(operator.get(url))
    assert (
        "from the last run of tests.upload, 50.0 ms a job. Chunks of 50: a run takes 2 of them, about 5.0 s; a crash"
        in shown
    )
    assert "tests.other" not in shown[shown.index('class="advice"') :]
    assert 'href="?chunk_size=50"' in shown
    assert 'name="chunk_size" value=""' in shown
    # Without scripts the link leads to the field filled; what is asked for is sent with the form.
    assert 'name="chunk_size" value="50"' in text_of(operator.get(f"{url}?chunk_size=50"))
    assert 'name="chunk_size" value=""' in text_of(operator.get(f"{url}?chunk_size=-3"))
    step(operator, answer, step="enqueue", chunk_size="1")
    assert Chunk.objects.count() == 2


def test_too_many_jobs_for_one_batch_are_split_from_the_preview(operator: Client, settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 2
    answer = send(operator, b"a\n1\n2\n3\n", chunk_size="1")
    assert "3 jobs are more than the 2 of one batch, and become 2 parts" in text_of(answer)
    refused = step(operator, answer, step="enqueue", **{"may-split": "1", "chunk_size": "1"})
    assert "tick “split into parts”" in text_of(refused) and not Batch.objects.exists()
    step(operator, answer, step="enqueue", split="on", **{"may-split": "1", "chunk_size": "1"})
    assert Batch.objects.get(parent=None).total == 3


def test_a_wide_file_is_taken_as_it_is_and_a_wider_one_refused(operator: Client) -> None:
    names = [f"c{number}" for number in range(900)]
    wide = ",".join(names).encode() + b"\n" + b",".join([b"x"] * 900) + b"\n"
    answer = send(operator, wide)
    assert "900 columns are too many to be mapped here" in text_of(answer)
    step(operator, answer, step="enqueue")
    assert len(json.loads(Job.objects.get().payload)) == 900
    wider = ",".join(f"c{number}" for number in range(10_000)).encode() + b"\n"
    assert "the header has 10,000 columns; at most 1,000" in text_of(send(operator, wider))


def test_as_many_columns_as_are_mapped_fit_the_form(operator: Client) -> None:
    from monitoring.views.upload import MOST_COLUMNS

    content = ",".join(f"c{number}" for number in range(MOST_COLUMNS)).encode() + b"\n" + b"," * (MOST_COLUMNS - 1)
    answer = send(operator, content + b"\n")
    mapping = {f"key-{place}": f"k{place}" for place in range(MOST_COLUMNS)}
    mapping |= {f"kind-{place}": "text" for place in range(MOST_COLUMNS)}
    answer = step(operator, answer, step="map", **mapping)
    step(operator, answer, step="enqueue", **mapping)
    assert json.loads(Job.objects.get().payload)["k0"] == ""


def test_files_that_wait_are_listed_for_their_owner_and_bounded(
    operator: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(uploads, "MOST", 2)
    send(operator, b"a\n1\n", "one.csv")
    send(operator, b"a\n1\n2\n", "two.csv")
    text = text_of(operator.get(reverse("new-batch")))
    assert text.index("two.csv") < text.index("one.csv") and "2 jobs, ready" in text
    refused = send(operator, b"a\n3\n", "three.csv")
    assert refused.status_code == 422 and "2 files of yours wait already" in text_of(refused)
    assert len(kept(tmp_path)) == 2


def test_a_missing_file_says_what_to_do(operator: Client) -> None:
    answer = operator.get("/batches/new/" + "0" * 32 + "/")
    assert answer.status_code == 404
    assert "Choose it again" in text_of(answer) and 'name="file"' in text_of(answer)
