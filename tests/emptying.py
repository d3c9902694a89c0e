"""What is left between two tests that commit: nothing, at a thirtieth of the price of Django's flush."""

from django.apps import apps
from django.db import connection, transaction
from django.test import TransactionTestCase

# Migrations fill them, and no test changes them.
KEPT = {"django_content_type", "auth_permission"}
# A table with more bytes is truncated: its dead rows would be in the way of the tests that follow.
LARGE = 1_000_000
LARGEST = """
SELECT max(pg_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
"""


def empty_database(case: TransactionTestCase) -> None:
    """Take the place of `TransactionTestCase._fixture_teardown`.

    Django truncates every table, which makes all their files anew, and then makes content types and permissions
    again. Here only tables that hold rows are looked at. Like TRUNCATE it waits for everybody who still writes.
    """
    tables = sorted({model._meta.db_table for model in apps.get_models(include_auto_created=True)} - KEPT)
    names = ", ".join(tables)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
        cursor.execute(LARGEST)
        if cursor.fetchone()[0] > LARGE:
            cursor.execute(f"TRUNCATE {names}")
            return
        cursor.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables))
        for (name,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {name}")
