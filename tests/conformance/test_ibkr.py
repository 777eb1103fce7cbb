"""ibind's router, unmodified, and rtflow on the same frames of Interactive Brokers' Client Portal.

Interactive Brokers has no Python client for this API; ibind is the one that people use. It renames fields and
parses nothing, so what it leaves to its user is written down here as such a user would write it. What it does
otherwise than its venue documents, each proved below or allowed for:

1. It drops ``_updated``: its market data have no stamp.
2. Values stay text, with prefixes, commas, and letters for powers: ``C118.75``, ``3,500``, ``12.2M``.
3. It says what changed and keeps nothing: the merge is the user's.
4. A ladder's ``{"topic":"sbd"}`` of old gateways, which names no contract, is an unknown message.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.events import Event, Frame, FrameKind, OrderBookUpdate, Quote, Ticker, Trade
from rtflow.provider import Subscription
from rtflow.providers.ibkr import InteractiveBrokers
from rtflow.twin import Twin
from rtflow.twin.ibkr import IbkrVenue, conid
from rtflow.twin.market import Market
from tests.conformance.dialogue import decoded, dialogue, official, until

routers = official("ibind.ibkr_ws.ibkr_router", "ibind")
theirs = official("ibind.events", "ibind")

NOW = 1_790_358_470_000_000_000
CONTRACTS = ("265598", "8314", "756733")


def routed(payload: bytes) -> Any:
    """What the router makes of one frame."""
    return routers.IbkrRouter().route(payload.decode())


def number(text: str | None) -> float | None:
    """A value as its user must read it (fault 2)."""
    if not text:
        return None
    scale = {"K": 1e3, "M": 1e6, "B": 1e9}.get(text[-1], 1.0)
    plain = float(text.lstrip("CH").rstrip("KMB%").replace(",", ""))
    return plain * scale


class User:
    """Who keeps ibind's updates, as its documents say one must (fault 3)."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, str]] = {}

    def hears(self, update: Any) -> dict[str, str]:
        known = self.known.setdefault(update.conid, {})
        known |= update.data
        return known


def side(known: dict[str, str], which: str) -> tuple[float | None, float | None]:
    price, size = number(known.get(f"{which}_price")), number(known.get(f"{which}_size"))
    return (None, None) if price is None or size == 0 else (price, size)


PRICE = st.integers(1, 10**8).map(lambda cents: f"{cents // 100}.{cents % 100:02d}")
SIZE = st.integers(0, 10**6).map(lambda size: f"{size:,}")
LAST = st.builds(str.__add__, st.sampled_from(["", "", "", "C", "H"]), PRICE)
VOLUME = st.integers(1, 10**6).map(str) | st.sampled_from(["1.5M", "23.4K", "1.2B"])
TOUCH = {"84": PRICE, "88": SIZE, "86": PRICE, "85": SIZE}
TRADED = {"31": LAST, "7059": SIZE, "7762": st.integers(1, 10**9).map(str)}
DAY = {"70": PRICE, "71": PRICE, "7295": PRICE, "7741": PRICE, "87": VOLUME}
UPDATES = st.lists(
    st.tuples(
        st.sampled_from(CONTRACTS),
        st.integers(0, 5_000),  # milliseconds since the one before
        st.fixed_dictionaries({}, optional=TOUCH | TRADED | DAY),
    ),
    min_size=5,
    max_size=25,
)


def test_merged_updates_are_read_alike() -> None:
    count = quotes = 0

    @settings(max_examples=400)
    @given(UPDATES)
    def check(updates: list[tuple[str, int, dict[str, str]]]) -> None:
        nonlocal count, quotes
        user, decoder, updated = User(), InteractiveBrokers("session").decoder(), 1_700_000_000_000
        last: dict[tuple[str, type], Event] = {}
        for contract, later, fields in updates:
            updated += later
            head = {"topic": f"smd+{contract}", "conid": int(contract), "_updated": updated}
            payload = msgspec.json.encode(head | fields)
            known = user.hears(routed(payload))
            made: set[type] = set()
            for event in decoder.decode(Frame(FrameKind.BINARY, payload, NOW)):
                last[getattr(event, "symbol", ""), type(event)] = event
                made.add(type(event))
                if isinstance(event, Quote | Trade | Ticker):
                    assert event.ts_event == updated * 1_000_000  # fault 1: nothing of theirs to compare
            count += 1
            quote, ticker = last.get((contract, Quote)), last.get((contract, Ticker))
            if isinstance(quote, Quote):
                quotes += 1
                assert (quote.bid, quote.bid_size) == side(known, "bid")
                assert (quote.ask, quote.ask_size) == side(known, "ask")
            if isinstance(ticker, Ticker):
                assert ticker.high == number(known.get("high"))
                assert ticker.low == number(known.get("low"))
                assert ticker.open == number(known.get("open"))
            if Trade in made:
                trade = last[contract, Trade]
                assert isinstance(trade, Trade)
                assert trade.price == number(known.get("last_price"))
                assert trade.size == number(known.get("last_size"))

    check()
    assert count > 3_000
    assert quotes > 1_500


ROWS = st.dictionaries(
    st.integers(1, 10**6),  # a price in cents: a ladder shows each once
    st.tuples(st.booleans(), st.integers(1, 10**5)),
    min_size=1,
    max_size=20,
)


