"""Addresses of the console."""

from django.contrib.auth.views import LoginView, LogoutView
from django.contrib.staticfiles.storage import staticfiles_storage
from django.urls import path, register_converter
from django.urls.converters import StringConverter
from django.views.generic import RedirectView

from monitoring.views import (
    batches,
    dead_letter_actions,
    dead_letters,
    health,
    help,
    login,
    overview,
    panel,
    queues,
    submit,
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
    path("batches/new/", submit.new_batch, name="new-batch"),
    path("batches/<id:batch_id>/", batches.batch_detail, name="batch"),
    path("batches/<id:batch_id>/cancel/", batches.cancel_batch, name="batch-cancel"),
    path("dead-letters/", dead_letters.dead_letter_list, name="dead-letters"),
    path("dead-letters/retry/", dead_letter_actions.retry, name="dead-letters-retry"),
    path("dead-letters/delete/", dead_letter_actions.delete, name="dead-letters-delete"),
    path("dead-letters/<id:job_id>/", dead_letters.dead_letter_detail, name="dead-letter"),
    path("dead-letters/<id:job_id>/payload.json", dead_letters.dead_letter_payload, name="dead-letter-payload"),
    path("queues/<queue:name>/pause/", queues.pause, name="queue-pause"),
    path("queues/<queue:name>/resume/", queues.resume, name="queue-resume"),
    path("panels/<slug:name>/", panel.panel, name="panel"),
    path("help/", help.help_page, name="help"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("login/link/", login.login_link, name="login-link"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path(
        "favicon.ico", RedirectView.as_view(url=staticfiles_storage.url("img/icon.svg"), permanent=True), name="favicon"
    ),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]
