"""Settings of the whole product; every value that a site may change comes from the environment."""

import os
from pathlib import Path
from typing import Any

from batchconsole.environment import (
    database_settings,
    env_apps,
    env_bool,
    env_choice,
    env_int,
    env_label,
    env_list,
    env_networks,
    env_number,
    env_path,
    secret_key,
)

BASE_DIR = Path(__file__).resolve().parent.parent
# All state of one machine: the embedded database, the file broker, the secret key, logs.
HOME = Path(os.environ.get("BATCHCONSOLE_HOME") or BASE_DIR / "var").resolve()

SECRET_KEY = secret_key(HOME)
DEBUG = env_bool("BATCHCONSOLE_DEBUG", False)
ALLOWED_HOSTS = env_list("BATCHCONSOLE_ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env_list("BATCHCONSOLE_TRUSTED_ORIGINS", [])
# Proxies that are believed when they say for whom they ask.
TRUSTED_PROXIES = env_networks("BATCHCONSOLE_TRUSTED_PROXIES")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_celery_beat",
    "django_htmx",
    "channels",
    "queues",
    "monitoring",
    "batchconsole",
    *env_apps("BATCHCONSOLE_APPS"),
]

MIDDLEWARE = [
    "monitoring.request_ids.RequestIds",
    "django.middleware.security.SecurityMiddleware",
    "monitoring.middleware.StaticFiles",
    "monitoring.middleware.SecurityHeaders",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

# The path below which everything is, where a proxy gives the console only a part of an address.
PREFIX = env_path("BATCHCONSOLE_PREFIX")
FORCE_SCRIPT_NAME = PREFIX or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{PREFIX}/"

ROOT_URLCONF = "batchconsole.urls"
ASGI_APPLICATION = "batchconsole.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

if DATABASE_URL := os.environ.get("DATABASE_URL", ""):
    DATABASES = {"default": database_settings(DATABASE_URL)}
else:
    from batchconsole.embedded import embedded_database

    DATABASES = {"default": embedded_database(HOME)}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = HOME / "static"
WHITENOISE_USE_FINDERS = True

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_HTTPONLY = True
# Behind a proxy with TLS the cookies never travel without it.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = any(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Django's default tells errors of requests only by mail. Here everything goes to the standard error of its process.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}{request_name}: {message}", "style": "{"}},
    "filters": {"request": {"()": "monitoring.request_ids.NamesRequest"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request"]}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        **{name: {"level": "INFO"} for name in ("batchconsole", "monitoring", "queues")},
        # Two lines for each ring and hint, several times a second.
        **{name: {"level": "WARNING"} for name in ("celery.worker.strategy", "celery.app.trace")},
    },
}

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "")

# Milliseconds that one statement of a page of the console may take; what takes longer is left out of the page.
CONSOLE_STATEMENT_MS = env_int("BATCHCONSOLE_CONSOLE_STATEMENT_MS", 3_000, minimum=1)

# What the top bar of every page calls this installation, and on which ground: a production's is red.
CONSOLE_ENVIRONMENT = env_label("BATCHCONSOLE_ENVIRONMENT", 24)
CONSOLE_ENVIRONMENT_COLOUR = env_choice(
    "BATCHCONSOLE_ENVIRONMENT_COLOUR",
    "red" if CONSOLE_ENVIRONMENT.lower().startswith("prod") else "grey",
    ("red", "amber", "green", "blue", "violet", "grey"),
)

# A batch with more jobs is refused unless it is split into parts of at most this many.
BATCH_MAX_JOBS = env_int("BATCHCONSOLE_BATCH_MAX_JOBS", 10_000, minimum=1)

# The policy of a queue that its handlers do not say otherwise. Seconds, jobs and bytes.
QUEUE_DEFAULTS: dict[str, Any] = {
    "chunk_size": env_int("BATCHCONSOLE_CHUNK_SIZE", 200, minimum=1),
    # A run aims at so many seconds: it starts small, grows by half and shrinks by a third, between these bounds.
    "run_start": env_int("BATCHCONSOLE_RUN_START", 50, minimum=1),
    "run_least": env_int("BATCHCONSOLE_RUN_LEAST", 10, minimum=1),
    "run_size": env_int("BATCHCONSOLE_RUN_SIZE", 500, minimum=1),
    "run_target": env_number("BATCHCONSOLE_RUN_TARGET", 5.0, minimum=0.001),
    "max_attempts": env_int("BATCHCONSOLE_MAX_ATTEMPTS", 3, minimum=1),
    "backoff": os.environ.get("BATCHCONSOLE_BACKOFF", "exponential"),
    "backoff_base": env_number("BATCHCONSOLE_BACKOFF_BASE", 1.0),
    "backoff_cap": env_number("BATCHCONSOLE_BACKOFF_CAP", 3_600.0),
    "jitter": env_number("BATCHCONSOLE_JITTER", 0.25),
}
# Whether webhooks may lead to addresses that are not public: this machine, this network.
WEBHOOK_PRIVATE = env_bool("BATCHCONSOLE_WEBHOOK_PRIVATE", False)
# What Prometheus has to show for /metrics; empty: only those who are signed in may look.
METRICS_TOKEN = os.environ.get("BATCHCONSOLE_METRICS_TOKEN", "")
LEASE_SECONDS = env_number("BATCHCONSOLE_LEASE_SECONDS", 12.0, minimum=1)

# --- Retention of what has ended, in seconds ---
# Finished jobs: how long they stay in the hot tables, then in the archive. New queues start with these; each
# queue has its own.
ARCHIVE_AFTER = env_number("BATCHCONSOLE_ARCHIVE_AFTER", 3_600.0)
PURGE_AFTER = env_number("BATCHCONSOLE_PURGE_AFTER", 30 * 86_400.0)
QUEUE_DEFAULTS |= {"archive_after": ARCHIVE_AFTER, "purge_after": PURGE_AFTER}
# Deleted jobs can be brought back for this long, then they are archived as deleted.
TRASH_AFTER = env_number("BATCHCONSOLE_TRASH_AFTER", 72 * 3_600.0)
RUN_RETENTION = env_number("BATCHCONSOLE_RUN_RETENTION", 14 * 86_400.0)
# Of jobs that have left the hot tables; a dead letter's tries stay with it.
ATTEMPT_RETENTION = env_number("BATCHCONSOLE_ATTEMPT_RETENTION", 30 * 86_400.0)
WORKER_RETENTION = env_number("BATCHCONSOLE_WORKER_RETENTION", 7 * 86_400.0)
OPERATION_RETENTION = env_number("BATCHCONSOLE_OPERATION_RETENTION", 90 * 86_400.0)
AUDIT_RETENTION = env_number("BATCHCONSOLE_AUDIT_RETENTION", 365 * 86_400.0)
