from django.urls import path
from django.views.generic import RedirectView

from . import views

urlpatterns = [
    path("", RedirectView.as_view(url="chat/1/"), name="chat-home"),
    path("chat/<int:room_pk>/", views.language_tutor_chat, name="chat"),
]
