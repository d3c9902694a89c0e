"""Signing in with a password: who guesses has to wait.

Failures are counted in the cache, for a name from one address and for an address as a whole. A person is not locked out
by a stranger elsewhere, and a link of `manage.py loginlink` works at any time.
"""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.utils.crypto import salted_hmac

# So many failures are free within this time; the counting begins with the first.
SECONDS = 300
OF_A_NAME = 5
OF_AN_ADDRESS = 30
WAIT = f"Too many wrong passwords. Try again in {SECONDS // 60} minutes, or sign in with a link."


class Patient:
    """Part of a form: asks for the password only while there were not too many wrong ones."""

    def clean(self) -> dict[str, Any]:
        """Check the password, if it is time for it."""
        keys = self._keys()
        if any(int(cache.get(key, 0)) >= most for key, most in keys.items()):
            raise ValidationError(WAIT, code="wait")
        try:
            cleaned: dict[str, Any] = super().clean()  # type: ignore[misc]
        except ValidationError:
            for key in keys:
                if not cache.add(key, 1, SECONDS):
                    cache.incr(key)
            raise
        if self.user_cache is not None:  # type: ignore[attr-defined]
            cache.delete(next(iter(keys)))
        return cleaned

    def _keys(self) -> dict[str, int]:
        request, given = self.request, self.cleaned_data  # type: ignore[attr-defined]
        address = str(request.META.get("REMOTE_ADDR", "")) if request else ""
        name = str(given.get("username", "")).lower()
        return {_key(f"name {name}", address): OF_A_NAME, _key("any", address): OF_AN_ADDRESS}


def _key(name: str, address: str) -> str:
    """Names may be long and odd: a digest of them fits any cache."""
    return f"sign-in-{salted_hmac('monitoring.sign_in', f'{name}/{address}', algorithm='sha256').hexdigest()}"


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
