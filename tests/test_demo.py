"""The demo recovers in front of the reader, in lines and on a screen, and leaves cleanly."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections import Counter
from functools import partial

import pytest
from pytest_mock import MockerFixture
from rich.console import Console

from rtflow import demo
from rtflow.twin import Twin
from tests.watching import left_over


def console(width: int = 120, height: int = 40) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, highlight=False)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("venue", demo.VENUES)
def test_it_shows_trades_bars_and_books_loses_the_line_and_comes_back(venue: str) -> None:
    out = console()
    demo.run(venue, seconds=3.0, seed=1, plain=True, console=out)
    lines = text_of(out).splitlines()
    kinds = Counter(line.split(" ")[0] for line in lines)
    assert min(kinds["Trade"], kinds["Bar"], kinds["BookState"]) > 0
    assert kinds["Gap"] == 2
    assert any(line.startswith("Status") and "retrying attempt 1" in line for line in lines)
    assert "connections: 2" in lines
    assert len([line for line in lines if line.startswith("lost: from ")]) == 1
    assert ", 1 Gap, " in next(line for line in lines if line.startswith("seen: ")), "said twice, and one"
    assert left_over() == []


def test_on_a_screen_it_says_the_same_in_the_end() -> None:
    out = console(80, 24)
    demo.run("kraken", seconds=2.0, seed=1, plain=False, console=out)
    assert "connections: " in text_of(out)


def test_a_refused_key_ends_it_at_once_with_what_the_venue_said(mocker: MockerFixture) -> None:
    mocker.patch("rtflow.demo.Twin", partial(Twin, keys={"right": "hidden"}))
    out = console()
    demo.run("alpaca", seconds=60.0, seed=1, plain=True, console=out)
    assert "ended by Rejected: " in text_of(out)
    assert "hidden" not in text_of(out)


class Closed(io.StringIO):
    """What the demo writes to when ``head`` has read enough."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_it_ends_at_once_when_nobody_reads_on() -> None:
    out = Console(file=Closed(), width=120, height=40, highlight=False)
    with pytest.raises(BrokenPipeError):
        demo.run("kraken", seconds=60.0, seed=1, plain=True, console=out)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_leaves_cleanly() -> None:
    command = [
        sys.executable,
        "-c",
        "from rtflow.cli import main; main()",
        "demo",
        "--plain",
        "--seconds",
        "60",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "Trade" not in process.stdout.readline():
            pass
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    assert "connections: 1" in out
