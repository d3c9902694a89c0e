"""Calls the handler for the jobs of one run, in the way its function and its queue ask for."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any

from django.db import connections

from queues import session, shutdown, store
from queues.domain.acknowledge import acknowledge
from queues.domain.outcomes import Fail, Job, JobTimeout, Outcome, Success
from queues.execution import Execution
from queues.handlers import Handler
from queues.pieces import Pieces


def run(execution: Execution, handler: Handler) -> None:
    """Call `handler` for each job of the execution until all have ended or it is halted.

    Raises nothing of the handler's. Costs about 1 µs for each job beside the handler.
    """
    if handler.whole:
        _whole(execution, handler)
    elif handler.is_async and execution.claim.careful:
        _careful_async(execution, handler)
    elif handler.is_async and execution.pieces is not None:
        _concurrent_pieces(execution, handler, execution.pieces)
    elif handler.is_async:
        asyncio.run(_concurrent(execution, handler))
    elif execution.claim.careful:
        _sequential(execution, handler, mark=True)
    elif execution.claim.policy.concurrency > 1:
        _threads(execution, handler)
    else:
        _sequential(execution, handler, mark=False)


def _stops(execution: Execution, error: BaseException) -> bool:
    """Whether it is meant for the process. Else it is the job's: also sys.exit() in a library, or gevent's Timeout."""
    ending = isinstance(error, (KeyboardInterrupt, SystemExit, asyncio.CancelledError)) and shutdown.requested()
    return ending or execution.twin


def job_at(execution: Execution, index: int) -> Job:
    """What the handler gets for the job at this index."""
    claim = execution.claim
    return Job(
        claim.ids[index],
        claim.payloads[index],
        claim.failures[index] + 1,
        claim.chunk_of(index).batch_id,
        claim.policy.name,
    )


def _mark(execution: Execution, index: int) -> None:
    """Commit which job is about to start: the one to blame should this process die."""
    with store.quick_commit():
        store.run("mark_job", run=execution.claim.run_id, job=execution.claim.ids[index])


def _sequential(execution: Execution, handler: Handler, *, mark: bool) -> None:  # noqa: PLR0912 - the hot loop
    claim, function = execution.claim, handler.function
    ids, payloads, failures, places, chunks = claim.ids, claim.payloads, claim.failures, claim.places, claim.chunks
    succeeded, durations, halted = execution.succeeded, execution.durations, _between(execution)
    timeout, queue = claim.policy.timeout, claim.policy.name
    connection = session.worker_connection()
    guarded = not connection.in_atomic_block
    jobs = zip(ids, payloads, failures, places, strict=True)
    for index, (job_id, payload, failed, place) in enumerate(jobs):
        if halted():
            break
        if execution.stopping and execution.skips(index):
            continue
        if mark:
            _mark(execution, index)
        job = Job(job_id, payload, failed + 1, chunks[place - 1].batch_id, queue)
        started = monotonic()
        try:
            if timeout is None:
                value = function(job)
            else:
                with _alarm(execution, index, started, timeout):
                    value = function(job)
        except BaseException as error:
            if not isinstance(error, (Outcome, JobTimeout)) and _stops(execution, error):
                raise
            _note_raised(execution, index, error, started)
            if guarded and session.left_open(connection):
                session.mend(connection, outer=False)  # not the neighbours' loss
        else:
            if guarded and session.left_open(connection):
                execution.note_left_open(index, started)
                session.mend(connection, outer=False)
            elif value is None:
                succeeded.append(index)
            else:
                execution.note(index, value, started)
        durations.append(monotonic() - started)


def _note_raised(execution: Execution, index: int, error: BaseException, started: float) -> None:
    if isinstance(error, Outcome):
        execution.note(index, error, started)
    elif isinstance(error, JobTimeout):
        execution.note_timeout(index, started)
        store.reset()  # it may have been interrupted in the middle of a query
    else:
        execution.note_error(index, error, started)


class _Alarm:
    """The process's interval timer; fires only while armed, so a late signal hits nobody."""

    armed = False

    @staticmethod
    def fire(_number: int, _frame: FrameType | None) -> None:
        if _Alarm.armed:
            _Alarm.armed = False
            raise JobTimeout


