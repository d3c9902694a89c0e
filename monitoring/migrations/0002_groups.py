"""The groups of the console: viewers look, operators also act."""

from django.db import migrations

# Permissions are made by a signal after all migrations have run, which is too late here. Those made here are
# the very rows that the signal would make; it leaves rows alone that exist.
PERMISSIONS = {
    "view_console": "Can look at the console",
    "operate": "Can retry, cancel, delete, pause and enqueue",
}
GROUPS = {"viewers": ["view_console"], "operators": ["view_console", "operate"]}


def create_groups(apps, schema_editor):
    """Make groups and permissions that are missing; leave what a site has changed."""
    alias = schema_editor.connection.alias
    content_type, _ = (
        apps.get_model("contenttypes", "ContentType")
        .objects.using(alias)
        .get_or_create(app_label="queues", model="queue")
    )
    permissions = {}
    for codename, name in PERMISSIONS.items():
        permissions[codename], _ = (
            apps.get_model("auth", "Permission")
            .objects.using(alias)
            .get_or_create(content_type=content_type, codename=codename, defaults={"name": name})
        )
    for group_name, codenames in GROUPS.items():
        group, created = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=group_name)
        if created:
            group.permissions.add(*(permissions[codename] for codename in codenames))


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0001_tables"),
        ("queues", "0001_tables"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(create_groups, migrations.RunPython.noop)]
