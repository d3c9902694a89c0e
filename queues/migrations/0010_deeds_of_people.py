"""An index of the audit without the batches that code and the system enqueue, which may be more than all else.

What is looked for among the newest entries is found by it: marks on charts, what archiving did, the deeds with a job.
"""

from django.db import migrations, models

BY_THEMSELVES = models.Q(("action__in", ("enqueue batch", "seal batch")), ("source__in", ("api", "system")))


class Migration(migrations.Migration):
    dependencies = [("queues", "0009_seen_causes")]

    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(condition=~BY_THEMSELVES, fields=["at", "id"], name="audit_deeds"),
        ),
    ]
