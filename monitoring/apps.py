"""The console's Django app."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Pages, panels and the live stream."""

    name = "monitoring"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the panels known that live in modules of their own."""
        from monitoring import (
            activity,
            batch_depth,
            batch_panels,
            cause_panels,
            frame,
            job_page,
            job_panels,
            list_panels,
            operation_panels,
            overview_panels,
            queue_panels,
            worker_panels,
        )

        for module in (
            activity,
            batch_depth,
            batch_panels,
            cause_panels,
            frame,
            job_page,
            job_panels,
            list_panels,
            operation_panels,
            overview_panels,
            queue_panels,
            worker_panels,
        ):
            module.register()
