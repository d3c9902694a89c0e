"""Files of jobs, read line by line: what is wrong with one names its line, and memory stays flat."""

import csv
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from queues.domain.payload import DEFAULT_RULES, JsonText
from queues.services.feed import EnqueueError

FORMATS = ("jsonl", "csv")
MOST_COLUMNS = 1_000
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}


def format_of(suffix: str) -> str | None:
    """The format that a file name's ending means."""
    return _SUFFIXES.get(suffix.lower())


class Feed:
    """The jobs of one file. `line_of` knows afterwards in which line each one began.

    The first bad line raises; where there is somebody to tell of `flaws`, they hear of each and the reading goes on.
    """

    def __init__(self, stream: BinaryIO, form: str, flaws: Callable[[int, str], None] | None = None) -> None:
        self._flaws = flaws
        self.header: list[str] = []
        self._stream = stream
        self._form = form
        # Only where the distance between a job's place and its line changes: blank lines, fields over two lines.
        self._places = array("Q", [0])
        self._offsets = array("Q", [1])
        self.bytes_read = 0
        self.lines = 0
        # The line in which the row that is read has begun.
        self._began = 1

    def payloads(self) -> Iterator[Any]:
        """Each job's payload. Raises `EnqueueError`, which names the line."""
        return self._csv() if self._form == "csv" else self._jsonl()

    def line_of(self, place: int) -> int:
        """The line of the job at this place, both counted as people and programs do: from 1 and from 0."""
        return place + self._offsets[bisect_right(self._places, place) - 1]

    def _bad(self, line: int, why: str) -> None:
        if self._flaws is None:
            raise EnqueueError(f"line {line}: {why}")
        self._flaws(line, why)

    def _starts(self, place: int, line: int) -> None:
        if line - place != self._offsets[-1]:
            self._places.append(place)
            self._offsets.append(line - place)

    def _text_lines(self) -> Iterator[str]:
        longest = DEFAULT_RULES.max_bytes
        while line := self._stream.readline(longest + 3):
            self.lines += 1
            self.bytes_read += len(line)
            if len(line.rstrip(b"\r\n")) > longest:
                self._bad(self.lines, f"more than {longest:,} bytes")
                while not line.endswith(b"\n") and (line := self._stream.readline(longest)):
                    self.bytes_read += len(line)
                continue
            try:
                text = line.decode("utf-8-sig" if self.lines == 1 else "utf-8")
            except UnicodeDecodeError as error:
                self._bad(self.lines, f"not UTF-8 at byte {error.start + 1}")
                continue
            yield text

    def _jsonl(self) -> Iterator[JsonText]:
        place = 0
        for line in self._text_lines():
            if text := line.strip(" \t\r\n"):
                self._starts(place, self.lines)
                place += 1
                yield JsonText(text)

    def _csv(self) -> Iterator[dict[str, str]]:
        csv.field_size_limit(DEFAULT_RULES.max_bytes)
        rows = csv.reader(self._text_lines(), strict=True)
        header: list[str] | None = None
        place = 0
        for row in self._csv_rows(rows):
            if header is None:
                self.header = header = _header(row, self._began)
            elif row:
                if len(row) != len(header):
                    self._bad(self._began, f"{len(row)} fields, but the header has {len(header)}")
                else:
                    self._starts(place, self._began)
                    place += 1
                    yield dict(zip(header, row, strict=True))

    def _csv_rows(self, rows: Iterable[list[str]]) -> Iterator[list[str]]:
        found = iter(rows)
        while True:
            self._began = self.lines + 1
            try:
                row = next(found)
            except StopIteration:
                return
            except csv.Error as error:
                # The reader begins anew with the next line.
                self._bad(self._began, f"{error}{self._swallowed()}")
            else:
                yield row

    def _swallowed(self) -> str:
        """What a row that cannot be read has taken along."""
        if self.lines <= self._began:
            return ""
        return f"; the row goes on to line {self.lines}: perhaps a quotation mark is not closed"


def _header(row: list[str], line: int) -> list[str]:
    if not row or not all(row):
        raise EnqueueError(f"line {line}: the header has a column without a name")
    if len(row) > MOST_COLUMNS:
        raise EnqueueError(f"line {line}: the header has {len(row):,} columns; at most {MOST_COLUMNS:,}")
    seen: set[str] = set()
    for name in row:
        if name in seen:
            raise EnqueueError(f"line {line}: the header has the column {name!r:.80} twice")
        seen.add(name)
    return row
