"""What the metadata of a batch may be, beyond the rules of payloads. Pure."""

from queues.domain.payload import PayloadError

# Characters of a key: batches are filtered by it, and pages and tables show it beside its value.
LONGEST_KEY = 200
_LONGEST_PATH = 200


def check_keys(value: object, path: str = "$") -> None:
    """Raise PayloadError for a key that is too long, however deep it is. The value is known to be JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if len(key) > LONGEST_KEY:
                reason = f"a key of {len(key):,} characters, {key[:40]!r}...; at most {LONGEST_KEY}"
                raise PayloadError(reason, path[:_LONGEST_PATH])
            check_keys(inner, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            check_keys(inner, f"{path}[{place}]")
