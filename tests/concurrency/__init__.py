"""Real worker processes, and what must not happen to them. Also the Django app that holds their handlers."""
