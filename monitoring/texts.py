"""Foreign text made harmless to the eye. Pure; escaping for HTML is the template's.

Error messages and payloads come from anywhere: they may hold terminal colours, characters that reverse the
direction of reading, invisible ones, or a megabyte without a space.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# Controls but tab and newline; and the format characters that hide or reorder what surrounds them.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
PIECE = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+')
# A time as our own sentences write it.
TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)")
INDENT = "  "
# What begins a formula in a spreadsheet, in half and full width; and what begins another cell or row there.
FORMULA = tuple("=+-@＝＋－＠")
BREAKS = ("\t", "\r", "\n")
OPENING, CLOSING = ("{", "["), ("}", "]")
DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of pretty-printed JSON: `kind` says how it is coloured."""

    kind: str
    text: str


def visible(text: str) -> str:
    """The text without terminal codes, and with each unseen character spelled out."""
    plain = ANSI.sub("", text.replace("\r\n", "\n"))
    return UNSEEN.sub(lambda match: f"\\u{{{ord(match[0]):x}}}", plain)


def cell(text: str) -> str:
    """A cell of a table that is sent as CSV. What a spreadsheet could take for a formula is quoted, also where white
    space comes before it."""
    beginning = text.lstrip()[:1]
    return f"'{text}" if text[:1] in BREAKS or beginning in FORMULA else text


def shorten(text: str, length: int) -> str:
    """At most so many characters, with a mark where it was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def first_line(text: str, length: int = 200) -> str:
    """What a table shows of a message."""
    stripped = visible(text).strip()
    return shorten(stripped.split("\n", 1)[0].rstrip(), length)


def pretty_json(text: str) -> Iterator[Token]:
    """The stored JSON on indented lines: never parsed, so numbers and escapes stay as they are written.

    A text that was cut short comes out as far as it goes.
    """
    depth, previous = 0, ""
    pieces = [match[0] for match in PIECE.finditer(text)]
    for piece, following in zip(pieces, [*pieces[1:], ""], strict=True):
        if piece in CLOSING:
            depth = max(0, depth - 1)
            yield Token("mark", piece if previous in OPENING else _line(depth) + piece)
        elif piece in OPENING:
            depth += 1
            yield Token("mark", piece if following in CLOSING else piece + _line(depth))
        elif piece == ",":
            yield Token("mark", piece + _line(depth))
        elif piece == ":":
            yield Token("mark", piece + " ")
        else:
            yield Token(_kind(piece, following), visible(piece))
        previous = piece


def _line(depth: int) -> str:
    return "\n" + INDENT * min(depth, DEEPEST)


def _kind(piece: str, following: str) -> str:
    if piece.startswith('"'):
        return "key" if following == ":" else "string"
    return "word" if piece in ("true", "false", "null") else "number"
