"""The tests' project with the review room."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("django.contrib.auth.urls")),
    path("review/", include("turnlog.consumers.review.urls")),
    path("live/", include("turnlog.consumers.stream.urls")),
]
