"""Composition: settings, processes, and what `manage.py up` starts."""
