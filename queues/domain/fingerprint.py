"""One name for all failures that have the same cause.

A million failures are usually a handful of mistakes. The fingerprint is taken of what stays the same between
them: the class of the error, the place in the project's code it came from, and its message without the parts
that vary (ids, amounts, names in quotes, times, addresses, paths).
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Final

# A message is looked at up to here; what varies is usually named early, and this bounds the cost.
LOOKED_AT: Final = 2000
# ... and of the normal form this much counts, so that where the first cut fell matters to nobody.
KEPT: Final = 400
# What a person calls the cause of failures that have no fingerprint; no fingerprint is written so.
NONE: Final = "none"

# (a cheap sign that the pattern may be there, the pattern, what takes its place), in this order: earlier ones
# take whole what later ones would tear apart. Numbers, hex and UUIDs share a placeholder, for an identifier
# of eight hex digits may well happen to hold no letter.
_PASSES: Final = tuple(
    (re.compile(sign), re.compile(pattern), placeholder)
    for sign, pattern, placeholder in (
        ("://", r"(?<![\w+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}+://[^\s'\"`<>]*[^\s'\"`<>.,;:!?)\]}]", "<url>"),
        ("@", r"(?<![\w.+%-])[\w.+%-]++@[\w-]++(?:\.[\w-]++)++", "<email>"),
        # A quotation opens where no word ends and closes where none begins: the apostrophe of "can't" is
        # neither. Before the mark b, r and u may stand, as Python writes them.
        ("'", r"'(?<!\w\w')(?<![^\Wbru]')[^'\\]*+(?:\\.[^'\\]*+)*+'(?!\w)", "<text>"),
        ('"', r'"(?<!\w\w")(?<![^\Wbru]")[^"\\]*+(?:\\.[^"\\]*+)*+"(?!\w)', "<text>"),
        ("[`“«]", r"`[^`]*+`|“[^”]*+”|«[^»]*+»", "<text>"),
        # The detail line of a PostgreSQL constraint violation: Key (name)=(value) already exists.
        (r"\)=\(", r"(?<=\)=)\([^()]*+\)", "(<text>)"),
        (r"\\", r"(?<!\w)(?:[A-Za-z]:|\\)\\[^\s'\"`<>|?*:;,()]++", "<path>"),
        ("/", r"(?<![\w.~/-])(?:~|\.{1,2})?/[^\s'\"`<>:;,()\[\]]++", "<path>"),
        ("/", r"(?<![\w.~/-])[\w.~-]++(?:/[\w.~-]++){2,}+/?", "<path>"),
    )
)
_CLOCK: Final = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:\s?[AaPp][Mm]\b)?(?:\s?(?:Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d))?"
# Not within a word, and not in a number, whose fraction or exponent would look like hex.
_WORD_START: Final = r"(?<!\w)(?<!\d\.)(?!\d{1,60}[eE][-+]?\d*(?!\w))"
_DIGIT_PASSES: Final = tuple(
    (re.compile(sign), re.compile(pattern), placeholder)
    for sign, pattern, placeholder in (
        ("-", r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9A-Za-z])", "#"),
        (r"\d[-/.]\d", rf"(?<!\d)\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}(?:[T ]{_CLOCK})?(?!\d)", "<time>"),
        (":", rf"(?<![\d:]){_CLOCK}(?![\d:])", "<time>"),
        ("0[xX]", r"(?<![0-9A-Za-z])0[xX][0-9a-fA-F]++(?![0-9A-Za-z])", "#"),
        (
            "[0-9a-f]{6}",
            rf"{_WORD_START}(?=[a-f]{{0,40}}\d)(?=\d{{0,40}}[a-f])[0-9a-f]{{6,}}+(?![0-9A-Za-z])",
            "#",
        ),
        (
            "[0-9A-F]{6}",
            rf"{_WORD_START}(?=[A-F]{{0,40}}\d)(?=\d{{0,40}}[A-F])[0-9A-F]{{6,}}+(?![0-9A-Za-z])",
            "#",
        ),
        # Tokens, digests in base 64, slugs with an id: long, unbroken, letters and digits.
        (
            r"[\w-]{16}",
            rf"(?<!-){_WORD_START}(?=[A-Za-z_-]{{0,60}}\d)(?=[\d_-]{{0,60}}[A-Za-z])[\w-]{{16,}}+={{0,2}}(?!\w)",
            "#",
        ),
        # One set of characters first, with the question whether it was a lone sign after it: such a pattern
        # is searched several times faster than one that begins with something optional.
        (r"\d", r"[-+\d]\d*+(?<=\d)(?:[.,_]\d++)*+(?:[eE][+-]?\d++)?", "#"),
    )
)
_ANY_DIGIT: Final = re.compile(r"\d")


def normalise(message: str) -> str:
    """`message` without its variable parts, at most 400 characters, white space collapsed.

    Looks at the first 2,000 characters only. Every pattern is linear or bounded (possessive, anchored at
    word starts), so a hostile message costs about as much as a long one. Typical cost: 3-15 µs.
    """
    text = message[:LOOKED_AT]
    if len(message) > LOOKED_AT:
        # A quotation that the cut has left open would keep its variable text; these marks close it.
        text += "…'\""
    for sign, pattern, placeholder in _PASSES:
        if sign.search(text):
            text = pattern.sub(placeholder, text)
    if _ANY_DIGIT.search(text):
        for sign, pattern, placeholder in _DIGIT_PASSES:
            if sign.search(text):
                text = pattern.sub(placeholder, text)
    return " ".join(text.split())[:KEPT]


def stored(named: str) -> str:
    """The fingerprint, as failures have it, of the cause that a person names."""
    return "" if named == NONE else named


@lru_cache(maxsize=1024)
def fingerprint(error_class: str, place: str, message: str) -> str:
    """16 hex digits for (class, place, message without its variable parts).

    `place` is file:function of the innermost frame of the project, without a line number: a release that
    moves the line is still the same failure. The last 1,024 answers are remembered; messages should be
    cleaned and cut first (`text.clean`), which also bounds the memory this takes.
    """
    parts = "\0".join((error_class, place, normalise(message)))
    return blake2b(parts.encode(errors="replace"), digest_size=8).hexdigest()
