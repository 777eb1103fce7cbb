"""Angel One: what its packets mean, and how a conversation with it goes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.errors import Disconnected, Rejected, Throttled, Unsupported
from rtflow.events import (
    Event,
    Frame,
    FrameKind,
    Malformed,
    OrderBookUpdate,
    PriceBands,
    Quote,
    Status,
    Ticker,
    Trade,
)
from rtflow.instruments import Instruments
from rtflow.provider import Answer, Provider, Refused, Session, Subscription, Traffic
from rtflow.providers import angelone
from rtflow.providers.angelone import (
    BEST_FIVE,
    DEPTH_20,
    DEPTH_LEVEL,
    LTP,
    QUOTE,
    SNAP_QUOTE,
    AngelOne,
    columns,
    layout,
)
from rtflow.time import SECOND
from tests.fuzz import bitten, flipped, spoiled, survives

NOW = 1_700_000_001_000_000_007  # ours
STAMP = 1_700_000_000_123_000_000  # theirs
SYMBOL = "nse_cm:10626"

LTP_PACKET = bytes.fromhex(
    "01013130363236000000000000000000000000000000000000000065000000000000007b68e5cf8b0100000779020000000000"
)
CURRENCY_PACKET = bytes.fromhex(
    "010d3131383500000000000000000000000000000000000000000000000000000000007b68e5cf8b010000c8529f3100000000"
)
QUOTE_PACKET = bytes.fromhex(
    "02013130363236000000000000000000000000000000000000000007000000000000007b68e5cf8b01000007790200"
    "000000000a00000000000000d17802000000000040e2010000000000000000000088b340000000000070b740007102"
    "0000000000b87c0200000000000c6f020000000000e874020000000000"
)
SNAP_PACKET = bytes.fromhex(
    "03013130363236000000000000000000000000000000000000000007000000000000007b68e5cf8b01000007790200"
    "000000000a00000000000000d17802000000000040e2010000000000000000000088b340000000000070b740007102"
    "0000000000b87c0200000000000c6f020000000000e87402000000000000f153650000000000000000000000000000"
    "00000000f83f010064000000000000000279020000000000030001006500000000000000fd78020000000000040001"
    "006600000000000000f878020000000000050001006700000000000000f37802000000000006000100680000000000"
    "0000ee7802000000000007000000c8000000000000000c7902000000000004000000c9000000000000001179020000"
    "00000005000000ca00000000000000167902000000000006000000cb000000000000001b7902000000000007000000"
    "cc000000000000002079020000000000080018b802000000000088390200000000001098020000000000c0d4010000"
    "000000"
)
DEPTH_PACKET = (
    bytes.fromhex("0401313036323600000000000000000000000000000000000000007b68e5cf8b0100008068e5cf8b010000")
    + b"".join(struct.pack("<iih", 100 + i, 162050 - 5 * i, 3) for i in range(20))
    + b"".join(struct.pack("<iih", 200 + i, 162060 + 5 * i, 4) for i in range(20))
)
PACKETS = [LTP_PACKET, QUOTE_PACKET, SNAP_PACKET, DEPTH_PACKET]
DTYPES = [LTP, QUOTE, SNAP_QUOTE, DEPTH_20]
MODES = pytest.mark.parametrize(
    ("packet", "dtype"), [*zip(PACKETS, DTYPES, strict=True)], ids=["1", "2", "3", "4"]
)

TRADE = Trade(SYMBOL, STAMP, NOW, 1620.55, 0.0, venue="angelone", sampled=True)
TICKER = Ticker(
    SYMBOL,
    STAMP,
    NOW,
    last=1620.55,
    last_size=10.0,
    open=1600.0,
    high=1630.0,
    low=1595.0,
    close=1610.0,
    volume=123456.0,
    vwap=1620.01,
    total_bid_size=5000.0,
    total_ask_size=6000.0,
    window="day",
    venue="angelone",
)
BIDS = ((1620.5, 100.0), (1620.45, 101.0), (1620.4, 102.0), (1620.35, 103.0), (1620.3, 104.0))
ASKS = ((1620.6, 200.0), (1620.65, 201.0), (1620.7, 202.0), (1620.75, 203.0), (1620.8, 204.0))
BOOK = OrderBookUpdate(SYMBOL, STAMP, NOW, BIDS, ASKS, snapshot=True, venue="angelone", depth=5)
TOUCH = Quote(SYMBOL, STAMP, NOW, 1620.5, 100.0, 1620.6, 200.0, venue="angelone", sampled=True)
BANDS = PriceBands(SYMBOL, STAMP, NOW, 1782.0, 1458.0, venue="angelone")

LIMIT = (
    '{"correlationID":"abcde12345","errorCode":"E1002",'
    '"errorMessage":"Invalid Request. Subscription Limit Exceeded"}'
)
NOT_UNDERSTOOD = '{"errorCode":"E1001","errorMessage":"Invalid Request Payload."}'


def angel(**options: Any) -> AngelOne:
    return AngelOne("Bearer jwt-secret", "key-secret", "A123456", "feed-secret", **options)


def frame(payload: bytes, ts_recv: int = NOW, kind: FrameKind = FrameKind.BINARY) -> Frame:
    return Frame(kind, payload, ts_recv)


def said(text: str) -> Frame:
    return Frame(FrameKind.TEXT, text.encode(), NOW)


def decoded(*payloads: bytes, provider: AngelOne | None = None) -> list[Event]:
    """The market's events of packets in one connection; what is said of subscriptions left out."""
    decoder = (provider or angel()).decoder()
    events = [event for payload in payloads for event in decoder.decode(frame(payload))]
    return [event for event in events if not isinstance(event, Status)]


