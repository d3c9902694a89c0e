"""The web server's entry: HTTP goes to Django, WebSockets to Channels."""

import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "batchconsole.settings")
http = get_asgi_application()  # sets Django up, which the import below needs

from monitoring.routing import websocket_urlpatterns  # noqa: E402


def below(prefix: str, sockets: Any) -> Any:
    """Sockets below a path: Django takes it off by itself, Channels only if it is told of it."""

    async def inner(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if prefix and scope["path"].startswith(f"{prefix}/"):
            scope = {**scope, "root_path": prefix}
        await sockets(scope, receive, send)

    return inner


# The origin is checked because browsers send cookies with WebSockets of any page.
sockets = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))
application = ProtocolTypeRouter({"http": http, "websocket": below(settings.PREFIX, sockets)})
