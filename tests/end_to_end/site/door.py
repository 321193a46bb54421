"""The tutorial's application, and others that are not quite right."""

from mysite.asgi import application as tutorial  # First: it sets Django up.

from channels.auth import AuthMiddlewareStack  # isort: skip
from channels.routing import ProtocolTypeRouter, URLRouter  # isort: skip
from example.routing import websocket_urlpatterns  # isort: skip
from turnlog.consumers.routing import with_script_name  # isort: skip

http = tutorial.application_mapping["http"]
routes = URLRouter(websocket_urlpatterns)

application = ProtocolTypeRouter({"http": http, "websocket": AuthMiddlewareStack(routes)})
named = ProtocolTypeRouter(
    {"http": http, "websocket": with_script_name(AuthMiddlewareStack(routes))}
)
without_websockets = ProtocolTypeRouter({"http": http})
without_users = ProtocolTypeRouter({"http": http, "websocket": routes})
