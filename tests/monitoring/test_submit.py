"""A new batch from a file: all of it or nothing, and a word on the line that is wrong."""

from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from monitoring import uploads
from queues import handlers
from queues.models import Batch, Chunk, Job, Queue
from queues.services.sync_queues import sync_queues

pytestmark = pytest.mark.django_db

BAD = {
    b'{"a": 1}\n\n{"a": }\n': "line 3: ",
    b"": "no jobs",
    b'{"a": NaN}': "line 1: $.a: NaN",
    b'{"a": 1, "a": 2}': "line 1: ",
    b'{"a": "\\u0000"}': "line 1: $.a: ",
    b'{"a": "\\ud800"}': "line 1: $.a: ",
    b'{"a": 1e2000}': "line 1: $.a: ",
    b"[" * 70 + b"]" * 70: "line 1: ",
    b'{"a": ' + b"1" * 1001 + b"}": "line 1: $.a: ",
    b'"' + b"x" * 1_048_576 + b'"': "line 1: ",
    b"\xff": "line 1: ",
}


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    handlers.handler(queue="uploads", name="tests.upload")(_handler)
    sync_queues()
    return signed_in("operator")


def _handler(job: object) -> None:
    pass


def post(client: Client, content: bytes, name: str = "jobs.jsonl", **fields: str) -> tuple[int, str]:
    data = {"target": "uploads", "file": SimpleUploadedFile(name, content), **fields}
    answer = client.post(reverse("new-batch"), data)
    return answer.status_code, answer.content.decode()


@pytest.mark.parametrize("content", BAD, ids=range(len(BAD)))
def test_a_bad_line_is_named_and_nothing_is_written(operator: Client, content: bytes) -> None:
    status, page = post(operator, content or b"\n")
    assert status == 422
    assert (BAD[content] if content else "at least one job") in page.replace("&quot;", '"')
    assert "Nothing was enqueued" in page
    assert (Batch.objects.count(), Chunk.objects.count(), Job.objects.count()) == (0, 0, 0)


def test_lines_become_jobs_as_they_are_written(operator: Client) -> None:
    status, _page = post(operator, b'{"n": 1.10}\n{"n": 18446744073709551617}\n', priority="high")
    assert status == 302
    batch = Batch.objects.get()
    assert (batch.total, batch.name, batch.created_by) == (2, "jobs.jsonl", "operator")
    assert list(Job.objects.order_by("id").values_list("payload", flat=True)) == [
        '{"n": 1.10}',
        '{"n": 18446744073709551617}',
    ]
    assert Chunk.objects.get().priority == 1


def test_a_csv_file_becomes_objects_of_strings(operator: Client) -> None:
    status, _page = post(operator, b"id,name\r\n1,Ann\r\n2,Bob\r\n", "people.csv")
    assert status == 302
    assert Job.objects.earliest("id").payload == '{"id":"1","name":"Ann"}'


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"a,b\n1\n", "line 2: 1 fields"), (b"a,a\n1,2\n", "line 1: "), (b"a,\n1,2\n", "line 1: ")],
)
def test_a_ragged_csv_file_is_refused(operator: Client, content: bytes, said: str) -> None:
    status, page = post(operator, content, "people.csv")
    assert status == 422
    assert said in page
    assert Batch.objects.count() == 0


def test_pasted_lines_work_without_a_file(operator: Client) -> None:
    answer = operator.post(reverse("new-batch"), {"target": "uploads", "text": '{"a": 1}\r\n{"a": 2}'})
    assert answer.status_code == 302
    assert Batch.objects.get().total == 2


def test_too_many_jobs_need_to_be_split(operator: Client, settings: object) -> None:
    settings.BATCH_MAX_JOBS = 3  # type: ignore[attr-defined]
    lines = b"1\n2\n3\n4\n"
    status, page = post(operator, lines, chunk_size="1")
    assert status == 422
    assert "split into parts" in page
    assert Batch.objects.count() == 0
    Queue.objects.filter(name="uploads").update(chunk_size=2)
    assert post(operator, lines, split="on")[0] == 302
    assert Batch.objects.get(parent=None).total == 4


def test_a_file_of_an_unknown_kind_asks_for_its_format(operator: Client) -> None:
    status, page = post(operator, b"1", "jobs.txt")
    assert status == 422
    assert "choose its format" in page
    assert post(operator, b"1", "jobs.txt", format="jsonl")[0] == 302


