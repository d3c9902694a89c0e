"""A process that goes on with operations, for tests to kill: python -m tests.concurrency.operator_process."""

import django

django.setup()

from queues.services import operate  # noqa: E402

operate.ROUND = 20
while operate.advance_all():
    pass
