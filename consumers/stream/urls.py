"""Put this into your URLs: `path("live/", include("turnlog.consumers.stream.urls"))`."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "turnlog_stream"

urlpatterns = [path("", views.events, name="events")]
