"""The live stream: the same cost for one and for many, nothing for those who may not, and no end by an error."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from batchconsole.asgi import application
from monitoring import consumers, live, panels, shares
from monitoring.live import HUB
from monitoring.snapshot import Snapshot
from queues.models import DeadLetter, Operation, Queue
from tests.monitoring.sockets import Socket
from tests.monitoring.worlds import a_worker, ran_batch, waiting_batch

pytestmark = [pytest.mark.django_db(transaction=True)]
TICK = 0.05
OVERVIEW = "/live/?tiles=&throughput=&in-progress=&queues="


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(live, "TICK", TICK)
    yield
    assert not HUB.sockets
    close_left_connections()


def close_left_connections(but: int = 0) -> None:
    """Cut all clients' connections to the test database but this one. The threads in which Channels and the hub read
    end by themselves, and must not hold the database until then. Autovacuum is not ours to end, and gives way."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
            " AND pid NOT IN (pg_backend_pid(), %s)",
            [but],
        )


def session_of(user: User) -> str:
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return str(store.session_key)


def socket(url: str = OVERVIEW, session: str = "", origin: str = "http://localhost") -> Socket:
    headers = [(b"origin", origin.encode()), (b"host", b"localhost")]
    if session:
        headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={session}".encode()))
    return Socket(application, url, headers=headers)


@asynccontextmanager
async def watching(url: str = OVERVIEW, session: str = "") -> AsyncIterator[Socket]:
    one = socket(url, session)
    assert await one.connect()
    try:
        yield one
    finally:
        await one.disconnect()


async def frame_with(one: Socket, text: str, frames: int = 60) -> str:
    """The next frame that holds the text."""
    for _ in range(frames):
        frame = await one.text()
        if text in frame:
            return frame
    raise AssertionError(f"no frame holds {text!r}")


async def close_code(one: Socket) -> int:
    """The code with which the server closes, sooner or later."""
    for _ in range(60):
        event = await one.receive_output(5)
        if event["type"] == "websocket.close":
            return int(event["code"])
    raise AssertionError("not closed")


