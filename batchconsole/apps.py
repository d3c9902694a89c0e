"""The Django app that puts the parts together."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class BatchconsoleConfig(AppConfig):
    """Management commands, the Celery app, and how sessions with the database begin."""

    name = "batchconsole"

    def ready(self) -> None:
        """Make ours the current Celery app, so that every `shared_task` belongs to it.

        Here and not in the package's `__init__`, because the keeper of the embedded database imports the package, and
        must start quickly.
        """
        from batchconsole import celery  # noqa: F401
        from queues import store

        connection_created.connect(store.never_compile)
