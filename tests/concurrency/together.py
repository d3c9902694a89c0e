"""Threads that do something at the same moment, each on a connection of its own."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections

from queues import store


def together(*works: Callable[[], Any], timeout: float = 300) -> list[Any]:
    """Do all of it at once; the answers in order. An error of one is raised here."""
    return Team(works).once(timeout)


class Team:
    """Threads that start each round together. Their connections live as long as they do."""

    def __init__(self, works: Sequence[Callable[[], Any]]) -> None:
        self.works = works

    def once(self, timeout: float = 300) -> list[Any]:
        """One round."""
        return self.rounds(1, lambda _round: None, timeout)[0]

    def rounds(self, count: int, prepare: Callable[[int], None], timeout: float = 300) -> list[list[Any]]:
        """Rounds, each prepared by this thread while the others wait; the answers of each."""
        gate = threading.Barrier(len(self.works) + 1, timeout=timeout)
        answers: list[list[Any]] = [[None] * len(self.works) for _ in range(count)]
        errors: list[BaseException] = []

        def member(number: int, work: Callable[[], Any]) -> None:
            try:
                store.tune_for_work()  # as a worker does
                for turn in range(count):
                    gate.wait()
                    answers[turn][number] = work()
                    gate.wait()
            except BaseException as error:
                errors.append(error)
                gate.abort()
            finally:
                connections.close_all()

        threads = [threading.Thread(target=member, args=item) for item in enumerate(self.works)]
        for thread in threads:
            thread.start()
        outer = store.in_transaction()
        if not outer:
            store.tune_for_work()
        try:
            for turn in range(count):
                prepare(turn)
                gate.wait()
                gate.wait()
        except threading.BrokenBarrierError:
            pass
        except BaseException:
            gate.abort()
            raise
        finally:
            for thread in threads:
                thread.join()
            if not outer:
                connections.close_all()  # others expect one that is not tuned
        real = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
        if real or errors:
            raise (real or errors)[0]
        return answers
