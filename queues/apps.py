"""The queue's Django app."""

from django.apps import AppConfig


class QueuesConfig(AppConfig):
    """Jobs, batches, chunks, runs and the services that move them."""

    name = "queues"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Find the handlers of every installed app, and let Django check what they declare."""
        from django.core import checks
        from django.utils.module_loading import autodiscover_modules

        from queues import builtin, delivery  # noqa: F401 - declare their handlers
        from queues.checks import check_declarations

        autodiscover_modules("handlers")
        checks.register(check_declarations)