@pytest.mark.parametrize("multipart", [True, False])
def test_lines_too_long_to_be_pasted_are_answered_with_the_way_out(
    operator: Client, settings: Any, multipart: bool
) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = operator.cookies
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440
    token = browser.get(reverse("new-batch")).context["csrf_token"]
    data = {"csrfmiddlewaretoken": str(token), "target": "uploads", "text": '{"a": 1}\n' * 300_000}
    form = {} if multipart else {"content_type": "application/x-www-form-urlencoded"}
    answer = browser.post(reverse("new-batch"), data if multipart else urlencode(data), **form)
    page = answer.content.decode()
    assert answer.status_code == 413
    assert "more than 2.5\xa0MB" in page
    assert "choose it under File" in page
    assert 'name="file"' in page
    assert answer["Content-Security-Policy"].startswith("default-src 'none'")
    assert Batch.objects.count() == 0
    # The way out.
    assert post(operator, b"1\n" * 3, name="jobs.jsonl")[0] == 302


def test_somebody_who_may_not_enqueue_is_shown_no_form(signed_in: Callable[[str], Client]) -> None:
    answer = signed_in("viewer").post(reverse("new-batch"), {"text": "x" * 3_000_000})
    assert answer.status_code in (400, 403)
    assert 'name="file"' not in answer.content.decode()


def test_a_queue_that_takes_no_more_for_now_says_when(operator: Client) -> None:
    Queue.objects.filter(name="uploads").update(enqueue_rate=0.01, enqueue_burst=1)
    assert post(operator, b"1\n2\n")[0] == 302
    data = {"target": "uploads", "text": '{"n": 3}'}
    answer = operator.post(reverse("new-batch"), data)
    assert answer.status_code == 429
    assert 195 <= int(answer["Retry-After"]) <= 200
    page = answer.content.decode()
    assert "takes 0.01 jobs a second; retry after " in page and "Nothing was enqueued" in page
    assert Batch.objects.count() == 1


def test_what_one_form_sends_twice_is_enqueued_once(operator: Client) -> None:
    form = str(operator.get(reverse("new-batch")).context["form"])
    assert post(operator, b"1\n2\n", form=form)[0] == 302
    answer = operator.post(
        reverse("new-batch"), {"target": "uploads", "form": form, "file": SimpleUploadedFile("jobs.jsonl", b"1\n2\n")},
        follow=True,
    )  # fmt: skip
    assert "These 2 jobs were enqueued already" in answer.content.decode()
    assert Batch.objects.count() == 1
    # Other lines, or other wishes, are another batch.
    assert post(operator, b"3\n", form=form)[0] == 302
    assert post(operator, b"1\n2\n", form=form, priority="high")[0] == 302
    assert Batch.objects.count() == 3


def test_a_large_file_is_enqueued_at_once_with_its_progress(
    operator: Client, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.HOME = tmp_path
    monkeypatch.setattr(uploads, "AT_ONCE", 3)
    # The work itself is done here, and not in a thread, which would not see the transaction of this test.
    monkeypatch.setattr(uploads, "work", lambda upload, do: do(lambda done: None))
    status, _page = post(operator, b"1\n2\n3\n")
    assert status == 302
    assert Batch.objects.get().total == 3


@pytest.mark.parametrize("step", ["enqueue", "preview"])
@pytest.mark.parametrize("text", [f"{'k' * 201}=1", f'{{"a": {{"{"k" * 201}": 1}}}}'], ids=["lines", "object"])
def test_a_metadata_key_that_is_too_long_is_said_at_once(
    operator: Client, step: str, text: str, settings: Any, tmp_path: Path
) -> None:
    settings.HOME = tmp_path
    status, page = post(operator, b"1\n", metadata=text, step=step)
    assert (status, "a key of 201 characters" in page, "Nothing was enqueued" in page) == (422, True, True)
    assert Batch.objects.count() == 0
    assert uploads.waiting(operator.get("/").wsgi_request.user.pk or 0) == []


def test_the_form_of_a_new_batch_like_another(operator: Client) -> None:
    post(operator, b"1\n", name="prices.jsonl", failure_mode="fail_fast", metadata="tenant=acme")
    text = operator.get(reverse("new-batch"), {"like": Batch.objects.get().pk}).content.decode()
    assert "<option selected>uploads</option>" in text and 'value="prices.jsonl"' in text
    assert '<option value="fail_fast" selected>' in text and "&quot;tenant&quot;: &quot;acme&quot;" in text
    assert operator.get(reverse("new-batch"), {"like": "x" * 30}).status_code == 200


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"key": "k" * 201}, "idempotency key: a unique key is text of 1 to 200 characters"),
        ({"priority": "zz"}, "priority: 'zz' is not one of"),
        ({"metadata": "tenant=acme\ntenant=other"}, "metadata: 'tenant' stands there twice"),
    ],
)
def test_what_the_enqueue_would_refuse_is_refused_before_the_preview(
    given: dict[str, str], words: str, operator: Client
) -> None:
    status, answer = post(operator, b'{"n": 1}', step="preview", **given)
    assert status == 422
    assert words in unescape(answer)
    assert not Batch.objects.exists()
