"""Addresses of sockets."""

from django.urls import path, re_path

from monitoring.consumers import LiveConsumer, Nowhere

# Without the last one an unknown address would be an error with a traceback, for anybody who asks.
websocket_urlpatterns = [path("live/", LiveConsumer.as_asgi()), re_path("", Nowhere.as_asgi())]
