"""What every face keeps when it asks before it acts: from how many on the number is typed, and when it is right."""

# From so many on the number is typed to confirm it.
TYPED_ABOVE = 1_000
LONGEST_REASON = 300


def digits(text: str) -> str:
    """A number as it was typed, however its digits are grouped."""
    return "".join(letter for letter in text if letter.isdigit())


def mistyped(count: int, *, typed: str, shown: str) -> str:
    """What is wrong with the typed number, which must be the one that was shown; nothing where it is right."""
    number = digits(typed)
    return "" if number and number == shown else f"Type the number of jobs, {count}, to confirm."