@contextmanager
def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of queries of each tick."""
    ticks: list[int] = []
    read = live.Reader.read

    def counting(self: live.Reader, topics: Any) -> dict[Any, str]:
        queries: list[str] = []

        def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            queries.append(sql)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            found = read(self, topics)
        ticks.append(len(queries))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(live.Reader, "read", counting)
        yield ticks


@pytest.fixture
def viewer(person: Callable[[str], User]) -> User:
    return person("viewer")


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def test_a_watcher_gets_every_panel_and_then_only_what_changes(viewer: User) -> None:
    ran_batch(succeed=3, die=1)

    async def story() -> None:
        async with watching(session=await sync_to_async(session_of)(viewer)) as one:
            first = await frame_with(one, "panel-tiles")
            for name in ("tiles", "throughput", "in-progress", "queues"):
                assert f'id="panel-{name}"' in first
            assert first.count('hx-swap-oob="morph"') == 4
            quiet = await frame_with(one, "live-tick")
            assert 'id="panel-queues"' not in quiet
            await database_sync_to_async(waiting_batch)(7)
            await frame_with(one, ">7<")

    run(story())


def test_causes_are_told_of_as_jobs_die(viewer: User) -> None:
    batch = ran_batch(die=3)
    cause = DeadLetter.objects.filter(batch=batch)[0].fingerprint
    urls = (
        ("/live/?causes=queue%3Dtested", "cause of {} dead letters"),
        ("/live/?letter-causes=", '<span class="cause-count">{}</span>'),
        (f"/live/?cause-facts=cause%3D{cause}", ">{}</a>"),
        (f"/live/?cause-trend=cause%3D{cause}", "{} died; at most"),
    )

    async def story() -> None:
        session = await sync_to_async(session_of)(viewer)
        died = 3
        for url, words in urls:
            async with watching(url, session) as one:
                await frame_with(one, words.format(died))
                await database_sync_to_async(ran_batch)(die=2)
                died += 2
                frame = await frame_with(one, words.format(died))
                assert "/dead-letters/retry/" not in frame, "nobody here may"

    run(story())


def test_what_is_pushed_to_many_holds_nothing_of_one(person: Callable[[str], User]) -> None:
    batch = ran_batch(succeed=1, die=2)
    snapshot = Snapshot({batch.pk})
    person("operator")
    operation = Operation.objects.create(action="retry", selection={"batch": batch.pk}, actor="maria", source="page")
    subjects = {
        **{"batch": str(batch.pk), "filter": "queue=tested", "jobs": "queue=tested"},
        **{"batches": "queue=tested"},
        **{"operation": str(operation.pk), "queue": "tested", "queue_window": "tested 1h", "window": "1h"},
        "worker": str(a_worker().pk),
        "rows": str(batch.pk),
        "cause": f"cause={DeadLetter.objects.filter(batch=batch)[0].fingerprint}",
        "job": str(DeadLetter.objects.earliest("pk").pk),
    }
    for name, panel in panels.PANELS.items():
        # All other kinds are filters, of which the empty one is the widest.
        subject = subjects.get(panel.about, "")
        html = panels.render(panels.topic(name, subject, True), snapshot, pushed=True)
        assert html.lstrip().startswith("<section")
        for private in ("<button", "<form", "csrf", "operator", "asked to die&", ' style="', "hx-on"):
            assert private not in html, (name, private)
        assert not re.search(r"payload", html, re.IGNORECASE), name


def test_twenty_watchers_cost_the_database_as_much_as_one(
    viewer: User, person: Callable[[str], User], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = ran_batch(succeed=5, die=1)
    waiting_batch(4)
    urls = [OVERVIEW, f"/live/?batch-progress={batch.pk}&batch-causes={batch.pk}"]

    async def cost(watchers: int, session: str) -> int:
        sockets = [socket(urls[number % 2], session) for number in range(watchers)]
        with counted_reads(monkeypatch) as ticks:
            for one in sockets:
                await one.connect()
            while len(ticks) < 12:
                await asyncio.sleep(TICK)
            # After the first ones, which fill what is remembered.
            most = max(ticks[-7:])
        for one in sockets:
            await one.disconnect()
        return most

    async def story() -> None:
        session = await sync_to_async(session_of)(viewer)
        few = await cost(2, session)
        assert await cost(40, session) == few
        assert few <= 25

    run(story())


def test_each_panel_is_rendered_once_for_all(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    render = panels.render

    def counting(topic: panels.Topic, snapshot: Snapshot, *, pushed: bool = False) -> Any:
        rendered.append(topic.panel)
        return render(topic, snapshot, pushed=pushed)

    monkeypatch.setattr(panels, "render", counting)

    async def story() -> None:
        session = await sync_to_async(session_of)(viewer)
        sockets = [socket("/live/?tiles=", session) for _ in range(10)]
        for one in sockets:
            await one.connect()
        for one in sockets:
            await frame_with(one, "panel-tiles")
        ticks = len(rendered)
        await asyncio.sleep(TICK * 4)
        assert len(rendered) - ticks <= 6
        for one in sockets:
            await one.disconnect()

    run(story())


def test_reading_begins_with_the_first_watcher_and_ends_with_the_last(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        session = await sync_to_async(session_of)(viewer)
        with counted_reads(monkeypatch) as ticks:
            async with watching(session=session) as one, watching(session=session):
                await frame_with(one, "panel-tiles")
                assert HUB._task is not None
            assert HUB._task is None
            await asyncio.sleep(0.5)  # a reading under way comes to its end
            seen = len(ticks)
            await asyncio.sleep(TICK * 6)
            assert len(ticks) == seen
            async with watching(session=session) as again:
                await frame_with(again, "panel-tiles")

    run(story())


def test_an_error_of_the_database_is_told_and_survived(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ran_batch(succeed=1)
    broken = threading.Event()
    read = live.Reader.read

    def failing(self: live.Reader, topics: Any) -> dict[Any, str]:
        if broken.is_set():
            raise OperationalError("server closed the connection unexpectedly")
        return read(self, topics)

    monkeypatch.setattr(live.Reader, "read", failing)

    async def story() -> None:
        async with watching(session=await sync_to_async(session_of)(viewer)) as one:
            await frame_with(one, "panel-tiles")
            broken.set()
            await frame_with(one, 'value="1"', frames=200)
            broken.clear()
            await database_sync_to_async(waiting_batch)(8)
            await frame_with(one, ">8<")
            assert 'value="0"' in await frame_with(one, "live-tick")

    run(story())


def test_a_connection_that_was_cut_is_opened_again(viewer: User) -> None:
    own = connection.connection.info.backend_pid

    async def story() -> None:
        async with watching(session=await sync_to_async(session_of)(viewer)) as one:
            await frame_with(one, "panel-tiles")
            await database_sync_to_async(close_left_connections)(but=own)
            await database_sync_to_async(waiting_batch)(9)
            await frame_with(one, ">9<", frames=200)

    run(story())


def test_a_panel_that_fails_leaves_the_others(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(ask: panels.Ask) -> panels.Context:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")
        return {}

    monkeypatch.setattr(live, "STATEMENT_LIMIT", 0.1)
    monkeypatch.setitem(panels.PANELS, "queues", panels.Panel("queues", slow))

    async def story() -> None:
        async with watching(session=await sync_to_async(session_of)(viewer)) as one:
            frame = await frame_with(one, "panel-tiles")
            assert "took longer than" in frame
            assert "Jobs per second" in frame

    run(story())


@pytest.mark.parametrize(
    ("role", "url", "code"),
    [
        ("nobody", OVERVIEW, consumers.SIGNED_OUT),
        ("stranger", OVERVIEW, consumers.FORBIDDEN),
        ("viewer", "/live/", consumers.NOT_FOUND),
        ("viewer", "/live/?none=", consumers.NOT_FOUND),
        ("viewer", "/live/?batch-progress=x", consumers.NOT_FOUND),
        ("viewer", "/live/?" + "tiles=&" * 20, consumers.NOT_FOUND),
    ],
)
def test_who_may_not_watch_is_told_why(role: str, url: str, code: int, person: Callable[[str], User]) -> None:
    session = session_of(person(role)) if role != "nobody" else ""

    async def story() -> None:
        one = socket(url, session)
        await one.connect()
        assert await close_code(one) == code
        await one.wait()

    run(story())


def test_another_site_cannot_watch_with_somebodys_cookie(viewer: User) -> None:
    async def story() -> None:
        session = await sync_to_async(session_of)(viewer)
        assert not await socket(session=session, origin="https://evil.example").connect()

    run(story())


def test_an_unknown_address_is_refused_without_an_error() -> None:
    async def story() -> None:
        assert not await socket("/nosuch/").connect()

    run(story())


def sign_out(user: User) -> None:
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()


def deactivate(user: User) -> None:
    User.objects.update(is_active=False)


def take_permission(user: User) -> None:
    user.user_permissions.clear()


def change_password(user: User) -> None:
    user.set_password("another")
    user.save()


@pytest.mark.parametrize("change", [sign_out, deactivate, take_permission, change_password])
def test_an_open_socket_ends_with_the_right_to_it(change: Callable[[User], None], viewer: User) -> None:
    async def story() -> None:
        one = socket(session=await sync_to_async(session_of)(viewer))
        await one.connect()
        await frame_with(one, "panel-tiles")
        await database_sync_to_async(change)(viewer)
        assert await close_code(one) == consumers.SIGNED_OUT
        assert not HUB.sockets
        await one.disconnect()

    run(story())


def test_a_new_right_shows_without_reconnecting(viewer: User, person: Callable[[str], User]) -> None:
    ran_batch(succeed=1)
    operator = person("operator")

    async def story() -> None:
        async with watching(session=await sync_to_async(session_of)(viewer)) as one:
            assert "/pause/" not in await frame_with(one, "panel-queues")
            rights = await sync_to_async(lambda: list(operator.user_permissions.all()))()
            await sync_to_async(viewer.user_permissions.set)(rights)
            assert "/pause/" in await frame_with(one, "panel-queues", frames=100)

    run(story())


def test_a_socket_that_takes_nothing_is_given_up(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "STALLED", 0.2)

    async def story() -> None:
        session = await sync_to_async(session_of)(viewer)
        one = socket(session=session)
        stuck = asyncio.Event()
        sent: list[str] = []
        inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        await inbox.put({"type": "websocket.connect"})

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["type"])
            if message["type"] != "websocket.accept":
                await stuck.wait()  # the browser's end is not read any more

        stalled = asyncio.create_task(application(one.scope, inbox.get, send))
        async with watching(session=session) as other:
            await frame_with(other, "panel-tiles")
            await asyncio.wait_for(stalled, 10)
            assert len(HUB.sockets) == 1
            await frame_with(other, "live-tick")
        assert sent == ["websocket.accept", "websocket.send", "websocket.close"]

    run(story())


def test_a_slow_socket_gets_the_latest_and_never_what_it_missed(viewer: User) -> None:
    ran_batch(succeed=1)

    async def story() -> None:
        session = await sync_to_async(session_of)(viewer)
        one = socket("/live/?queues=", session)
        gate, frames = asyncio.Event(), []
        inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        await inbox.put({"type": "websocket.connect"})

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.send":
                frames.append(message["text"])
                await gate.wait()

        slow = asyncio.create_task(application(one.scope, inbox.get, send))
        async with watching(session=session) as other:
            await frame_with(other, "panel-queues")
            for size in (11, 22, 33):
                await database_sync_to_async(Queue.objects.update)(
                    pause_reason=str(size), paused_at="2026-01-01T00:00Z"
                )
                await frame_with(other, "panel-queues")
            held = len(frames)
            assert held <= 1
            gate.set()
            await asyncio.sleep(TICK * 6)
            later = [frame for frame in frames[held:] if "panel-queues" in frame]
            assert len(later) <= 2
            assert "33" in later[-1]
            assert not any("11<" in frame or "22<" in frame for frame in later)
        await inbox.put({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(slow, 10)

    run(story())


def test_more_than_a_process_can_read_is_put_off(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "MOST_TOPICS", 1)

    async def story() -> None:
        session = await sync_to_async(session_of)(viewer)
        async with watching("/live/?tiles=", session), watching("/live/?tiles=", session):
            other = socket("/live/?queues=", session)
            await other.connect()
            assert await close_code(other) == consumers.BUSY

    run(story())


def test_polling_shares_one_reading(viewer: User, client: Any) -> None:
    ran_batch(succeed=2, die=1)
    client.force_login(viewer)
    assert "Jobs per second" in client.get("/panels/tiles/").content.decode()
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/panels/tiles/").status_code == 200
    # What is left is the session, the user and the permission; and a transaction with its limit of time.
    read = [one["sql"] for one in captured if one["sql"].startswith("SELECT") and "set_config" not in one["sql"]]
    assert len(read) <= 4, read
    assert len(captured) <= 9
