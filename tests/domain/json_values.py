"""What the payload tests generate: JSON values, and values that only look like them."""

import collections
import datetime
import decimal
import enum
import uuid

import orjson
from hypothesis import strategies as st


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 1


class Marked(str):
    pass


Point = collections.namedtuple("Point", "x y")

NO_JSON = [
    uuid.UUID(int=5),
    Colour.RED,
    Level.HIGH,
    Marked("safe"),
    Point(1, 2),
    orjson.Fragment(b"["),
    datetime.datetime(2024, 1, 1),
    datetime.date(2024, 1, 1),
    decimal.Decimal("1.5"),
    {1, 2},
    frozenset(),
    b"bytes",
    bytearray(b"bytes"),
    1j,
    collections.OrderedDict(a=1),
    collections.defaultdict(int, a=1),
    object(),
    int,
    range(3),
    Ellipsis,
    float("nan"),
    float("inf"),
    float("-inf"),
    "nul \0 inside",
    "half \ud83d pair",
    {"nul\0": 1},
    {"\udc00": 1},
    {1: "one"},
    {None: 1},
    {("a",): 1},
    {Marked("key"): 1},
    10**1000,
    -(10**1000),
]
# Apart from the others, because nothing may print it.
HUGE = 1 << 10_000_000

_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
_BRACKETS = st.text('[]{}"\\,:/u0', max_size=20)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**1000 - 1, 1 - 10**1000]),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
    _BRACKETS,
)


def containers(children):
    return st.one_of(
        st.lists(children, max_size=5),
        st.lists(children, max_size=3).map(tuple),
        st.dictionaries(st.one_of(_TEXT, _BRACKETS), children, max_size=5),
    )


VALUES = st.recursive(SCALARS, containers, max_leaves=15)
HOSTILE = st.recursive(
    st.one_of(SCALARS, st.sampled_from(NO_JSON), st.floats(), st.text(max_size=5)), containers, max_leaves=15
)


@st.composite
def nested(draw):
    """A value inside lists, dicts and tuples, around the depth that is allowed."""
    value = draw(st.sampled_from([1, "[", [], {}, (), [[]], None]))
    for kind in draw(st.lists(st.sampled_from("ldtm"), min_size=60, max_size=70)):
        value = {"l": [value], "d": {"a": value}, "t": (value,), "m": [1, value, {"b": []}]}[kind]
    return value


def plain(value):
    """`value` as it comes back from JSON: tuples are lists."""
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    return [plain(child) for child in value] if isinstance(value, list | tuple) else value