def malformed(payload: bytes) -> Malformed:
    """What a packet becomes that fails its checks: this and nothing else, and nothing is remembered."""
    known = [packet for packet in PACKETS if packet[:1] == payload[:1]]
    for before in ([], known):
        decoder = angel().decoder()
        for each in before:
            list(decoder.decode(frame(each)))
        memory = msgspec.json.encode(decoder.state())
        [event] = decoder.decode(frame(payload))
        assert isinstance(event, Malformed)
        assert (event.frame, event.ts_recv) == (frame(payload), NOW)
        assert event.reason
        assert msgspec.json.encode(decoder.state()) == memory
    assert isinstance(event, Malformed)
    return event


def changed(packet: bytes, dtype: np.dtype[Any], **fields: Any) -> bytes:
    """The packet with other numbers in these fields; ``levels=(index, field, number)`` reaches inside."""
    row = np.frombuffer(packet, dtype).copy()
    for name, value in fields.items():
        if name in ("levels", "bids", "asks"):
            for index, field, number in value:
                row[name][0][index][field] = number
        else:
            row[name] = value
    return row.tobytes()


def of(kind: type[Any], events: Iterable[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


# ------------------------------------------------------------------------------------------ the provider


def test_the_credentials_go_into_the_upgrades_headers_and_nowhere_else() -> None:
    provider: Provider = angel()
    request = provider.request(Subscription.of(trades=SYMBOL))
    assert request.url == "wss://smartapisocket.angelone.in/smart-stream"
    assert request.headers == {
        "Authorization": "Bearer jwt-secret",
        "x-api-key": "key-secret",
        "x-client-code": "A123456",
        "x-feed-token": "feed-secret",
    }
    told = repr(provider) + repr(request) + repr(provider.session(Subscription())) + repr(provider.decoder())
    assert "secret" not in told
    assert repr(angel(url="ws://127.0.0.1:9/smart-stream?feedToken=secret")) == (
        "AngelOne('ws://127.0.0.1:9/smart-stream')"
    )


@pytest.mark.parametrize("bad", ["", "a\r\nb", "é"])
@pytest.mark.parametrize("place", range(4))
def test_a_credential_that_no_header_can_have_is_a_value_error(bad: str, place: int) -> None:
    credentials = ["jwt", "key", "A123456", "feed"]
    credentials[place] = bad
    with pytest.raises(
        ValueError, match=f"^{('jwt', 'api_key', 'client_code', 'feed_token')[place]} is empty"
    ):
        AngelOne(*credentials)


def test_its_profile_names_its_kinds() -> None:
    assert AngelOne.profile.kinds == tuple(AngelOne.kinds)


def test_a_kind_that_there_is_not_is_refused_before_we_connect() -> None:
    with pytest.raises(Unsupported, match="angelone has no 'bars'; it offers books, deep_books, quotes"):
        angel().request(Subscription.of(bars=SYMBOL))


@pytest.mark.parametrize("symbol", ["SBIN-EQ", "NSE:3045", "3045"])
def test_without_a_table_a_symbol_is_an_address(symbol: str) -> None:
    with pytest.raises(Unsupported, match=r"exchange:token, as nse_cm:3045, .* give it a table of instr"):
        angel().request(Subscription.of(trades=symbol))


@pytest.mark.parametrize("token", ["", "30 45", "é", "1" * 26, "a\0"])
def test_a_token_is_letters_and_digits(token: str) -> None:
    with pytest.raises(Unsupported, match="a token is 1 to 25 letters or digits"):
        angel().request(Subscription.of(trades="nse_cm:" + token))


# ------------------------------------------------------------------------------------------ symbols

TABLE = Instruments(
    [
        ("SBIN-EQ", ("nse_cm", "3045")),
        ("ACC-EQ", ("nse_cm", "10626")),
        ("GOLD", ("mcx_fo", "1")),
        ("GOLD", ("bse_cm", "2")),
    ]
)


def test_with_a_table_symbols_are_the_venues_own_both_ways() -> None:
    provider = angel(instruments=TABLE)
    assert asked(provider.session(Subscription.of(trades=["SBIN-EQ", "mcx_fo:1"])).opened()) == [
        (1, 1, {1: ["3045"], 5: ["1"]})
    ]
    assert [event.symbol for event in of(Trade, decoded(LTP_PACKET, provider=provider))] == ["ACC-EQ"]
    assert [event.symbol for event in of(Trade, decoded(CURRENCY_PACKET, provider=provider))] == [
        "cde_fo:1185"
    ]
    other = changed(LTP_PACKET, LTP, exchange=5, token=b"1")
    assert of(Trade, decoded(other, provider=provider))[0].symbol == "mcx_fo:1"


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("NONE-EQ", "no instrument is called 'NONE-EQ'"),
        ("GOLD", "'GOLD' names 2 instruments; say which of bse_cm:2, mcx_fo:1"),
        ("nse_cm:3045", "'nse_cm:3045' is called 'SBIN-EQ' in the table of instruments"),
    ],
)
def test_with_a_table_each_instrument_has_one_name(symbol: str, reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        angel(instruments=TABLE).request(Subscription.of(trades=symbol))


# ------------------------------------------------------------------------------------------ limits


def test_a_thousand_tokens_a_connection_where_one_in_two_modes_counts_twice() -> None:
    tokens = [f"nse_fo:{number}" for number in range(1000)]
    angel().request(Subscription.of(trades=tokens, tickers=tokens, quotes=tokens, books=tokens))
    with pytest.raises(Unsupported, match=r"1000 tokens a connection, .* not 1001; a client code may have 3"):
        angel().request(Subscription.of(trades=[*tokens, "bse_cm:1"]))
    deep = [f"nse_cm:{number}" for number in range(50)]
    fit = [f"nse_cm:{number}" for number in range(950)]
    angel().request(Subscription.of(deep_books=deep, trades=fit))
    with pytest.raises(Unsupported, match="not 1001;"):
        angel().request(Subscription.of(deep_books=deep, trades=fit, quotes="bse_cm:1"))


def test_deep_books_are_of_fifty_tokens_of_one_exchange() -> None:
    deep = [f"nse_cm:{number}" for number in range(51)]
    with pytest.raises(Unsupported, match="serves deep_books of 50 tokens, not 51"):
        angel().request(Subscription.of(deep_books=deep))
    with pytest.raises(Unsupported, match="deep_books of nse_cm only, not of bse_cm"):
        angel().request(Subscription.of(deep_books="bse_cm:1"))


# ------------------------------------------------------------------------------------------ packets


@MODES
def test_a_packet_is_as_long_as_the_venue_says(packet: bytes, dtype: np.dtype[Any]) -> None:
    sizes = {1: 51, 2: 123, 3: 379, 4: 443}
    assert len(packet) == dtype.itemsize == layout(dtype).size == sizes[packet[0]]
    assert (BEST_FIVE.itemsize, DEPTH_LEVEL.itemsize) == (20, 10)


def test_a_last_price_is_a_sampled_trade_without_a_size() -> None:
    assert decoded(LTP_PACKET) == [TRADE]


def test_a_currencys_price_counts_ten_millionths() -> None:
    [trade] = decoded(CURRENCY_PACKET)
    assert trade == msgspec.structs.replace(TRADE, symbol="cde_fo:1185", price=83.2525)


def test_a_quote_packet_is_a_ticker_and_the_last_trade() -> None:
    assert decoded(QUOTE_PACKET) == [msgspec.structs.replace(TRADE, size=10.0), TICKER]


def test_a_snap_quote_is_that_and_a_book_its_touch_and_the_bands() -> None:
    traded = msgspec.structs.replace(TRADE, size=10.0, ts_event=1_700_000_000 * SECOND)
    ticker = msgspec.structs.replace(TICKER, ts_trade=1_700_000_000 * SECOND)
    assert decoded(SNAP_PACKET) == [BANDS, traded, ticker, TOUCH, BOOK]


def test_a_depth_packet_is_a_book_of_twenty_levels_stamped_by_the_exchange_and_not_by_the_receiver() -> None:
    bids = tuple((round(1620.5 - 0.05 * i, 2), 100.0 + i) for i in range(20))
    asks = tuple((round(1620.6 + 0.05 * i, 2), 200.0 + i) for i in range(20))
    assert decoded(DEPTH_PACKET) == [
        TOUCH,
        OrderBookUpdate(SYMBOL, STAMP, NOW, bids, asks, snapshot=True, venue="angelone", depth=20),
    ]


def test_a_frame_carries_its_epoch_into_books_and_statuses() -> None:
    later = Frame(FrameKind.BINARY, SNAP_PACKET, NOW, epoch=3)
    events = list(angel().decoder().decode(later))
    assert {event.epoch for event in events if isinstance(event, Status | OrderBookUpdate)} == {3}


@pytest.mark.parametrize(("mode", "kinds"), [*angelone._SERVES.items()])
def test_the_first_packet_of_a_mode_says_what_is_subscribed_and_no_later_one_does(
    mode: int, kinds: tuple[str, ...]
) -> None:
    decoder = angel().decoder()
    packet = PACKETS[mode - 1]
    first, second = (of(Status, decoder.decode(frame(packet))) for _ in range(2))
    assert first == [Status("subscribed", NOW, symbol=SYMBOL, kind=kind, venue="angelone") for kind in kinds]
    assert second == []


@pytest.mark.parametrize("undefined", [b"junk", b"\xff\xfe"])
def test_what_stands_behind_the_tokens_nul_is_nothing(undefined: bytes) -> None:
    packet = LTP_PACKET[:8] + undefined + LTP_PACKET[8 + len(undefined) :]
    decoder = angel().decoder()
    assert of(Trade, decoder.decode(frame(packet))) == [TRADE]
    assert list(decoder.decode(frame(packet))) == [TRADE]
    assert list(decoder.decode(frame(LTP_PACKET))) == [TRADE]


@MODES
def test_a_longer_packet_has_fields_that_nobody_knows_yet(packet: bytes, dtype: np.dtype[Any]) -> None:
    assert decoded(packet + b"\xff" * 9) == decoded(packet)


@MODES
def test_a_shorter_packet_is_malformed(packet: bytes, dtype: np.dtype[Any]) -> None:
    for length in range(2, len(packet)):
        malformed(packet[:length])


def test_nothing_and_next_to_nothing_are_malformed() -> None:
    assert malformed(b"").reason == "a packet of 0 bytes"
    assert malformed(b"\1").reason == "a packet of 1 bytes"


@pytest.mark.parametrize("token", [b"\0", b"3 4", b"\xff3", b"\x7f", b"a:b"])
def test_a_token_that_is_none_is_malformed(token: bytes) -> None:
    malformed(LTP_PACKET[:2] + token.ljust(25, b"\0") + LTP_PACKET[27:])


def test_a_mode_and_an_exchange_that_nobody_knows_are_passed_over_and_counted() -> None:
    decoder = angel().decoder()
    for mode, exchange in ((0, 1), (5, 1), (255, 1), (1, 0), (3, 6), (3, 14)):
        assert list(decoder.decode(frame(bytes([mode, exchange]) + SNAP_PACKET[2:]))) == []
    assert decoder.skipped == 6


# ------------------------------------------------------------------------------------------ trades


def test_a_trade_is_told_once_however_often_the_packet_comes() -> None:
    for packet in (QUOTE_PACKET, SNAP_PACKET):
        events = decoded(packet, packet, packet)
        assert (len(of(Trade, events)), len(of(Ticker, events))) == (1, 3)
    assert len(of(Trade, decoded(LTP_PACKET, LTP_PACKET))) == 2, "nothing there tells one from the next"


@pytest.mark.parametrize(
    ("change", "trades"),
    [
        ({"volume": 123457}, 1),
        ({"price": 162054}, 1),
        ({"size": 9}, 1),
        ({"trade_time": 1700000001}, 1),
        ({"volume": 123455}, 0),  # put right
        ({"time": 1700000009000, "open_interest": 7, "average": 1}, 0),
        ({"trade_time": 1699999999}, 0),
        ({"trade_time": 0}, 0),
    ],
)
def test_what_a_packet_changes_tells_whether_there_was_a_trade(change: dict[str, int], trades: int) -> None:
    assert len(of(Trade, decoded(SNAP_PACKET, changed(SNAP_PACKET, SNAP_QUOTE, **change)))) == 1 + trades


def test_a_trade_is_not_told_again_when_a_symbol_moves_to_another_mode() -> None:
    assert len(of(Trade, decoded(QUOTE_PACKET, SNAP_PACKET, QUOTE_PACKET, SNAP_PACKET))) == 1


def test_before_the_first_trade_of_the_day_there_is_none() -> None:
    assert decoded(changed(LTP_PACKET, LTP, price=0)) == []
    nothing = dict.fromkeys(("price", "size", "average", "volume", "open", "high", "low", "close"), 0)
    assert decoded(changed(QUOTE_PACKET, QUOTE, **nothing)) == [
        Ticker(
            SYMBOL,
            STAMP,
            NOW,
            volume=0.0,
            total_bid_size=5000.0,
            total_ask_size=6000.0,
            window="day",
            venue="angelone",
        )
    ]


def test_bands_are_told_when_they_are_new_and_zero_is_none() -> None:
    wider = changed(SNAP_PACKET, SNAP_QUOTE, upper_circuit=0)
    wide = changed(SNAP_PACKET, SNAP_QUOTE, lower_circuit=0)
    told = of(PriceBands, decoded(SNAP_PACKET, SNAP_PACKET, wider, wide))
    assert [(each.limit_up, each.limit_down) for each in told] == [
        (1782.0, 1458.0),
        (None, 1458.0),
        (1782.0, None),
    ]


@pytest.mark.parametrize(
    ("exchange", "interest"), [(1, None), (3, None), (2, 7.0), (4, 7.0), (5, 7.0), (13, 7.0)]
)
def test_open_interest_is_of_derivatives(exchange: int, interest: float | None) -> None:
    packet = changed(SNAP_PACKET, SNAP_QUOTE, exchange=exchange, open_interest=7)
    assert [each.open_interest for each in of(Ticker, decoded(packet))] == [interest]


def test_the_change_of_open_interest_is_a_dummy() -> None:
    for dummy in (-1.0, float("nan"), float("inf")):
        assert decoded(changed(SNAP_PACKET, SNAP_QUOTE, open_interest_change=dummy)) == decoded(SNAP_PACKET)


# ------------------------------------------------------------------------------------------ stamps


@MODES
def test_an_event_without_a_stamp_is_stamped_when_it_came(packet: bytes, dtype: np.dtype[Any]) -> None:
    fields = {"time": 0} | ({"trade_time": 0} if "trade_time" in (dtype.names or ()) else {})
    events = decoded(changed(packet, dtype, **fields))
    assert {event.ts_event for event in events if not isinstance(event, Malformed | Status)} == {NOW}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("traded", "stamp"),
    [(1_700_000_000, 1_700_000_000 * SECOND), (1_700_000_000_123, STAMP), (0, None)],
)
def test_the_last_trades_stamp_is_in_seconds_or_milliseconds(traded: int, stamp: int | None) -> None:
    events = decoded(changed(SNAP_PACKET, SNAP_QUOTE, trade_time=traded))
    assert [each.ts_trade for each in of(Ticker, events)] == [stamp]
    assert [each.ts_event for each in of(Trade, events)] == [stamp or STAMP]


