"""A traceback in pieces: the project's own frames stay, what lies between is put together, nothing is lost."""

import json
import sysconfig

import pytest

from queues.domain import frames
from queues.domain.traces import describe

LIBRARY = sysconfig.get_paths()["stdlib"]
STORED = f"""Traceback (most recent call last):
  File "/work/runner.py", line 89, in _sequential
    value = function(job)
            ^^^^^^^^^^^^^
  File "{LIBRARY}/json/__init__.py", line 3, in loads
    return decode(text)
  File "/elsewhere/lib/python3.12/site-packages/a.py", line 3, in deep
  File "/srv/shop/mail.py", line 19, in send
    raise Refused(address)

shop.Refused: no such
  address
"""


def test_foreign_frames_are_put_together() -> None:
    found = frames.pieces(STORED)
    assert [piece.foreign for piece in found] == [0, 0, 2, 0, 0]
    assert found[2].text.startswith(f'  File "{LIBRARY}/json')
    assert found[3].text == '  File "/srv/shop/mail.py", line 19, in send\n    raise Refused(address)\n'
    assert "".join(piece.text for piece in found) == STORED
    assert frames.innermost(STORED) == "mail.py:19 in send"


def test_a_real_one_of_a_library_names_the_project() -> None:
    try:
        json.loads("{bad")
    except ValueError as error:
        stored = describe(error).traceback
    assert frames.innermost(stored).endswith("in test_a_real_one_of_a_library_names_the_project")
    assert any(piece.foreign == 3 for piece in frames.pieces(stored))


@pytest.mark.parametrize(
    "odd",
    ["", "\n", "no traceback", 'File "', "  | +--- 1 ---\n", '  File "x", line 1, in <module>\n' * 3, "\x00\n \t"],
)
def test_odd_texts_stay_whole(odd: str) -> None:
    assert "".join(piece.text for piece in frames.pieces(odd)) == odd


def test_where_nothing_is_the_projects_all_is_shown() -> None:
    stored = f'Traceback (most recent call last):\n  File "{LIBRARY}/ast.py", line 50, in parse\nSyntaxError: x\n'
    assert [piece.foreign for piece in frames.pieces(stored)] == [0]
    assert frames.innermost(stored) == "ast.py:50 in parse"


def test_this_product_is_not_the_project() -> None:
    assert not frames.is_ours(frames.__file__)
    assert not frames.is_ours("<frozen importlib._bootstrap>")
    assert not frames.is_ours("C:\\Python311\\Lib\\json\\decoder.py")
    assert frames.is_ours("C:\\shop\\mail.py")
