"""The tutorial's application, and others that are not quite right."""

import os

from mysite.asgi import application as tutorial  # First: it sets Django up.
from mysite.asgi import django_application

from channels.auth import AuthMiddlewareStack  # isort: skip
from channels.routing import ProtocolTypeRouter, URLRouter  # isort: skip
from example.routing import websocket_urlpatterns  # isort: skip
from turnlog.consumers.routing import with_script_name  # isort: skip

# Where the files are collected, the tutorial's handler does not know their names.
collected = "DOOR_STATIC_ROOT" in os.environ
http = django_application if collected else tutorial.application_mapping["http"]
routes = URLRouter(websocket_urlpatterns)

application = ProtocolTypeRouter({"http": http, "websocket": AuthMiddlewareStack(routes)})
named = ProtocolTypeRouter(
    {"http": http, "websocket": with_script_name(AuthMiddlewareStack(routes))}
)
without_websockets = ProtocolTypeRouter({"http": http})
without_users = ProtocolTypeRouter({"http": http, "websocket": routes})
