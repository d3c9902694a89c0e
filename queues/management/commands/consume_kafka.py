"""`manage.py consume_kafka`: the messages of a Kafka topic become jobs, each exactly once."""

import signal
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from queues import handlers
from queues.kafka import Collect, KafkaFailed, KafkaMissing, Source
from queues.management.base import OperatorCommand, UsageError, a_count
from queues.models import Queue
from queues.services.take_messages import value_only, whole_message


class Command(OperatorCommand):
    """Reads until SIGTERM or Ctrl-C; what was collected by then is enqueued first."""

    help = (
        "Enqueue the messages of a Kafka topic, each exactly once: their offsets move in the transaction that takes "
        "them. SIGTERM or Ctrl-C stops it. Needs the extra batchconsole[kafka]."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """From where, to whom, and how much at a time."""
        parser.add_argument("topic")
        parser.add_argument("--brokers", required=True, metavar="HOST:PORT,...", help="where to find the cluster")
        parser.add_argument("--handler", required=True, help="what does the work")
        parser.add_argument("--queue", help="default: the handler's own")
        parser.add_argument("--group", default="batchconsole", help="consumer group (default %(default)s)")
        parser.add_argument("--size", type=a_count, default=100, help="messages to a batch (default %(default)s)")
        parser.add_argument("--seconds", type=float, default=5.0, help="longest wait of a message for others")
        parser.add_argument("--max-bytes", type=a_count, default=1_048_576, help="(default %(default)s)")
        parser.add_argument("--value-only", action="store_true", help="payload: the value alone, without its place")
        parser.add_argument("--until-idle", type=float, metavar="SECONDS", help="end when nothing has come for so long")
        parser.add_argument(
            "--option", action="append", type=_an_option, default=[], metavar="NAME=VALUE", help="of the client library"
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> None:
        """Read, and say how much was taken."""
        source = _source(options)
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, lambda *_: source.stop.set())
        self.say(f"Reading {source.topic} for the queue {source.queue}. Ctrl-C stops.")
        self.stdout.flush()
        try:
            counts = source.run(until_idle=options["until_idle"])
        except (KafkaMissing, KafkaFailed) as error:
            raise CommandError(str(error)) from None
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.as_json:
            self.document(asdict(counts))
        self.say(f"{counts.jobs:,} jobs in {counts.batches:,} batches, {counts.unreadable:,} unreadable messages")


def _source(options: dict[str, Any]) -> Source:
    try:
        handler = handlers.find(options["handler"])
        collect = Collect(options["size"], options["seconds"], options["max_bytes"])
    except ValueError as error:
        raise UsageError(str(error)) from None
    queue = options["queue"] or handler.queue
    if not Queue.objects.filter(name=queue).exists():
        raise UsageError(f"unknown queue {queue!r}; `manage.py queues list` shows those there are")
    return Source(
        options["topic"],
        options["group"],
        handler.name,
        queue,
        options["brokers"],
        collect,
        value_only if options["value_only"] else whole_message,
        dict(options["option"]),
    )


def _an_option(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
