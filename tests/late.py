"""A pytest plugin that makes somebody late, so that a test which relies on who comes first fails at once.

``python -m pytest -p tests.late --late line,opener`` has a pause of up to 2 ms, from a seed, before and after
everything that these do: in each test the first 2,000 times, then now and then. What is slow by that may take
``PATIENCE`` times six. Who can be late:

    subscriber   the tests' own subscribers, after each item
    line         the line, around each item
    reader       the reader, around each turn and each read
    opener       who opens a connection, on a thread of its own
    twin         the twin, around what it writes and hears
    caller       the test, around what it asks of a twin

A test that waits for one thing and then looks at another passes a thousand times without this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from random import Random
from typing import Any

import pytest

from rtflow.scheduler import Line
from rtflow.transport import _Attempt, _Link, _Reader
from rtflow.twin import Twin
from rtflow.twin.wire import Wire
from tests import watching

PARTIES: dict[str, list[tuple[Any, str]]] = {
    "subscriber": [(watching.Listener, "on_next")],
    "line": [],
    "reader": [(_Reader, "_turn"), (_Link, "_take")],
    "opener": [(_Attempt, "_run")],
    "twin": [(Wire, "write"), (Wire, "data_received")],
    "caller": [(Twin, "_ask")],
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("late", "who is late, and by how much")
    group.addoption("--late", default="", help=f"who, with commas between: {', '.join(PARTIES)}")
    group.addoption("--late-by", type=float, default=2.0, help="milliseconds of the longest pause")
    group.addoption("--late-seed", type=int, default=1, help="of the pauses")


def pytest_configure(config: pytest.Config) -> None:
    parties = [each for each in config.getoption("--late").split(",") if each]
    if strangers := {*parties} - {*PARTIES}:
        raise pytest.UsageError(f"--late knows {', '.join(PARTIES)}, not {', '.join(sorted(strangers))}")
    pause = Pauses(Random(config.getoption("--late-seed")), config.getoption("--late-by") / 1000)
    config.pluginmanager.register(pause)
    watching.PATIENCE *= 6
    for party in parties:
        for owner, name in PARTIES[party]:
            setattr(owner, name, _late(getattr(owner, name), pause))
    if "line" in parties:
        inlet = Line.inlet

        @wraps(inlet)
        def late_inlet(line: Line, deliver: Callable[[Any], object], **options: Any) -> Any:
            return inlet(line, _late(deliver, pause), **options)

        setattr(Line, "inlet", late_inlet)  # noqa: B010 - which is no method to mypy any more


class Pauses:
    """Pauses of random length; a test that does a hundred thousand things has fewer of them."""

    def __init__(self, random: Random, longest: float) -> None:
        self._random, self._longest = random, longest
        self._asked_for = 0

    def pytest_runtest_setup(self) -> None:
        self._asked_for = 0

    def __call__(self) -> None:
        self._asked_for += 1
        if self._asked_for <= 2_000 or self._random.random() < 0.02:
            threading.Event().wait(self._random.random() * self._longest)


def _late(act: Callable[..., Any], pause: Pauses) -> Callable[..., Any]:
    def slowly(*args: Any, **options: Any) -> Any:
        pause()
        done = act(*args, **options)
        pause()
        return done

    return slowly
