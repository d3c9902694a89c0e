"""What waits for a commit: its failure is no failure of what was committed, and keeps nothing else from its turn."""

from functools import partial

import pytest
from django.db import OperationalError, transaction

from queues import store


@pytest.mark.django_db(transaction=True)
def test_one_that_fails_is_logged_and_the_others_are_done(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def fail(number: int) -> None:
        raise OperationalError(f"deadlock {number}")

    with transaction.atomic():
        store.on_commit(partial(fail, 1))
        store.on_commit(partial(done.append, 2))
    assert done == [2]
    assert "deadlock 1" in caplog.text
