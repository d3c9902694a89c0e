"""What the console keeps for itself: sign-in links, wrong passwords and the figures of past minutes."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class LoginLink(models.Model):
    """A way in for whoever reads the terminal: works once, for a short time. Only the hash is kept."""

    token_hash = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="loginlink_expires_at")]

    def __str__(self) -> str:
        return f"sign-in link {self.pk}"


class SignInTry(models.Model):
    """A password that was wrong: kept for some minutes, without a name or an address. `key` is a digest of both."""

    key = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["key", "at"], name="signintry_key"),
            models.Index(fields=["at"], name="signintry_at"),
        ]

    def __str__(self) -> str:
        return f"wrong password at {self.at:%Y-%m-%d %H:%M}"


class MetricPoint(models.Model):
    """One queue in one minute, by the end of its runs; written anew until sixteen minutes later."""

    queue = models.ForeignKey("queues.Queue", on_delete=models.CASCADE, db_index=False)
    minute = models.DateTimeField()
    runs = models.PositiveIntegerField()
    claimed = models.PositiveBigIntegerField()
    succeeded = models.PositiveBigIntegerField()
    failed = models.PositiveBigIntegerField(help_text="failed tries: retried and dead")
    retried = models.PositiveBigIntegerField()
    dead = models.PositiveBigIntegerField()
    bytes = models.PositiveBigIntegerField()
    wait_p50 = models.FloatField(null=True, blank=True, help_text="milliseconds, over the runs")
    wait_p95 = models.FloatField(null=True, blank=True)
    handler_p50 = models.FloatField(null=True, blank=True, help_text="milliseconds, median of the runs' medians")
    handler_p95 = models.FloatField(null=True, blank=True)
    lost = models.PositiveBigIntegerField(default=0, db_default=0, help_text="runs whose worker was lost")
    lasted_ms = models.PositiveBigIntegerField(default=0, db_default=0, help_text="all runs together, start to end")
    waited_ms = models.PositiveBigIntegerField(default=0, db_default=0, help_text="all runs together, due to claimed")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["queue", "minute"], name="metricpoint_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["minute"], name="metricpoint_minute")]

    def __str__(self) -> str:
        return f"queue {self.queue_id} at {self.minute:%Y-%m-%d %H:%M}"


class Moment(models.Model):
    """How all queues together stood in one minute, and what the control worker found wrong."""

    minute = models.DateTimeField(unique=True)
    waiting = models.PositiveBigIntegerField(help_text="jobs that were due")
    oldest = models.FloatField(help_text="seconds for which the oldest of them had been due")
    running = models.PositiveBigIntegerField(help_text="runs")
    slots = models.PositiveBigIntegerField(help_text="workers that took work")
    dead = models.PositiveBigIntegerField(help_text="dead letters")
    pending = models.PositiveBigIntegerField(help_text="batches not announced")
    workers = models.PositiveBigIntegerField(help_text="workers that were heard of")
    problems = models.JSONField(default=list, db_default=[])

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M}"
