"""Signing in by a link from the terminal: 256 random bits, kept hashed, good for one use within 15 minutes.

The secret is the link's fragment. A browser never sends a fragment to a server, so it stands in no access
log, no proxy log and no Referer; the page puts it into the form that is posted.
"""

import hashlib
import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from monitoring.models import LoginLink

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LIFETIME = timedelta(minutes=15)
FIRST_USER = "admin"
USUAL_ADDRESS = "http://127.0.0.1:8000"


def remember_address(base_url: str) -> None:
    """Keep where the console of this home was last started, for links that are made later."""
    _address_file().write_text(f"{base_url}\n", encoding="utf-8")


def known_address() -> str:
    """Where the console of this home was last started; where `up` starts it by itself, if that is not known."""
    with suppress(OSError, UnicodeDecodeError):
        return _address_file().read_text(encoding="utf-8").strip() or USUAL_ADDRESS
    return USUAL_ADDRESS


def create_login_link(base_url: str, username: str = "") -> str:
    """A link that signs in `username`, or else the first superuser, made when there is none.

    The new superuser has no usable password: only links open the door until one is set.
    Raises `LookupError` for an unknown user.
    """
    user = _named(username) if username else _superuser()
    # Hexadecimal: a terminal that makes links of texts never cuts it off at a dash.
    token = secrets.token_hex(32)
    now = timezone.now()
    LoginLink.objects.filter(expires_at__lt=now - LIFETIME).delete()
    LoginLink.objects.create(token_hash=_hash(token), user=user, expires_at=now + LIFETIME)
    return f"{base_url.rstrip('/')}{reverse('login-link')}#{token}"


def consume_login_link(token: str) -> "User | None":
    """The user of a fresh link, which is used up by this; None for one that is used, old or unknown."""
    now = timezone.now()
    link = LoginLink.objects.filter(token_hash=_hash(token.strip()))
    # The update is the lock: of two that post the same token at once one changes the row. It filters by the
    # link's own columns only; a join would become a sub-select, which the loser would not ask again.
    if not link.filter(used_at=None, expires_at__gt=now).update(used_at=now):
        return None
    user = link.select_related("user").get().user
    return user if user.is_active else None


def _address_file() -> Path:
    return Path(settings.HOME) / "console-address"


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _named(username: str) -> "User":
    user = get_user_model().objects.filter(username=username, is_active=True).first()
    if user is None:
        raise LookupError(f"there is no active user {username!r}")
    return user


def _superuser() -> "User":
    users = get_user_model().objects
    with transaction.atomic():
        found = users.filter(is_superuser=True, is_active=True).order_by("pk").first()
        if found is not None:
            return found
        name = FIRST_USER
        while users.filter(username=name).exists():
            name = f"{FIRST_USER}-{secrets.token_hex(2)}"
        return users.create_superuser(name, email=None, password=None)
