"""The number that is typed to confirm."""

import pytest

from queues.domain.confirming import mistyped


@pytest.mark.parametrize("typed", ["1234", "1,234", " 1 234 ", "1.234"])
def test_a_number_is_right_however_it_is_grouped(typed: str) -> None:
    assert mistyped(1_234, typed=typed, shown="1234") == ""


@pytest.mark.parametrize(("typed", "shown"), [("", ""), ("", "1234"), ("x", ""), ("1233", "1234"), ("12345", "1234")])
def test_any_other_is_wrong(typed: str, shown: str) -> None:
    assert mistyped(1_234, typed=typed, shown=shown) == "Type the number of jobs, 1234, to confirm."
