"""The index by which the console counts what is held, queue by queue."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("queues", "0004_promises")]

    operations = [
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(condition=models.Q(("state", "held")), fields=["queue", "id"], name="chunk_held"),
        ),
    ]
