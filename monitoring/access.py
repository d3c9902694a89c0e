"""Whether open sockets may stay open: for all of them at once, in as many queries for 200 as for one."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from monitoring.permissions import OPERATE, VIEW


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who opened a socket."""

    session_key: str
    user_id: int


def permitted(visitors: Iterable[Visitor]) -> dict[Visitor, bool]:
    """Those who may still look, and whether they may also act.

    Missing are those who signed out, whose session ended, whose password was changed, who were deactivated or
    lost the permission. Three queries.
    """
    asked = set(visitors)
    users, ids = get_user_model().objects, {visitor.user_id for visitor in asked}
    may_look = {user.pk: user for user in users.with_perm(VIEW).filter(pk__in=ids)}
    may_act = set(users.with_perm(OPERATE).filter(pk__in=ids).values_list("pk", flat=True))
    keys = {visitor.session_key for visitor in asked}
    sessions = {
        session.session_key: session.get_decoded()
        for session in Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    }
    return {
        visitor: visitor.user_id in may_act
        for visitor in asked
        if (user := may_look.get(visitor.user_id)) and _signed_in(sessions.get(visitor.session_key, {}), user)
    }


def _signed_in(session: dict[str, str], user: object) -> bool:
    expected = user.get_session_auth_hash()  # type: ignore[attr-defined]
    return str(session.get(SESSION_KEY)) == str(user.pk) and constant_time_compare(  # type: ignore[attr-defined]
        session.get(HASH_SESSION_KEY, ""), expected
    )
