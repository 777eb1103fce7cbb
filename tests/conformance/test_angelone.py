"""smartapi-python, unmodified, against Angel One's twin; and its packet parser against rtflow's.

What smartapi-python 1.5.5 does otherwise than its venue documents, each proved below or allowed for:

1. It cannot be imported as it is installed: it needs logzero and websocket-client, and names neither. On
   import it asks a web site for this machine's address, and made, it writes logs into the folder it runs in.
2. Twenty levels: it reads the stamp of the packet's arrival for the exchange's.
3. It reads the change of open interest, a double, as an integer. (The venue calls the field a dummy.)
4. Prices are left in paise, or ten-millionths, and are the user's to scale.
5. Entries of the best five that are empty are handed out as levels of price 0.
6. Its callback for the end takes one argument where websocket-client has long given three: ``on_close`` is
   never called.
7. Text never reaches its user: neither an error of the venue nor a ``pong``.
8. What is subscribed is kept in the class: all clients of a process share it, and ``unsubscribe`` puts keys
   into it over which the next reconnect fails.
"""

from __future__ import annotations

import gc
import logging
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.events import (
    Event,
    Frame,
    FrameKind,
    OrderBookUpdate,
    PriceBands,
    Quote,
    Status,
    Ticker,
    Trade,
)
from rtflow.provider import Subscription
from rtflow.providers.angelone import AngelOne
from rtflow.twin import Twin
from rtflow.twin.angelone import AngelOneVenue
from rtflow.twin.market import Market
from tests.conformance.dialogue import dialogue, official, until, working_in

NOW = 1_790_358_470_000_000_000
EXCHANGES = {1: "nse_cm", 2: "nse_fo", 3: "bse_cm", 4: "bse_fo", 5: "mcx_fo", 7: "ncx_fo", 13: "cde_fo"}
CASH = (1, 3)

smartapi = official("SmartApi.smartWebSocketV2", "smartapi-python, with the logzero that it needs,")

# Fault 1: it opens a log and does not close it; and its socket is left to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """A client of its own class, for what the class keeps (fault 8), in a folder of its own (fault 1)."""
    with working_in(tmp_path):
        made = type("Client", (smartapi.SmartWebSocketV2,), {"input_request_dict": {}})(
            "jwt", "key", "A123456", "feed"
        )
    smartapi.logger.setLevel(logging.CRITICAL)
    yield made
    for handler in [*smartapi.logger.handlers]:
        smartapi.logger.removeHandler(handler)
        handler.close()


def provider(**options: Any) -> AngelOne:
    return AngelOne("jwt", "key", "A123456", "feed", **options)


# -- the official client and the twin ---------------------------------------------------------------------

START = 1_790_358_470_000_000_000
TOKENS = {"nse_cm": ["3045", "2885"], "nse_fo": ["53001"], "cde_fo": ["1185"]}
KINDS = {1: "trades", 2: "tickers", 3: "books", 4: "deep_books"}


def tokens_of(mode: int) -> dict[str, list[str]]:
    return {"nse_cm": TOKENS["nse_cm"]} if mode == 4 else TOKENS


def said_to_rtflow(mode: int, seconds: float) -> list[Frame]:
    """What a twin with seed 3 and this start says to rtflow where it needs this mode."""
    venue = AngelOneVenue(Market(3, AngelOneVenue.listings, start=START - 30 * 10**9))
    venue.advance(START)
    symbols = [f"{exchange}:{token}" for exchange, tokens in tokens_of(mode).items() for token in tokens]
    frames = dialogue(provider(), Subscription.of(**{KINDS[mode]: symbols}), venue, seconds)
    return [frame for frame in frames if frame.kind is FrameKind.BINARY]


@pytest.mark.parametrize("mode", KINDS)
def test_thousands_of_the_twins_packets_are_read_alike(mode: int, client: Any) -> None:
    frames, decoder = said_to_rtflow(mode, 60.0), provider().decoder()
    for frame in frames:
        agree(client._parse_binary_data(frame.payload), list(decoder.decode(frame)))
    assert len(frames) > 1_000 if mode > 1 else len(frames) > 100
    assert decoder.skipped == 0


