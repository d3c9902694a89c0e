"""What the counters of /metrics are summed from: whole numbers, so that a sum is the same in whatever order."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0002_groups")]

    operations = [
        migrations.AddField(
            model_name="metricpoint",
            name="lost",
            field=models.PositiveBigIntegerField(default=0, db_default=0, help_text="runs whose worker was lost"),
        ),
        migrations.AddField(
            model_name="metricpoint",
            name="lasted_ms",
            field=models.PositiveBigIntegerField(default=0, db_default=0, help_text="all runs together, start to end"),
        ),
        migrations.AddField(
            model_name="metricpoint",
            name="waited_ms",
            field=models.PositiveBigIntegerField(
                default=0, db_default=0, help_text="all runs together, due to claimed"
            ),
        ),
    ]
