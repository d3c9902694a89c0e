"""Acting in the admin as a person does: the action of a list, its question, and the answer."""

import re
from html import unescape
from typing import Any

from django.test import Client

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


def ask(client: Client, page: str, action: str, keys: list[Any], **more: Any) -> Any:
    """The question that an action asks about rows, or where it leads when there is none."""
    return client.post(page, {"action": action, "_selected_action": keys, **more}, follow=True)


def fields_of(question: Any) -> dict[str, str]:
    """What the form of a question sends back, as it stands; nothing where it has none."""
    form = question.content.decode().rpartition('<form method="post">')[2]
    return {unescape(name): unescape(value) for name, value in HIDDEN.findall(form)}


def act(client: Client, page: str, action: str, keys: list[Any], **answers: Any) -> Any:
    """Ask and confirm; the list afterwards. Where there was nothing to confirm, what was shown instead."""
    question = ask(client, page, action, keys)
    fields = fields_of(question)
    return client.post(page, {**fields, **answers}, follow=True) if "confirmed" in fields else question


def said(response: Any) -> str:
    """The notices above a list, and why something is left alone."""
    left = re.findall(r"<li><strong>(\d+)</strong> (not: [^<]*)</li>", response.content.decode())
    return " ".join([*map(str, response.context["messages"]), *(f"{count} {why}" for count, why in left)])
