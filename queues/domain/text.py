"""Making foreign text (error messages, tracebacks) safe to store and to show.

What arrives here was written by somebody's handler, or by whoever sent the data that broke it. PostgreSQL
refuses NUL and lone surrogates in text; terminals and browsers obey control characters and bidirectional
overrides, with which a message can pretend to be another. Everything here is linear in what it keeps and
looks at no more than a few times `max_bytes`, so that a message of 100 MB costs what one of 32 KB does.
"""

from __future__ import annotations

import re
from typing import Final

MESSAGE_BYTES: Final = 8 * 1024

# Below this the mark that says "cut" would not leave room for any text.
_SMALLEST_LIMIT: Final = 128
# Of what stays of a text without its middle.
_HEAD_SHARE: Final = 0.3

# In this order: a whole terminal sequence, then whatever single character must not stay. An operating system
# command (title, hyperlink) ends in BEL or ESC backslash; its bound keeps unterminated ones from being
# searched to the end again and again. ESC alone and the C1 introducers fall under the single characters.
_UNWANTED: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}+[ -/]{0,8}+[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]{0,512}+(?:\x07|\x1b\\|\x9c)"
    r"|\r\n?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
# Any of the above begins with one of these. A search for single characters runs at full speed, one for
# sequences tries each of them at each place.
_SUSPECT: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str, max_bytes: int = MESSAGE_BYTES) -> str:
    """`text` as PostgreSQL can hold and a page can show it, at most `max_bytes` (>= 128) of UTF-8.

    Terminal sequences and control characters go (newline and tab stay, CR becomes a newline), lone
    surrogates become U+FFFD, bidirectional controls become visible as `\\u202e`. Text that is too long is cut
    on a character boundary and ends in a mark that says so. Doing it twice changes nothing more.
    """
    shown = _replace_unwanted(text[: max_bytes * 4])
    return _cut(shown, len(text), max_bytes, head_share=1.0, was_cut=len(text) > max_bytes * 4)


def clean_ends(text: str, max_bytes: int) -> str:
    """As `clean`, but what is too long loses its middle: of a traceback both ends matter, the end more."""
    window = max_bytes * 2
    if len(text) <= window * 2:
        return shorten(_replace_unwanted(text), max_bytes)
    shown = _replace_unwanted(text[:window]) + _replace_unwanted(text[-window:])
    return _cut(shown, len(text), max_bytes, head_share=_HEAD_SHARE, was_cut=True)


def shorten(text: str, max_bytes: int) -> str:
    """Text that is clean already, without its middle if it is too long."""
    return _cut(text, len(text), max_bytes, head_share=_HEAD_SHARE, was_cut=False)


def _replace_unwanted(text: str) -> str:
    return _UNWANTED.sub(_shown, text) if _SUSPECT.search(text) else text


def _shown(match: re.Match[str]) -> str:
    found = match[0]
    if found[0] == "\r":
        return "\n"
    if "\ud800" <= found <= "\udfff":
        return "\ufffd"
    return f"\\u{ord(found):04x}" if found > "\u0600" else ""


def _cut(shown: str, length: int, max_bytes: int, *, head_share: float, was_cut: bool) -> str:
    """`shown` in at most `max_bytes` bytes; `length` is that of the original, for the mark."""
    if max_bytes < _SMALLEST_LIMIT:
        raise ValueError(f"max_bytes: {max_bytes} is below {_SMALLEST_LIMIT}")
    if not was_cut and len(shown) * 4 <= max_bytes:
        return shown
    raw = shown.encode()
    if not was_cut and len(raw) <= max_bytes:
        return shown
    mark = f"… [cut: {length:,} characters in all]"
    if head_share < 1.0:
        mark = f"\n{mark}\n"
    room = max(max_bytes - len(mark.encode()), 0)
    head = int(room * head_share)
    tail = room - head
    # "ignore" drops the incomplete character at the edge, and nothing else: the rest is valid UTF-8.
    last = raw[-tail:].decode(errors="ignore") if tail else ""
    return raw[:head].decode(errors="ignore") + mark + last
