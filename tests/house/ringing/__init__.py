"""A Django app with tasks that leave traces in files, for tests of real Celery processes."""
