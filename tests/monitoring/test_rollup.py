"""Minutes that are kept: whole, idempotent, and no longer than needed."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from monitoring.models import MetricPoint
from monitoring.rollup import FIRST, RETENTION, forget, roll_up
from monitoring.tasks import rollup
from tests.monitoring.worlds import run
from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def test_each_queue_and_minute_has_one_point_with_the_sums_of_its_runs() -> None:
    mail, tiles = make_queue("mail"), make_queue("tiles")
    for wait in (10.0, 20.0, 30.0):
        run(
            mail,
            started=121 * SECOND,
            ended=120 * SECOND,
            succeeded=90,
            failed=10,
            retried=7,
            dead=3,
            wait_ms=wait,
            p50_ms=2.0,
            p95_ms=5.0,
        )
    run(tiles, started=121 * SECOND, ended=120 * SECOND, succeeded=1)
    assert roll_up() == 2
    point = MetricPoint.objects.get(queue=mail)
    assert (point.runs, point.claimed, point.succeeded, point.failed) == (3, 300, 270, 30)
    assert (point.retried, point.dead) == (21, 9)
    assert (point.wait_p50, point.handler_p50, point.handler_p95) == (20.0, 2.0, 5.0)
    assert MetricPoint.objects.get(queue=tiles).handler_p50 is None


def test_writing_again_takes_in_what_came_late_and_changes_nothing_else() -> None:
    queue = make_queue()
    run(queue, started=130 * SECOND, ended=125 * SECOND, succeeded=5)
    roll_up()
    rollup()
    assert MetricPoint.objects.get().succeeded == 5
    run(queue, started=130 * SECOND, ended=125 * SECOND, succeeded=4)
    rollup()
    assert MetricPoint.objects.get().succeeded == 9


def test_older_minutes_are_left_as_they_are() -> None:
    queue = make_queue()
    run(queue, started=timedelta(minutes=3), ended=timedelta(minutes=2), succeeded=1)
    assert roll_up() == 1
    run(queue, started=timedelta(minutes=20), ended=timedelta(minutes=19), succeeded=5)
    assert roll_up() == 1
    assert MetricPoint.objects.get().succeeded == 1


def test_minutes_for_which_nobody_rolled_up_are_made_up_for() -> None:
    queue = make_queue()
    for hours in (30, 3):
        run(queue, started=timedelta(hours=hours, minutes=1), ended=timedelta(hours=hours), succeeded=hours)
    assert roll_up() == 2
    run(queue, started=timedelta(hours=2, minutes=1), ended=timedelta(hours=2), succeeded=2)
    assert roll_up() == 2
    counts = MetricPoint.objects.order_by("minute").values_list("succeeded", flat=True)
    assert list(counts) == [30, 3, 2]


def test_points_past_their_retention_are_let_go() -> None:
    queue = make_queue()
    run(queue, started=10 * SECOND, ended=5 * SECOND, succeeded=5)
    roll_up()
    assert forget() == 0
    MetricPoint.objects.update(minute=timezone.now() - RETENTION - timedelta(minutes=1))
    assert forget() == 1
    assert [(point.minute, point.succeeded, point.runs) for point in MetricPoint.objects.all()] == [(FIRST, 5, 1)]
    assert forget() == 0


def test_the_groups_hold_their_permissions() -> None:
    from importlib import import_module

    from django.apps import apps
    from django.db import connection

    groups = import_module("monitoring.migrations.0002_groups")
    Group.objects.all().delete()
    with connection.schema_editor(atomic=False) as editor:
        groups.create_groups(apps, editor)
        groups.create_groups(apps, editor)
    held = {
        group.name: set(group.permissions.values_list("content_type__app_label", "codename"))
        for group in Group.objects.all()
    }
    view, operate = ("queues", "view_console"), ("queues", "operate")
    assert held == {"viewers": {view}, "operators": {view, operate}}
