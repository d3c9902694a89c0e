"""What is watched has its bounds, for one person too, so that others can watch; and what is late is not called new."""

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from django.contrib.auth.models import User

from monitoring import consumers, live, shares
from tests.monitoring.sockets import Socket
from tests.monitoring.test_live import close_code, frame_with, quick, run, session_of, socket, watching
from tests.monitoring.worlds import waiting_batch

__all__ = ["quick"]
pytestmark = [pytest.mark.django_db(transaction=True)]
WINDOWS = ("15m", "1h", "6h", "24h", "7d")
MANY = "&".join([f"throughput={name}&latency={name}" for name in WINDOWS] + ["tiles=", "queues="])


async def refused(url: str, session: str) -> int:
    one = socket(url, session)
    await one.connect()
    code = await close_code(one)
    await one.wait()
    return code


def sessions(person: Callable[[str], User]) -> tuple[str, str]:
    return session_of(person("viewer")), session_of(person("operator"))


def test_one_person_leaves_room_for_others(person: Callable[[str], User], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "MOST_OF_ONE", 2)
    mine, others = sessions(person)

    async def story() -> None:
        async with AsyncExitStack() as open_pages:
            await open_pages.enter_async_context(watching("/live/?tiles=", mine))
            async with watching("/live/?queues=", mine):
                # What the person watches already costs nothing more; anything else is theirs no more.
                await open_pages.enter_async_context(watching("/live/?tiles=&queues=", mine))
                assert await refused("/live/?dead-summary=", mine) == consumers.CROWDED
                other = await open_pages.enter_async_context(watching("/live/?dead-summary=&in-progress=", others))
                await frame_with(other, "panel-dead-summary")

    run(story())


def test_who_closes_a_page_may_open_another(person: Callable[[str], User], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "MOST_SOCKETS_OF_ONE", 1)
    mine, others = sessions(person)

    async def story() -> None:
        async with watching("/live/?tiles=", mine):
            assert await refused("/live/?tiles=", mine) == consumers.CROWDED
            async with watching("/live/?tiles=", others):
                pass
        async with watching("/live/?queues=", mine) as again:
            await frame_with(again, "panel-queues")

    run(story())


def test_rows_of_lists_are_shared_too(person: Callable[[str], User], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "MOST_ROWS_OF_ONE", 3)
    mine, others = sessions(person)
    ids = [waiting_batch(1).pk for _ in range(4)]
    url = f"/live/?batch-rows={'-'.join(map(str, ids))}"

    async def story() -> None:
        assert await refused(url, mine) == consumers.CROWDED
        async with watching(f"/live/?batch-rows={ids[0]}-{ids[1]}", others) as other:
            await frame_with(other, f"batch-{ids[0]}")

    run(story())


def test_the_share_of_one_is_a_part_of_all() -> None:
    assert 4 * shares.MOST_OF_ONE < shares.MOST_TOPICS
    assert 4 * shares.MOST_ROWS_OF_ONE < shares.MOST_ROWS
    assert shares.MOST_OF_ONE > 6 * consumers.MOST_PANELS


async def oldest(one: Socket, frames: int) -> tuple[int, bool]:
    """The highest age that so many frames tell, and whether any says that the server is behind."""
    found = [re.search(r'value="(\d+)"( data-behind)?', await one.text()) for _ in range(frames)]
    told = [one for one in found if one]
    return max(int(one[1]) for one in told), any(one[2] for one in told)


async def current(one: Socket) -> bool:
    """Whether it comes to tell figures of no age: a busy machine may need some ticks for it."""
    for _ in range(60):
        if (await oldest(one, 4)) == (0, False):
            return True
    return False


@pytest.mark.parametrize("limit", ["LONGEST_TICK", "ROWS_A_TICK"])
def test_what_a_tick_leaves_waiting_grows_old(
    person: Callable[[str], User], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(live, "TICK", 0.2)
    mine, _others = sessions(person)
    ids = [waiting_batch(1).pk for _ in range(15)]
    url = f"/live/?{MANY}" if limit == "LONGEST_TICK" else f"/live/?batch-rows={'-'.join(map(str, ids))}"

    async def story() -> None:
        async with watching(url, mine) as one:
            assert await current(one), "all of it is read in each tick"
            monkeypatch.setattr(live, limit, {"LONGEST_TICK": 0.0, "ROWS_A_TICK": 1}[limit])
            # One in each tick: the oldest of them waits for a second and more.
            age, behind = await oldest(one, 24)
            assert age >= 1
            assert behind
            monkeypatch.undo()
            monkeypatch.setattr(live, "TICK", 0.1)
            assert await current(one), "it catches up"

    asyncio.run(asyncio.wait_for(story(), 60))


def test_who_watches_only_what_was_read_is_told_no_age(
    person: Callable[[str], User], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub: Any = live.HUB
    mine, others = sessions(person)

    async def story() -> None:
        async with watching("/live/?tiles=", mine) as one, watching("/live/?queues=", others) as other:
            await frame_with(one, "panel-tiles")
            await frame_with(other, "panel-queues")
            late, young = (next(iter(found.topics)) for found in sorted(hub.sockets, key=lambda each: each.topics))
            hub._late, hub._read_at[late] = frozenset([late]), hub.fresh_at - 7
            old, new = hub.age([late, young]), hub.age([young])
            assert (7 <= old.seconds < 9, old.behind) == (True, True)
            assert (new.seconds < 2, new.behind) == (True, False)

    run(story())
