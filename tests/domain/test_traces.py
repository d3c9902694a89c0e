"""What is kept of an exception."""

import gc
import json
import sys
import threading
import time
from pathlib import Path

import pytest

from queues.domain import traces
from queues.domain.places import place_of
from queues.domain.traces import TRACEBACK_BYTES, describe


class JobError(Exception):
    pass


def caught(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fail(message="no such user"):
    raise JobError(message)


def fail_in_library():
    json.loads("[1,")


def test_the_facts_of_a_plain_error():
    facts = describe(caught(fail))
    assert facts.error_class == "tests.domain.test_traces.JobError"
    assert facts.message == "no such user"
    assert facts.place == "tests/domain/test_traces.py:fail"
    assert facts.traceback.startswith("Traceback (most recent call last):\n  File ")
    assert "    raise JobError(message)\n" in facts.traceback
    assert facts.traceback.endswith("tests.domain.test_traces.JobError: no such user\n")


def test_a_builtin_class_has_no_module_and_an_empty_message_no_colon():
    facts = describe(caught(fail_with, KeyError()))
    assert facts.error_class == "KeyError"
    assert facts.message == ""
    assert facts.traceback.endswith("\nKeyError\n")


def fail_with(error):
    raise error


def test_the_place_is_the_innermost_frame_of_the_project_not_of_a_library():
    facts = describe(caught(fail_in_library))
    assert facts.place == "tests/domain/test_traces.py:fail_in_library"
    assert "json/decoder.py" in facts.traceback


def test_given_roots_decide_what_the_project_is():
    stdlib = str(Path(json.__file__).parent)
    facts = describe(caught(fail_in_library), project_roots=(stdlib,))
    assert facts.place == "decoder.py:JSONDecoder.raw_decode"
    elsewhere = describe(caught(fail_in_library), project_roots=("/nowhere",))
    assert elsewhere.place == "json/decoder.py:JSONDecoder.raw_decode"


def test_a_place_does_not_tell_the_machine_it_comes_from():
    source = "def run():\n    raise ValueError\n"
    scope = {}
    exec(compile(source, "/home/somebody/deploy/2024/shop/jobs.py", "exec"), scope)
    assert describe(caught(scope["run"])).place == "2024/shop/jobs.py:run"
    assert place_of([], ()) == ""


def test_an_error_that_was_never_raised_has_neither_place_nor_stack():
    facts = describe(ValueError("just made"))
    assert facts.place == ""
    assert facts.traceback == "ValueError: just made\n"


class TestChains:
    def test_causes_and_contexts_come_first_with_their_own_stacks(self):
        def outer():
            try:
                try:
                    fail("first")
                except JobError as error:
                    raise KeyError("second") from error
            except KeyError:
                raise ValueError("third")  # noqa: B904 - the context is the point

        text = describe(caught(outer)).traceback
        parts = [
            "JobError: first",
            "direct cause",
            "KeyError: 'second'",
            "During handling",
            "ValueError: third",
        ]
        assert [part for part in parts if part in text] == parts
        positions = [text.index(part) for part in parts]
        assert positions == sorted(positions)
        assert text.count("Traceback (most recent call last)") == 3

    def test_a_suppressed_context_is_not_shown(self):
        def hidden():
            try:
                fail("secret")
            except JobError:
                raise ValueError("shown") from None

        assert "secret" not in describe(caught(hidden)).traceback

    def test_a_chain_that_closes_on_itself_ends(self):
        one, other = ValueError("one"), ValueError("other")
        one.__cause__, other.__cause__ = other, one
        assert describe(one).traceback.count("ValueError") == 2

    def test_a_long_chain_shows_the_last_ten(self):
        error = ValueError("link 0")
        for number in range(1, 100):
            following = ValueError(f"link {number}")
            following.__cause__ = error
            error = following
        text = describe(error).traceback
        assert "link 90\n" in text
        assert "link 89\n" not in text

    def test_notes_are_shown(self):
        error = ValueError("x")
        error.add_note("while importing row 7")
        error.__notes__.append(5)
        assert describe(error).traceback == "ValueError: x\nwhile importing row 7\n"

    def test_the_members_of_a_group_are_shown_nested_ones_too(self):
        inner = ExceptionGroup("inner", [KeyError("k"), caught(fail, "deep")])
        text = describe(caught(fail_with, ExceptionGroup("outer", [ValueError("a"), inner]))).traceback
        for part in ("ExceptionGroup: outer (2 sub-exceptions)", "+---- 1 ----", "| ValueError: a"):
            assert part in text
        assert "+---- 2.2 ----\n  | Traceback" in text
        assert "JobError: deep" in text

    def test_of_a_large_group_ten_are_shown(self):
        text = describe(ExceptionGroup("many", [ValueError(str(n)) for n in range(1000)])).traceback
        assert text.count("ValueError") == 10
        assert "more members" in text


class TestOddErrors:
    def test_a_message_that_cannot_be_had(self):
        class Broken(Exception):
            def __str__(self):
                raise ZeroDivisionError

        facts = describe(caught(fail_with, Broken()))
        assert facts.message == "<no message: its __str__ raised ZeroDivisionError>"

    def test_a_message_that_is_no_string(self):
        class Numeric(Exception):
            def __str__(self):
                return 5

        assert "TypeError" in describe(Numeric()).message

    def test_a_message_that_lies_about_itself(self):
        class Liar(str):
            def __len__(self):
                return 0

            def __getitem__(self, item):
                raise RuntimeError

        class Odd(Exception):
            def __str__(self):
                return Liar("told plainly")

        message = describe(Odd()).message
        assert message == "told plainly"
        assert type(message) is str

    def test_a_class_without_a_usable_name(self):
        class Meta(type):
            def __getattribute__(cls, name):
                if name == "__qualname__":
                    raise RuntimeError
                return super().__getattribute__(name)

        class Nameless(Exception, metaclass=Meta):
            pass

        assert "Nameless" in describe(Nameless("x")).error_class

    def test_a_hundred_megabytes_of_message(self):
        error = caught(fail, "x" * 100_000_000)
        started = time.process_time()
        facts = describe(error)
        assert time.process_time() - started < 1
        assert len(facts.message.encode()) <= 8192
        assert "100,000,000 characters" in facts.message

    def test_characters_that_cannot_be_stored(self):
        facts = describe(caught(fail, "nul \0, half \ud800, \x1b[31mred"))
        assert facts.message == "nul , half \ufffd, red"
        facts.traceback.encode()
        assert "\0" not in facts.traceback

    def test_endless_recursion_keeps_both_ends(self):
        def down(n):
            return down(n + 1)

        facts = describe(caught(down, 0))
        assert facts.error_class == "RecursionError"
        assert "frames left out" in facts.traceback
        assert "in caught" in facts.traceback
        assert facts.place.endswith("<locals>.down")
        assert len(facts.traceback.encode()) <= TRACEBACK_BYTES

    def test_very_long_lines_of_source_do_not_grow_the_traceback(self):
        source = "".join(f"def f{n}(): {'x' * 5000} = f{n + 1}()\n" for n in range(40)) + "def f40(): 1 / 0\n"
        scope = {}
        name = "/tmp/long_lines.py"
        exec(compile(source, name, "exec"), scope)
        import linecache

        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        facts = describe(caught(scope["f0"]))
        assert len(facts.traceback.encode()) <= TRACEBACK_BYTES
        assert facts.traceback.endswith("ZeroDivisionError: division by zero\n")
        assert "[cut: " in facts.traceback

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
    def test_errors_that_end_programs_are_described_like_others(self, error):
        assert describe(caught(fail_with, error)).error_class == type(error).__name__

    def test_a_syntax_error(self):
        facts = describe(caught(compile, "1 +", "x.py", "exec"))
        assert facts.error_class == "SyntaxError"
        assert "invalid syntax" in facts.message


class TestMemory:
    def test_the_same_stack_is_formatted_once_and_messages_stay_apart(self, monkeypatch):
        describe(caught(fail, "warm"))
        monkeypatch.setattr(traces.traceback, "format_tb", lambda *_, **__: pytest.fail("formatted again"))
        one, other = describe(caught(fail, "message 1 of 2")), describe(caught(fail, "message 2 of 2"))
        assert one.traceback.replace("message 1 of 2", "message 2 of 2") == other.traceback

    def test_another_line_of_the_same_function_is_another_stack(self):
        def either(first):
            if first:
                raise ValueError("x")
            raise ValueError("x")

        assert describe(caught(either, True)).traceback != describe(caught(either, False)).traceback

    def test_it_forgets_the_oldest_and_keeps_what_is_used(self, monkeypatch):
        formatted = []
        format_tb = traces.traceback.format_tb
        monkeypatch.setattr(traces.traceback, "format_tb", lambda *args: formatted.append(1) or format_tb(*args))
        traces._known.clear()
        for number in range(1000):
            scope = {}
            exec(f"def f{number}():\n    raise ValueError", scope)
            describe(caught(scope[f"f{number}"]))
            describe(caught(fail))
        assert len(traces._known) == 256
        assert len(formatted) == 1001

    def test_a_new_function_where_an_old_one_was_does_not_get_its_text(self):
        for number in range(300):
            scope = {}
            exec(f"def run_{number}():\n    raise ValueError", scope)
            assert describe(caught(scope[f"run_{number}"])).place.endswith(f"run_{number}")
            del scope

    def test_no_frame_is_kept_alive(self):
        class Witness:
            pass

        def local():
            witness = Witness()  # noqa: F841 - alive as long as the frame is
            raise ValueError

        describe(caught(local))
        gc.collect()
        assert not [found for found in gc.get_objects() if type(found) is Witness]

    def test_threads_may_describe_at_once(self):
        problems = []

        def work():
            try:
                for number in range(400):
                    scope = {}
                    exec(f"def f{number}():\n    raise ValueError", scope)
                    assert describe(caught(scope[f"f{number}"])).place.endswith(f"f{number}")
            except BaseException as error:
                problems.append(error)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert not problems
        assert len(traces._known) <= 260
