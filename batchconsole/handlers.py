"""The demo's handler: checks one file and tells facts of it. Its failures are the files' own."""

import ast
import io
import json
import tokenize
import tomllib
import warnings
from pathlib import Path
from typing import Any

from queues.domain.outcomes import Job
from queues.handlers import handler, queue

queue(
    "demo",
    handler="demo.check_file",
    chunk_size=50,
    run_size=500,
    max_attempts=3,
    backoff_base=1.0,
    keep_results=86_400.0,
)

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@handler(queue="demo", name="demo.check_file")
def check_file(job: Job) -> dict[str, Any]:
    """Parse the file at `payload["path"]` by its suffix; anything unknown must be readable text.

    Returns lines, definitions (functions and classes of Python code) and bytes.
    """
    path = Path(job.payload["path"])
    content = path.read_bytes()
    definitions = 0
    if path.suffix == ".py":
        text = _source(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old code warns of its escapes; that is not this check
            tree = ast.parse(text, filename=path.name)
        definitions = _definitions(tree)
    else:
        text = content.decode("utf-8-sig")
        if path.suffix == ".json":
            json.loads(text)
        elif path.suffix == ".toml":
            tomllib.loads(text)
        elif "\0" in text:
            raise ValueError("not readable text: it holds a NUL character")
    return {"lines": len(text.splitlines()), "definitions": definitions, "bytes": len(content)}


def _definitions(tree: ast.Module) -> int:
    """Functions and classes. Only statements are visited: expressions, most of a tree, hold none but lambdas."""
    found, waiting = 0, list[ast.AST](tree.body)
    while waiting:
        node = waiting.pop()
        found += isinstance(node, DEFINITIONS)
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, block, None)
            if isinstance(inner, list):
                waiting += inner
    return found


def _source(content: bytes) -> str:
    """Python source by its own declaration of encoding."""
    encoding, _lines = tokenize.detect_encoding(io.BytesIO(content).readline)
    return content.decode(encoding)
