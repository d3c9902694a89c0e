"""Indexes that archive and purge go by: each queue has its own grace period and retention.

With one index over all queues, the rows of a queue that keeps them long would be walked over again and again on
the way to those of a queue that does not.
"""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("queues", "0002_storage")]
    operations = [
        migrations.RemoveIndex("chunk", "chunk_to_archive"),
        migrations.AddIndex(
            "chunk",
            models.Index(
                fields=["queue", "finished_at", "id"],
                name="chunk_to_archive",
                condition=Q(state__in=["done", "cancelled"], archived_at=None),
            ),
        ),
        migrations.AddIndex(
            "chunk",
            models.Index(
                fields=["created_at", "id"],
                name="chunk_trash",
                condition=Q(state="parked", held_why="trashed"),
            ),
        ),
        migrations.RemoveIndex("archivedjob", "archived_finished_at"),
        migrations.AddIndex("archivedjob", models.Index(fields=["queue", "finished_at", "id"], name="archived_queue")),
    ]
