"""One line of text that says what a filter says: `queue:mail state:dead user.id=42 "connection reset"`. Pure.

The text, the form and the address are three views of one filter. Everything that is named must match: there is no
"or" and no "not", and what is not understood is named rather than left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

# What stands together: quotes hold spaces; a backslash in quotes keeps the next character.
TOKEN = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+', re.DOTALL)
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
NAMED = re.compile(r"([-(]*)([A-Za-z_]+):(.*)", re.DOTALL)
PAIR = re.compile(r'("(?:[^"\\]|\\.)+"|[^\s"=:<>]+)=(.*)', re.DOTALL)
COMPARED = re.compile(r"\w+(?:[<>]=?|!=)\S*")
# What needs no quotes, as a value and as key=value.
PLAIN = re.compile(r"[^\s\"\\]+")
PLAIN_PAIR = re.compile(r"[^\s\"\\=:<>!()-][^\s\"\\=:<>!]*=[^\s\"\\]+")
INSIDE = ("args.", "payload.")


class Misread(ValueError):
    """A part of the text cannot be understood: which one, why, and where in the text it is."""

    def __init__(self, part: str, why: str, at: int = 0) -> None:
        super().__init__(why)
        self.part, self.at = part, at


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A name that the text understands, the parameter of the address that it fills, and an example of its value."""

    name: str
    parameter: str
    example: str
    also: tuple[str, ...] = ()


class Chip(NamedTuple):
    """One part of a filter as text, and the filter without it."""

    text: str
    rest: dict[str, str]


@dataclass(frozen=True, slots=True)
class Language:
    """What a list understands: `words` is the parameter of words that stand alone, `pairs` that of `key=value`; each
    empty where the list has none. `elsewhere` says where to look for what it has not; `thing` is what it lists."""

    qualifiers: tuple[Qualifier, ...]
    words: str = ""
    pairs: str = ""
    elsewhere: str = ""
    thing: str = "a job"

    @property
    def known(self) -> str:
        """The qualifiers, as a sentence lists them."""
        return ", ".join(f"{one.name}:{one.example}" for one in self.qualifiers)

    def qualifier(self, name: str) -> Qualifier | None:
        """By any of its names."""
        return next((one for one in self.qualifiers if name.lower() in (one.name, *one.also)), None)


def read(text: str, language: Language) -> dict[str, str]:
    """The filter that a text says, by parameter. Raises `Misread`."""
    if '"' in TOKEN.sub(" ", text):
        at = text.rindex('"')
        raise Misread(text[at:], "A quote is opened here and not closed.", at)
    found: dict[str, str] = {}
    words: list[tuple[re.Match[str], str]] = []
    for match in TOKEN.finditer(text):
        part = match[0]
        try:
            parameter, value = _meaning(part, language)
        except Misread as error:
            # The same letters may stand before it, within another part.
            raise Misread(part, str(error), match.start()) from None
        if parameter == language.words and not NAMED.fullmatch(part):
            words.append((match, value))
        elif found.setdefault(parameter, value) != value:
            twice = f"This is said twice, and {language.thing} has only one: {found[parameter]} was said before."
            raise Misread(part, twice, match.start())
    if words:
        if language.words in found:
            one = "Single words look for an error as well: put all of its text into one quote."
            raise Misread(words[0][0][0], one, words[0][0].start())
        found[language.words] = " ".join(value for _match, value in words)
    return found


def write(chosen: Mapping[str, str], language: Language) -> str:
    """The text that says a filter: reading it gives the same filter."""
    return " ".join(chip.text for chip in chips(chosen, language))


def chips(chosen: Mapping[str, str], language: Language) -> list[Chip]:
    """The parts of a filter, each as text."""
    found = []
    for parameter, value in chosen.items():
        rest = {name: other for name, other in chosen.items() if name != parameter}
        qualifier = next((one for one in language.qualifiers if one.parameter == parameter), None)
        if parameter == language.pairs and PLAIN_PAIR.fullmatch(value) and not value.startswith(INSIDE):
            found.append(Chip(value, rest))
        elif qualifier is not None:
            found.append(Chip(f"{qualifier.name}:{_quoted(value)}", rest))
    return found


def _meaning(part: str, language: Language) -> tuple[str, str]:
    """The parameter and the value that one part says. Raises `Misread`."""
    if named := NAMED.fullmatch(part):
        return _named(part, named, language)
    if part in ("OR", "AND", "NOT"):
        raise Misread(part, "Everything that is named must match: there is no or, no not. Quote the word to find it.")
    if COMPARED.fullmatch(part):
        raise Misread(part, f"There are no comparisons here. Understood are {language.known}.")
    if pair := PAIR.fullmatch(part):
        return _pair(part, _plain(pair[1]), _plain(pair[2]), language)
    if not language.words:
        raise Misread(part, _unknown("This list is not searched for words.", language))
    return language.words, _plain(part)


def _named(part: str, named: re.Match[str], language: Language) -> tuple[str, str]:
    sign, name, value = named[1], named[2], _plain(named[3])
    if sign:
        raise Misread(part, "Everything that is named must match: there is no not, and there are no brackets.")
    qualifier = language.qualifier(name)
    if qualifier is None:
        quoting = " Text with a colon goes in quotes." if language.words else ""
        raise Misread(part, _unknown(f"This list knows no {name}:", language) + quoting)
    if not value.strip():
        raise Misread(part, f"A value is missing, as in {qualifier.name}:{qualifier.example}.")
    return qualifier.parameter, value


def _pair(part: str, key: str, value: str, language: Language) -> tuple[str, str]:
    if not language.pairs:
        raise Misread(part, _unknown("This list is not searched in payloads.", language))
    for inside in INSIDE:
        key = key.removeprefix(inside)
    if not key.strip() or not value.strip():
        raise Misread(part, "Write key=value, as in user.id=42.")
    return language.pairs, f"{key}={value}"


def _unknown(why: str, language: Language) -> str:
    return f"{why} Understood are {language.known}. {language.elsewhere}".strip()


def _plain(text: str) -> str:
    """Without its quotes."""
    return QUOTED.sub(lambda match: re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL), text)


def _quoted(text: str) -> str:
    return text if PLAIN.fullmatch(text) else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
