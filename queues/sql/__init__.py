"""The only raw SQL of the product: one file for each statement, named for what it does.

Lines that start with `--` say why a statement has its shape; they are dropped before it is sent.
"""

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of `name`.sql without its comment lines."""
    text = files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--"))
