"""Reading the process environment: each function names the variable when its value is unusable."""

import os
import re
import secrets
from collections.abc import Collection
from importlib.machinery import PathFinder
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


def env_bool(name: str, default: bool) -> bool:
    """A yes or no from the environment."""
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in TRUE | FALSE:
        return value.strip().lower() in TRUE
    raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}")


def env_number(name: str, default: float, minimum: float = 0) -> float:
    """A number of at least `minimum` from the environment."""
    value = os.environ.get(name)
    if value is None:
        return default
    try:
        number = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {value!r}") from None
    if not minimum <= number < float("inf"):
        raise ImproperlyConfigured(f"{name} must be at least {minimum:g}, not {value!r}")
    return number


def env_int(name: str, default: int, minimum: int = 0) -> int:
    """A whole number of at least `minimum` from the environment."""
    number = env_number(name, default, minimum)
    if number != int(number):
        raise ImproperlyConfigured(f"{name} must be a whole number, not {number!r}")
    return int(number)


def env_choice(name: str, default: str, choices: Collection[str]) -> str:
    """One of these words from the environment."""
    value = os.environ.get(name, "").strip() or default
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def env_label(name: str, longest: int) -> str:
    """A few words for people from the environment; empty where there are none."""
    value = os.environ.get(name, "").strip()
    if len(value) > longest or not value.isprintable():
        raise ImproperlyConfigured(f"{name} must be at most {longest} printable characters, not {value!r}")
    return value


def env_path(name: str) -> str:
    """A path of an address without its last slash, as `/jobs`; empty where there is none."""
    value = os.environ.get(name, "").strip().rstrip("/")
    if value and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value):
        raise ImproperlyConfigured(f"{name} must be a path such as /jobs, not {value!r}")
    return value


def env_list(name: str, default: list[str]) -> list[str]:
    """Comma-separated words from the environment."""
    value = os.environ.get(name)
    if value is None:
        return default
    return [word.strip() for word in value.split(",") if word.strip()]


def env_networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Comma-separated addresses and networks from the environment."""
    try:
        return [ip_network(word) for word in env_list(name, [])]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be addresses or networks, as 10.0.0.5,10.1.0.0/16: {error}") from None


def env_apps(name: str) -> list[str]:
    """Django apps from the environment, each of which can be found; none is imported."""
    apps = env_list(name, [])
    for app in apps:
        if not _can_be_found(app):
            raise ImproperlyConfigured(f"{name} names {app!r}, but Python finds no such package from here")
    return apps


def _can_be_found(app: str) -> bool:
    parts = app.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    spec = find_spec(parts[0])
    for end, part in enumerate(parts[1:], 2):
        if spec is None or spec.submodule_search_locations is None:
            break  # what follows is the name of a class
        inner = PathFinder.find_spec(".".join(parts[:end]), list(spec.submodule_search_locations))
        if inner is None and part[0].isupper():
            break
        spec = inner
    return spec is not None


def database_settings(url: str) -> dict[str, Any]:
    """Django's settings for a `postgresql://user:password@host:port/name?option=value` address."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must start with postgresql://")
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", None) or unquote(parts.hostname or "")
    try:
        port = parts.port or options.pop("port", "")
    except ValueError:
        raise ImproperlyConfigured("DATABASE_URL has a port that is not a number") from None
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured("DATABASE_URL names no database: postgresql://user@host/NAME")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port),
        "OPTIONS": options,
    }


def secret_key(home: Path) -> str:
    """Django's secret key: from BATCHCONSOLE_SECRET_KEY, else made once and kept in the home folder."""
    if value := os.environ.get("BATCHCONSOLE_SECRET_KEY"):
        return value
    try:
        return _kept_key(home)
    except OSError as error:
        raise ImproperlyConfigured(f"BATCHCONSOLE_HOME: {home} cannot be used: {error.strerror}") from None


def _kept_key(home: Path) -> str:
    path = home / "secret_key"
    try:
        return path.read_text()
    except FileNotFoundError:
        home.mkdir(parents=True, exist_ok=True)
    # Written aside and linked, so that of two first starts both read one whole key.
    aside = home / f".secret_key.{os.getpid()}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
    return path.read_text()
