from django.urls import path

from . import views

urlpatterns = [
    path("", views.sales_analyst, name="sales-analyst"),
]
