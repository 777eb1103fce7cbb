"""Binance: what it really sent, to spot and to Binance.US, on one day of 2021."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from rtflow.events import Bar, Event, Frame, FrameKind, OrderBookUpdate, Quote, Trade
from rtflow.providers.binance import Binance

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings" / "binance_spot"
SPOT = RECORDINGS / "cryptofeed-BINANCE.ws.1.0"
SNAPSHOTS = RECORDINGS / "cryptofeed-BINANCE.http.0.0.gz"
US = RECORDINGS / "cryptofeed-BINANCE_US.ws.1.0"

pytestmark = pytest.mark.skipif(
    not all(path.exists() for path in (SPOT, SNAPSHOTS, US)),
    reason=f"the recorded Binance frames are not at {RECORDINGS}",
)

BOTH = pytest.mark.parametrize(
    ("path", "binance"), [(SPOT, Binance()), (US, Binance("us"))], ids=["spot", "us"]
)


def received(path: Path) -> list[Frame]:
    """The frames that came, with the stamps of the recording: after ``<unix time>: `` each."""
    frames = []
    for line in path.read_text().splitlines():
        stamp, _, text = line.partition(": ")
        if text and not stamp.startswith("wss:"):
            frames.append(Frame(FrameKind.TEXT, text.encode(), int(float(stamp) * 1e9)))
    return frames


def snapshots() -> list[Frame]:
    """The REST snapshots, as the transport hands them over: after ``<url> -> <unix time>: `` each."""
    frames = []
    for line in gzip.decompress(SNAPSHOTS.read_bytes()).decode().splitlines():
        head, _, body = line.partition(": ")
        url, _, stamp = head.partition(" -> ")
        if "/depth?" in url:
            symbol = url.partition("symbol=")[2].partition("&")[0]
            frames.append(Frame(FrameKind.HTTP, f"depth {symbol}\n{body}".encode(), int(float(stamp) * 1e9)))
    return frames


def decoded(binance: Binance, frames: list[Frame]) -> list[Event]:
    decoder = binance.decoder()
    events = [event for frame in frames for event in decoder.decode(frame)]
    assert decoder.skipped == 0
    return events


@BOTH
def test_every_frame_is_one_event_of_its_stream(path: Path, binance: Binance) -> None:
    frames = received(path)
    events = decoded(binance, frames)
    assert len(events) == len(frames)
    kinds = {Trade: b"aggTrade", Quote: b"bookTicker", OrderBookUpdate: b"depthUpdate", Bar: b"kline"}
    told: Counter[type] = Counter(type(event) for event in events)
    assert told == {kind: sum(word in frame.payload for frame in frames) for kind, word in kinds.items()}
    expected = {"binance": (2, 84, 177, 2), "binance_us": (11, 128, 336, 5)}
    assert tuple(told[kind] for kind in kinds) == expected[binance.name]


@BOTH
def test_the_differences_of_every_book_join_without_a_gap(path: Path, binance: Binance) -> None:
    last: dict[str, int] = {}
    joined = 0
    for event in decoded(binance, received(path)):
        if isinstance(event, OrderBookUpdate):
            assert event.first_sequence is not None
            assert event.sequence is not None
            if event.symbol in last:
                assert event.first_sequence == last[event.symbol] + 1
                joined += 1
            last[event.symbol] = event.sequence
    assert len(last) == 4
    assert joined == {"binance": 173, "binance_us": 332}[binance.name]


def test_every_snapshot_joins_its_stream_at_the_end_of_a_difference() -> None:
    binance = Binance()
    updates = [each for each in decoded(binance, received(SPOT)) if isinstance(each, OrderBookUpdate)]
    books = decoded(binance, snapshots())
    assert [book.symbol for book in books if isinstance(book, OrderBookUpdate)] == [
        "NKNUSDT",
        "BLZETH",
        "LRCBTC",
        "RUNEEUR",
    ]
    for book in books:
        assert isinstance(book, OrderBookUpdate)
        assert book.snapshot
        assert book.bids[0][0] < book.asks[0][0]
        assert book.sequence is not None
        mine = [each for each in updates if each.symbol == book.symbol]
        assert book.sequence + 1 in [each.first_sequence for each in mine]


def test_a_book_that_is_kept_by_the_rules_agrees_with_the_best_prices_told_beside_it() -> None:
    """A quote carries the number of the book's change that made it, so the check is exact."""
    binance = Binance()
    compared = 0
    for snapshot in decoded(binance, snapshots()):
        assert isinstance(snapshot, OrderBookUpdate)
        bids, asks, last = dict(snapshot.bids), dict(snapshot.asks), snapshot.sequence
        quotes: list[tuple[int, Quote]] = []
        decoder = binance.decoder()
        for frame in received(SPOT):
            for event in decoder.decode(frame):
                if isinstance(event, Quote) and event.symbol == snapshot.symbol:
                    number = int(frame.payload.partition(b'"u":')[2].partition(b",")[0])
                    quotes.append((number, event))
                if not isinstance(event, OrderBookUpdate) or event.symbol != snapshot.symbol:
                    continue
                assert last is not None
                assert event.sequence is not None
                if event.sequence <= last:
                    continue
                last = event.sequence
                for side, levels in ((bids, event.bids), (asks, event.asks)):
                    for price, size in levels:
                        side[price] = size
                        if not size:
                            del side[price]
                known = [quote for number, quote in quotes if number <= last]
                if known and not [number for number, _ in quotes if number > last]:
                    bid, ask = max(bids), min(asks)
                    newest = known[-1]
                    assert (newest.bid, newest.bid_size) == (bid, bids[bid])
                    assert (newest.ask, newest.ask_size) == (ask, asks[ask])
                    compared += 1
    assert compared > 20
