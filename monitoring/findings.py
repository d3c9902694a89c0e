"""What the overview looks at to say what needs attention: each finding with what can be done about it."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from urllib.parse import urlencode

from django.urls import reverse

from monitoring import moments, ranges, standing
from monitoring.attention import Action, Finding, Grade, rising
from monitoring.snapshot import QueueLine, Snapshot
from monitoring.texts import first_line
from queues.domain.spans import span
from queues.selectors import handover, overview, troubles, worker_health
from queues.services import stuck
from queues.services.counts import Problem
from queues.services.webhooks import QUEUE as WEBHOOKS

# A queue that is paused for longer has perhaps been forgotten.
PAUSED_LONG = timedelta(hours=1)
# A hand-over that takes longer than the rings take to repeat it.
HAND_OVER_LATE = timedelta(seconds=30)
WORKERS_SHOWN = 5
# The control worker looks once a minute.
CONTROL_LATE = timedelta(minutes=3)
# A cause is new for so long.
NEW = timedelta(minutes=15)
WEBHOOKS_LATELY = timedelta(hours=1)
# What the examination of stuck work offers a command for.
COMMANDS = {"reap": "manage.py reap", "finish": "manage.py drive", "slots": "manage.py doctor"}


def gather(snapshot: Snapshot) -> list[Finding]:
    """Everything, in no order. A few bounded queries."""
    return [
        *_stuck(snapshot),
        *_control(snapshot),
        *_deaths(snapshot),
        *_causes(snapshot),
        *_refusing(snapshot),
        *_paused(snapshot),
        *_left_standing(snapshot),
        *_silent(snapshot),
        *_lost(snapshot),
        *_hand_over(snapshot),
        *_upstream(snapshot),
        *_webhooks(snapshot),
    ]


def _stuck(snapshot: Snapshot) -> Iterator[Finding]:
    for problem in snapshot.once("stuck", lambda: stuck.check_now(snapshot.now)):
        grade = Grade.WARNING if problem.warning else Grade.PROBLEM
        yield Finding(problem.check, grade, problem.subject, problem.message, _way_out(problem))


def _way_out(problem: Problem) -> Action:
    kind, _, name = problem.subject.partition(" ")
    if problem.check == "workers" and kind == "queue":
        return Action("Start a worker", url=reverse("workers"), command=f"manage.py work --queue {name}")
    if kind == "queue":
        return Action("Open the queue", url=reverse("queue", args=[name]))
    if kind == "batch" and name.isdigit():
        return Action("Open the batch", url=reverse("batch", args=[int(name)]), command=COMMANDS.get(problem.check, ""))
    return Action("Look closer", command=COMMANDS.get(problem.check, "manage.py doctor"))


def _control(snapshot: Snapshot) -> Iterator[Finding]:
    """What the control worker has found, or that it has not been heard of."""
    seen = snapshot.once("checked", moments.newest)
    if seen is None:
        return
    since = snapshot.now - seen.at
    if since > CONTROL_LATE:
        # Workers that were started with `manage.py work` do without; they alone neither archive nor recur.
        grade = Grade.WARNING if standing.health(snapshot).healthy else Grade.PROBLEM
        text = f"have written nothing for {span(since)}: nothing recurs, is archived or counted by the minute"
        action = Action("Workers", url=reverse("workers"), command="manage.py doctor")
        yield Finding("control", grade, "beat and control worker", text, action, since=since)
        return
    for check, subject, message in seen.problems:
        action = Action("See the archive", url=reverse("archive-sizes"), command="manage.py doctor")
        yield Finding(check, Grade.WARNING, first_line(subject, 80), first_line(message, 200), action)


def _causes(snapshot: Snapshot) -> Iterator[Finding]:
    for one in snapshot.once("new causes", lambda: troubles.new_causes(snapshot.now - NEW)):
        since = snapshot.now - one.first_at
        died = "job died" if one.count == 1 else "jobs died"
        what = f"{one.error_class.rpartition('.')[2] or 'error'}: {first_line(one.message, 120)}"
        again, known = "", ""
        came_back = one.seen_at < snapshot.now - NEW
        if came_back:
            again, known = " again", f"; it was first seen {span(snapshot.now - one.seen_at)} ago"
        text = f"{one.count:,} {died} of it{again} in queue {one.queue}, the first {span(since)} ago{known}: {what}"
        action = Action("See the cause", url=reverse("cause", args=[one.fingerprint]))
        key, weight = one.fingerprint, one.count
        subject = "cause came back" if came_back else "new cause"
        yield Finding("cause", Grade.WARNING, subject, text, action, weight=weight, since=since, id=key)


def _refusing(snapshot: Snapshot) -> Iterator[Finding]:
    for one in snapshot.once("refusing", lambda: troubles.refusing(snapshot.now)):
        wait = span(timedelta(seconds=max(1.0, one.seconds)))
        text = f"refuses new jobs: its limit of {one.rate:g} a second is reached, for {wait} yet"
        action = Action("Change the limit", url=reverse("queue-policy", args=[one.queue]), operate=True)
        yield Finding("refusing", Grade.WARNING, f"queue {one.queue}", text, action, weight=one.seconds)


def _left_standing(snapshot: Snapshot) -> Iterator[Finding]:
    read = partial(troubles.left_standing, snapshot.now, PAUSED_LONG)
    for one in snapshot.once("left standing", read):
        since = snapshot.now - one.since
        name = f"batch {first_line(one.name, 60) or one.id}"
        if one.paused:
            text, words, route = f"paused for {span(since)}", "Resume", "batch-resume"
        else:
            text, words, route = f"open for more jobs for {span(since)}: it cannot end", "Seal", "batch-seal"
        action = Action(words, url=reverse(route, args=[one.id]), operate=True)
        yield Finding("left", Grade.NOTICE, name, text, action, since=since, id=str(one.id))


def _webhooks(snapshot: Snapshot) -> Iterator[Finding]:
    read = partial(troubles.failing_webhooks, snapshot.now - WEBHOOKS_LATELY)
    for one in snapshot.once("webhooks", read):
        since = snapshot.now - one.at
        text = f"was not taken {span(since)} ago: {first_line(one.status, 120) or 'no answer'}"
        action = Action("See its deliveries", url=f"{reverse('jobs')}?queue={WEBHOOKS}&state=retrying")
        yield Finding("webhook", Grade.WARNING, f"webhook {first_line(one.name, 60)}", text, action, since=since)


def _deaths(snapshot: Snapshot) -> Iterator[Finding]:
    lately = snapshot.once("deaths", lambda: ranges.deaths(snapshot.now))
    for line in snapshot.queues:
        name, (now, before) = line.figures.name, lately.get(line.figures.id, (0, 0))
        action = Action("See the causes", url=f"{reverse('causes')}?queue={name}")
        if rising(now, before):
            text = f"{now:,} jobs died in the last 5 minutes, {before:,} in the 5 before"
            yield Finding("rising", Grade.PROBLEM, f"queue {name}", text, action, weight=now)
        elif line.dead:
            yield Finding("dead", Grade.NOTICE, f"queue {name}", _letters(line), action, weight=line.dead)


def _letters(line: QueueLine) -> str:
    more = "more than " if line.least else "about " if line.about and not line.figures.dead_exact else ""
    words = "dead letter waits" if line.dead == 1 else "dead letters wait"
    return f"{more}{line.dead:,} {words} for a person"


def _paused(snapshot: Snapshot) -> Iterator[Finding]:
    for line in snapshot.queues:
        pause, name = line.figures.pause, line.figures.name
        if pause is None:
            continue
        since = snapshot.now - pause.since
        if since < PAUSED_LONG and not line.waiting:
            continue
        by = f" by {first_line(pause.by, 60)}" if pause.by else ""
        text = f"paused{by} for {span(since)}, and {line.waiting:,} jobs wait in it"
        grade = Grade.WARNING if line.waiting and since >= PAUSED_LONG else Grade.NOTICE
        action = Action("Resume", url=reverse("queue-resume", args=[name]), operate=True)
        yield Finding("paused", grade, f"queue {name}", text, action, weight=line.waiting, since=since)


def _silent(snapshot: Snapshot) -> Iterator[Finding]:
    health = standing.health(snapshot)
    if not health.silent + health.dead:
        return
    seen = snapshot.once("not heard", lambda: worker_health.not_heard(snapshot.now, WORKERS_SHOWN))
    for worker in seen:
        since = snapshot.now - worker.heartbeat_at
        name, key = f"worker {first_line(worker.name, 80)}", str(worker.id)
        text = f"not heard of for {span(since)}; what it holds is taken back when its lease ends"
        if since.total_seconds() > worker_health.DEAD_AFTER:
            action = Action("Reclaim", url=reverse("worker-reclaim", args=[key]), operate=True)
        else:
            action = Action("Open the worker", url=reverse("worker", args=[key]))
        yield Finding("silent", Grade.WARNING, name, text, action, since=since, id=key)


def _lost(snapshot: Snapshot) -> Iterator[Finding]:
    """Of a worker that crashed nothing else tells: another has taken its place, and the work goes on."""
    found = snapshot.once("lost runs", lambda: ranges.lost_runs(snapshot.now))
    for line in snapshot.queues:
        if not (count := found.get(line.figures.id, 0)):
            continue
        runs, their = ("1 run was", "its") if count == 1 else (f"{count:,} runs were", "their")
        text = f"{runs} lost in the last 10 minutes: a worker died or was cut off; {their} jobs run again"
        url = f"{reverse('runs')}?{urlencode({'queue': line.figures.name, 'state': 'lost'})}"
        action = Action("See the runs", url=url)
        yield Finding("lost", Grade.WARNING, f"queue {line.figures.name}", text, action, weight=count)


def _hand_over(snapshot: Snapshot) -> Iterator[Finding]:
    found = snapshot.once("hand_overs", handover.hand_overs)
    for line in snapshot.queues:
        one, name = found.get(line.figures.id, handover.NONE), line.figures.name
        age = timedelta(seconds=one.age(snapshot.now) or 0)
        late = one.pending > 0 and age > HAND_OVER_LATE and line.figures.pause is None
        if not one.failures and not late:
            continue
        parts = []
        if one.pending:
            noun = "batch is" if one.pending == 1 else "batches are"
            parts.append(f"{one.pending:,} {noun} not announced, the oldest for {span(age)}")
        if one.failures:
            parts.append(f"{one.failures:,} messages in a row could not be sent: {first_line(one.error, 120)}")
        text = "; ".join(parts) if one.failures else f"{parts[0]}: do beat and the broker run?"
        action = Action("Look closer", url=reverse("queue", args=[name]), command="manage.py doctor")
        grade = Grade.PROBLEM if late else Grade.WARNING
        yield Finding("hand-over", grade, f"queue {name}", text, action, weight=one.pending, since=age)


def _upstream(snapshot: Snapshot) -> Iterator[Finding]:
    for one in snapshot.once("stopped", lambda: overview.stopped_batches(snapshot.now)):
        cause = f"batch {one.cause}" if one.cause else "a batch before it"
        text = f"stopped {span(snapshot.now - one.stopped_at)} ago, because {cause} did not end as it should"
        action = Action("Open the cause" if one.cause else "Open it", url=reverse("batch", args=[one.cause or one.id]))
        name = f"batch {first_line(one.name, 60) or one.id}"
        yield Finding("upstream", Grade.WARNING, name, text, action, since=snapshot.now - one.stopped_at)
