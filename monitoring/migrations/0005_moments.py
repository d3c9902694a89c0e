"""How everything stood, once a minute: the lines of the overview's figures, also for a web process that is new."""

from django.db import migrations, models

BIG = models.PositiveBigIntegerField


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0004_administrators")]

    operations = [
        migrations.CreateModel(
            name="Moment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("minute", models.DateTimeField(unique=True)),
                ("waiting", BIG(help_text="jobs that were due")),
                ("oldest", models.FloatField(help_text="seconds for which the oldest of them had been due")),
                ("running", BIG(help_text="runs")),
                ("slots", BIG(help_text="workers that took work")),
                ("dead", BIG(help_text="dead letters")),
                ("pending", BIG(help_text="batches not announced")),
                ("workers", BIG(help_text="workers that were heard of")),
                ("problems", models.JSONField(db_default=[], default=list)),
            ],
        ),
    ]
