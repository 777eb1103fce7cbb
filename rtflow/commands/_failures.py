"""How a command ends: its exit code, and one sentence that says whose fault it was and what to do next."""

from __future__ import annotations

import enum
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from rtflow.errors import DamagedTape, FeedError, Rejected, RtflowError, Unsupported
from rtflow.settings import Unset


class Code(enum.IntEnum):
    """What the command tells the shell."""

    DONE = 0  # it did what was asked; also where it was stopped that only you can stop
    FAILED = 1  # a file, a package or this machine
    USAGE = 2  # the command line, or a venue was asked for what it does not have
    REFUSED = 3  # a key is missing, or the venue refused it: trying again does not help
    LOST = 4  # the line, or the venue's end of it: trying again may help
    INTERRUPTED = 130  # stopped before it was done


class Failure(Exception):
    """A command's own reason to end; the text is the whole sentence that a person gets."""

    def __init__(self, text: str, code: Code = Code.FAILED) -> None:
        super().__init__(text)
        self.code = code


def explained(error: Exception) -> Failure | None:
    """The sentence for an error that is not a bug; None for one that is."""
    match error:
        case Failure():
            return error
        case Unset():
            return Failure(f"{error}. What is set, `rtflow doctor` shows", Code.REFUSED)
        case Rejected():
            text = f"the venue refused us: {error}. Check the key and what your plan allows: `rtflow doctor`"
            return Failure(text, Code.REFUSED)
        case FeedError():
            return Failure(f"the line failed: {error}", Code.LOST)
        case Unsupported():
            return Failure(str(error), Code.USAGE)
        case DamagedTape():
            return Failure(f"{error}{_WHOLE.format(error.offset) if error.offset else ''}")
        case RtflowError():
            return Failure(str(error))
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return Failure(f"{where}{error.strerror or error}")
        case _:
            return None


_WHOLE = "; what is before byte {} is whole"


@contextmanager
def arguments() -> Generator[None]:
    """What the block says of its arguments, by ValueError or TypeError, is said of the command line."""
    try:
        yield
    except RtflowError:
        raise
    except (ValueError, TypeError) as error:
        raise Failure(str(error), Code.USAGE) from error


@contextmanager
def stopped_by_signals() -> Generator[None]:
    """Within the block SIGTERM, which service managers send, is as good as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def leave_the_pipe() -> None:
    """Nobody reads what we print any more: let Python's own last flush go nowhere."""
    with suppress(OSError, ValueError):  # where it is no real file there is nothing to turn away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