@MODES
@pytest.mark.parametrize("time", [-1, -(2**63), 2**63 - 1, 9_223_372_036_855])
def test_a_stamp_beyond_64_bits_is_malformed(packet: bytes, dtype: np.dtype[Any], time: int) -> None:
    malformed(changed(packet, dtype, time=time))


@pytest.mark.parametrize("traded", [-1, 10_000_000_000, 9_223_372_036_855])
def test_so_is_one_of_a_trade(traded: int) -> None:
    malformed(changed(SNAP_PACKET, SNAP_QUOTE, trade_time=traded))


# ------------------------------------------------------------------------------------------ numbers

_NUMBERS = ("price", "size", "average", "volume", "open", "high", "low", "close")


@pytest.mark.parametrize("name", [*_NUMBERS, "total_bid_size", "total_ask_size"])
def test_a_negative_number_is_malformed(name: str) -> None:
    malformed(changed(QUOTE_PACKET, QUOTE, **{name: -1}))
    malformed(changed(SNAP_PACKET, SNAP_QUOTE, **{name: -(2**62)}))


@pytest.mark.parametrize("name", ["open_interest", "upper_circuit", "lower_circuit"])
def test_so_is_a_negative_number_of_a_snap_quote(name: str) -> None:
    malformed(changed(SNAP_PACKET, SNAP_QUOTE, **{name: -1}))


