"""Ctrl-C ends a program as such, whatever a library makes of the exception of its handler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tapedeck_deck.interruption import AGAIN_SECONDS, interruptible


def press() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_an_interrupt_that_a_library_reports_as_its_own_error_is_one() -> None:
    """pydantic reports it as SchemaError while it builds a validator."""
    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(KeyboardInterrupt), interruptible(signal.SIGUSR1):
        try:
            press()
        except KeyboardInterrupt:
            raise ValueError("cannot build") from None
    with pytest.raises(KeyboardInterrupt), interruptible(signal.SIGUSR1):
        press()
    with pytest.raises(SystemExit), interruptible(signal.SIGUSR1):
        try:
            press()
        except KeyboardInterrupt:
            raise SystemExit(0) from None
    assert signal.getsignal(signal.SIGUSR1) is before


class PressesWhenItGoes:
    def __del__(self) -> None:
        press()


def test_an_interrupt_that_python_ignores_is_sent_again() -> None:
    """Exceptions of finalizers are printed and forgotten."""
    with pytest.raises(KeyboardInterrupt), interruptible(signal.SIGUSR1):
        PressesWhenItGoes()
        time.sleep(30)


def test_an_interrupt_is_not_sent_again_to_a_program_that_ends_already() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: pytest.fail("interrupted"))
    try:
        with pytest.raises(KeyboardInterrupt), interruptible(signal.SIGUSR1):
            PressesWhenItGoes()
            raise ValueError("ends at once")
        time.sleep(10 * AGAIN_SECONDS)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_another_error_stays_itself() -> None:
    with pytest.raises(ValueError, match="mine"), interruptible(signal.SIGUSR1):
        raise ValueError("mine")


LOSES_IT = """
import os, signal, sys, types
def app(prog_name):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise ValueError("cannot build") from None
module = types.ModuleType("tapedeck_deck.cli.app")
module.app = app
sys.modules["tapedeck_deck.cli.app"] = module
from tapedeck_deck.cli import main
main()
"""


INTERRUPTED_IN_TEXT = """
import signal
import subprocess
from tapedeck_deck.interruption import interruptible
try:
    with interruptible(signal.SIGINT):
        exec("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
except KeyboardInterrupt:
    pass
"""


def test_a_program_that_is_interrupted_in_code_from_text_has_its_own_exit_code() -> None:
    """dataclasses and named tuples execute text while they are imported."""
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED_IN_TEXT], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_command_line_exits_with_130() -> None:
    ended = subprocess.run([sys.executable, "-c", LOSES_IT], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")


def test_one_more_while_python_ends_is_no_traceback() -> None:
    """As `timeout` sends it, and as a hasty person does."""
    program = (
        "import atexit, os, signal, sys; from tapedeck_deck.cli import main; sys.argv = ['tapedeck', '--version'];"
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT)); main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
    assert done.stdout.startswith("tapedeck ")
