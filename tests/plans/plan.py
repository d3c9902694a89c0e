"""Reading PostgreSQL's plans."""

from collections.abc import Iterator
from typing import Any

from queues import store

# Tables that grow with the work. The others are read as PostgreSQL likes.
LARGE = ("queues_job", "queues_chunk", "queues_run", "queues_deadletter")


class Plan:
    """An executed plan, and what it has touched."""

    def __init__(self, explained: list[dict[str, Any]]) -> None:
        self.root: dict[str, Any] = explained[0]["Plan"]
        # Compiled by the server before it ran, which takes longer than anything that we ask.
        self.compiled = "JIT" in explained[0]

    @classmethod
    def of(cls, name: str, **values: Any) -> "Plan":
        """Of one of the product's statements, as a worker runs it. What it reads is in memory afterwards."""
        store.explain(name, **values)
        return cls(store.explain(name, **values))

    def nodes(self, node: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """All nodes, from the top."""
        node = self.root if node is None else node
        yield node
        for child in node.get("Plans", []):
            yield from self.nodes(child)

    def indexes(self, table: str) -> set[str]:
        """The indexes by which a table was read; "" stands for a scan of the whole table."""
        found: set[str] = set()
        for node in self.nodes():
            if node.get("Relation Name") == table and node["Node Type"] != "ModifyTable":
                found |= self._entered_by(node)
        return found

    def _entered_by(self, node: dict[str, Any]) -> set[str]:
        if "Index Name" in node:
            return {node["Index Name"]} if node["Actual Loops"] else set()
        if node["Node Type"] == "Bitmap Heap Scan":
            return {inner["Index Name"] for inner in self.nodes(node) if "Index Name" in inner}
        return {""} if node["Actual Loops"] else set()

    def rows_of(self, kind: str) -> float:
        """Rows that nodes of this kind have given, in all their loops."""
        return sum(node["Actual Rows"] * node["Actual Loops"] for node in self.nodes() if node["Node Type"] == kind)

    @property
    def rows(self) -> float:
        """Rows that were read from large tables, also those that a condition then refused."""
        return sum(_read(node) * node["Actual Loops"] for node in self.nodes() if node.get("Relation Name") in LARGE)

    @property
    def pages(self) -> int:
        """Pages of tables and indexes that were looked at; a page counts each time."""
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])


def _read(node: dict[str, Any]) -> float:
    refused = (node.get(name, 0) for name in ("Rows Removed by Filter", "Rows Removed by Index Recheck"))
    return 0 if node["Node Type"] == "ModifyTable" else float(node["Actual Rows"] + sum(refused))