def test_so_is_a_negative_last_price() -> None:
    assert malformed(changed(LTP_PACKET, LTP, price=-1)).reason == "a price of -1"


@pytest.mark.parametrize("total", [float("nan"), float("inf"), float("-inf"), -1.0])
@pytest.mark.parametrize("name", ["total_bid_size", "total_ask_size"])
def test_a_total_that_is_no_number_is_malformed(name: str, total: float) -> None:
    malformed(changed(QUOTE_PACKET, QUOTE, **{name: total}))


def test_a_sequence_number_is_garbage_and_tells_nothing() -> None:
    assert decoded(changed(LTP_PACKET, LTP, sequence=-(2**63))) == [TRADE]


@given(st.integers(1, 2**53))
@settings(max_examples=200)
def test_a_price_is_the_float_that_prints_as_the_venues_decimals(price: int) -> None:
    [trade] = decoded(changed(LTP_PACKET, LTP, price=price))
    assert trade.price == float(f"{price // 100}.{price % 100:02d}")  # type: ignore[union-attr]
    [coin] = decoded(changed(CURRENCY_PACKET, LTP, price=price))
    assert coin.price == float(f"{price // 10**7}.{price % 10**7:07d}")  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------ books


def snap(*levels: tuple[int, str, int]) -> bytes:
    return changed(SNAP_PACKET, SNAP_QUOTE, levels=levels)


