"""The console's Django app."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Pages, panels and the live stream."""

    name = "monitoring"
    default_auto_field = "django.db.models.BigAutoField"
