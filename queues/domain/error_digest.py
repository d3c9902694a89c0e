"""What went wrong in a batch, by cause: small enough to be kept with it, however much went wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

# Causes that are kept by name; of the others only how many there are and how often they struck.
MOST_CAUSES = 50


@dataclass(frozen=True, slots=True)
class ErrorCause:
    """Failed tries of one cause: `jobs` are the different jobs it struck, `sample_job` the last of them."""

    fingerprint: str
    error_class: str
    message: str
    tries: int
    jobs: int
    sample_job: int


@dataclass(frozen=True, slots=True)
class ErrorDigest:
    """Failed tries by cause, the most frequent first. Not `exact`: there were more tries than were read."""

    tries: int
    jobs: int
    causes: tuple[ErrorCause, ...]
    more_causes: int = 0
    more_tries: int = 0
    exact: bool = True

    def document(self) -> dict[str, Any]:
        """As JSON, to be kept with the batch."""
        return {**asdict(self), "causes": [asdict(cause) for cause in self.causes]}


def from_document(document: dict[str, Any]) -> ErrorDigest:
    """The digest that was kept."""
    return ErrorDigest(**{**document, "causes": tuple(ErrorCause(**cause) for cause in document["causes"])})


def merged(digests: Iterable[ErrorDigest]) -> ErrorDigest:
    """The digest of a parent: the causes of its parts together.

    A cause that one part names and another only counts among its others keeps the tries of the first.
    """
    parts = list(digests)
    causes: dict[tuple[str, str], ErrorCause] = {}
    for cause in (cause for part in parts for cause in part.causes):
        key = (cause.fingerprint, cause.error_class)
        known = causes.get(key)
        tries, jobs = (known.tries, known.jobs) if known else (0, 0)
        causes[key] = replace(cause, tries=tries + cause.tries, jobs=jobs + cause.jobs)
    ranked = ranked_causes(causes.values())
    rest = ranked[MOST_CAUSES:]
    return ErrorDigest(
        tries=sum(part.tries for part in parts),
        jobs=sum(part.jobs for part in parts),
        causes=tuple(ranked[:MOST_CAUSES]),
        more_causes=len(rest) + sum(part.more_causes for part in parts),
        more_tries=sum(cause.tries for cause in rest) + sum(part.more_tries for part in parts),
        exact=all(part.exact for part in parts),
    )


def ranked_causes(causes: Iterable[ErrorCause]) -> Sequence[ErrorCause]:
    """The most frequent first; what is equally frequent, always in the same order."""
    return sorted(causes, key=lambda cause: (-cause.tries, cause.fingerprint, cause.error_class))
