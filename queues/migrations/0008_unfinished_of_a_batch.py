"""The index of unfinished chunks holds those of batches only, by which alone it is asked.

Without that condition the planner takes it for the chunks of a queue, too, and reads those of all queues for each one.
"""

from django.db import migrations, models

UNFINISHED = models.Q(("batch__isnull", False), ("state__in", ["ready", "held", "leased"]))


class Migration(migrations.Migration):
    dependencies = [("queues", "0007_job_state")]

    operations = [
        migrations.RemoveIndex(model_name="chunk", name="chunk_unfinished"),
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(condition=UNFINISHED, fields=["batch"], name="chunk_unfinished"),
        ),
    ]
