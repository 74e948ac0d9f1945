"""Errors become a line and an exit status."""

import errno
import os
import subprocess
import sys
import textwrap

import pytest

from stn_jax import cli
from stn_jax.config import ConfigError
from stn_jax.data.errors import DataError
from stn_jax.training.errors import CheckpointError, CollapseError, NonFiniteError, WorkdirError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("words"), 2),
        (DataError("words"), 2),
        (WorkdirError("words"), 2),
        (PermissionError(errno.EACCES, "words"), 2),
        (CheckpointError("words"), 1),
        (CollapseError("words"), 1),
        (NonFiniteError("words"), 1),
        (OSError(errno.ENOSPC, "words"), 1),
    ],
)
def test_errors_become_one_line_and_a_status(capsys, error, status):
    def main() -> int:
        raise error

    assert cli.run(main) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "words" in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize("error", [KeyError("a"), ValueError("b"), OSError(errno.EIO, "c")])
def test_defects_pass(error):
    def main() -> int:
        raise error

    with pytest.raises(type(error)):
        cli.run(main)


def test_what_is_left_of_a_save_that_failed_is_not_said_beside_the_error(monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: said.append(str(dropped.exc_value)))

    class Callback:
        def __init__(self, words: str):
            self._words = words

        def __del__(self):
            raise RuntimeError(self._words)

    def main() -> int:
        Callback("Event loop is closed")
        Callback("another defect")
        return 0

    assert cli.run(main) == 0
    assert said == ["another defect"]


def test_the_status_is_the_programs_own():
    assert cli.run(lambda: 0) == 0
    assert cli.run(lambda: 7) == 7


def test_letters_that_the_output_cannot_write_are_escaped():
    done = subprocess.run(
        [sys.executable, "-c", "from stn_jax import cli; cli.run(lambda: print('湿疹') or 0)"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert (done.stdout, done.stderr, done.returncode) == ("\\u6e7f\\u75b9\n", "", 0)


@pytest.mark.parametrize(("after", "number"), [(1, "SIGINT"), (2, "SIGTERM"), (3, "SIGTERM")])
def test_a_signal_is_answered_while_signals_begin_and_cease_to_be_caught(after, number):
    """SIGINT and SIGTERM begin to be caught, then cease to be: it comes after so many of these."""
    program = f"""
        import signal
        from stn_jax import cli

        calls, install = [], signal.signal

        def interrupt(number, handler):
            before = install(number, handler)
            calls.append(number)
            if len(calls) == {after}:
                signal.raise_signal(signal.{number})
            return before

        signal.signal = interrupt
        raise SystemExit(cli.run(lambda: 0, resumes=True))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    hint = "; the same command goes on from the last checkpoint, if any"
    assert (done.stderr, done.returncode) == (f"stopped by {number}{hint}\n", 0)
