"""Addresses of the console."""

from django.contrib.auth.views import LogoutView
from django.contrib.staticfiles.storage import staticfiles_storage
from django.urls import path, register_converter
from django.urls.converters import StringConverter
from django.views.generic import RedirectView

from monitoring.sign_in import SignIn
from monitoring.views import (
    act,
    activity,
    archive,
    archive_list,
    batch_actions,
    batch_export,
    batches,
    batches_act,
    causes,
    dead_letter_actions,
    dead_letters,
    health,
    help,
    job_list,
    jobs,
    login,
    metrics,
    operations,
    overview,
    panel,
    queue_policy,
    queues,
    schedules,
    search,
    submit,
    trash,
    upload,
    workers,
)


class IdConverter:
    """A bigint in an address."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        """The number."""
        return int(value)

    def to_url(self, value: int) -> str:
        """The text."""
        return str(value)


class QueueNameConverter(StringConverter):
    """The name of a queue in an address."""

    regex = "[a-z0-9][a-z0-9_.-]{0,62}"


register_converter(IdConverter, "id")
register_converter(QueueNameConverter, "queue")

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("batches/", batches.batch_list, name="batches"),
    path("batches/selected/<slug:deed>/", batches_act.act, name="batches-act"),
    path("batches/new/", submit.new_batch, name="new-batch"),
    path("batches/new/<slug:token>/", upload.upload, name="upload"),
    path("batches/<id:batch_id>/", batches.batch_detail, name="batch"),
    path("batches/<id:batch_id>/cancel/", batch_actions.act, {"deed": "cancel"}, name="batch-cancel"),
    path("batches/<id:batch_id>/clone/", batch_actions.act, {"deed": "clone"}, name="batch-clone"),
    path("batches/<id:batch_id>/delete/", batch_actions.act, {"deed": "delete"}, name="batch-delete"),
    path("batches/<id:batch_id>/pause/", batch_actions.act, {"deed": "pause"}, name="batch-pause"),
    path("batches/<id:batch_id>/restore/", batch_actions.act, {"deed": "restore"}, name="batch-restore"),
    path("batches/<id:batch_id>/resume/", batch_actions.act, {"deed": "resume"}, name="batch-resume"),
    path("batches/<id:batch_id>/seal/", batch_actions.act, {"deed": "seal"}, name="batch-seal"),
    path("batches/<id:batch_id>/export/<slug:kind>.<slug:form>", batch_export.export, name="batch-export"),
    path("jobs/", job_list.job_list, name="jobs"),
    path("jobs/<id:job_id>/", jobs.job, name="job"),
    path("jobs/<id:job_id>/payload.json", jobs.job_payload, name="job-payload"),
    path("jobs/<id:job_id>/result.json", jobs.job_result, name="job-result"),
    path("dead-letters/", dead_letters.dead_letter_list, name="dead-letters"),
    path("dead-letters/retry/", dead_letter_actions.retry, name="dead-letters-retry"),
    path("dead-letters/delete/", dead_letter_actions.delete, name="dead-letters-delete"),
    path("dead-letters/causes/", causes.cause_list, name="causes"),
    path("dead-letters/causes/<slug:fingerprint>/", causes.cause_detail, name="cause"),
    path("dead-letters/<id:job_id>/", dead_letters.dead_letter_detail, name="dead-letter"),
    path("dead-letters/<id:job_id>/payload.json", dead_letters.dead_letter_payload, name="dead-letter-payload"),
    path("operations/", operations.operation_list, name="operations"),
    path("operations/new/<slug:action>/", act.operate, name="operate"),
    path("operations/<id:operation_id>/", operations.operation_detail, name="operation"),
    path("operations/<id:operation_id>/stop/", operations.stop, name="operation-stop"),
    path("operations/<id:operation_id>/undo/", operations.undo, name="operation-undo"),
    path("queues/", queues.queue_list, name="queues"),
    path("queues/<queue:name>/", queues.queue_detail, name="queue"),
    path("queues/<queue:name>/policy/", queue_policy.queue_policy, name="queue-policy"),
    path("queues/<queue:name>/pause/", queues.pause, name="queue-pause"),
    path("queues/<queue:name>/resume/", queues.resume, name="queue-resume"),
    path("schedules/", schedules.schedule_list, name="schedules"),
    path("schedules/<id:schedule_id>/run/", schedules.act, {"deed": "run"}, name="schedule-run"),
    path("schedules/<id:schedule_id>/pause/", schedules.act, {"deed": "pause"}, name="schedule-pause"),
    path("schedules/<id:schedule_id>/resume/", schedules.act, {"deed": "resume"}, name="schedule-resume"),
    path("workers/", workers.worker_list, name="workers"),
    path("workers/<uuid:worker_id>/", workers.worker_detail, name="worker"),
    path("workers/<uuid:worker_id>/suspend/", workers.suspend, name="worker-suspend"),
    path("workers/<uuid:worker_id>/resume/", workers.resume, name="worker-resume"),
    path("workers/<uuid:worker_id>/stop/", workers.stop, name="worker-stop"),
    path("workers/<uuid:worker_id>/reclaim/", workers.reclaim, name="worker-reclaim"),
    path("runs/", workers.run_list, name="runs"),
    path("archive/", archive_list.archive_list, name="archive"),
    path("archive/sizes/", archive.archive_sizes, name="archive-sizes"),
    path("archive/restore/", archive.restore, name="archive-restore"),
    path("trash/", trash.trash_list, name="trash"),
    path("activity/", activity.activity_list, name="activity"),
    path("activity/export.csv", activity.activity_export, {"form": "csv"}, name="activity-csv"),
    path("activity/export.jsonl", activity.activity_export, {"form": "jsonl"}, name="activity-jsonl"),
    path("search/", search.search, name="search"),
    path("panels/<slug:name>/", panel.panel, name="panel"),
    path("help/", help.help_page, name="help"),
    path("login/", SignIn.as_view(http_method_names=["get", "head", "post"]), name="login"),
    path("login/link/", login.login_link, name="login-link"),
    path("logout/", LogoutView.as_view(http_method_names=["post"]), name="logout"),
    path(
        "favicon.ico", RedirectView.as_view(url=staticfiles_storage.url("img/icon.svg"), permanent=True), name="favicon"
    ),
    path("metrics", metrics.metrics, name="metrics"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