def moved(*places: int) -> bytes:
    """The ten entries in another order."""
    entries = [SNAP_PACKET[147 + 20 * place : 167 + 20 * place] for place in places]
    return SNAP_PACKET[:147] + b"".join(entries) + SNAP_PACKET[347:]


def flagged(*flags: int) -> bytes:
    return snap(*[(index, "flag", flag) for index, flag in enumerate(flags)])


def book_of(packet: bytes) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    [book] = of(OrderBookUpdate, decoded(packet))
    return book.bids, book.asks


@pytest.mark.parametrize("places", [(5, 6, 7, 8, 9, 0, 1, 2, 3, 4), (0, 5, 1, 6, 2, 7, 3, 8, 4, 9)])
def test_the_side_is_by_the_flag_wherever_the_entry_stands(places: tuple[int, ...]) -> None:
    assert decoded(moved(*places)) == decoded(SNAP_PACKET)


@pytest.mark.parametrize(
    "packet",
    [
        flagged(0, 0, 0, 0, 0, 1, 1, 1, 1, 1),  # the sides change places, the prices do not
        flagged(1, 1, 1, 1, 0, 0, 0, 0, 0, 0),  # six sells
        flagged(1, 1, 1, 1, 1, 1, 0, 0, 0, 0),
        flagged(1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
        flagged(1, 1, 1, 1, 2, 0, 0, 0, 0, 0),
        flagged(-1, 1, 1, 1, 1, 0, 0, 0, 0, 0),
        moved(4, 3, 2, 1, 0, 5, 6, 7, 8, 9),
        moved(0, 1, 2, 3, 4, 9, 8, 7, 6, 5),
        moved(1, 0, 2, 3, 4, 5, 6, 7, 8, 9),
        moved(0, 0, 1, 2, 3, 5, 6, 7, 8, 9),  # one price twice
        snap((4, "price", 0)),
        snap((4, "price", -1)),
        snap((5, "price", 0)),
        snap((9, "price", -1)),
        snap((2, "size", -1)),
        snap((7, "size", -(2**63))),
    ],
)
def test_an_impossible_order_of_prices_is_malformed(packet: bytes) -> None:
    malformed(packet)


def test_an_entry_without_a_size_is_no_level_whatever_its_flag() -> None:
    short = snap((3, "size", 0), (3, "price", 0), (4, "size", 0), (4, "price", 0), (4, "flag", 0))
    assert book_of(short) == (BIDS[:3], ASKS)
    assert book_of(snap((0, "size", 0))) == (BIDS[1:], ASKS)
    none = [(index, name, 0) for index in range(10) for name in ("flag", "size", "price")]
    assert book_of(snap(*none)) == ((), ())
    assert of(Quote, decoded(snap(*none))) == [
        Quote(SYMBOL, STAMP, NOW, None, None, None, None, venue="angelone", sampled=True)
    ]
    no_asks = snap(*[(index, "size", 0) for index in range(5, 10)])
    assert book_of(no_asks) == (BIDS, ())
    assert [(each.bid, each.ask) for each in of(Quote, decoded(no_asks))] == [(1620.5, None)]


def test_a_crossed_book_is_one_as_before_the_market_opens() -> None:
    crossed = snap(*[(index, "price", 170000 - index) for index in range(5)])
    bids, asks = book_of(crossed)
    assert bids[0][0] > asks[0][0]


def test_twenty_levels_are_checked_like_five() -> None:
    def deep(**levels: Any) -> bytes:
        return changed(DEPTH_PACKET, DEPTH_20, **levels)

    for packet in (
        deep(bids=[(19, "price", 162050)]),
        deep(bids=[(19, "price", 0)]),
        deep(bids=[(0, "size", -1)]),
        deep(asks=[(19, "price", 162060)]),
        deep(asks=[(0, "price", -5)]),
    ):
        malformed(packet)
    [book] = of(OrderBookUpdate, decoded(deep(asks=[(i, "size", 0) for i in range(2, 20)])))
    assert (len(book.bids), book.asks) == (20, ((1620.6, 200.0), (1620.65, 201.0)))


# ------------------------------------------------------------------------------------------ text


def test_an_error_is_said_in_the_venues_words() -> None:
    decoder = angel().decoder()
    assert list(decoder.decode(said(LIMIT))) == [
        Status(
            "rejected", NOW, "E1002 Invalid Request. Subscription Limit Exceeded", epoch=1, venue="angelone"
        )
    ]
    assert list(decoder.decode(said('{"errorCode":"E1001"}'))) == [
        Status("rejected", NOW, "E1001", venue="angelone")
    ]


def test_ping_and_pong_say_nothing_of_the_market() -> None:
    decoder = angel().decoder()
    assert [*decoder.decode(said("pong")), *decoder.decode(said("ping"))] == []
    assert decoder.skipped == 0


def test_text_that_nobody_knows_is_passed_over_and_what_is_no_json_is_malformed() -> None:
    decoder = angel().decoder()
    assert list(decoder.decode(said('{"message":"welcome"}'))) == []
    assert decoder.skipped == 1
    for text in ("", "pongpong", "[]", '{"errorCode":5}', "{", "\1"):
        [event] = decoder.decode(said(text))
        assert isinstance(event, Malformed)


# ------------------------------------------------------------------------------------------ state


@pytest.mark.parametrize("cut", range(9))
def test_a_decoder_resumed_anywhere_says_the_same(cut: int) -> None:
    other = changed(SNAP_PACKET, SNAP_QUOTE, volume=200000, upper_circuit=9)
    frames = [
        *map(frame, (QUOTE_PACKET, SNAP_PACKET, LTP_PACKET, QUOTE_PACKET, SNAP_PACKET, other, b"\x09" * 30)),
        said(LIMIT),
        frame(other),
    ]
    whole, first, second = (angel().decoder() for _ in range(3))
    expected = [event for each in frames for event in whole.decode(each)]
    got = [event for each in frames[:cut] for event in first.decode(each)]
    second.restore(msgspec.json.decode(msgspec.json.encode(first.state())))
    got += [event for each in frames[cut:] for event in second.decode(each)]
    assert got == expected
    assert second.skipped == whole.skipped == 1
    assert second.state() == whole.state()


# ------------------------------------------------------------------------------------------ columns


@st.composite
def packets(draw: st.DrawFn) -> tuple[bytes, np.dtype[Any]]:
    """Whatever fits into a packet."""
    dtype = draw(st.sampled_from(DTYPES))
    mode = DTYPES.index(dtype) + 1
    return bytes([mode]) + draw(st.binary(min_size=dtype.itemsize - 1, max_size=dtype.itemsize - 1)), dtype


def flat(value: object) -> list[object]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return [part for each in value for part in flat(each)] if isinstance(value, tuple | list) else [value]


@given(packets())
@settings(max_examples=500)
def test_struct_reads_a_packet_as_its_dtype_does(drawn: tuple[bytes, np.dtype[Any]]) -> None:
    packet, dtype = drawn
    by_dtype = flat(np.frombuffer(packet, dtype)[0].item())
    by_struct = list(layout(dtype).unpack(packet))
    by_struct[2] = by_struct[2].rstrip(b"\0")  # numpy's text ends there
    assert repr(by_struct) == repr(by_dtype), "by their text, as NaN is not itself"


def test_a_layout_of_some_fields_skips_the_others() -> None:
    assert layout(LTP, "time", "price").unpack(LTP_PACKET) == (1_700_000_000_123, 162055)
    assert layout(SNAP_QUOTE, "levels", "price").unpack_from(SNAP_PACKET)[:3] == (162055, 162050, 162045)


def snaps() -> st.SearchStrategy[bytes]:
    """Packets of every mode with numbers that a market could have."""

    def build(mode: int, exchange: int, time: int, price: int, step: int, size: int) -> bytes:
        packet, dtype = PACKETS[mode - 1], DTYPES[mode - 1]
        fields: dict[str, Any] = {"exchange": exchange, "time": time}
        names = dtype.names or ()
        fields |= {name: price + index for index, name in enumerate(names) if name in _NUMBERS}
        bids = [(index, "price", price - step * index) for index in range(20)]
        asks = [(index, "price", price + step * (index + 1)) for index in range(20)]
        if mode == 3:
            fields["levels"] = bids[:5] + [(5 + index, *rest) for index, *rest in asks[:5]]
            fields["levels"] += [(0, "size", size)]
        if mode == 4:
            fields |= {"bids": [*bids, (0, "size", size)], "asks": asks}
        return changed(packet, dtype, **fields)

    exchanges = st.sampled_from([1, 2, 3, 4, 5, 7, 13])
    times, prices = st.integers(0, 2 * 10**12), st.integers(2_000, 2**30)
    return st.builds(
        build, st.integers(1, 4), exchanges, times, prices, st.integers(1, 100), st.integers(1, 10**6)
    )


@given(st.lists(snaps(), min_size=1, max_size=12))
@settings(max_examples=200)
def test_a_day_in_columns_says_what_its_packets_say_one_by_one(day: list[bytes]) -> None:
    frames = [frame(packet, NOW + index) for index, packet in enumerate(day)]
    by_mode = columns(frames)
    assert set(by_mode) == {packet[0] for packet in day}
    for mode, told in by_mode.items():
        mine = [each for each in frames if each.payload[0] == mode]
        assert told.rows.tobytes() == b"".join(each.payload for each in mine)
        assert told.ts_recv.tolist() == [each.ts_recv for each in mine]
        decoder = angel().decoder()
        for row, each in enumerate(mine):
            events = list(decoder.decode(each))
            assert not of(Malformed, events)
            if mode == 1:
                assert told.prices()[row] == of(Trade, events)[0].price
                assert told.ts_event()[row] == of(Trade, events)[0].ts_event
            if mode in (2, 3):
                [ticker] = of(Ticker, events)
                assert told.prices()[row] == ticker.last
                assert told.prices("close")[row] == ticker.close
                assert told.rows["volume"][row] == ticker.volume
                assert told.ts_event()[row] == ticker.ts_event
            if mode in (3, 4):
                [book] = of(OrderBookUpdate, events)
                rows, prices = (
                    (told.rows["levels"][row], told.prices("levels")[row])
                    if mode == 3
                    else (
                        np.concatenate([told.rows["bids"][row], told.rows["asks"][row]]),
                        np.concatenate([told.prices("bids")[row], told.prices("asks")[row]]),
                    )
                )
                levels = [(price, size) for price, size in zip(prices, rows["size"], strict=True)]
                assert levels == [*book.bids, *book.asks]


def test_a_day_leaves_out_what_is_no_whole_packet_and_cuts_what_is_longer() -> None:
    odd = [b"", b"\1", LTP_PACKET[:-1], b"\5" * 51]
    day = columns(
        [*map(frame, odd), said(LIMIT), frame(LTP_PACKET, kind=FrameKind.TEXT), frame(LTP_PACKET + b"\0")]
    )
    assert {mode: len(told.rows) for mode, told in day.items()} == {1: 1}
    assert columns([]) == {}


# ------------------------------------------------------------------------------------------ fuzz

ALL = Subscription.of(trades=SYMBOL, tickers=SYMBOL, books=SYMBOL)
SANE = (Trade, Ticker, Quote, OrderBookUpdate, PriceBands, Status, Malformed)


@given(
    st.one_of(
        bitten(PACKETS), flipped(PACKETS), st.binary(max_size=500), packets().map(lambda drawn: drawn[0])
    )
)
@settings(max_examples=1000)
def test_any_packet_is_events_or_malformed_and_never_both(payload: bytes) -> None:
    events = survives(angel(), ALL, payload, FrameKind.BINARY)
    assert not events or isinstance(events[0], Malformed) == isinstance(events[-1], Malformed)
    for event in events:
        assert isinstance(event, SANE)
        if isinstance(event, Malformed):
            assert len(events) == 1
        if isinstance(event, OrderBookUpdate):
            for levels, sign in ((event.bids, -1), (event.asks, 1)):
                keys = [price * sign for price, _ in levels]
                assert keys == sorted(keys)
                assert all(price > 0 and size > 0 for price, size in levels)
        if isinstance(event, Trade):
            assert event.price > 0
            assert event.size >= 0


TEXTS = [LIMIT.encode(), NOT_UNDERSTOOD.encode()]


@given(st.one_of(bitten([*TEXTS, b"pong", b"ping"]), flipped(TEXTS), spoiled(TEXTS), bitten(PACKETS)))
@settings(max_examples=400)
def test_any_text_is_a_refusal_nothing_or_malformed(payload: bytes) -> None:
    for event in survives(angel(), ALL, payload, FrameKind.TEXT):
        assert isinstance(event, Malformed) or (isinstance(event, Status) and event.state == "rejected")


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 50_000])
def test_depth_without_end_is_malformed(deep: bytes) -> None:
    [event] = survives(angel(), ALL, deep, FrameKind.TEXT)
    assert isinstance(event, Malformed)