@pytest.mark.parametrize("mode", KINDS)
def test_smartapi_receives_and_prints_what_the_market_did(
    mode: int, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [client._parse_binary_data(frame.payload) for frame in said_to_rtflow(mode, 20.0)]
    numbers = {name: number for number, name in EXCHANGES.items()}
    received: list[dict[str, Any]] = []

    def on_open(_: Any) -> None:
        wanted = [
            {"exchangeType": numbers[exchange], "tokens": [*tokens]}
            for exchange, tokens in tokens_of(mode).items()
        ]
        client.subscribe("abcde12345", mode, wanted)

    def on_data(_: Any, data: dict[str, Any]) -> None:
        print(data)  # noqa: T201 - that a user sees something is what is shown here
        received.append(data)

    client.on_open, client.on_data = on_open, on_data
    client.on_error = lambda *_: None  # what comes of fault 6
    client.MAX_RETRY_ATTEMPT = 0  # it would sleep ten seconds before it ends
    with Twin("angelone", seed=3, start=START, pace=float("inf"), steps=5_000) as twin:
        client.ROOT_URI = twin.url
        thread = threading.Thread(target=client.connect, name="smartapi-python", daemon=True)
        thread.start()
        try:
            until(lambda: len(received) >= len(expected))
        finally:
            twin.disconnect(1000)  # its own close_connection() pulls the socket from under its reader
            thread.join(10)
        assert not thread.is_alive()
    client.wsapp = None
    gc.collect()  # websocket-client's app leaves its socket to the collector: now, while that is forgiven
    for exchange, tokens in tokens_of(mode).items():
        for token in tokens:
            told = [each for each in expected if each["token"] == token]
            got = [each for each in received if each["token"] == token]
            assert told, (exchange, token)
            assert got[: len(told)] == told
    assert "subscription_mode" in capsys.readouterr().out


# -- one packet, two readers ------------------------------------------------------------------------------


def agree(theirs: dict[str, Any], events: list[Event]) -> None:
    """Assert that the events say what the official parser says, and nothing else."""
    mode, exchange = theirs["subscription_mode"], theirs["exchange_type"]
    symbol = f"{EXCHANGES[exchange]}:{theirs['token']}"
    scale = 1e7 if exchange == 13 else 100.0  # fault 4
    made: dict[type, Any] = {}
    for event in events:
        if isinstance(event, Status):  # a first packet acknowledges
            assert event.state == "subscribed"
            continue
        assert type(event) not in made
        made[type(event)] = event
    assert all(event.symbol == symbol for event in made.values())
    stamp = theirs["exchange_timestamp"] * 1_000_000

    def scaled(name: str) -> float | None:
        return theirs[name] / scale if theirs[name] else None

    if mode == 1:
        trade = made.pop(Trade, None)
        assert (trade.price if trade else None) == scaled("last_traded_price")
        assert trade is None or trade.ts_event == stamp
    if mode in (2, 3):
        ticker = made.pop(Ticker)
        assert ticker.ts_event == stamp
        assert ticker.last == scaled("last_traded_price")
        assert (ticker.last_size or 0) == theirs["last_traded_quantity"]
        assert ticker.vwap == scaled("average_traded_price")
        assert ticker.volume == theirs["volume_trade_for_the_day"]
        assert ticker.total_bid_size == theirs["total_buy_quantity"]
        assert ticker.total_ask_size == theirs["total_sell_quantity"]
        assert ticker.open == scaled("open_price_of_the_day")
        assert ticker.high == scaled("high_price_of_the_day")
        assert ticker.low == scaled("low_price_of_the_day")
        assert ticker.close == scaled("closed_price")
        trade = made.pop(Trade, None)
        assert trade is None or (trade.price, trade.size) == (ticker.last, ticker.last_size or 0)
    if mode == 3:
        traded = theirs["last_traded_timestamp"]
        assert ticker.ts_trade == (traded * 10**9 if 0 < traded < 10**11 else traded * 10**6 or None)
        assert ticker.open_interest == (None if exchange in CASH else theirs["open_interest"])
        bands = made.pop(PriceBands, None)
        if bands is not None:
            assert bands.limit_up == scaled("upper_circuit_limit")
            assert bands.limit_down == scaled("lower_circuit_limit")
    if mode in (3, 4):
        names = (
            ("best_5_buy_data", "best_5_sell_data")
            if mode == 3
            else ("depth_20_buy_data", "depth_20_sell_data")
        )
        bids, asks = (
            tuple((level["price"] / scale, level["quantity"]) for level in theirs[name] if level["quantity"])
            for name in names
        )  # fault 5
        book, quote = made.pop(OrderBookUpdate), made.pop(Quote)
        assert (book.bids, book.asks, book.snapshot, book.depth) == (bids, asks, True, 5 if mode == 3 else 20)
        assert (quote.bid, quote.bid_size) == (bids[0] if bids else (None, None))
        assert (quote.ask, quote.ask_size) == (asks[0] if asks else (None, None))
        if mode == 3:
            assert book.ts_event == quote.ts_event == stamp
    assert not made


PRICE = st.integers(0, 10**9)
SIZE = st.integers(0, 10**12)
MILLISECONDS = st.integers(1, 4 * 10**12)
SECONDS = st.integers(0, 4 * 10**9)
TOKEN = st.integers(1, 10**9).map(str)


def a_head(mode: int) -> st.SearchStrategy[bytes]:
    exchanges = [1] if mode == 4 else list(EXCHANGES)
    return st.builds(
        lambda exchange, token: struct.pack("<BB25s", mode, exchange, token.encode()),
        st.sampled_from(exchanges),
        TOKEN,
    )


def packed(code: str, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda *values: struct.pack("<" + code, *values), *parts)


@st.composite
def a_side(draw: st.DrawFn, sign: int, most: int, largest: int) -> list[tuple[int, int, int]]:
    """Levels from the touch outwards, size, price and orders; some may be missing."""
    count = draw(st.integers(0, most))
    steps = draw(st.lists(st.integers(1, 5_000), min_size=count, max_size=count))
    price, levels = draw(st.integers(1_000_000, 100_000_000)), []
    for step in steps:
        price += sign * step
        levels.append((draw(st.integers(1, largest)), price, draw(st.integers(1, 1_000))))
    return levels + [(0, 0, 0)] * (most - count)


TRADED = packed("qqq", st.integers(0, 2**62), MILLISECONDS, PRICE)
DAY = packed(
    "qqqddqqqq",
    *[SIZE, PRICE, SIZE],
    *[st.integers(0, 2**50).map(float)] * 2,
    *[PRICE] * 4,
)
FIVE = st.builds(
    lambda bids, asks: b"".join(
        struct.pack("<hqqh", flag, *level) for flag, side in ((1, bids), (0, asks)) for level in side
    ),
    a_side(-1, 5, 10**12),
    a_side(1, 5, 10**12),
)
TWENTY = st.builds(
    lambda bids, asks: b"".join(struct.pack("<iih", *level) for level in [*bids, *asks]),
    a_side(-1, 20, 10**9),
    a_side(1, 20, 10**9),
)
INTEREST = packed("qqd", SECONDS | st.integers(10**11, 4 * 10**12), SIZE, st.floats(allow_nan=False))
PACKETS = {
    1: st.tuples(a_head(1), TRADED),
    2: st.tuples(a_head(2), TRADED, DAY),
    3: st.tuples(a_head(3), TRADED, DAY, INTEREST, FIVE, packed("qqqq", *[PRICE] * 4)),
    4: st.tuples(a_head(4), packed("qq", MILLISECONDS, MILLISECONDS), TWENTY),
}


@pytest.mark.parametrize("mode", PACKETS)
def test_whatever_packet_the_venue_may_send_is_read_alike(mode: int, client: Any) -> None:
    count = 0

    @settings(max_examples=1_000)
    @given(PACKETS[mode].map(b"".join))
    def check(packet: bytes) -> None:
        nonlocal count
        count += 1
        theirs = client._parse_binary_data(packet)
        agree(theirs, list(provider().decoder().decode(Frame(FrameKind.BINARY, packet, NOW))))

    check()
    assert count >= 1_000


# -- the faults, each by itself ---------------------------------------------------------------------------


def test_fault_2_the_exchanges_stamp_of_twenty_levels_is_the_one_of_arrival(client: Any) -> None:
    packet = struct.pack("<BB25sqq", 4, 1, b"10626", 1_700_000_000_123, 1_700_000_000_128) + bytes(400)
    theirs = client._parse_binary_data(packet)
    assert theirs["exchange_timestamp"] == theirs["packet_received_time"] == 1_700_000_000_128
    *_, book = provider().decoder().decode(Frame(FrameKind.BINARY, packet, NOW))
    assert isinstance(book, OrderBookUpdate)
    assert book.ts_event == 1_700_000_000_123_000_000


def test_fault_3_the_change_of_open_interest_is_read_as_an_integer(client: Any) -> None:
    packet = bytearray(379)
    packet[:2] = b"\x03\x01"
    struct.pack_into("<d", packet, 139, 1.5)
    assert (
        client._parse_binary_data(bytes(packet))["open_interest_change_percentage"]
        == 4_609_434_218_613_702_656
    )


def test_fault_6_on_close_is_never_called(client: Any) -> None:
    with pytest.raises(TypeError, match="positional"):
        client._on_close(None, 1000, "bye")


def test_fault_7_text_never_reaches_its_user(client: Any) -> None:
    told: list[object] = []
    client.on_data = client.on_message = lambda *each: told.append(each)
    client._on_data(None, '{"errorCode":"E1002","errorMessage":"too many"}', 1, True)
    assert told == []
    (status,) = (
        provider()
        .decoder()
        .decode(Frame(FrameKind.TEXT, b'{"errorCode":"E1002","errorMessage":"too many"}', NOW))
    )
    assert isinstance(status, Status)
    assert status.text == "E1002 too many"


def test_fault_8_after_unsubscribing_a_reconnect_fails(client: Any) -> None:
    class Sent:
        def send(self, _: str) -> None: ...

    assert smartapi.SmartWebSocketV2.input_request_dict == {}  # the class's own, shared
    client.wsapp = Sent()
    tokens = [{"exchangeType": 1, "tokens": ["10626"]}]
    client.subscribe("a", 1, tokens)
    client.unsubscribe("a", 1, tokens)
    with pytest.raises(AttributeError):
        client.resubscribe()
