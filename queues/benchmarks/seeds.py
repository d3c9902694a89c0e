"""The tables of two guides, repeated: messages in chunks (Kafee), and tasks inserted and announced (coordination).

The guides' figures are printed beside ours. They were made elsewhere, so no bound follows from them. A part of
Kafee's speed-up of 40 is its slow baseline: 5 ms for each message would allow 200/s, it reached 88/s.
"""

import time
from functools import partial

from queues.benchmarks import handlers, work
from queues.benchmarks.bench import Bench
from queues.benchmarks.figures import Row
from queues.foreground import Foreground
from queues.models import Job, Queue
from queues.services.enqueue import enqueue, enqueue_batch

# Messages to a chunk: the guide's rate in a second and its speed-up.
GUIDE = {1: (88, 1.0), 10: (837, 9.5), 50: (3_509, 40.0)}
# The guide's seconds for 1,000 and 100,000 tasks, and for 1,000 of them one by one.
GUIDE_SECONDS, GUIDE_ONE_BY_ONE = (0.4, 22.0), 100.0


def messages_scenario(bench: Bench) -> list[Row]:
    """200 messages, one worker: 5 ms for each, or 10 ms for a whole chunk of them."""
    worker = Foreground([handlers.QUEUE], [work.queue().pk])
    try:
        found = bench.rounds("messages", {str(size): partial(_messages, bench, worker, size) for size in GUIDE})
    finally:
        worker.leave()
    ones = [each.rate for each in found["1"]]
    return [
        Row(
            "messages",
            f"{bench.sizes.messages} messages in chunks of {size} (guide: {rate}/s, {speed_up:g} times)",
            "/s",
            [each.rate for each in found[str(size)]],
            None,
            against="" if size == 1 else "one at a time",
            others=[] if size == 1 else ones,
            correct=all(each.correct for each in found[str(size)]),
        )
        for size, (rate, speed_up) in GUIDE.items()
    ]


def _messages(bench: Bench, worker: Foreground, size: int) -> work.Drained:
    Queue.objects.filter(name=handlers.QUEUE).update(run_size=max(size, 10), run_start=size, run_least=size)
    batch = work.fill(bench.sizes.messages, handlers.insert_one if size == 1 else handlers.insert_many, chunk_size=size)
    started = work.release()
    worker.run(burst=True)
    batch.refresh_from_db()
    right = batch.succeeded == batch.total and work.called_as_expected(batch, 0)
    return work.measured(batch.total, started, correct=right, runs_of=batch.total)


def tasks_scenario(bench: Bench) -> list[Row]:
    """Tasks of a stage, inserted and announced: seconds until both are done, beside one by one."""
    Queue.objects.filter(name=handlers.QUEUE).update(paused_at=None)
    few, many = bench.sizes.tasks

    def at_once(count: int) -> tuple[float, bool]:
        began = time.perf_counter()
        batch = enqueue_batch(handlers.no_op, map(work.payload, range(count)), queue=handlers.QUEUE, split=True)
        seconds = time.perf_counter() - began
        return seconds, batch.total == count == Job.objects.count()

    def one_by_one() -> tuple[float, bool]:
        began = time.perf_counter()
        for number in range(few):
            enqueue(handlers.no_op, work.payload(number), queue=handlers.QUEUE)
        return time.perf_counter() - began, Job.objects.count() == few

    found = bench.rounds(
        "tasks", {"few": lambda: at_once(few), "many": lambda: at_once(many), "one by one": one_by_one}
    )
    return [
        Row(
            "tasks",
            f"{count:,} tasks, inserted and announced (guide: {GUIDE_SECONDS[place]:g} s)",
            "s",
            [seconds for seconds, _ in found[name]],
            None,
            floor=False,
            against=f"one by one (guide: {GUIDE_ONE_BY_ONE:g} s)" if name == "few" else "",
            others=[seconds for seconds, _ in found["one by one"]] if name == "few" else [],
            correct=all(right for _, right in found[name]),
        )
        for place, (name, count) in enumerate({"few": few, "many": many}.items())
    ]
