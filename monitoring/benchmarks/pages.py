"""Requests each page often, as somebody who may look, and tells how long it took and what it read whole."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from monitoring.benchmarks.addresses import Address
from monitoring.permissions import OPERATE, VIEW
from monitoring.ranges import RANGES
from monitoring.snapshot import SHARED
from queues.benchmarks import scans
from queues.domain.percentiles import summary

# Milliseconds that the 95th percentile of a page may take.
BOUND = 300.0
# A question about what cannot be done leads back, and what is not there is told: both are answers, and are measured.
ANSWERED = (200, 302, 404)
FORBIDDEN = 403
# A page that says that it was stopped by its limit of time has answered, but not with what was asked.
STOPPED = b"and was stopped"


@dataclass(frozen=True, slots=True)
class Timing:
    """One page. `scans` are the large tables that it has read from end to end, with the statements where known."""

    name: str
    status: int
    median: float
    p95: float
    slow: bool
    bytes: int
    scans: dict[str, list[str]] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """Whether it was there at all."""
        return self.status in ANSWERED

    @property
    def passed(self) -> bool:
        """Whether it was whole, in time, and without a scan of jobs."""
        return self.answered and self.p95 <= BOUND and not self.slow and not any(map(scans.of_jobs, self.scans))


class Visitor:
    """Two people, made in the scratch database: one who may look and, for pages that ask before acting, an operator."""

    def __init__(self) -> None:
        self._viewer, self._operator = (self._client(*names) for names in ((VIEW,), (VIEW, OPERATE)))

    @staticmethod
    def _client(*permissions: str) -> Client:
        user = User.objects.create_user(f"benchmark-{len(permissions)}")
        codes = [name.rpartition(".")[2] for name in permissions]
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="queues", codename__in=codes))
        client = Client(SERVER_NAME="localhost", raise_request_exception=False)
        client.force_login(user)
        return client

    def measure(self, address: Address, repetitions: int) -> Timing:
        """One page: once to warm it up, once watched, then as often as asked."""
        client = self._viewer
        first = client.get(address.url)
        if first.status_code == FORBIDDEN:
            client = self._operator
            first = client.get(address.url)
        with scans.watched() as found:
            _forget()
            content = _whole(client.get(address.url))
        times, slow = [], False
        for _ in range(repetitions if first.status_code in ANSWERED else 0):
            _forget()
            began = time.perf_counter()
            response = client.get(address.url)
            first_piece = _begun(response)
            times.append((time.perf_counter() - began) * 1000)
            content = first_piece + _whole(response)
            slow = slow or STOPPED in content
        figures = summary(times)
        return Timing(address.name, first.status_code, figures.p50, figures.p95, slow, len(content), dict(found))


def measure(addresses: Iterable[Address], repetitions: int, tell: Callable[[str], None]) -> list[Timing]:
    """All of them."""
    visitor, timings = Visitor(), []
    for address in addresses:
        tell(f"requesting {address.name}")
        timings.append(visitor.measure(address, repetitions))
    return timings


def _begun(response: Any) -> bytes:
    """What is there to be seen first: a page as a whole, of a file that is made while it is sent its first piece."""
    return bytes(next(iter(response), b"")) if response.streaming else b""


def _whole(response: Any) -> bytes:
    """All of an answer, or what is left of one that is made while it is sent."""
    return bytes(response.getvalue())


def _forget() -> None:
    """What is shared between requests of one second must not answer for the database."""
    SHARED.clear()
    RANGES.clear()
