"""The Django app that puts the parts together."""

from django.apps import AppConfig


class BatchconsoleConfig(AppConfig):
    """Management commands, and the Celery app."""

    name = "batchconsole"

    def ready(self) -> None:
        """Make ours the current Celery app, so that every `shared_task` belongs to it.

        Here and not in the package's `__init__`, because the keeper of the embedded database imports the package, and
        must start quickly.
        """
        from batchconsole import celery  # noqa: F401