# ------------------------------------------------------------------------------------------ the session


def asked(answers: Iterable[Answer]) -> list[tuple[int, int, dict[int, list[str]]]]:
    """Action, mode and tokens by exchange of each request."""
    read = [msgspec.json.decode(answer) for answer in answers if isinstance(answer, str)]
    return [
        (
            each["action"],
            each["params"]["mode"],
            {part["exchangeType"]: part["tokens"] for part in each["params"]["tokenList"]},
        )
        for each in read
    ]


def session(**kinds: Iterable[str]) -> Session:
    fresh = angel().session(Subscription.of(**kinds))
    fresh.started(0)
    return fresh


def opened(**kinds: Iterable[str]) -> Session:
    fresh = session(**kinds)
    list(fresh.opened())
    return fresh


def error(request: int | None, code: str = "E1001") -> Frame:
    reply = {"errorCode": code, "errorMessage": "no"} | (
        {} if request is None else {"correlationID": str(request)}
    )
    return said(msgspec.json.encode(reply).decode())


def test_a_request_is_spelled_as_the_venue_wants_it() -> None:
    [request] = session(trades=["nse_cm:10626", "nse_cm:5290", "mcx_fo:234230"]).opened()
    assert request == (
        '{"correlationID":"1","action":1,"params":{"mode":1,"tokenList":['
        '{"exchangeType":1,"tokens":["10626","5290"]},{"exchangeType":5,"tokens":["234230"]}]}}'
    )


