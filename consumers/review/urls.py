"""Put this into your URLs: `path("review/", include("turnlog.consumers.review.urls"))`."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "turnlog_review"

urlpatterns = [
    path("", views.conversations, name="conversations"),
    path("health/", views.health, name="health"),
    path("<int:pk>/", views.conversation, name="conversation"),
    path("<int:pk>/events/<int:version>/", views.event, name="event"),
    path("<int:pk>/events/<int:version>/picture/", views.picture, name="picture"),
    path("<int:pk>/given/<int:version>/", views.given, name="given"),
    path("<int:pk>/compare/", views.compare, name="compare"),
]
