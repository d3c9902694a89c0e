"""The search field above a list: its text means a filter, and a filter is shown in it as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from monitoring import filters
from monitoring.query_text import Chip, Language, Misread, chips, read, write
from queues.selectors import batches, dead_letters, job_detail

LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Search:
    """What the field shows. `before`, `part` and `after` are the text around what was misread."""

    language: Language
    text: str
    chips: list[tuple[str, str]]
    problem: str = ""
    before: str = ""
    part: str = ""
    after: str = ""


def search(chosen: Mapping[str, str], language: Language) -> Search:
    """The field and the chips of a filter; a chip comes with the address of the list without it."""
    return Search(language, write(chosen, language), [(one.text, _address(one)) for one in chips(chosen, language)])


def asked(
    request: HttpRequest, chosen: Mapping[str, str], language: Language, *, letters: bool = False
) -> HttpResponse | Search | None:
    """The answer to what was typed: the page of a number, or the filtered list at its usual address; or the search
    with what is wrong. None where nothing was typed. What the address says besides stays, unless it is typed anew."""
    if "q" not in request.GET:
        return None
    text = filters.storable(request.GET["q"])
    if len(text) > LONGEST:
        shown = [(one.text, _address(one)) for one in chips(chosen, language)]
        return Search(language, text, shown, f"This search is longer than {LONGEST:,} characters. Shorten it.")
    number = filters.whole_number(text)
    try:
        found = {} if number is not None else read(text, language)
    except Misread as error:
        return _misread(text, chosen, language, error)
    if "id" in found:
        number = filters.whole_number(given := found.pop("id"))
        if number is None:
            messages.warning(request, f"id: {given} is not a number of a job or batch.")
    if number is not None:
        if answer := _numbered(number, letters=letters):
            return answer
        messages.warning(request, f"There is no job or batch {number}: it was purged, or never was.")
    order = [one.parameter for one in language.qualifiers]
    merged = {**chosen, **found}
    kept = {name: merged[name] for name in sorted(merged, key=lambda name: order.index(name) if name in order else -1)}
    return redirect(f"{request.path}?{urlencode(kept)}".rstrip("?"))


def _numbered(number: int, *, letters: bool) -> HttpResponse | None:
    """The page of a job, else of a batch."""
    if letters and dead_letters.dead_letter(number) is not None:
        return redirect("dead-letter", job_id=number)
    if job_detail.exists(number):
        return redirect("job", job_id=number)
    return redirect("batch", batch_id=number) if batches.batch(number) is not None else None


def _misread(text: str, chosen: Mapping[str, str], language: Language, error: Misread) -> Search:
    before, part, after = text[: error.at], error.part, text[error.at + len(error.part) :]
    shown = [(one.text, _address(one)) for one in chips(chosen, language)]
    return Search(language, text, shown, str(error).strip(), before, part, after)


def _address(chip: Chip) -> str:
    return f"?{urlencode(chip.rest)}" if chip.rest else "."
