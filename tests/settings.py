"""The product's settings in a private, temporary home.

A settings module of its own, because Django's settings are read before any conftest.py is.
"""

import os
import tempfile
from pathlib import Path

# Short and not under pytest's own folder, which the embedded server's user could not enter when the tests run as root.
TEST_HOME = Path(tempfile.mkdtemp(prefix="bc-test-")).resolve()
TEST_HOME.chmod(0o755)
os.environ["BATCHCONSOLE_HOME"] = str(TEST_HOME / "home")
os.environ["BATCHCONSOLE_SERVICE_DIR"] = str(TEST_HOME / "service")
os.environ["CELERY_BROKER_URL"] = ""

from batchconsole.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
