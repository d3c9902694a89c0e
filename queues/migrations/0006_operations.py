"""Operations with any action, and what a deleted job was, so that it can be that again."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# Jobs that were deleted before there was a place for what they were: all of them were dead letters.
TRASH = """
INSERT INTO queues_trashedjob (job_id, queue_id, batch_id, handler, was, letter, unique_key, deleted_by, reason,
                               deleted_at)
SELECT j.id, c.queue_id, c.batch_id, c.handler, 'dead',
       jsonb_build_object('fingerprint', coalesce(a.fingerprint, ''), 'reason',
                          CASE a.kind WHEN 'rejected' THEN 'rejected by its handler' WHEN 'lost' THEN 'worker lost'
                                      ELSE 'out of attempts' END,
                          'error_class', coalesce(a.error_class, ''), 'message', coalesce(a.message, ''),
                          'attempts', coalesce(a.number, 0), 'died_at', coalesce(a.finished_at, c.created_at)),
       '', '', '', c.created_at
FROM queues_chunk c
CROSS JOIN LATERAL unnest(c.job_ids) AS m(id)
JOIN queues_job j ON j.id = m.id AND j.chunk_id = c.id
LEFT JOIN LATERAL (
    SELECT * FROM queues_attempt a WHERE a.job_id = j.id ORDER BY a.finished_at DESC, a.id DESC LIMIT 1
) a ON true
WHERE c.state = 'parked' AND c.held_why = 'trashed'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("queues", "0005_held"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="queue",
            options={
                "ordering": ["name"],
                "permissions": [
                    ("view_console", "Can look at the console"),
                    ("operate", "Can retry, cancel, delete, pause and enqueue"),
                    ("empty_trash", "Can empty the trash"),
                ],
            },
        ),
        migrations.AddField(
            model_name="operation",
            name="audit_id",
            field=models.BigIntegerField(blank=True, help_text="the entry that gets the outcome", null=True),
        ),
        migrations.AddField(
            model_name="operation",
            name="cursor",
            field=models.BigIntegerField(db_default=0, default=0, help_text="last job that was looked at in this pass"),
        ),
        migrations.AddField(
            model_name="operation",
            name="options",
            field=models.JSONField(blank=True, db_default={}, default=dict, help_text="the new priority or queue"),
        ),
        migrations.AddField(
            model_name="operation",
            name="outcomes",
            field=models.JSONField(blank=True, db_default={}, default=dict, help_text="jobs by what became of them"),
        ),
        migrations.CreateModel(
            name="TrashedJob",
            fields=[
                ("job_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("handler", models.CharField(max_length=200)),
                (
                    "was",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("scheduled", "scheduled"),
                            ("retrying", "retrying"),
                            ("held", "held"),
                            ("running", "running"),
                            ("succeeded", "succeeded"),
                            ("dead", "dead"),
                            ("cancelled", "cancelled"),
                            ("trashed", "trashed"),
                        ],
                        max_length=10,
                    ),
                ),
                ("run_at", models.DateTimeField(blank=True, help_text="when it was to run", null=True)),
                ("letter", models.JSONField(blank=True, help_text="the dead letter that it was", null=True)),
                (
                    "unique_key",
                    models.CharField(blank=True, help_text="given back when it was deleted", max_length=200),
                ),
                ("operation_id", models.BigIntegerField(blank=True, null=True)),
                ("deleted_by", models.CharField(blank=True, max_length=150)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("deleted_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "batch",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="queues.batch",
                    ),
                ),
                (
                    "queue",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="queues.queue",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["deleted_at", "job_id"], name="trashed_at"),
                    models.Index(fields=["queue", "deleted_at", "job_id"], name="trashed_queue"),
                    models.Index(fields=["batch", "deleted_at", "job_id"], name="trashed_batch"),
                ],
            },
        ),
        migrations.RunSQL(TRASH, migrations.RunSQL.noop),
    ]
