"""The product's settings in a private, temporary home.

A settings module of its own, because Django's settings are read before any conftest.py is.
"""

import os
import tempfile
from pathlib import Path

# The run's: whoever comes first makes it and removes it.
OWN = "BATCHCONSOLE_TEST_HOME" not in os.environ
if OWN:
    # Short and not under pytest's own folder, which the embedded server's user could not enter when we are root.
    os.environ["BATCHCONSOLE_TEST_HOME"] = tempfile.mkdtemp(prefix="bc-test-")
RUN_HOME = Path(os.environ["BATCHCONSOLE_TEST_HOME"]).resolve()
# Each process that runs tests has a part of it, which it shares with the processes that its tests start.
TEST_HOME = RUN_HOME / os.environ.get("PYTEST_XDIST_WORKER", "")
for folder in (RUN_HOME, TEST_HOME):
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    # Some hundred processes are started, and each would compile everything anew.
    os.environ["PYTHONPYCACHEPREFIX"] = str(RUN_HOME / "compiled")
os.environ["BATCHCONSOLE_HOME"] = str(TEST_HOME / "home")
os.environ["BATCHCONSOLE_SERVICE_DIR"] = str(RUN_HOME / "service")
os.environ["CELERY_BROKER_URL"] = ""

from batchconsole.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
