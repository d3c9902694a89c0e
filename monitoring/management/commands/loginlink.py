"""`manage.py loginlink`: another way in."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.login_links import LIFETIME, create_login_link, known_address


class Command(BaseCommand):
    """Prints a link that signs in once."""

    help = "Print a link that signs you in to the console once, within 15 minutes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The address and the user."""
        parser.add_argument("--base-url", default="", help="where the console is (default: where `up` started it)")
        parser.add_argument("--user", default="", help="whom to sign in (default: the first superuser)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the link and print it alone, so that it can be piped."""
        try:
            link = create_login_link(options["base_url"] or known_address(), options["user"])
        except LookupError as error:
            raise CommandError(error.args[0]) from None
        self.stdout.write(link)
        if self.stdout.isatty():
            self.stderr.write(f"Good for one sign-in within {int(LIFETIME.total_seconds() // 60)} minutes.")
