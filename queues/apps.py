"""The queue's Django app."""

from django.apps import AppConfig


class QueuesConfig(AppConfig):
    """Jobs, batches, chunks, runs and the services that move them."""

    name = "queues"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Find the handlers of every installed app."""
        from django.utils.module_loading import autodiscover_modules

        autodiscover_modules("handlers")
