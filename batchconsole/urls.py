"""The addresses of the whole site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("monitoring.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "monitoring.views.bad_request.bad_request"