@pytest.mark.parametrize(
    ("kinds", "modes"),
    [
        ("trades", [1]),
        ("tickers", [2]),
        ("trades tickers", [2]),
        ("quotes", [3]),
        ("books", [3]),
        ("trades tickers quotes books", [3]),
        ("deep_books", [4]),
        ("deep_books quotes books", [4]),
        ("deep_books trades", [1, 4]),
        ("deep_books trades tickers quotes books", [2, 4]),
    ],
)
def test_a_symbol_is_subscribed_in_the_least_that_serves_all_that_is_wanted_of_it(
    kinds: str, modes: list[int]
) -> None:
    fresh = session(**{kind: [SYMBOL] for kind in kinds.split()})
    assert asked(fresh.opened()) == [(1, mode, {1: ["10626"]}) for mode in modes]
    served = [kind for mode in modes for kind in angelone._SERVES[mode]]
    assert len(served) == len({*served}), "no event comes twice"
    assert {*kinds.split()} <= {*served}


def test_nothing_is_asked_for_nothing() -> None:
    assert list(session().opened()) == []


def test_many_tokens_are_asked_for_in_chunks() -> None:
    requests = asked(session(trades=[f"nse_fo:{number}" for number in range(250)]).opened())
    assert [len(tokens[2]) for _, _, tokens in requests] == [100, 100, 50]
    assert len({token for _, _, tokens in requests for token in tokens[2]}) == 250


def test_what_is_added_and_removed_changes_modes_and_frees_places_first() -> None:
    live = opened(trades=[SYMBOL, "nse_cm:2"])
    books = Subscription.of(books=SYMBOL)
    assert asked(live.wanted(books, Subscription())) == [(0, 1, {1: ["10626"]}), (1, 3, {1: ["10626"]})]
    assert asked(live.wanted(books, Subscription())) == []
    assert asked(live.wanted(Subscription(), books)) == [(0, 3, {1: ["10626"]}), (1, 1, {1: ["10626"]})]
    assert asked(live.wanted(Subscription(), Subscription.of(trades="nse_cm:2"))) == [(0, 1, {1: ["2"]})]


def test_a_resync_is_the_books_subscription_taken_anew() -> None:
    live = opened(books=SYMBOL, deep_books="nse_cm:2", trades="nse_cm:3")
    assert asked(live.resync(SYMBOL)) == [(0, 3, {1: ["10626"]}), (1, 3, {1: ["10626"]})]
    assert asked(live.resync("nse_cm:2")) == [(0, 4, {1: ["2"]}), (1, 4, {1: ["2"]})]
    assert asked(live.resync("nse_cm:3")) == asked(live.resync("nse_cm:4")) == []
    assert asked(live.wanted(Subscription(), Subscription())) == [], "it stands as before"