@contextmanager
def _alarm(execution: Execution, index: int, started: float, seconds: float) -> Iterator[None]:
    """Interrupt the main thread after `seconds`. Blocked in C, it does not come; then the keeper ends us."""
    execution.running[index] = started
    main = threading.current_thread() is threading.main_thread()
    # Asked each time (0.1 µs): an earlier job may have set a handler of its own, and none of ours would come.
    if main and signal.getsignal(signal.SIGALRM) is not _Alarm.fire:
        signal.signal(signal.SIGALRM, _Alarm.fire)
    try:
        if main:
            _Alarm.armed = True
            signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        _Alarm.armed = False
        if main:
            signal.setitimer(signal.ITIMER_REAL, 0)
        execution.running.pop(index, None)


def _between(execution: Execution) -> Callable[[], bool]:
    """What the main thread asks before each job, where one follows the other: whether to start no further one."""
    return execution.halted if execution.pieces is None else execution.pieces.halted


def _indexes(execution: Execution, halted: Callable[[], bool] | None = None) -> Iterator[int]:
    halted = halted or execution.halted
    for index in range(len(execution.claim.ids)):
        if halted():
            return
        if not execution.skips(index):
            yield index


async def _concurrent(execution: Execution, handler: Handler) -> None:
    """All jobs on one event loop, at most `concurrency` at the same time."""
    indexes = _indexes(execution)

    async def lane() -> None:
        for index in indexes:
            await _one(execution, handler, index)

    await asyncio.gather(*(lane() for _ in range(max(1, execution.claim.policy.concurrency))))


def _concurrent_pieces(execution: Execution, handler: Handler, pieces: Pieces) -> None:
    """The same, but the lanes come to rest after each piece: within the loop Django refuses the session."""
    indexes, going = _indexes(execution), True

    async def lane() -> None:
        while not pieces.due() and (index := next(indexes, None)) is not None:
            await _one(execution, handler, index)

    async def piece() -> None:
        await asyncio.gather(*(lane() for _ in range(max(1, execution.claim.policy.concurrency))))

    with asyncio.Runner() as runner:
        while going:
            runner.run(piece())
            going = pieces.due()  # else there are no more jobs
            if going:
                pieces.settle()


def _careful_async(execution: Execution, handler: Handler) -> None:
    """One coroutine after the other on one event loop, each marked while the loop rests.

    Within the loop Django refuses the session, and marks from other threads would leave their sessions open.
    """
    with asyncio.Runner() as runner:
        for index in _indexes(execution, _between(execution)):
            _mark(execution, index)
            runner.run(_one(execution, handler, index))


async def _one(execution: Execution, handler: Handler, index: int) -> None:
    started = monotonic()
    clock = asyncio.timeout(execution.claim.policy.timeout)
    execution.running[index] = started
    try:
        async with clock:
            value = await handler.function(job_at(execution, index))
    except Outcome as outcome:
        execution.note(index, outcome, started)
    except BaseException as error:
        if _stops(execution, error):
            raise
        if clock.expired():
            execution.note_timeout(index, started)
        else:
            execution.note_error(index, error, started)
    else:
        execution.note(index, value, started)
    finally:
        execution.running.pop(index, None)
    execution.durations.append(monotonic() - started)


def _threads(execution: Execution, handler: Handler) -> None:
    """`concurrency` threads that each take the next job. A thread cannot be stopped: no timeouts here."""
    indexes, turn, pieces = _indexes(execution), threading.Lock(), execution.pieces

    def lane() -> None:
        try:
            while True:
                with turn:
                    if pieces is not None and pieces.due():
                        pieces.ask()
                    index = next(indexes, None)
                if index is None:
                    return
                _call(execution, handler.function, index)
        finally:
            connections.close_all()
            if pieces is not None:
                pieces.leave()

    lanes = [threading.Thread(target=lane, name=f"lane-{n}") for n in range(execution.claim.policy.concurrency)]
    for thread in lanes:
        thread.start()
    if pieces is not None:
        pieces.answer(len(lanes))
    for thread in lanes:
        thread.join()


