"""The addresses of the whole site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from monitoring.sign_in import AdminSignInForm

admin.site.login_form = AdminSignInForm
# Whoever follows "Admin" from the console should see that it is the same house.
admin.site.site_header = "batchconsole admin"
admin.site.site_title = "batchconsole"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("monitoring.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "monitoring.views.bad_request.bad_request"
handler403 = "monitoring.views.refusals.forbidden"
handler500 = "monitoring.views.refusals.failed"
