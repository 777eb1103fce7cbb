"""book_apply on what Binance really sent: the touch it arrives at is the one the venue tells beside it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.events import Frame, FrameKind, Quote
from rtflow.operators import book_apply, normalize, quotes_from_book
from rtflow.providers.binance import Binance

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings" / "binance_spot"
STREAM = RECORDINGS / "cryptofeed-BINANCE.ws.1.0"
SNAPSHOTS = RECORDINGS / "cryptofeed-BINANCE.http.0.0.gz"

pytestmark = pytest.mark.skipif(
    not (STREAM.exists() and SNAPSHOTS.exists()),
    reason=f"the recorded Binance frames are not at {RECORDINGS}",
)

SYMBOLS = {"NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR"}


def recorded() -> list[Frame]:
    """The frames and the snapshots of one connection in the order in which they came, as a feed has them."""
    frames = []
    for line in STREAM.read_text().splitlines():
        stamp, _, text = line.partition(": ")
        if text and not stamp.startswith("wss:"):
            frames.append(Frame(FrameKind.TEXT, text.encode(), nanoseconds(stamp)))
    for line in gzip.decompress(SNAPSHOTS.read_bytes()).decode().splitlines():
        head, _, body = line.partition(": ")
        url, _, stamp = head.partition(" -> ")
        if "/depth?" in url:
            symbol = url.partition("symbol=")[2].partition("&")[0]
            frames.append(Frame(FrameKind.HTTP, f"depth {symbol}\n{body}".encode(), nanoseconds(stamp)))
    return sorted(frames, key=lambda frame: frame.ts_recv)


def nanoseconds(stamp: str) -> int:
    return int(float(stamp) * 1e9)


class Touch(NamedTuple):
    """Best bid and ask with their sizes."""

    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None


def told(frames: list[Frame]) -> dict[str, dict[int, Touch]]:
    """The venue's own best prices, by symbol and the number of the change that made them."""
    told: dict[str, dict[int, Touch]] = {symbol: {} for symbol in SYMBOLS}
    for frame in frames:
        if frame.kind is FrameKind.TEXT and b"@bookTicker" in frame.payload:
            data = json.loads(frame.payload)["data"]
            numbers = (float(data[name]) for name in "bBaA")
            told[data["s"]][data["u"]] = Touch(*numbers)
    return told


def rebuilt(frames: list[Frame], counters: Counters) -> list[BookState]:
    events, books = normalize(Binance()).kernel(), book_apply(counters=counters).kernel()
    return [state for frame in frames for event in events.push(frame) for state in books.push(event)]


def touch(state: BookState) -> Touch:
    return Touch(state.bid, state.bid_size, state.ask, state.ask_size)


def test_every_book_chains_from_its_snapshot_to_the_end() -> None:
    counters = Counters()
    states = rebuilt(recorded(), counters)
    live = [state for state in states if state.status == "live"]
    assert {state.status for state in states} == {"syncing", "live"}
    assert {state.symbol for state in live} == SYMBOLS
    assert len(live) == 176
    assert not any(state.crossed for state in live)
    assert not counters.keys() - {"duplicate", "before_snapshot"}, "no break, no doubt"


def test_best_bid_and_ask_are_those_that_the_venue_told_of_the_same_update() -> None:
    frames = recorded()
    tickers = told(frames)
    compared = 0
    for state in rebuilt(frames, Counters()):
        if state.status == "live" and state.sequence in tickers[state.symbol]:
            assert touch(state) == tickers[state.symbol][state.sequence]
            compared += 1
    assert compared == 26


def test_between_the_tickers_the_touch_is_that_of_the_last_one() -> None:
    """A ticker comes whenever the touch changes: so the last one up to an update says what it was then."""
    frames = recorded()
    tickers = told(frames)
    compared = 0
    for state in rebuilt(frames, Counters()):
        if state.status != "live" or state.sequence is None:
            continue
        before = [number for number in tickers[state.symbol] if number <= state.sequence]
        if before:
            assert touch(state) == tickers[state.symbol][max(before)]
            compared += 1
    assert compared == 159


def test_quotes_made_of_the_books_are_quotes_that_the_venue_sent() -> None:
    """All but the first of each symbol, whose touch is older than the recording."""
    frames = recorded()
    tickers = told(frames)
    quotes = quotes_from_book().kernel()
    made = [quote for state in rebuilt(frames, Counters()) for quote in quotes.push(state)]
    seen: set[str] = set()
    for quote in made:
        assert isinstance(quote, Quote)
        if quote.symbol in seen:
            same = Touch(quote.bid, quote.bid_size, quote.ask, quote.ask_size)
            assert same in tickers[quote.symbol].values()
        seen.add(quote.symbol)
    assert len(made) == 49
