"""Signing in with a password: who guesses has to wait.

Failures are counted in the database, for all web processes together: for a name from one address and for an address as
a whole. A person is not locked out by a stranger elsewhere, and a link of `manage.py loginlink` works at any time.
"""

from datetime import timedelta
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.db.models.functions import Now
from django.http import HttpResponse
from django.utils.crypto import salted_hmac

from monitoring import addresses
from monitoring.models import SignInTry

# So many failures are free within this time.
SECONDS = 300
OF_A_NAME = 5
OF_AN_ADDRESS = 30
WAIT = f"Too many wrong passwords. Try again in {SECONDS // 60} minutes, or sign in with a link."


class Patient:
    """Part of a form: asks for the password only while there were not too many wrong ones."""

    def clean(self) -> dict[str, Any]:
        """Check the password, if it is time for it."""
        keys = self._keys()
        # Counted before it is looked at: of many tries at the same moment no more than are free get to a password.
        tries = [try_.pk for try_ in SignInTry.objects.bulk_create(SignInTry(key=key) for key in keys)]
        counted = not any(_count(key) > most for key, most in keys.items())
        try:
            if not counted:
                raise ValidationError(WAIT, code="wait")
            cleaned: dict[str, Any] = super().clean()  # type: ignore[misc]
            counted = False
        finally:
            if not counted:
                # Refused, right, or nothing typed.
                SignInTry.objects.filter(pk__in=tries).delete()
        if self.user_cache is not None:  # type: ignore[attr-defined]
            SignInTry.objects.filter(key=next(iter(keys))).delete()
        return cleaned

    def _keys(self) -> dict[str, int]:
        request, given = self.request, self.cleaned_data  # type: ignore[attr-defined]
        address = addresses.of(request) if request else ""
        name = str(given.get("username", "")).lower()
        return {_key(f"name {name}", address): OF_A_NAME, _key("any", address): OF_AN_ADDRESS}


def _count(key: str) -> int:
    """Tries within the time that counts; older ones are forgotten."""
    since = Now() - timedelta(seconds=SECONDS)
    SignInTry.objects.filter(at__lt=since).delete()
    return SignInTry.objects.filter(key=key, at__gte=since).count()


def _key(name: str, address: str) -> str:
    """A digest: nobody reads in the database who tried to come in, and names may be long and odd."""
    return salted_hmac("monitoring.sign_in", f"{name}/{address}", algorithm="sha256").hexdigest()


class SignInForm(Patient, AuthenticationForm):
    """Of the console."""


class AdminSignInForm(Patient, AdminAuthenticationForm):
    """Of the admin."""


class SignIn(LoginView):
    """The console's door."""

    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """The form again, which says what is wrong."""
        response = super().form_invalid(form)
        if form.has_error("__all__", "wait"):
            response.status_code = 429
            response.headers["Retry-After"] = str(SECONDS)
        return response