def test_a_whole_ladder_is_read_alike() -> None:
    count = 0

    @settings(max_examples=1_000)
    @given(ROWS)
    def check(levels: dict[int, tuple[bool, int]]) -> None:
        nonlocal count
        count += 1
        rows = [
            {"row": row, "price": f"{cents / 100:.2f}", "bid" if bid else "ask": f"{size:,}"}
            for row, (cents, (bid, size)) in enumerate(levels.items())
        ]
        payload = msgspec.json.encode({"topic": "sbd+DU1234567+265598", "data": rows})
        ladder = routed(payload)
        assert ladder.conid == "265598"
        (book,) = [
            event
            for event in decoded(InteractiveBrokers("session"), [Frame(FrameKind.BINARY, payload, NOW)])
            if isinstance(event, OrderBookUpdate)
        ]
        for ours, name in (book.bids, "bid"), (book.asks, "ask"):
            assert set(ours) == {
                (number(row["price"]), number(row[name])) for row in ladder.data if row.get(name)
            }

    check()
    assert count >= 1_000


# -- the client and the twin ------------------------------------------------------------------------------

START = 1_790_358_470_000_000_000
STOCKS = ("AAPL", "SPY")
FIELDS = ["31", "7059", "7762", "84", "85", "86", "88"]


def said_to_rtflow(seconds: float, **wanted: list[str]) -> list[Frame]:
    """What a twin with seed 3 and this start says to rtflow."""
    venue = IbkrVenue(Market(3, STOCKS, start=START - 30 * 10**9))
    venue.advance(START)
    return dialogue(provider(), Subscription.of(**wanted), venue, seconds)


def provider() -> InteractiveBrokers:
    return InteractiveBrokers("twin", names={each: str(conid(each)) for each in STOCKS}, account="DU1234567")


def test_the_twins_market_data_are_read_alike() -> None:
    decoder, user, count = provider().decoder(), User(), 0
    for frame in said_to_rtflow(120.0, quotes=[*STOCKS], trades=[*STOCKS]):
        update = routed(frame.payload)
        if not isinstance(update, theirs.MarketData):
            continue
        known, count = user.hears(update), count + 1
        for event in decoder.decode(frame):
            if isinstance(event, Quote):
                assert (event.bid, event.bid_size) == side(known, "bid")
                assert (event.ask, event.ask_size) == side(known, "ask")
            if isinstance(event, Trade):
                assert event.price == number(known["last_price"])
    assert count > 500


def test_ibind_receives_and_prints_what_the_market_did(capsys: pytest.CaptureFixture[str]) -> None:
    clients = official("ibind.ibkr_ws.ibkr_ws_client", "ibind")
    sinks, subscriptions = (
        official("ibind.ws.ws_sinks", "ibind"),
        official("ibind.ibkr_ws.ibkr_subscriptions", "ibind"),
    )
    received: list[Any] = []

    def on_data(event: Any) -> None:
        print(event)  # noqa: T201 - that a user sees something is what is shown here
        received.append(event)

    class Rest:
        """The REST half of the session, which the twin's socket takes as given."""

        def tickle(self) -> Any:
            return SimpleNamespace(data={"session": "twin"})

        def authentication_status(self) -> Any:
            return SimpleNamespace(data={"authenticated": True})

    with Twin("ibkr", seed=3, symbols=STOCKS, start=START, pace=20.0) as twin:
        sink = sinks.CallbackSink()
        sink.on(theirs.MarketData, on_data)
        sink.on(theirs.PriceLadder, on_data)
        client = clients.IbkrWsClient(
            account_id="DU1234567",
            url=twin.url,
            ibkr_client=Rest(),
            use_oauth=False,  # so the session goes in a cookie
            sink=sink,
            synchronous_output_events=True,
            cycle_interval=0.02,
        )
        assert client.start()
        try:
            client.subscribe(subscriptions.MarketDataSubscription(conid=str(conid("AAPL")), fields=FIELDS))
            client.subscribe(
                subscriptions.PriceLadderSubscription(conid=str(conid("SPY")), account_id="DU1234567")
            )
            until(lambda: len([each for each in received if isinstance(each, theirs.MarketData)]) > 50)
            until(lambda: len([each for each in received if isinstance(each, theirs.PriceLadder)]) > 50)
            fills = {fill.price / 100 for fill in twin.trades if fill.symbol == "AAPL"}
        finally:
            client.shutdown()
    user = User()
    for update in received:
        if isinstance(update, theirs.MarketData):
            assert update.conid == str(conid("AAPL"))
            user.hears(update)
            if "last_size" in update.data and len(user.known) > 1:
                assert number(update.data["last_price"]) in fills
    (known,) = user.known.values()
    assert set(known) >= {"bid_price", "ask_price", "bid_size", "ask_size", "last_price"}
    assert "bid_price" in capsys.readouterr().out


# -- the faults, each by itself ---------------------------------------------------------------------------


def test_fault_1_market_data_have_no_stamp() -> None:
    payload = b'{"topic":"smd+265598","conid":265598,"_updated":1702334859712,"84":"195.25","88":"3,500"}'
    update = routed(payload)
    assert update.data == {"bid_price": "195.25", "bid_size": "3,500"}
    assert "1702334859712" not in repr(update)


def test_fault_4_an_old_gateways_ladder_is_an_unknown_message(caplog: pytest.LogCaptureFixture) -> None:
    payload = b'{"topic":"sbd","data":[{"row":0,"price":"1.00","bid":"5"}]}'
    assert isinstance(routed(payload), theirs.GenericIbkrEvent)
    book = decoded(InteractiveBrokers("session", ladder="265598"), [Frame(FrameKind.BINARY, payload, NOW)])[
        -1
    ]
    assert isinstance(book, OrderBookUpdate)
    assert json.loads(payload)["data"][0]["price"] == f"{book.bids[0][0]:.2f}"
