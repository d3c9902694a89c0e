"""When each cause of death was first seen, as far as it can still be told."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# From the dead letters that are there, and from the newest tries whose runs are still known: of causes whose letters
# were retried or deleted nothing else is left.
FILL = """
INSERT INTO queues_seencause (queue_id, fingerprint, first_at)
SELECT queue_id, fingerprint, min(seen_at)
FROM (
    SELECT queue_id, fingerprint, died_at AS seen_at FROM queues_deadletter
    UNION ALL
    SELECT r.queue_id, a.fingerprint, a.finished_at
    FROM (
        SELECT run_id, fingerprint, finished_at FROM queues_attempt ORDER BY finished_at DESC LIMIT 200000
    ) a
    JOIN queues_run r ON r.id = a.run_id
) seen
GROUP BY queue_id, fingerprint
"""


class Migration(migrations.Migration):
    dependencies = [("queues", "0008_unfinished_of_a_batch")]

    operations = [
        migrations.CreateModel(
            name="SeenCause",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fingerprint", models.CharField(blank=True, max_length=16)),
                ("first_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
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
                "indexes": [models.Index(fields=["first_at"], name="seencause_first_at")],
                "constraints": [
                    models.UniqueConstraint(fields=("fingerprint", "queue"), name="seencause_once"),
                ],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
