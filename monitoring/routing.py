"""Addresses of sockets."""

from django.urls import path

from monitoring.consumers import LiveConsumer

websocket_urlpatterns = [path("live/", LiveConsumer.as_asgi())]
