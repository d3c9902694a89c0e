"""How fast the console's pages answer on a full database: `manage.py benchmark --pages`."""
