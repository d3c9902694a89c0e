"""The third group: administrators act, and also change queues in the admin and who may do what."""

from django.db import migrations

GROUP = "administrators"
# By model: what may be done with it in the admin. Those of `queue` beyond its own form come with "operate".
PERMISSIONS = {
    ("queues", "queue"): {
        "view_console": "Can look at the console",
        "operate": "Can retry, cancel, delete, pause and enqueue",
        "empty_trash": "Can empty the trash",
        "add_queue": "Can add queue",
        "change_queue": "Can change queue",
    },
    ("auth", "user"): {
        "add_user": "Can add user",
        "change_user": "Can change user",
        "view_user": "Can view user",
    },
    ("auth", "group"): {"view_group": "Can view group"},
}


def create_group(apps, schema_editor):
    """Make the group and what it needs; a group of this name that a site has made itself is left as it is."""
    alias = schema_editor.connection.alias
    types = apps.get_model("contenttypes", "ContentType").objects.using(alias)
    rows = apps.get_model("auth", "Permission").objects.using(alias)
    group, created = apps.get_model("auth", "Group").objects.using(alias).get_or_create(name=GROUP)
    if not created:
        return
    for (app_label, model), names in PERMISSIONS.items():
        content_type, _ = types.get_or_create(app_label=app_label, model=model)
        for codename, name in names.items():
            permission, _ = rows.get_or_create(content_type=content_type, codename=codename, defaults={"name": name})
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0003_counters")]
    operations = [migrations.RunPython(create_group, migrations.RunPython.noop)]
