"""Coinbase's decoder on what the Exchange really sent, ten products for half a minute."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rtflow.events import Event, Frame, FrameKind, Gap, Malformed, OrderBookUpdate, Quote, Side, Status, Trade
from rtflow.operators._book_apply import book_apply
from rtflow.provider import Subscription, Traffic
from rtflow.providers.coinbase import Coinbase, CoinbaseExchange

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings" / "coinbase_exchange"
FEED = RECORDINGS / "cryptofeed-COINBASE.ws.28.0.gz"

pytestmark = pytest.mark.skipif(
    not FEED.exists(), reason=f"the recorded Coinbase frames are not at {RECORDINGS}"
)


@cache
def frames() -> tuple[Frame, ...]:
    """What was received, in order, stamped as it was."""
    received = []
    for line in gzip.decompress(FEED.read_bytes()).decode().splitlines():
        stamp, _, text = line.partition(": ")
        if text and "<-" not in stamp:
            received.append(Frame(FrameKind.TEXT, text.encode(), round(float(stamp) * 1e6) * 1000))
    return tuple(received)


def said(kind: str) -> list[dict[str, Any]]:
    """The messages of one type, as JSON has them."""
    read = [json.loads(frame.payload) for frame in frames()]
    return [message for message in read if message["type"] == kind]


@cache
def decoded() -> tuple[Event, ...]:
    decoder = CoinbaseExchange().decoder()
    events = [event for frame in frames() for event in decoder.decode(frame)]
    assert decoder.skipped == 0
    return tuple(events)


def trades() -> dict[tuple[str, str], Trade]:
    return {(each.symbol, each.id): each for each in decoded() if isinstance(each, Trade)}


def test_every_frame_says_what_the_documents_promise_and_none_is_lost() -> None:
    assert Counter(json.loads(frame.payload)["type"] for frame in frames()) == {
        "subscriptions": 3,
        "snapshot": 10,
        "l2update": 9_719,
        "match": 97,
        "last_match": 10,
        "ticker": 107,
    }
    events = decoded()
    assert not [event for event in events if isinstance(event, Malformed | Gap)]
    assert Counter(type(event) for event in events) == {
        OrderBookUpdate: 9_729,
        Trade: 97,
        Quote: 107,
        Status: 30,
    }
    books = [event for event in events if isinstance(event, OrderBookUpdate)]
    assert sum(book.snapshot for book in books) == 10


def test_the_side_of_each_trade_is_the_opposite_of_its_match() -> None:
    sides = {"buy": Side.SELL, "sell": Side.BUY}
    matches = said("match")
    assert len(matches) == len(trades()) == 97
    for match in matches:
        assert trades()[match["product_id"], str(match["trade_id"])].side is sides[match["side"]]


def test_the_side_of_each_trade_is_that_of_the_ticker_with_its_id() -> None:
    """The ticker says the taker's side, as it is; its price and size are the trade's, too."""
    sides = {"buy": Side.BUY, "sell": Side.SELL}
    joined = 0
    for ticker in said("ticker"):
        trade = trades().get((ticker["product_id"], str(ticker["trade_id"])))
        if trade is not None:
            joined += 1
            assert trade.side is sides[ticker["side"]]
            assert (trade.price, trade.size) == (float(ticker["price"]), float(ticker["last_size"]))
    assert joined == 97
    history = {(each["product_id"], each["trade_id"]): each["side"] for each in said("last_match")}
    before = [each for each in said("ticker") if (each["product_id"], each["trade_id"]) in history]
    assert len(before) == 10
    assert all(each["side"] != history[each["product_id"], each["trade_id"]] for each in before)


def test_the_ids_of_a_products_trades_have_no_hole() -> None:
    last = {each["product_id"]: each["trade_id"] for each in said("last_match")}
    for product, trade in trades():
        assert int(trade) == last[product] + 1
        last[product] += 1


def test_the_books_are_never_crossed() -> None:
    books = book_apply().kernel()
    states = [state for event in decoded() for state in books.push(event)]
    updates = [event for event in decoded() if isinstance(event, OrderBookUpdate)]
    assert len(states) == len(updates) == 9_729
    assert {state.status for state in states} == {"live"}
    assert not any(state.crossed for state in states)
    assert len({state.symbol for state in states}) == 10


def test_the_stamps_are_the_venues_and_those_of_a_product_never_go_back() -> None:
    last: dict[str, int] = {}
    for event in decoded():
        if isinstance(event, OrderBookUpdate) and not event.snapshot:
            assert event.ts_event >= last.get(event.symbol, 0)
            last[event.symbol] = event.ts_event
            assert abs(event.ts_recv - event.ts_event) < 60 * 10**9


def test_a_session_tells_these_frames_apart() -> None:
    session = CoinbaseExchange().session(Subscription())
    assert Counter(session.classify(frame.payload) for frame in frames()) == {
        Traffic.CONTROL: 3,
        Traffic.DATA: 9_943,
    }


def test_a_decoder_cut_in_the_middle_goes_on_as_if_it_had_not_been() -> None:
    half = len(frames()) // 2
    first, second = CoinbaseExchange().decoder(), CoinbaseExchange().decoder()
    events = [event for frame in frames()[:half] for event in first.decode(frame)]
    second.restore(msgspec.json.decode(msgspec.json.encode(first.state())))
    events += [event for frame in frames()[half:] for event in second.decode(frame)]
    assert tuple(events) == decoded()


def test_the_other_feeds_decoder_knows_none_of_them() -> None:
    decoder = Coinbase().decoder()
    assert [event for frame in frames()[:200] for event in decoder.decode(frame)] == []
    assert decoder.skipped == 200
