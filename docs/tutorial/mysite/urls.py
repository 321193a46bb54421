from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.urls import include, path
from django.views.generic import TemplateView

urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="home.html")), name="home"),
    path("admin/", admin.site.urls),
    path("accounts/", include("django.contrib.auth.urls")),
    path("example/", include("example.urls")),
    path("analyst/", include("analyst.urls")),
    path("conversations/", include("example.conversations")),
    path("review/", include("turnlog.consumers.review.urls")),
    path("files/", include("turnlog.consumers.attachments.urls")),
    path("live/", include("turnlog.consumers.stream.urls")),
]
