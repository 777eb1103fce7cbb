"""The demo recovers in front of the reader, in lines and on a screen, and leaves cleanly."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from functools import partial

import pytest
from pytest_mock import MockerFixture
from rich.console import Console

import rtflow
from rtflow import demo
from rtflow.book import BookState
from rtflow.errors import Rejected
from rtflow.events import (
    Bar,
    Frame,
    FrameKind,
    Gap,
    Lost,
    Malformed,
    OrderBookUpdate,
    Quote,
    Side,
    Stale,
    Status,
    Trade,
)
from rtflow.operators._book_apply import book_apply
from rtflow.providers import Kraken
from rtflow.twin import Twin

SECOND = 1_000_000_000
TRADE = Trade("BTC/USD", 5 * SECOND, 5 * SECOND, 64_991.5, 0.25, Side.SELL)
BAR = Bar("BTC/USD", 4 * SECOND, 5 * SECOND, 1.0, 3.0, 1.0, 2.0, 4.0, 2, 8.0, partial="start", gap=True)
CUT = Gap(SECOND, None, 1, 2 * SECOND, "cut")
MENDED = Gap(SECOND, 3 * SECOND, 1, 3 * SECOND, "cut")


def book(*, live: bool = True) -> BookState:
    """A state as book_apply makes them."""
    kernel = book_apply().kernel()
    made = list(
        kernel.push(
            OrderBookUpdate("BTC/USD", 1, 1, ((10.0, 1.0), (9.0, 2.0)), ((11.0, 4.0),), snapshot=True)
        )
    )
    return made[-1] if live else list(kernel.push(CUT))[-1]


def console(width: int = 120, height: int = 40) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, highlight=False)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("venue", demo.VENUES)
def test_it_shows_trades_bars_and_books_loses_the_line_and_comes_back(venue: str) -> None:
    out = console()
    demo.run(venue, seconds=4.0, seed=1, plain=True, console=out)
    lines = text_of(out).splitlines()
    kinds = Counter(line.split(" ")[0] for line in lines)
    assert min(kinds["Trade"], kinds["Bar"], kinds["BookState"]) > 0
    assert kinds["Gap"] == 2
    assert any(line.startswith("Status") and "retrying attempt 1" in line for line in lines)
    assert "connections: 2" in lines
    assert any(line.startswith("lost: from ") for line in lines)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("rtflow")]


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


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (TRADE, "Trade 00:00:05.000 BTC/USD sell 0.25 @ 64,991.5"),
        (
            BAR,
            "Bar 00:00:04.000 BTC/USD open=1 high=3 low=1 close=2 volume=4 count=2 gap partial start",
        ),
        (CUT, "Gap 00:00:02.000 from 00:00:01.000 on cut"),
        (MENDED, "Gap 00:00:03.000 from 00:00:01.000 to 00:00:03.000 (2.000 s) cut"),
        (Status("subscribed", 0, symbol="A", kind="trades"), "Status 00:00:00.000 subscribed trades A"),
        (
            Status("retrying", 0, "gone", attempt=2, wait=1.5),
            "Status 00:00:00.000 retrying attempt 2 in 1.50 s gone",
        ),
        (Lost("", "frames", 3, 0, 0, "ring"), "Lost 00:00:00.000 3 frames in the ring"),
        (Malformed(Frame(FrameKind.TEXT, b"", 0), "no JSON", 0), "Malformed 00:00:00.000 no JSON"),
        (book(), "BookState 00:00:00.000 BTC/USD live 1 10 | 11 4"),
        (book(live=False), "BookState 00:00:02.000 BTC/USD syncing - - | - - cut"),
    ],
)
def test_an_item_is_one_line_with_its_type_first(item: demo.Item, line: str) -> None:
    assert demo.line_of(item) == line


def test_what_has_no_line_of_its_own_is_shown_whole() -> None:
    quote = Quote("A", 0, 0, 1.0, 1.0, None, None)
    assert demo.line_of(quote) == f"Quote {quote}"


def screen(out: Console) -> demo._Screen:
    kraken = Kraken()
    return demo._Screen(out, "kraken", rtflow.connect(kraken, trades=["BTC/USD"]))


def drawn(view: demo._Screen, out: Console) -> str:
    out.print(view.draw())
    return text_of(out)


def test_before_anything_has_come_the_screen_says_connecting() -> None:
    out = console()
    assert "connecting" in drawn(screen(out), out)


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([Status("open", 0, "ws://127.0.0.1", epoch=3)], "connected (connection 3)"),
        ([Status("open", 0), CUT], "disconnected"),
        ([CUT, Status("retrying", 0, "gone", attempt=4, wait=1.0)], "reconnecting: attempt 4"),
        ([MENDED], "1 gap "),
        ([Stale(0, 1.0)], "Stale"),
        ([book(live=False)], "syncing"),
    ],
)
def test_the_screen_says_how_the_line_is(items: list[demo.Item], words: str) -> None:
    out = console()
    view = screen(out)
    for item in items:
        view.show(item)
    assert words in drawn(view, out)


def test_the_screen_shows_trades_bars_and_the_ladder() -> None:
    out = console()
    view = screen(out)
    for item in (TRADE, BAR, book(), Status("heartbeat", SECOND)):
        view.show(item)
    seen = drawn(view, out)
    assert "heartbeat" not in seen
    for words in ("64,991.50", "gap partial", "spread", "1 trades · 1 bars · 1 book states", "██████"):
        assert words in seen


def test_the_screen_keeps_its_height_so_that_nothing_jumps() -> None:
    out, busy = console(80, 24), console(80, 24)
    view = screen(busy)
    for _ in range(100):
        for item in (TRADE, BAR, book()):
            view.show(item)
    assert len(drawn(screen(out), out).splitlines()) <= len(drawn(view, busy).splitlines()) <= 24


def test_the_screen_says_what_ended_it() -> None:
    out = console()
    view = screen(out)
    view.fail(Rejected("auth failed"))
    assert "Rejected: auth failed" in drawn(view, out)