def test_a_request_that_is_not_understood_is_narrowed_down_to_the_token_it_is_about() -> None:
    live = opened(trades=["nse_cm:1", "nse_cm:2", "nse_cm:3"])
    assert asked(live.received(error(1))) == [(1, 1, {1: ["1"]}), (1, 1, {1: ["2", "3"]})]
    assert asked(live.received(error(3))) == [(1, 1, {1: ["2"]}), (1, 1, {1: ["3"]})]
    assert list(live.received(error(5))) == [Refused((("trades", "nse_cm:3"),), "E1001 no")]
    assert asked(live.wanted(Subscription(), Subscription())) == []
    assert list(live.received(error(5))) == []


def test_beyond_the_limit_a_request_is_refused_as_a_whole() -> None:
    live = opened(trades=["nse_cm:1", "nse_cm:2"])
    assert list(live.received(error(1, "E1002"))) == [
        Refused((("trades", "nse_cm:1"), ("trades", "nse_cm:2")), "E1002 no")
    ]


def test_what_came_along_in_a_refused_mode_is_asked_for_in_a_lesser_one() -> None:
    live = opened(deep_books=SYMBOL, books=SYMBOL, trades=SYMBOL)
    first, *rest = live.received(error(2))  # request 1 was of mode 1
    assert first == Refused((("deep_books", SYMBOL),), "E1001 no")
    assert asked(rest) == [(0, 1, {1: ["10626"]}), (1, 3, {1: ["10626"]})]
    first, *rest = live.received(error(4))
    assert first == Refused((("books", SYMBOL),), "E1001 no")
    assert asked(rest) == [(1, 1, {1: ["10626"]})]
    assert list(live.received(error(5))) == [Refused((("trades", SYMBOL),), "E1001 no")]


def test_an_error_that_names_no_request_or_one_long_gone_changes_nothing() -> None:
    live = opened(trades=SYMBOL)
    for reply in (error(None), error(99), said('{"correlationID":"1"}'), said("{"), said("[1]")):
        assert list(live.received(reply)) == []
    list(live.wanted(Subscription(), Subscription.of(trades=SYMBOL)))
    assert list(live.received(error(1))) == [], "nobody wants it any more"
    assert list(live.received(error(2))) == [], "an unsubscribe"


def test_only_so_many_requests_are_remembered() -> None:
    live = opened(trades=SYMBOL)
    gone = Subscription.of(trades=SYMBOL)
    for _ in range(300):
        list(live.wanted(Subscription(), gone))
        list(live.wanted(gone, Subscription()))
    assert list(live.received(error(1))) == []
    assert list(live.received(error(601))) == [Refused((("trades", SYMBOL),), "E1001 no")]


# ------------------------------------------------------------------------------------------ liveness


@pytest.mark.parametrize(
    ("payload", "traffic"),
    [
        *[(packet, Traffic.DATA) for packet in PACKETS],
        (b"pong", Traffic.HEARTBEAT),
        (b"ping", Traffic.CONTROL),
        (LIMIT.encode(), Traffic.CONTROL),
        (b"", Traffic.CONTROL),
        (b"\x05", Traffic.CONTROL),
    ],
)
def test_traffic_is_told_by_the_first_byte(payload: bytes, traffic: Traffic) -> None:
    assert session().classify(payload) is traffic


def test_a_ping_leaves_every_ten_seconds() -> None:
    live = opened(trades=SYMBOL)
    for second in (10, 20, 30):
        assert live.due() == second * SECOND
        assert list(live.wake(second * SECOND - 1)) == []
        live.classify(b"pong")
        assert list(live.wake(second * SECOND)) == ["ping"]


def test_the_venues_ping_is_answered() -> None:
    assert list(session().received(said("ping"))) == ["pong"]


def test_twenty_seconds_without_a_word_are_the_end() -> None:
    live = opened(trades=SYMBOL)
    live.classify(LTP_PACKET)
    assert list(live.wake(10 * SECOND)) == ["ping"]
    assert list(live.wake(20 * SECOND)) == ["ping"]
    [end] = live.wake(30 * SECOND)
    assert isinstance(end, Disconnected)
    assert end.reason == "silent for 20 s, and no answer to a ping"


def test_a_connection_that_never_says_a_word_is_no_better() -> None:
    live = opened(trades=SYMBOL)
    assert list(live.wake(10 * SECOND)) == ["ping"]
    assert isinstance(next(iter(live.wake(20 * SECOND))), Disconnected)


def test_a_refused_upgrade_says_whose_fault_it_is() -> None:
    unauthorized = session().denied(401, "Unauthorized")
    assert isinstance(unauthorized, Rejected)
    assert unauthorized.reason == (
        "HTTP 401 Unauthorized; the JWT and the feed token end with the day: log in anew"
    )
    assert unauthorized.code == 401
    crowded = session().denied(429, "")
    assert isinstance(crowded, Throttled)
    assert (crowded.reason, crowded.retry_after) == ("HTTP 429; a client code may have 3 connections", 30.0)
    assert isinstance(session().denied(403, "Forbidden"), Rejected)
    assert isinstance(session().denied(503, "Down"), Disconnected)


def test_a_close_is_a_disconnect() -> None:
    assert isinstance(session().closed(1006, "the line broke"), Disconnected)


@pytest.mark.parametrize("kind", ["quotes", "books"])
def test_deep_books_exclude_what_their_silence_would_take_away(kind: str) -> None:
    wanted = Subscription.of(**{kind: "nse_cm:3045", "deep_books": ["nse_cm:3045", "nse_cm:11536"]})
    with pytest.raises(Unsupported, match="of nse_cm:3045 either deep_books or quotes and books"):
        AngelOne("j", "k", "c", "f").request(wanted)
