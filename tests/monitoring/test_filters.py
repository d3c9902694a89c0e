"""Filters in addresses."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring import batch_filters, filters
from queues.domain.states import BatchState
from queues.selectors.batch_lists import STANDINGS, TRASHED
from queues.selectors.dead_letters import Place

PLACES = st.builds(
    Place,
    st.timedeltas(timedelta(0), timedelta(days=40_000)).map(lambda span: filters.EPOCH + span),
    st.integers(0, 10**17),
)


@given(PLACES)
def test_a_place_survives_the_address(place: Place) -> None:
    assert filters.read_place(filters.write_place(place)) == place


@given(PLACES, PLACES)
def test_keys_sort_like_the_list(one: Place, other: Place) -> None:
    by_key = filters.dead_letter_key(one) < filters.dead_letter_key(other)
    assert by_key == ((one.died_at, one.job_id) < (other.died_at, other.job_id))


@pytest.mark.parametrize("text", ["", "x", "1-", "-1", "1-2-3", "٣-4", "9" * 40 + "-1"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert filters.read_place(text) is None


def test_equal_filters_have_one_spelling() -> None:
    assert filters.canonical("batch=3&queue=mail&x=1&name=") == filters.canonical("queue=mail&batch=3")


def test_a_batch_that_is_no_number_matches_none_rather_than_all() -> None:
    assert filters.dead_letter_query({"batch": "x'; drop"}).batch == 0
    assert filters.dead_letter_query({"batch": "٣"}).batch == 0
    assert filters.dead_letter_query({}).batch is None


def test_an_unknown_state_is_named() -> None:
    with pytest.raises(filters.Unclear, match=r"State: there is no nonsense\. It is one of running, paused,"):
        batch_filters.query({"state": "nonsense"})
    for state in (*BatchState, *STANDINGS, TRASHED):
        assert batch_filters.query({"state": state}).state == state


def test_a_selection_names_only_what_was_chosen() -> None:
    query = filters.dead_letter_query({"queue": "mail", "cause": "ab12"})
    assert filters.selection(query) == {"queue": "mail", "fingerprint": "ab12"}
