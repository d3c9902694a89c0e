"""Files that are sent while they are made, a piece after the other."""

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}


def send(request: HttpRequest, name: str, form: str, pieces: Iterator[str], **headers: str) -> StreamingHttpResponse:
    """A file to be saved. One that breaks off was not read to its end."""
    return StreamingHttpResponse(
        _one_by_one(pieces) if isinstance(request, ASGIRequest) else pieces,
        content_type=TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{name}.{form}"', **headers},
    )


async def _one_by_one(pieces: Iterator[str]) -> AsyncIterator[str]:
    """For an event loop, which would otherwise read the whole file before it sends the first byte."""
    take = sync_to_async(lambda: next(pieces, None), thread_sensitive=True)
    while (piece := await take()) is not None:
        yield piece
