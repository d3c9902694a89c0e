"""Django's database backend for the embedded server."""
