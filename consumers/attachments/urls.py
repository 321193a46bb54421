"""Put this into your URLs: `path("files/", include("turnlog.consumers.attachments.urls"))`."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "turnlog_files"

urlpatterns = [
    path("<str:token>/", views.upload, name="upload"),
    path("<str:token>/<uuid:name>/", views.remove, name="remove"),
    path("<str:token>/<int:version>/<int:number>/", views.file, name="file"),
]
