"""What differs between messages of one cause."""

from queues.domain.variables import Variable, variables


def test_places_and_their_commonest_values() -> None:
    messages = [f"550 user u{n} unknown on host mx{n % 2} after {n} ms" for n in range(5)] + ["another shape"]
    assert variables(messages) == [
        Variable("550 user", 5, [("u0", 1), ("u1", 1), ("u2", 1), ("u3", 1), ("u4", 1)]),
        Variable("unknown on host", 2, [("mx0", 3), ("mx1", 2)]),
        Variable("after", 5, [("0", 1), ("1", 1), ("2", 1), ("3", 1), ("4", 1)]),
    ]


def test_nothing_differs() -> None:
    assert variables([]) == []
    assert variables(["", ""]) == []
    assert variables(["the same words"] * 3) == []


def test_it_is_bounded() -> None:
    found = variables([" ".join(f"{'x' * 200}{place}{n}" for place in range(9_000)) for n in range(3)])
    assert len(found) <= 4
    assert all(len(value) <= 80 for one in found for value, _count in one.values)
