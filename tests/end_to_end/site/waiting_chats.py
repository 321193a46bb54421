"""The tutorial's application, whose tool waits for a person's approval."""

from mysite.asgi import application as application  # First: it sets Django up.

from example.consumers import LanguageTutorChatConsumer  # isort: skip

LanguageTutorChatConsumer.approve_tools = ["look_up_price"]