def _call(execution: Execution, function: Callable[[Job], Any], index: int) -> None:
    started = monotonic()
    try:
        value = function(job_at(execution, index))
    except Outcome as outcome:
        execution.note(index, outcome, started)
    except BaseException as error:
        if _stops(execution, error):
            raise
        execution.note_error(index, error, started)
    else:
        execution.note(index, value, started)
    execution.durations.append(monotonic() - started)


def _whole(execution: Execution, handler: Handler) -> None:
    """One call with all jobs. What it says is judged by the queue's acknowledgement before it counts."""
    claim = execution.claim
    indexes = list(_indexes(execution))
    if not indexes:
        return
    execution.holds_successes = True
    if claim.careful and len(indexes) == 1:
        _mark(execution, indexes[0])
    connection = session.worker_connection()
    guarded = not connection.in_atomic_block
    jobs, started = [job_at(execution, index) for index in indexes], monotonic()
    try:
        if claim.policy.timeout is None:
            answer = _answer(handler, jobs)
        else:
            with _alarm(execution, indexes[0], started, claim.policy.timeout):
                answer = _answer(handler, jobs)
        outcomes = _outcomes(answer, jobs)
        if guarded and session.left_open(connection):
            outcomes = [Fail("the handler returned with a database transaction still open")] * len(jobs)
    except Outcome as outcome:
        outcomes = [outcome] * len(jobs)
    except JobTimeout as late:
        outcomes = [late] * len(jobs)
        store.reset()
    except BaseException as error:
        if _stops(execution, error):
            raise
        outcomes = [error] * len(jobs)
    _note_whole(execution, indexes, outcomes, started)


def _answer(handler: Handler, jobs: list[Job]) -> Any:
    return asyncio.run(handler.function(jobs)) if handler.is_async else handler.function(jobs)


def _outcomes(answer: Any, jobs: Sequence[Job]) -> list[Any]:
    """One outcome for each job: nothing said is success; a mapping names jobs by id, a sequence by place."""
    if answer is None or isinstance(answer, Outcome):
        return [answer if answer is not None else Success()] * len(jobs)
    if isinstance(answer, Mapping):
        unknown = set(answer) - {job.id for job in jobs}
        if unknown:
            return [Fail(f"the handler spoke of job {min(unknown, key=str)}, which it was not given")] * len(jobs)
        return [answer.get(job.id) for job in jobs]
    if isinstance(answer, Sequence) and not isinstance(answer, (str, bytes)) and len(answer) == len(jobs):
        return list(answer)
    return [Fail(f"the handler returned {type(answer).__name__}, not one outcome for each job")] * len(jobs)


def _note_whole(execution: Execution, indexes: list[int], outcomes: list[Any], started: float) -> None:
    claim = execution.claim
    for index, outcome in zip(indexes, outcomes, strict=True):
        if isinstance(outcome, JobTimeout):
            execution.note_timeout(index, started)
        elif isinstance(outcome, BaseException) and not isinstance(outcome, Outcome):
            execution.note_error(index, outcome, started)
        else:
            execution.note(index, outcome, started)
    verdict = acknowledge(
        claim.policy.acknowledge,
        indexes,
        execution.others,
        tries=max(chunk.tries for chunk in claim.chunks),
        max_attempts=claim.policy.max_attempts,
    )
    execution.succeeded[:] = verdict.succeeded
    execution.others = verdict.others
    execution.put_back, execution.final, execution.fresh = verdict.put_back, verdict.final, verdict.fresh
    execution.values = {i: v for i, v in execution.values.items() if i in set(verdict.succeeded)}
    execution.durations.append(monotonic() - started)
