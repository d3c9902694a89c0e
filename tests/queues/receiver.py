"""A receiver of webhooks: a real HTTP server on this machine that answers as it is told and remembers what came."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Post:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What it answers, one after the other, the last one for ever: a status, or a status with headers."""

    url: str = ""
    answers: list[Any] = field(default_factory=lambda: [200])
    posts: list[Post] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    holding: bool = False

    def next_answer(self) -> tuple[int, dict[str, str], bytes]:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, headers, body = (found, {}, b"thanks") if isinstance(found, int) else found
        return status, headers, body


@contextmanager
def receiving(*answers: Any) -> Iterator[Receiver]:
    """A running receiver."""
    receiver = Receiver(answers=list(answers) or [200])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.posts.append(Post(self.path, dict(self.headers), body))
            if receiver.holding:
                receiver.hold.wait(30)
            status, headers, text = receiver.next_answer()
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)
            except OSError:
                self.close_connection = True  # the other side has gone

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield receiver
    finally:
        receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
