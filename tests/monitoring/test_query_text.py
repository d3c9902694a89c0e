"""The text of a search: what it means, and that a filter comes back from the text in which it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.filters import LETTERS, LONGEST, storable
from monitoring.job_filters import ARCHIVE, JOBS
from monitoring.query_text import Language, Misread, chips, read, write

VALUES = st.text(max_size=LONGEST).map(storable).filter(bool)
PAIRS = st.builds("{}={}".format, VALUES.filter(lambda key: "=" not in key), VALUES)


@pytest.mark.parametrize("language", [JOBS, LETTERS, ARCHIVE])
@given(data=st.data())
def test_a_filter_comes_back_from_its_text(language: Language, data: st.DataObject) -> None:
    parameters = [one.parameter for one in language.qualifiers]
    chosen = {
        name: data.draw(PAIRS if name == language.pairs else VALUES, label=name)
        for name in data.draw(st.sets(st.sampled_from(parameters)))
    }
    assert read(write(chosen, language), language) == chosen


@given(st.text(max_size=80))
def test_any_text_is_read_or_named(text: str) -> None:
    try:
        found = read(text, JOBS)
    except Misread as error:
        assert error.part in text
        assert str(error)
    else:
        assert all(found.values()) or not text.strip()


def test_a_chip_leaves_the_others() -> None:
    chosen = {"state": "dead", "error": "disk full", "payload": "user.id=42"}
    assert [(one.text, sorted(one.rest)) for one in chips(chosen, JOBS)] == [
        ("state:dead", ["error", "payload"]),
        ('error:"disk full"', ["payload", "state"]),
        ("user.id=42", ["error", "state"]),
    ]


def test_other_names_mean_the_same() -> None:
    assert read("job:7", JOBS) == {"id": "7"}
    assert read("fp:ab12 reason:rejected text:refused", LETTERS) == {
        "cause": "ab12",
        "why": "rejected",
        "text": "refused",
    }
    assert read("since:30d state:dead", ARCHIVE) == {"within": "30d", "outcome": "dead"}
    assert read('"a: b" c', JOBS) == {"error": "a: b c"}
