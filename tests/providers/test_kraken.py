"""Kraken: what its frames mean, and how a conversation with it goes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reactivex import abc

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Instrument,
    Malformed,
    OrderBookUpdate,
    Quote,
    Side,
    Status,
    Trade,
)
from rtflow.provider import Answer, Provider, Rate, Refused, Request, Session, Subscription, Traffic
from rtflow.providers.kraken import Kraken
from rtflow.time import SECOND, parse
from rtflow.transport import connect
from rtflow.twin import Twin
from tests.fuzz import JUNK, broken, survives
from tests.test_straight_line import agrees, watched
from tests.watching import Watch

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings" / "kraken_v2"
NOW = 1_787_745_356_222_520_059

STATUS = (
    '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",'
    '"connection_id":18125794168470749634,"upcoming_maintenance":[],"emergency":[]}]}'
)
HEARTBEAT = '{"channel":"heartbeat"}'
PONG = (
    '{"method":"pong","req_id":101,"time_in":"2023-09-24T14:10:23.799685Z",'
    '"time_out":"2023-09-24T14:10:23.799703Z"}'
)
TRADE = (
    '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":83744.3,'
    '"qty":0.00044780,"ord_type":"limit","trade_id":109116693,"timestamp":"2026-09-25T17:48:26.844359Z"}]}'
)
TICKER = (
    '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":83744.2,"bid_qty":0.56251979,'
    '"ask":83744.3,"ask_qty":0.00044780,"last":83744.3,"volume":3156.84782110,"vwap":84174.6,"low":83163.6,'
    '"high":85247.4,"change":-429.3,"change_pct":-0.51,"trades":135262,'
    '"timestamp":"2026-09-25T17:48:26.844359Z"}]}'
)
OHLC = (
    '{"channel":"ohlc","type":"update","timestamp":"2026-09-25T17:48:26.844359566Z","data":[{"symbol":'
    '"BTC/USD","open":83729.5,"high":83745.2,"low":83729.4,"close":83744.3,"trades":33,"volume":0.21155628,'
    '"vwap":83736.4,"interval_begin":"2026-09-25T17:48:00.000000000Z","interval":1,'
    '"timestamp":"2026-09-25T17:49:00.000000Z"}]}'
)
INSTRUMENT = (
    '{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"BTC/USD","base":"BTC",'
    '"quote":"USD","status":"online","qty_precision":8,"qty_increment":1e-08,"price_precision":1,'
    '"cost_precision":5,"marginable":true,"has_index":true,"ws_display_price_precision":1,"cost_min":0.5,'
    '"margin_initial":0.1,"position_limit_long":350,"position_limit_short":250,"tick_size":0.1,'
    '"price_increment":0.1,"qty_min":5e-05}]}}'
)
# the example of https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2
GUIDE = (
    '{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0.10000000}'
    ',{"price":45283.4,"qty":1.54582015},{"price":45282.1,"qty":0.10000000},{"price":45281.0,"qty":0.10000000},'
    '{"price":45280.3,"qty":1.54592586},{"price":45279.0,"qty":0.07990000},{"price":45277.6,"qty":0.03310103},'
    '{"price":45277.5,"qty":0.30000000},{"price":45277.3,"qty":1.54602737},{"price":45276.6,"qty":0.15445238}],'
    '"asks":[{"price":45285.2,"qty":0.00100000},{"price":45286.4,"qty":1.54571953},{"price":45286.6,"qty":'
    '1.54571109},{"price":45289.6,"qty":1.54560911},{"price":45290.2,"qty":0.15890660},{"price":45291.8,"qty":'
    '1.54553491},{"price":45294.7,"qty":0.04454749},{"price":45296.1,"qty":0.35380000},{"price":45297.5,"qty":'
    '0.09945542},{"price":45299.5,"qty":0.18772827}],"checksum":3310070434}]}'
)
ETH_BTC = (
    '{"channel":"book","type":"snapshot","data":[{"symbol":"ETH/BTC","bids":[{"price":0.031348,"qty":0.03740000}'
    ',{"price":0.031347,"qty":2.87288049},{"price":0.031345,"qty":8.57986833},{"price":0.031344,"qty":'
    '14.40276069},{"price":0.031340,"qty":12.96065840},{"price":0.031339,"qty":13.19606540},{"price":0.031338,'
    '"qty":20.41389313},{"price":0.031336,"qty":0.03740000},{"price":0.031334,"qty":14.37158163},{"price":'
    '0.031332,"qty":14.40695990}],"asks":[{"price":0.031357,"qty":0.03740000},{"price":0.031358,"qty":'
    '2.87194815},{"price":0.031361,"qty":0.00767324},{"price":0.031362,"qty":4.27140781},{"price":0.031363,'
    '"qty":4.34586052},{"price":0.031364,"qty":27.28097668},{"price":0.031365,"qty":12.92325840},{"price":'
    '0.031366,"qty":4.14290322},{"price":0.031368,"qty":0.00738649},{"price":0.031370,"qty":0.03740000}],'
    '"checksum":3619791617,"timestamp":"2026-08-26T15:16:16.637831Z"}]}'
)
ETH_BTC_UPDATE = (
    '{"channel":"book","type":"update","data":[{"symbol":"ETH/BTC","bids":[{"price":0.031347,"qty":0.00000000},'
    '{"price":0.031329,"qty":19.07893401}],"asks":[],"checksum":2505869009,"timestamp":'
    '"2026-08-26T15:16:16.730423Z"}]}'
)
ETH_USD = (
    '{"channel":"book","type":"snapshot","data":[{"symbol":"ETH/USD","bids":[{"price":1797.24,"qty":0.43393711},'
    '{"price":1797.18,"qty":139.10616255},{"price":1797.13,"qty":139.10995927},{"price":1797.12,"qty":'
    '0.80386470},{"price":1797.07,"qty":139.11517673},{"price":1796.98,"qty":5.22282896},{"price":1796.97,"qty":'
    '12.17138476},{"price":1796.95,"qty":139.69390939},{"price":1796.88,"qty":4.21870000},{"price":1796.85,'
    '"qty":1.22932317}],"asks":[{"price":1797.25,"qty":1.40355852},{"price":1797.28,"qty":10.82400000},{"price":'
    '1797.29,"qty":139.09899871},{"price":1797.30,"qty":139.09783403},{"price":1797.37,"qty":139.09216827},'
    '{"price":1797.41,"qty":5.24638952},{"price":1797.42,"qty":0.01780330},{"price":1797.46,"qty":33.05700000},'
    '{"price":1797.48,"qty":3.11556555},{"price":1797.49,"qty":139.49306646}],"checksum":2606672715}]}'
)
ETH_USD_UPDATE = (
    '{"channel":"book","type":"update","data":[{"symbol":"ETH/USD","bids":[],"asks":[{"price":1797.29,"qty":'
    '0.00000000},{"price":1797.52,"qty":1.56601318}],"checksum":3329440863,"timestamp":'
    '"2025-05-06T09:17:26.208075Z"}]}'
)
DATA = [TRADE, TICKER, OHLC, INSTRUMENT, GUIDE, ETH_BTC, ETH_BTC_UPDATE, ETH_USD, ETH_USD_UPDATE]
ACKNOWLEDGED = (
    '{"method":"subscribe","result":{"channel":"book","depth":25,"snapshot":true,"symbol":"BTC/USD"},'
    '"success":true,"time_in":"2026-08-26T11:55:56.381072Z","time_out":"2026-08-26T11:55:56.381094Z"}'
)
UNSUPPORTED_PAIR = (
    '{"error":"Currency pair not supported NOPE/USD","method":"subscribe","success":false,'
    '"symbol":"NOPE/USD","time_in":"2026-09-24T03:54:32.996743Z","time_out":"2026-09-24T03:54:32.996775Z"}'
)
EXCEEDED = '{"Error":"Exceeded msg rate"}'


def frame(text: str | bytes, ts_recv: int = NOW, epoch: int = 1) -> Frame:
    payload = text.encode() if isinstance(text, str) else text
    return Frame(FrameKind.TEXT, payload, ts_recv, epoch)


def decoded(*texts: str | bytes, depth: int = 10) -> list[Event]:
    decoder = Kraken(depth=depth).decoder()
    return [event for text in texts for event in decoder.decode(frame(text))]


# ------------------------------------------------------------------------------------------ the provider


def test_it_is_a_provider_that_needs_nothing_but_an_address() -> None:
    kraken: Provider = Kraken()
    assert kraken.name == "kraken"
    assert kraken.request(Subscription.of(trades="BTC/USD", instruments="*")) == Request(
        "wss://ws.kraken.com/v2", attempts=Rate(120, 600.0)
    )
    twin = Kraken(url="ws://127.0.0.1:9/v2")
    assert twin.request(Subscription()).url == "ws://127.0.0.1:9/v2"


@pytest.mark.parametrize("url", ["", "ws.kraken.com/v2", "https://ws.kraken.com/v2", "/v2"])
def test_an_address_that_is_no_websockets_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="ws://… or wss://…, not '" + url):
        Kraken(url=url)


def test_its_profile_is_what_it_does() -> None:
    assert Kraken.profile.kinds == Kraken.kinds
    assert str(Kraken().depth) in Kraken.profile.depth


@pytest.mark.parametrize("depth", [10, 25, 100, 500, 1000])
def test_a_book_comes_at_each_depth_the_venue_has(depth: int) -> None:
    [book] = decoded(GUIDE, depth=depth)
    assert isinstance(book, OrderBookUpdate)
    assert book.depth == depth


@pytest.mark.parametrize("depth", [0, 1, 11, 27, 999, 2000])
def test_any_other_depth_is_refused_before_we_connect(depth: int) -> None:
    with pytest.raises(Unsupported, match=f"10, 25, 100, 500 or 1000 levels a side, not {depth}$"):
        Kraken(depth=depth)


def test_an_interval_the_venue_does_not_make_is_refused_before_we_connect() -> None:
    assert Kraken(interval=21600).interval == 21600
    with pytest.raises(Unsupported, match=r"10080 or 21600 minutes, not 2$"):
        Kraken(interval=2)


def test_what_the_venue_does_not_have_is_refused_before_we_connect() -> None:
    with pytest.raises(Unsupported, match="kraken has no 'lulds'"):
        Kraken().request(Subscription.of(lulds="BTC/USD"))
    with pytest.raises(Unsupported, match="ask for '\\*', not 'BTC/USD'"):
        Kraken().request(Subscription.of(instruments="BTC/USD"))


# ------------------------------------------------------------------------------------------ trades


def test_a_trade_is_what_the_taker_did() -> None:
    assert decoded(TRADE) == [
        Trade(
            "BTC/USD",
            ts_event=parse("2026-09-25T17:48:26.844359Z"),
            ts_recv=NOW,
            price=83744.3,
            size=0.0004478,
            side=Side.BUY,
            id="109116693",
            venue="kraken",
        )
    ]
    [sold] = decoded(TRADE.replace('"buy"', '"sell"'))
    assert isinstance(sold, Trade)
    assert sold.side is Side.SELL


def row_of_trade(trade_id: int, **changes: object) -> dict[str, object]:
    row: dict[str, object] = json.loads(TRADE)["data"][0]
    return row | {"trade_id": trade_id} | changes


def envelope(channel: str, rows: Iterable[object], kind: str = "update") -> str:
    return json.dumps({"channel": channel, "type": kind, "data": list(rows)}, separators=(",", ":"))


def ids(events: Iterable[Event]) -> list[str]:
    return [event.id for event in events if isinstance(event, Trade)]


def test_a_snapshot_of_trades_leaves_by_trade_id_and_an_update_as_it_came() -> None:
    rows = [row_of_trade(3), row_of_trade(1), row_of_trade(20)]
    assert ids(decoded(envelope("trade", rows, "snapshot"))) == ["1", "3", "20"]
    assert ids(decoded(envelope("trade", rows))) == ["3", "1", "20"]


@pytest.mark.parametrize(
    "changes",
    [
        {"price": -1.0},
        {"price": 0},
        {"price": "83744.3"},
        {"price": None},
        {"qty": -0.1},
        {"side": "both"},
        {"symbol": 5},
        {"trade_id": -1},
        {"trade_id": 2**64},
        {"timestamp": "yesterday"},
        {"timestamp": 5},
    ],
)
def test_a_bad_trade_is_malformed_and_its_neighbours_are_intact(changes: dict[str, object]) -> None:
    rows = [row_of_trade(2), row_of_trade(9) | changes, row_of_trade(1)]
    text = envelope("trade", rows, "snapshot")
    *trades, malformed = decoded(text)
    assert ids(trades) == ["1", "2"]
    assert isinstance(malformed, Malformed)
    assert (malformed.frame, malformed.ts_recv) == (frame(text), NOW)
    assert malformed.reason


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
@pytest.mark.parametrize("text", [TRADE, TICKER, OHLC, ETH_BTC_UPDATE])
def test_what_is_no_finite_number_is_malformed(text: str, number: str) -> None:
    for name in ('"price":', '"bid":', '"open":'):
        head, found, rest = text.partition(name)
        if found:
            text = head + found + number + rest[rest.index(",") :]
    [malformed] = decoded(text)
    assert isinstance(malformed, Malformed)


# ------------------------------------------------------------------------------------------ quotes


def test_a_ticker_is_a_quote() -> None:
    assert decoded(TICKER) == [
        Quote(
            "BTC/USD",
            ts_event=parse("2026-09-25T17:48:26.844359Z"),
            ts_recv=NOW,
            bid=83744.2,
            bid_size=0.56251979,
            ask=83744.3,
            ask_size=0.0004478,
            venue="kraken",
        )
    ]


def test_a_ticker_without_a_stamp_is_stamped_when_it_came() -> None:
    old = (
        '{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":108359.8,"bid_qty":0.01362603,'
        '"ask":108359.9,"ask_qty":17.17988863,"last":108359.8,"volume":2158.32346723,"vwap":108894.5,'
        '"low":106824,"high":111300,"change":-2679.9,"change_pct":-2.41}]}'
    )
    [quote] = decoded(old)
    assert isinstance(quote, Quote)
    assert quote.ts_event == NOW


def test_a_pair_without_orders_has_no_sides_rather_than_zeros() -> None:
    zeros = (
        '{"channel":"ticker","type":"snapshot","data":[{"symbol":"A/USD","bid":0.0000,"bid_qty":0.00000000,'
        '"ask":0.0000,"ask_qty":0.00000000,"last":0.0000,"timestamp":"1970-01-01T00:00:00.000000Z"}]}'
    )
    assert decoded(zeros) == [Quote("A/USD", NOW, NOW, None, None, None, None, venue="kraken")]
    one = zeros.replace('"ask":0.0000,"ask_qty":0.00000000', '"ask":2,"ask_qty":1')
    assert decoded(one) == [Quote("A/USD", NOW, NOW, None, None, 2.0, 1.0, venue="kraken")]
    other = zeros.replace('"bid":0.0000,"bid_qty":0.00000000', '"bid":2,"bid_qty":1')
    assert decoded(other) == [Quote("A/USD", NOW, NOW, 2.0, 1.0, None, None, venue="kraken")]
    sizeless = zeros.replace('"bid":0.0000', '"bid":2').replace('"ask":0.0000', '"ask":3')
    assert decoded(sizeless) == decoded(zeros)


def test_a_negative_bid_is_malformed() -> None:
    [malformed] = decoded(TICKER.replace('"bid":', '"bid":-'))
    assert isinstance(malformed, Malformed)


# ------------------------------------------------------------------------------------------ books


def checksum(asks: Iterable[str], bids: Iterable[str]) -> int:
    return zlib.crc32("".join([*asks, *bids]).encode("ascii"))


def book(text: str) -> OrderBookUpdate:
    [update] = decoded(text)
    assert isinstance(update, OrderBookUpdate)
    return update


@pytest.mark.parametrize(("text", "crc"), [(GUIDE, 3310070434), (ETH_BTC, 3619791617), (ETH_USD, 2606672715)])
def test_the_digits_of_a_snapshot_give_the_venues_checksum(text: str, crc: int) -> None:
    update = book(text)
    assert update.snapshot
    assert (update.checksum, update.checksum_rule) == (crc, "crc32-top10")
    assert checksum(update.ask_digits, update.bid_digits) == crc


def test_the_digits_are_those_of_the_venues_own_guide() -> None:
    update = book(GUIDE)
    assert "".join(update.ask_digits) == (
        "45285210000045286415457195345286615457110945289615456091145290215890660452918154553491452947"
        "445474945296135380000452975994554245299518772827"
    )
    assert "".join(update.bid_digits) == (
        "452835100000004528341545820154528211000000045281010000000452803154592586452790799000045277633101034"
        "527753000000045277315460273745276615445238"
    )


@pytest.mark.parametrize(
    ("snapshot", "update", "crc"),
    [(ETH_BTC, ETH_BTC_UPDATE, 2505869009), (ETH_USD, ETH_USD_UPDATE, 3329440863)],
)
def test_the_digits_of_an_update_lead_to_the_next_checksum(snapshot: str, update: str, crc: int) -> None:
    before, after = book(snapshot), book(update)
    assert not after.snapshot
    assert after.checksum == crc
    sides = []
    for first, digits, change, changed, sign in (
        (before.asks, before.ask_digits, after.asks, after.ask_digits, 1),
        (before.bids, before.bid_digits, after.bids, after.bid_digits, -1),
    ):
        side = {price: text for (price, _), text in zip(first, digits, strict=True)}
        for (price, size), text in zip(change, changed, strict=True):
            side[price] = text
            if size == 0:
                del side[price]
        sides.append([side[price] for price in sorted(side, key=lambda price: sign * price)][:10])
    assert checksum(*sides) == crc


def test_leading_zeros_vanish_from_the_digits_and_trailing_ones_stay() -> None:
    synthetic = (
        '{"channel":"book","type":"snapshot","data":[{"symbol":"A/B","bids":[{"price":0.00001230,'
        '"qty":0.50000000}],"asks":[{"price":0.00001235,"qty":10.00000000}],"checksum":353388398}]}'
    )
    update = book(synthetic)
    assert (update.ask_digits, update.bid_digits) == (("12351000000000",), ("123050000000",))
    assert checksum(update.ask_digits, update.bid_digits) == 353388398
    v1 = [f"0.0{price}" for price in range(5005, 5051, 5)]
    v1_bids = ["5000", "4995", "4990", "4980", "4975", "4970", "4965", "4960", "4955", "4950"]
    levels = ",".join(f'{{"price":{price},"qty":0.00000500}}' for price in v1)
    bids = ",".join(f'{{"price":0.0{price},"qty":0.00000500}}' for price in v1_bids)
    update = book(
        f'{{"channel":"book","type":"snapshot","data":[{{"symbol":"A/B","bids":[{bids}],"asks":[{levels}],'
        '"checksum":974947235}]}'
    )
    assert checksum(update.ask_digits, update.bid_digits) == update.checksum


def test_a_price_without_a_point_keeps_its_zeros() -> None:
    update = book(
        '{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[{"price":1200,"qty":30}],"checksum":1}]}'
    )
    assert (update.bids, update.bid_digits) == (((1200.0, 30.0),), ("120030",))


def test_an_empty_book_has_no_digits() -> None:
    update = book('{"channel":"book","type":"snapshot","data":[{"symbol":"A/B","checksum":0}]}')
    assert (update.bids, update.asks, update.bid_digits, update.ask_digits) == ((), (), (), ())
    assert checksum(update.ask_digits, update.bid_digits) == update.checksum


def test_an_update_says_all_it_is() -> None:
    [update] = Kraken().decoder().decode(frame(ETH_BTC_UPDATE, epoch=3))
    assert update == OrderBookUpdate(
        "ETH/BTC",
        ts_event=parse("2026-08-26T15:16:16.730423Z"),
        ts_recv=NOW,
        bids=((0.031347, 0.0), (0.031329, 19.07893401)),
        asks=(),
        snapshot=False,
        epoch=3,
        venue="kraken",
        depth=10,
        checksum=2505869009,
        checksum_rule="crc32-top10",
        bid_digits=("31347", "313291907893401"),
    )


def test_a_snapshot_without_a_stamp_is_stamped_when_it_came() -> None:
    assert book(ETH_USD).ts_event == NOW
    assert book(ETH_BTC).ts_event == parse("2026-08-26T15:16:16.637831Z")


def test_levels_keep_the_order_and_the_repetitions_of_the_wire() -> None:
    update = book(
        '{"channel":"book","type":"update","data":[{"symbol":"A/B","bids":[],"asks":[{"price":2.0,"qty":1.0},'
        '{"price":1.0,"qty":0.0},{"price":2.0,"qty":3.0}],"checksum":1}]}'
    )
    assert update.asks == ((2.0, 1.0), (1.0, 0.0), (2.0, 3.0))


@pytest.mark.parametrize(
    "level",
    [
        '{"price":-1.0,"qty":1.0}',
        '{"price":0.0,"qty":1.0}',
        '{"price":1.0,"qty":-1.0}',
        '{"price":1e5,"qty":1.0}',
        '{"price":1.0,"qty":1E-8}',
        '{"price":"1.0","qty":1.0}',
        '{"price":null,"qty":1.0}',
        '{"price":true,"qty":1.0}',
        '{"price":[1.0],"qty":1.0}',
        '{"price":"é","qty":1.0}',
        '{"price":1.0,"qty":' + "9" * 400 + "}",
        '{"price":1.0}',
        "[1.0,1.0]",
    ],
)
def test_a_bad_level_spoils_its_group_and_no_other(level: str) -> None:
    good = json.loads(ETH_BTC_UPDATE)["data"][0]
    text = envelope("book", [good, "BAD", good]).replace(
        '"BAD"', f'{{"symbol":"A/B","bids":[{{"price":1.0,"qty":1.0}},{level}],"asks":[],"checksum":1}}'
    )
    first, second, malformed = decoded(text)
    assert isinstance(first, OrderBookUpdate)
    assert first == second
    assert isinstance(malformed, Malformed)


@pytest.mark.parametrize("crc", ["-1", "4294967296", '"1"', "null", "1.5"])
def test_a_checksum_that_cannot_be_one_is_malformed(crc: str) -> None:
    [malformed] = decoded(ETH_BTC_UPDATE.replace("2505869009", crc))
    assert isinstance(malformed, Malformed)
    assert "checksum" in malformed.reason


def test_spaces_and_other_orders_of_keys_make_no_difference() -> None:
    for text in DATA:
        plain = json.loads(text)
        spaced = '{ "data" : ' + text[text.index('"data":') + 7 : -1]
        spaced = spaced.replace('":', '" : ').replace(",", " , ")
        for key in plain:
            if key != "data":
                spaced += f' , "{key}" : "{plain[key]}" '
        assert decoded(spaced + "}") == decoded(text), text


# ------------------------------------------------------------------------------------------ bars


def row_of_ohlc(minute: int, close: float, symbol: str = "BTC/USDT", interval: int = 1) -> dict[str, object]:
    return {
        "symbol": symbol,
        "open": 2.0,
        "high": 9.0,
        "low": 1.0,
        "close": close,
        "trades": 4,
        "volume": 0.5,
        "vwap": 4.0,
        "interval_begin": f"2026-09-10T17:{minute:02}:00.000000000Z",
        "interval": interval,
        "timestamp": f"2026-09-10T17:{minute + 1:02}:00.000000Z",
    }


def told(events: Iterable[Event]) -> list[tuple[int, float, bool]]:
    """Minute, close and finality of each bar."""
    bars = [event for event in events if isinstance(event, Bar)]
    return [(bar.start // (60 * SECOND) % 60, bar.close, bar.final) for bar in bars]


def test_a_row_of_ohlc_is_the_bar_still_forming() -> None:
    start = parse("2026-09-25T17:48:00Z")
    assert decoded(OHLC) == [
        Bar(
            "BTC/USD",
            start,
            start + 60 * SECOND,
            83729.5,
            83745.2,
            83729.4,
            83744.3,
            volume=0.21155628,
            count=33,
            value=83736.4 * 0.21155628,
            ts_recv=NOW,
            venue="kraken",
            final=False,
            interval="1m",
        )
    ]


def test_a_bar_is_finished_when_a_later_one_begins() -> None:
    rows = [row_of_ohlc(31, 3.0), row_of_ohlc(31, 4.0), row_of_ohlc(33, 5.0)]
    assert told(decoded(*(envelope("ohlc", [row]) for row in rows))) == [
        (31, 3.0, False),
        (31, 4.0, False),
        (31, 4.0, True),
        (33, 5.0, False),
    ]
    assert told(decoded(envelope("ohlc", rows))) == told(decoded(*(envelope("ohlc", [row]) for row in rows)))


def test_one_symbols_bars_do_not_finish_anothers() -> None:
    rows = [row_of_ohlc(31, 3.0), row_of_ohlc(32, 4.0, "A/B"), row_of_ohlc(33, 5.0, "A/B")]
    assert told(decoded(envelope("ohlc", rows))) == [
        (31, 3.0, False),
        (32, 4.0, False),
        (32, 4.0, True),
        (33, 5.0, False),
    ]


def test_of_a_snapshot_only_the_last_bar_of_a_symbol_is_forming() -> None:
    rows = [row_of_ohlc(33, 5.0), row_of_ohlc(31, 3.0), row_of_ohlc(32, 4.0), row_of_ohlc(32, 6.0, "A/B")]
    assert told(decoded(envelope("ohlc", rows, "snapshot"))) == [
        (31, 3.0, True),
        (32, 4.0, True),
        (32, 6.0, False),
        (33, 5.0, False),
    ]


def test_a_snapshot_completes_the_bar_that_was_forming_before_it() -> None:
    seen = envelope("ohlc", [row_of_ohlc(31, 3.0)])
    full = envelope("ohlc", [row_of_ohlc(30, 2.0), row_of_ohlc(31, 3.5), row_of_ohlc(32, 4.0)], "snapshot")
    assert told(decoded(seen, full)) == [
        (31, 3.0, False),
        (30, 2.0, True),
        (31, 3.5, True),
        (32, 4.0, False),
    ]
    later = envelope("ohlc", [row_of_ohlc(32, 4.0), row_of_ohlc(33, 5.0)], "snapshot")
    assert told(decoded(seen, later)) == [
        (31, 3.0, False),
        (31, 3.0, True),
        (32, 4.0, True),
        (33, 5.0, False),
    ]


def test_a_row_of_the_past_is_final_and_leaves_the_forming_bar_alone() -> None:
    rows = [row_of_ohlc(32, 4.0), row_of_ohlc(31, 3.0), row_of_ohlc(33, 5.0)]
    assert told(decoded(envelope("ohlc", rows))) == [
        (32, 4.0, False),
        (31, 3.0, True),
        (32, 4.0, True),
        (33, 5.0, False),
    ]


@pytest.mark.parametrize(
    ("minutes", "name"), [(1, "1m"), (60, "1h"), (1440, "1d"), (10080, "1w"), (21600, "15d"), (7, "7m")]
)
def test_a_bar_is_as_long_as_its_row_says(minutes: int, name: str) -> None:
    [bar] = decoded(envelope("ohlc", [row_of_ohlc(31, 3.0, interval=minutes)]))
    assert isinstance(bar, Bar)
    assert (bar.end - bar.start, bar.interval) == (minutes * 60 * SECOND, name)


def test_a_bad_row_leaves_no_trace_in_what_is_remembered() -> None:
    bad = row_of_ohlc(32, 9.0) | {"high": -1.0}
    *bars, malformed = decoded(envelope("ohlc", [row_of_ohlc(31, 3.0), bad, row_of_ohlc(32, 4.0)]))
    assert isinstance(malformed, Malformed)
    assert told(bars) == [(31, 3.0, False), (31, 3.0, True), (32, 4.0, False)]


@pytest.mark.parametrize(
    "text", [OHLC.replace("2026-09-25T17:48:00", "2262-04-11T23:47:00"), OHLC.replace("0.21155628", "1e308")]
)
def test_a_bar_that_no_state_could_hold_is_malformed(text: str) -> None:
    [malformed] = decoded(text)
    assert isinstance(malformed, Malformed)
    assert "beyond all bounds" in malformed.reason


CONVERSATION = [
    STATUS,
    envelope("ohlc", [row_of_ohlc(30, 2.0), row_of_ohlc(31, 3.0)], "snapshot"),
    '{"channel":"weather","data":[]}',
    TRADE,
    envelope("ohlc", [row_of_ohlc(31, 3.5)]),
    ETH_BTC,
    envelope("ohlc", [row_of_ohlc(32, 4.0), row_of_ohlc(31, 3.0, "A/B")]),
    '{"method":"dance","success":true}',
    envelope("ohlc", [row_of_ohlc(33, 5.0), row_of_ohlc(32, 6.0, "A/B")]),
]


@pytest.mark.parametrize("cut", range(len(CONVERSATION) + 1))
def test_a_decoder_cut_anywhere_goes_on_as_if_it_had_not_been(cut: int) -> None:
    whole = Kraken().decoder()
    expected = [list(whole.decode(frame(text))) for text in CONVERSATION]
    first, second = Kraken().decoder(), Kraken().decoder()
    got = [list(first.decode(frame(text))) for text in CONVERSATION[:cut]]
    second.restore(msgspec.json.decode(msgspec.json.encode(first.state())))
    got += [list(second.decode(frame(text))) for text in CONVERSATION[cut:]]
    assert got == expected
    assert second.skipped == whole.skipped == 2
    assert second.state() == whole.state()


# ------------------------------------------------------------------------------------------ the rest


def test_instruments_come_out_of_an_object() -> None:
    btc = Instrument("BTC/USD", NOW, "online", 1, 8, 0.1, 1e-08, 5e-05, "BTC", "USD", "kraken")
    assert decoded(INSTRUMENT) == [btc]
    update = INSTRUMENT.replace("snapshot", "update").replace('"online"', '"cancel_only"')
    assert decoded(update) == [msgspec.structs.replace(btc, status="cancel_only")]
    assert decoded('{"channel":"instrument","type":"update","data":{"assets":[{"id":"USD"}]}}') == []


def test_a_bad_pair_is_malformed_and_its_neighbours_are_intact() -> None:
    whole = json.loads(INSTRUMENT)
    [pair] = whole["data"]["pairs"]
    whole["data"]["pairs"] = [pair, pair | {"qty_precision": "many"}, pair, 7]
    first, second, *malformed = decoded(json.dumps(whole))
    assert [first] == [second] == decoded(INSTRUMENT)
    assert [type(each) for each in malformed] == [Malformed, Malformed]


@pytest.mark.parametrize("system", ["online", "maintenance", "cancel_only", "post_only"])
def test_the_venue_speaks_of_itself(system: str) -> None:
    [status] = Kraken().decoder().decode(frame(STATUS.replace("online", system), epoch=2))
    assert status == Status("venue", NOW, text=system, epoch=2, venue="kraken")


def test_heartbeats_and_pongs_say_nothing_and_are_nothing_strange() -> None:
    decoder = Kraken().decoder()
    assert list(decoder.decode(frame(HEARTBEAT))) == []
    assert list(decoder.decode(frame(PONG))) == []
    assert decoder.skipped == 0


def status(text: str) -> tuple[str, str, str, str]:
    [said] = decoded(text)
    assert isinstance(said, Status)
    assert (said.ts_recv, said.epoch, said.venue) == (NOW, 1, "kraken")
    return said.state, said.kind, said.symbol, said.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ACKNOWLEDGED, ("subscribed", "books", "BTC/USD", "")),
        (
            '{"method":"subscribe","result":{"channel":"instrument","snapshot":true,"warnings":'
            '["tick_size is deprecated, use price_increment"]},"success":true,'
            '"time_in":"2026-08-26T11:55:56.381008Z","time_out":"2026-08-26T11:55:56.381042Z"}',
            ("subscribed", "instruments", "*", "tick_size is deprecated, use price_increment"),
        ),
        (
            '{"method":"unsubscribe","req_id":987654321,"result":{"channel":"ticker","event_trigger":"trades",'
            '"symbol":"BTC/USD"},"success":true,"time_in":"2026-08-26T11:56:40.000010Z",'
            '"time_out":"2026-08-26T11:56:40.000031Z"}',
            ("unsubscribed", "quotes", "BTC/USD", ""),
        ),
        (UNSUPPORTED_PAIR, ("rejected", "", "NOPE/USD", "Currency pair not supported NOPE/USD")),
        (
            '{"error":"Currency pair not supported NOPE/USD","method":"subscribe","req_id":200000007,'
            '"success":false,"symbol":"NOPE/USD"}',
            ("rejected", "books", "NOPE/USD", "Currency pair not supported NOPE/USD"),
        ),
        (
            '{"error":"Subscription Not Found","method":"subscribe","req_id":500000001,"success":false,'
            '"symbol":"BTC/USD"}',
            ("unsubscribed", "bars", "BTC/USD", "Subscription Not Found"),
        ),
        (
            '{"error":"no","method":"subscribe","req_id":987654321,"success":false,"symbol":"BTC/USD"}',
            ("rejected", "", "BTC/USD", "no"),  # a number that is none of ours says nothing
        ),
        (
            '{"error":"Already subscribed","method":"subscribe","req_id":2,"success":false,'
            '"symbol":"BTC/USD","time_in":"2025-12-20T07:39:28.809188Z","time_out":"2025-12-20T07:39:28.809200Z"}',
            ("subscribed", "", "BTC/USD", "Already subscribed"),
        ),
        (
            '{"error":"Subscription Not Found","method":"subscribe","req_id":3,"success":false,'
            '"symbol":"BTC/USD"}',
            ("unsubscribed", "", "BTC/USD", "Subscription Not Found"),
        ),
        (
            '{"error":"Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com",'
            '"method":"subscribe","success":false,"time_in":"2026-09-25T17:58:01.484193Z",'
            '"time_out":"2026-09-25T17:58:01.484212Z"}',
            (
                "rejected",
                "",
                "",
                "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com",
            ),
        ),
        (
            '{"channel":"executions","error":"ESession:Invalid session","method":"subscribe",'
            '"status":"error","success":false,"time_in":"2026-09-25T17:58:09.493462Z","time_out":"2026-09-25T17:58:09.493897Z"}',
            ("rejected", "executions", "", "ESession:Invalid session"),
        ),
        (EXCEEDED, ("throttled", "", "", "Exceeded msg rate")),
        ('{"method":"subscribe","success":false}', ("rejected", "", "", "no reason given")),
        ('{"channel":"book","error":"no"}', ("rejected", "books", "", "no")),
    ],
)
def test_an_answer_is_a_status(text: str, said: tuple[str, str, str, str]) -> None:
    assert status(text) == said


def test_what_nobody_knows_is_passed_over_and_counted() -> None:
    decoder = Kraken().decoder()
    for text in ('{"channel":"weather","type":"update","data":[1]}', '{"method":"dance"}', "{}"):
        assert list(decoder.decode(frame(text))) == []
    assert decoder.skipped == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "7",
        "null",
        '{"channel":5}',
        '{"channel":"trade"',
        '{"channel":"trade"}',
        '{"channel":"trade","type":"update"}',
        '{"channel":"trade","type":"update","data":{}}',
        '{"channel":"trade","type":"guess","data":[]}',
        '{"channel":"trade","data":[]}',
        '{"channel":"instrument","type":"update","data":[]}',
        '{"channel":"status","data":5}',
        '{"channel":"book","type":"update","data":[' + "[" * 100_000,
        '{"channel":"trade","type":"update","data":[],"deep":' + '{"a":' * 100_000,
        '{"method":"subscribe","result":{"symbol":["BTC/USD"]},"success":true}',
        b'{"channel":"trade","type":"\xff"}',
        b"\xff\xfe",
    ],
)
def test_a_broken_frame_is_one_malformed(text: str | bytes) -> None:
    [malformed] = decoded(text)
    assert isinstance(malformed, Malformed)
    assert malformed.frame == frame(text)
    assert malformed.reason


def test_a_type_nobody_knows_is_malformed_once_however_many_elements_it_has() -> None:
    [malformed] = decoded(envelope("trade", [row_of_trade(1), row_of_trade(2)], "guess"))
    assert isinstance(malformed, Malformed)


# ------------------------------------------------------------------------------------------ bad input

EVERYTHING = [*DATA, *CONVERSATION, HEARTBEAT, PONG, ACKNOWLEDGED, UNSUPPORTED_PAIR, EXCEEDED]
FRAMES = [text.encode() for text in EVERYTHING]


@settings(max_examples=600)
@given(broken(FRAMES))
@example(STATUS.replace('"online"', "null").encode())
def test_nothing_that_a_venue_sends_makes_anyone_raise(payload: bytes) -> None:
    survives(Kraken(), Subscription.of(books="BTC/USD"), payload)


def is_json(value: object) -> bool:
    """Whether there is a way to write it, as there is none for NaN."""
    try:
        return bool(json.dumps(value, allow_nan=False))
    except ValueError:
        return False


ROWS = [json.loads(text) for text in (TRADE, TICKER, ETH_BTC_UPDATE)]


@settings(max_examples=300)
@given(st.sampled_from(ROWS), st.data())
def test_whatever_becomes_of_one_row_its_neighbours_say_what_they_always_say(
    whole: dict[str, Any], data: st.DataObject
) -> None:
    [row] = whole["data"]
    bad = dict(row)
    bad[data.draw(st.sampled_from(sorted(bad)))] = data.draw(JUNK.filter(is_json))
    first, *rest = decoded(json.dumps(whole | {"data": [row, bad, row]}))
    assert [first] == decoded(json.dumps(whole))
    assert rest.count(first) >= 1
    others = [event for event in rest if event != first]
    assert len(others) <= 1
    assert all(isinstance(event, type(first) | Malformed) for event in others)


# ------------------------------------------------------------------------------------------ talking


class Venue:
    """A conversation in virtual time, one side of which is written by the test."""

    def __init__(self, subscription: Subscription, *, depth: int = 10, interval: int = 1) -> None:
        self.session: Session = Kraken(depth=depth, interval=interval).session(subscription)
        self.now = NOW
        self.session.started(NOW)
        self.sent: list[dict[str, object]] = []
        self.refused: list[Refused] = []
        self.errors: list[RtflowError] = []
        self.hear(self.session.opened())

    def hear(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, Refused):
                self.refused.append(answer)
            elif isinstance(answer, RtflowError):
                self.errors.append(answer)
            else:
                assert isinstance(answer, str)
                self.sent.append(json.loads(answer))

    def said(self) -> list[dict[str, object]]:
        """What the session has sent since we last asked."""
        sent, self.sent = self.sent, []
        return sent

    def say(self, message: str | dict[str, object]) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        one = frame(text, self.now)
        if self.session.classify(one.payload) is Traffic.CONTROL:
            self.hear(self.session.received(one))

    def accept(
        self, request: dict[str, object], symbols: Iterable[str] | None = None, *, whole: bool = True
    ) -> None:
        """One acknowledgement per symbol, with the request's id; then a book's snapshot, if ``whole``."""
        params = dict(request["params"])  # type: ignore[call-overload]
        for symbol in params.pop("symbol", [None]) if symbols is None else symbols:
            result = params | ({"symbol": symbol} if symbol else {})
            self.say(
                {"method": request["method"], "req_id": request["req_id"], "result": result, "success": True}
            )
            if whole and params["channel"] == "book" and params.get("snapshot"):
                self.say(envelope("book", [{"symbol": symbol, "checksum": 0}], "snapshot"))

    def refuse(self, request: dict[str, object], error: str, symbol: str | None = None) -> None:
        answer = {"error": error, "method": "subscribe", "req_id": request["req_id"], "success": False}
        self.say(answer | ({"symbol": symbol} if symbol else {}))

    def wait(self, seconds: float, beating: bool = True) -> None:
        """Time passes, with a heartbeat every second if the venue lives."""
        end = self.now + round(seconds * SECOND)
        beat = self.now + SECOND
        while True:
            due = self.session.due()
            assert due is not None
            following = min(due, beat) if beating else due
            if following > end:
                self.now = end
                return
            self.now = max(self.now, following)
            if beating and self.now == beat:
                self.say(HEARTBEAT)
                beat += SECOND
            if due <= self.now:
                self.hear(self.session.wake(self.now))
                moved = self.session.due()
                assert moved is not None
                assert moved > self.now


NUMBERS = {"instrument": 1, "book": 2, "ticker": 3, "trade": 4, "ohlc": 5}


def request(
    method: str, number: int, channel: str, symbols: list[str] | None, **params: object
) -> dict[str, object]:
    listed: dict[str, object] = {} if symbols is None else {"symbol": symbols}
    req_id = NUMBERS[channel] * 100_000_000 + number
    return {"method": method, "params": {"channel": channel, **listed, **params}, "req_id": req_id}


def again(message: dict[str, object], number: int) -> dict[str, object]:
    """The same request under another number."""
    req_id = message["req_id"]
    assert isinstance(req_id, int)
    return message | {"req_id": req_id // 100_000_000 * 100_000_000 + number}


def test_it_asks_for_each_kind_in_the_venues_own_words() -> None:
    wanted = Subscription.of(
        trades=["ETH/USD", "BTC/USD"], quotes="BTC/USD", books="BTC/USD", bars="BTC/USD", instruments="*"
    )
    assert Venue(wanted, depth=25, interval=5).said() == [
        request("subscribe", 1, "instrument", None, snapshot=True),
        request("subscribe", 2, "book", ["BTC/USD"], depth=25, snapshot=True),
        request("subscribe", 3, "ticker", ["BTC/USD"], event_trigger="bbo", snapshot=True),
        request("subscribe", 4, "trade", ["BTC/USD", "ETH/USD"], snapshot=False),
        request("subscribe", 5, "ohlc", ["BTC/USD"], interval=5, snapshot=True),
    ]


def test_letting_go_repeats_what_identifies_the_subscription() -> None:
    wanted = Subscription.of(trades="A/B", quotes="A/B", books="A/B", bars="A/B", instruments="*")
    venue = Venue(wanted)
    for each in venue.said():
        venue.accept(each)
    venue.hear(venue.session.wanted(Subscription(), wanted))
    assert venue.said() == [
        request("unsubscribe", 6, "instrument", None),
        request("unsubscribe", 7, "book", ["A/B"], depth=10),
        request("unsubscribe", 8, "ticker", ["A/B"], event_trigger="bbo"),
        request("unsubscribe", 9, "trade", ["A/B"]),
        request("unsubscribe", 10, "ohlc", ["A/B"], interval=1),
    ]


def symbols_of(message: dict[str, object]) -> list[str]:
    params = message["params"]
    assert isinstance(params, dict)
    symbols: list[str] = params["symbol"]
    return symbols


def test_many_symbols_leave_in_chunks_and_at_a_pace() -> None:
    names = [f"S{number:04}/USD" for number in range(1015)]
    venue = Venue(Subscription.of(trades=names))
    sizes: list[list[int]] = []
    requests: list[dict[str, object]] = []
    for pause in (0.049, 0.001, 0.499, 0.001, 5):
        requests += venue.said()
        sizes.append([len(symbols_of(each)) for each in requests])
        venue.wait(pause)
    assert sizes == [[50] * 10, [50] * 10, [50] * 11, [50] * 20, [50] * 20 + [15]]
    assert [symbol for each in requests for symbol in symbols_of(each)] == names
    for each in requests:
        venue.accept(each)
    venue.wait(5)
    assert venue.said() == []


def test_what_is_wanted_may_change_while_we_talk() -> None:
    venue = Venue(Subscription.of(trades=["A/USD", "B/USD"]))
    venue.accept(venue.said()[0])
    assert venue.said() == []
    venue.hear(venue.session.wanted(Subscription.of(trades="C/USD"), Subscription.of(trades="A/USD")))
    leave, take = venue.said()
    assert leave == request("unsubscribe", 2, "trade", ["A/USD"])
    assert take == request("subscribe", 3, "trade", ["C/USD"], snapshot=False)
    venue.accept(leave)
    venue.accept(take)
    venue.hear(venue.session.wanted(Subscription.of(trades="A/USD"), Subscription()))
    assert venue.said() == [request("subscribe", 4, "trade", ["A/USD"], snapshot=False)]


def test_a_change_of_mind_waits_for_the_answer_under_way() -> None:
    one = Subscription.of(books="A/USD")
    venue = Venue(one)
    [take] = venue.said()
    venue.hear(venue.session.wanted(Subscription(), one))
    venue.hear(venue.session.wanted(one, Subscription()))
    venue.hear(venue.session.wanted(Subscription(), one))
    assert venue.said() == []
    venue.accept(take)
    [leave] = venue.said()
    assert leave == request("unsubscribe", 2, "book", ["A/USD"], depth=10)
    venue.hear(venue.session.wanted(one, Subscription()))
    assert venue.said() == []
    venue.accept(leave)
    assert venue.said() == [request("subscribe", 3, "book", ["A/USD"], depth=10, snapshot=True)]


def test_a_resync_lets_go_of_the_book_and_takes_it_again_after_the_answer() -> None:
    venue = Venue(Subscription.of(books=["A/USD", "B/USD"], trades="A/USD"), depth=100)
    for each in venue.said():
        venue.accept(each)
    venue.hear(venue.session.resync("A/USD"))
    [leave] = venue.said()
    assert leave == request("unsubscribe", 3, "book", ["A/USD"], depth=100)
    venue.hear(venue.session.resync("A/USD"))  # said twice, done once
    assert venue.said() == []
    venue.accept(leave)
    [take] = venue.said()
    assert take == request("subscribe", 4, "book", ["A/USD"], depth=100, snapshot=True)
    venue.hear(venue.session.resync("A/USD"))  # a snapshot is on its way
    venue.accept(take)
    assert venue.said() == []
    venue.hear(venue.session.resync("A/USD"))
    assert venue.said() == [request("unsubscribe", 5, "book", ["A/USD"], depth=100)]


def test_a_resync_of_a_book_nobody_asked_for_does_nothing() -> None:
    venue = Venue(Subscription.of(trades="A/USD"))
    venue.accept(venue.said()[0])
    venue.hear(venue.session.resync("A/USD"))
    assert venue.said() == []


def test_an_unknown_symbol_is_refused_alone() -> None:
    venue = Venue(Subscription.of(trades=["BTC/USD", "NOPE/USD", "btcusd"]))
    [take] = venue.said()
    venue.accept(take, ["BTC/USD"])
    venue.refuse(take, "Currency pair not supported NOPE/USD", "NOPE/USD")
    venue.refuse(take, "Currency pair not in ISO 4217-A3 format btcusd", "btcusd")
    assert venue.refused == [
        Refused((("trades", "NOPE/USD"),), "Currency pair not supported NOPE/USD", told=True),
        Refused((("trades", "btcusd"),), "Currency pair not in ISO 4217-A3 format btcusd", told=True),
    ]
    assert venue.errors == []
    venue.wait(30)
    assert venue.said() == []  # nobody asks for it again


def test_the_number_of_a_request_says_its_kind_so_a_refusal_fails_the_right_thing() -> None:
    kinds = {kind: ["NOPE/USD"] for kind in ("books", "quotes", "trades", "bars")}
    venue = Venue(Subscription.of(**kinds))
    decoder = Kraken().decoder()
    said: list[tuple[str, str]] = []
    for take in venue.said():
        answer = {"error": "Currency pair not supported NOPE/USD", "method": "subscribe", "success": False}
        answer |= {"req_id": take["req_id"], "symbol": "NOPE/USD"}
        venue.say(answer)
        [status] = decoder.decode(frame(json.dumps(answer)))
        assert isinstance(status, Status)
        said.append((status.kind, status.symbol))
    assert said == [(kind, "NOPE/USD") for kind in kinds]
    assert [(each.topics, each.told) for each in venue.refused] == [((topic,), True) for topic in said]


def test_a_number_fits_into_a_signed_integer_of_32_bits() -> None:
    venue = Venue(Subscription.of(bars="A/USD"))
    [take] = venue.said()
    assert take["req_id"] == 500_000_001 < 2**31


def test_a_book_without_a_snapshot_is_taken_anew() -> None:
    venue = Venue(Subscription.of(books=["A/USD", "B/USD"], trades="A/USD"))
    books, trades = venue.said()
    venue.say('{"channel":"book","type":"snapshot","data":[7]}')  # of nobody
    venue.accept(books, whole=False)
    venue.accept(trades)
    venue.say(INSTRUMENT)
    venue.say(envelope("book", [{"symbol": "A/USD", "checksum": 0}], "update"))
    venue.say(envelope("book", [{"symbol": "B/USD", "checksum": 0}], "snapshot"))
    venue.wait(9.9)
    assert venue.said() == []
    venue.wait(0.2)
    [leave] = venue.said()
    assert leave == request("unsubscribe", 3, "book", ["A/USD"], depth=10)
    venue.accept(leave)
    [take] = venue.said()
    assert take == request("subscribe", 4, "book", ["A/USD"], depth=10, snapshot=True)
    venue.accept(take)
    venue.wait(30)
    assert venue.said() == []


def test_a_snapshot_may_be_looked_at_before_the_answer_ahead_of_it_is_read() -> None:
    venue = Venue(Subscription.of(books="A/USD"))
    [take] = venue.said()
    snapshot = envelope("book", [{"symbol": "A/USD", "checksum": 0}], "snapshot")
    assert venue.session.classify(snapshot.encode()) is Traffic.DATA  # as a reader does that got both at once
    venue.accept(take, whole=False)
    venue.wait(30)
    assert venue.said() == []


def test_a_book_that_was_refused_is_not_waited_for() -> None:
    venue = Venue(Subscription.of(books="NOPE/USD"))
    [take] = venue.said()
    venue.refuse(take, "Currency pair not supported NOPE/USD", "NOPE/USD")
    venue.wait(30)
    assert venue.said() == []


def test_a_book_that_was_already_subscribed_brings_no_snapshot_and_is_taken_anew() -> None:
    venue = Venue(Subscription.of(books="BTC/USD"))
    [take] = venue.said()
    venue.refuse(take, "Already subscribed", "BTC/USD")
    venue.wait(10)
    [leave] = venue.said()
    assert leave == request("unsubscribe", 2, "book", ["BTC/USD"], depth=10)


def test_a_book_let_go_before_its_snapshot_is_not_waited_for() -> None:
    one = Subscription.of(books="A/USD", trades="A/USD")
    venue = Venue(one)
    for each in venue.said():
        venue.accept(each, whole=False)
    venue.hear(venue.session.wanted(Subscription(), one))
    for each in venue.said():
        venue.accept(each)
    venue.wait(30)
    assert [each for each in venue.said() if each["method"] != "ping"] == []


def test_a_refusal_of_nobody_in_particular_is_of_the_whole_request() -> None:
    venue = Venue(Subscription.of(trades=["A/USD", "B/USD"], books="A/USD"))
    books, trades = venue.said()
    venue.refuse(trades, "We are out of trades")
    assert venue.refused == [Refused((("trades", "A/USD"), ("trades", "B/USD")), "We are out of trades")]
    venue.accept(books)
    venue.wait(30)
    assert (venue.said(), venue.errors) == ([], [])


def test_a_refusal_without_a_reason_is_one() -> None:
    venue = Venue(Subscription.of(trades="A/USD"))
    venue.say({"method": "subscribe", "success": False, "req_id": 400_000_001})
    assert venue.refused == [Refused((("trades", "A/USD"),), "no reason given")]


def test_an_answer_without_an_id_is_matched_by_what_it_speaks_of() -> None:
    venue = Venue(Subscription.of(trades=["A/USD", "NOPE/USD"], quotes="B/USD", instruments="*"))
    venue.said()
    venue.say(UNSUPPORTED_PAIR)
    assert venue.refused == [Refused((("trades", "NOPE/USD"),), "Currency pair not supported NOPE/USD")], (
        "not told: without the number the decoder cannot know the kind"
    )
    for result in (
        {"channel": "ticker", "symbol": "B/USD"},
        {"channel": "trade", "symbol": "A/USD"},
        {"channel": "instrument"},
    ):
        venue.say({"method": "subscribe", "result": result, "success": True})
    venue.wait(30)
    assert venue.said() == []


def test_an_answer_without_an_id_is_not_taken_for_another_kinds() -> None:
    venue = Venue(Subscription.of(quotes="A/USD", trades="A/USD"))
    quotes, _ = venue.said()
    venue.say({"method": "subscribe", "result": {"channel": "trade", "symbol": "A/USD"}, "success": True})
    venue.wait(10)
    assert venue.said() == [again(quotes, 3)]


def test_an_answer_to_nobody_changes_nothing() -> None:
    venue = Venue(Subscription.of(trades="A/USD"))
    [take] = venue.said()
    venue.accept(again(take, 77))
    venue.accept(request("subscribe", 1, "book", ["A/USD"], depth=10))
    venue.refuse(again(take, 77), "Currency pair not supported A/USD", "A/USD")
    venue.say(UNSUPPORTED_PAIR)
    venue.refuse(take, "Currency pair not supported Z/USD", "Z/USD")
    venue.say({"method": "subscribe", "result": {"channel": "trade", "symbol": "B/USD"}, "success": True})
    assert (venue.refused, venue.errors) == ([], [])
    venue.wait(9.9)
    assert venue.said() == []
    venue.wait(0.2)  # still without an answer, so it is asked again
    assert venue.said() == [request("subscribe", 2, "trade", ["A/USD"], snapshot=False)]


def test_already_subscribed_is_subscribed() -> None:
    venue = Venue(Subscription.of(trades="BTC/USD"))
    [take] = venue.said()
    venue.refuse(take, "Already subscribed", "BTC/USD")
    venue.wait(30)
    assert (venue.said(), venue.refused, venue.errors) == ([], [], [])
    venue.hear(venue.session.wanted(Subscription(), Subscription.of(trades="BTC/USD")))
    assert venue.said() == [request("unsubscribe", 2, "trade", ["BTC/USD"])]


@pytest.mark.parametrize("symbol", ["BTC/USD", None])
def test_a_subscription_not_found_is_gone_although_it_says_subscribe(symbol: str | None) -> None:
    venue = Venue(Subscription.of(books="BTC/USD"))
    venue.accept(venue.said()[0])
    venue.hear(venue.session.resync("BTC/USD"))
    [leave] = venue.said()
    venue.refuse(leave, "Subscription Not Found", symbol)
    assert venue.said() == [request("subscribe", 3, "book", ["BTC/USD"], depth=10, snapshot=True)]
    assert (venue.refused, venue.errors) == ([], [])


@pytest.mark.parametrize(
    "error",
    [
        "Subscription depth not supported",
        "Subscription ohlc interval not supported",
        "Subscription ohlc requires interval",
        "Subscription name invalid",
        "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com",
        "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com",
        "ESession:Invalid session",
        "Unsupported field: 'dept' for the given msg type: subscribe",
        "Malformed request",
        "Event(s) not found",
    ],
)
def test_what_we_configured_wrongly_ends_the_connection_for_good(error: str) -> None:
    venue = Venue(Subscription.of(books="BTC/USD"))
    [take] = venue.said()
    venue.refuse(take, error)
    [rejected] = venue.errors
    assert type(rejected) is Rejected
    assert str(rejected) == error
    bare = Venue(Subscription.of(books="BTC/USD"))
    bare.say({"error": error})
    assert [str(each) for each in bare.errors] == [error]


def test_another_depth_than_asked_for_is_no_book_of_ours() -> None:
    venue = Venue(Subscription.of(books="BTC/USD"))
    venue.said()
    venue.say(ACKNOWLEDGED)
    [rejected] = venue.errors
    assert type(rejected) is Rejected
    assert str(rejected) == "asked for books of depth 10, was given 25"


def test_after_too_many_requests_those_without_an_answer_are_sent_again() -> None:
    venue = Venue(Subscription.of(trades=["A/USD", "B/USD"], books="A/USD", quotes="A/USD"))
    books, quotes, trades = venue.said()
    venue.accept(books)
    venue.wait(0.5)
    venue.say(EXCEEDED)
    venue.accept(trades, ["B/USD"])  # an answer that was under way still counts
    venue.hear(venue.session.wanted(Subscription.of(bars="A/USD"), Subscription()))
    venue.wait(0.999)
    assert venue.said() == []
    venue.wait(0.001)
    assert venue.said() == [again(quotes, 4)]
    venue.wait(0.05)
    assert venue.said() == [request("subscribe", 5, "trade", ["A/USD"], snapshot=False)]
    venue.wait(0.05)
    assert venue.said() == [request("subscribe", 6, "ohlc", ["A/USD"], interval=1, snapshot=True)]
    assert venue.errors == []


def test_the_pause_doubles_while_the_venue_complains_and_starts_over_when_it_answers() -> None:
    venue = Venue(Subscription.of(trades="A/USD"))
    for pause in (1, 2, 4, 8, 16, 32, 32):
        venue.said()
        venue.say(EXCEEDED)
        venue.wait(pause - 0.001)
        assert venue.said() == []
        venue.wait(0.001)
        assert len(venue.sent) == 1
    venue.accept(venue.said()[0])
    venue.say(EXCEEDED)
    venue.wait(1)
    venue.hear(venue.session.wanted(Subscription.of(trades="B/USD"), Subscription()))
    assert len(venue.said()) == 1


def test_a_request_without_an_answer_is_sent_again() -> None:
    venue = Venue(Subscription.of(books="A/USD"))
    venue.accept(venue.said()[0])
    venue.wait(1)
    venue.hear(venue.session.resync("A/USD"))
    [leave] = venue.said()
    venue.wait(9.9)
    assert venue.said() == []
    venue.wait(0.1)
    assert venue.said() == [again(leave, 3)]


def test_silence_is_asked_about_after_five_seconds_and_the_end_after_ten() -> None:
    venue = Venue(Subscription())
    venue.wait(4.9, beating=False)
    assert venue.said() == []
    venue.wait(0.1, beating=False)
    assert venue.said() == [{"method": "ping", "req_id": 1}]
    venue.wait(4.9, beating=False)
    assert venue.errors == []
    venue.wait(0.1, beating=False)
    [error] = venue.errors
    assert type(error) is Disconnected
    assert str(error) == "silent for 10 s, and no answer to a ping"


def test_a_pong_keeps_an_idle_connection_alive_for_ever() -> None:
    venue = Venue(Subscription())
    for _ in range(20):
        venue.wait(6, beating=False)
        [ping] = venue.said()
        assert ping["method"] == "ping"
        venue.say(PONG)
    assert venue.errors == []


def test_any_frame_is_a_sign_of_life() -> None:
    venue = Venue(Subscription.of(trades="A/USD"))
    venue.accept(venue.said()[0])
    for text in (TRADE, HEARTBEAT, STATUS, TICKER, "noise"):
        venue.wait(4.5, beating=False)
        venue.say(text)
    assert (venue.said(), venue.errors) == ([], [])


def test_time_that_passed_while_we_slept_is_asked_about_before_it_is_an_end() -> None:
    venue = Venue(Subscription())
    venue.hear(venue.session.wake(NOW + 3600 * SECOND))
    assert (len(venue.said()), venue.errors) == (1, [])


def test_in_maintenance_we_come_back_slowly() -> None:
    venue = Venue(Subscription())
    assert isinstance(venue.session.closed(1001, "bye"), Disconnected)
    venue.say(STATUS.replace("online", "maintenance"))
    error = venue.session.closed(1001, "bye")
    assert isinstance(error, Throttled)
    assert (error.retry_after, str(error)) == (5.0, "bye, in maintenance")
    venue.wait(11, beating=False)
    [silent] = venue.errors
    assert isinstance(silent, Throttled)
    assert silent.retry_after == 5.0
    venue.say(STATUS.replace("online", "cancel_only"))
    again = venue.session.closed(1006, "")
    assert type(again) is Disconnected
    assert str(again) == "closed with code 1006"


def test_a_ban_is_waited_out() -> None:
    session = Kraken().session(Subscription())
    for code in (403, 429):
        error = session.denied(code, "Too Many Requests")
        assert isinstance(error, Throttled)
        assert (error.retry_after, str(error)) == (600.0, f"HTTP {code} Too Many Requests")
    assert type(session.denied(404, "Not Found")) is Rejected
    assert type(session.denied(503, "")) is Disconnected


@pytest.mark.parametrize(
    ("text", "traffic"),
    [
        *((text, Traffic.DATA) for text in DATA),
        (HEARTBEAT, Traffic.HEARTBEAT),
        (PONG, Traffic.HEARTBEAT),
        (STATUS, Traffic.CONTROL),
        (ACKNOWLEDGED, Traffic.CONTROL),
        (ACKNOWLEDGED.replace('"subscribe"', '"unsubscribe"'), Traffic.CONTROL),
        (UNSUPPORTED_PAIR, Traffic.CONTROL),
        (EXCEEDED, Traffic.CONTROL),
        ('{"data":[],"type":"update","channel":"book"}', Traffic.DATA),
        ('{"error":"no","channel":"book"}', Traffic.CONTROL),
        ('{ "channel": "heartbeat" }', Traffic.HEARTBEAT),
        ('{"req_id":1,"method":"pong"}', Traffic.HEARTBEAT),
        ('{"channel":"weather"}', Traffic.CONTROL),
        ("noise", Traffic.CONTROL),
        ("[" * 100_000, Traffic.CONTROL),
    ],
)
def test_traffic_is_told_by_its_first_bytes_and_else_by_reading(text: str, traffic: Traffic) -> None:
    assert Kraken().session(Subscription()).classify(text.encode()) is traffic


def test_a_control_frame_that_cannot_be_read_is_the_decoders_to_report() -> None:
    session = Kraken().session(Subscription())
    for text in ("noise", "[" * 100_000, STATUS.replace('"online"', "5")):
        assert list(session.received(frame(text))) == []


# ------------------------------------------------------------------------------------------ real input


def recorded(name: str) -> list[str]:
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"the recording {name} is not here")
    return path.read_text(encoding="utf-8").splitlines()


def held(events: Iterable[Event], depth: int) -> int:
    """How many books verify, by a book as naive as can be."""
    sides: list[dict[float, str]] = [{}, {}]
    verified = 0
    for event in events:
        if not isinstance(event, OrderBookUpdate):
            continue
        parts = ((event.asks, event.ask_digits, 1), (event.bids, event.bid_digits, -1))
        for index, (levels, digits, sign) in enumerate(parts):
            side = {} if event.snapshot else sides[index]
            for (price, size), text in zip(levels, digits, strict=True):
                side[price] = text
                if size == 0:
                    del side[price]
            best = sorted(side, key=lambda price, sign=sign: sign * price)  # type: ignore[misc]
            sides[index] = {price: side[price] for price in best[:depth]}
        asks, bids = ([*side.values()][:10] for side in sides)
        verified += checksum(asks, bids) == event.checksum
    return verified


def test_a_recorded_book_of_depth_10_decodes_and_verifies() -> None:
    lines = recorded("derived-wire-BTCUSD-depth10-20230730.jsonl")
    events = decoded(*lines, depth=10)
    assert [type(event) for event in events] == [OrderBookUpdate] * 510
    assert held(events, 10) == 510


def test_a_recorded_connection_of_depth_25_decodes_and_verifies() -> None:
    lines = [json.loads(line) for line in recorded("k2-kraken-BTCUSD-depth25-first50.jsonl")]
    decoder = Kraken(depth=25).decoder()
    events: list[Event] = []
    for line in lines:
        events.extend(decoder.decode(frame(line["payload"], line["recv_ts_ns"])))
    heartbeats = sum(line["payload"] == HEARTBEAT for line in lines)
    counts = {
        kind: sum(isinstance(event, kind) for event in events)
        for kind in (OrderBookUpdate, Instrument, Status)
    }
    assert counts == {OrderBookUpdate: 43, Instrument: 1, Status: 4}
    assert len(events) + heartbeats == len(lines) == 50
    assert decoder.skipped == 0
    assert held(events, 25) == 43
    states = [(each.state, each.kind, each.symbol) for each in events if isinstance(each, Status)]
    assert states == [
        ("venue", "", ""),
        ("subscribed", "instruments", "*"),
        ("subscribed", "books", "BTC/USD"),
        ("subscribed", "trades", "BTC/USD"),
    ]


# ------------------------------------------------------------------------------------------ the twin's faults


def listen(twin: Twin, watch: Watch, **topics: Any) -> abc.DisposableBase:
    """Events, bars and books of what the twin's market does."""
    provider = Kraken(url=twin.url)
    feed = connect(provider, **topics)
    return watched(feed, provider, watch, resync=feed.resync)


def still() -> Twin:
    """A market that stands still until it is told to move on."""
    return Twin("kraken", seed=5, symbols=["BTC/USD"], pace=0.0)


@pytest.mark.parametrize("fault", ["early_update", "duplicate_price"])
def test_a_book_that_begins_oddly_ends_as_the_venues(fault: str) -> None:
    watch = Watch()
    with still() as twin:
        twin.provoke(fault)
        subscription = listen(twin, watch, books=["BTC/USD"])
        watch.until(lambda: agrees(twin, watch.book("BTC/USD")))
        twin.advance(1.0)
        watch.until(lambda: agrees(twin, watch.book("BTC/USD")))
        subscription.dispose()
        assert twin.accepted == 1
    assert not watch.of(Malformed)


def test_a_book_that_the_venue_refuses_is_failed_and_the_others_are_live() -> None:
    watch = Watch()
    with still() as twin:
        subscription = listen(twin, watch, books=["BTC/USD", "NOPE/USD"], trades=["NOPE/USD"])
        watch.until(lambda: agrees(twin, watch.book("BTC/USD")) and watch.book("NOPE/USD"))
        watch.until(lambda: len(watch.statuses("rejected")) == 2)
        subscription.dispose()
    refused = watch.book("NOPE/USD")
    assert refused is not None
    assert (refused.status, refused.reason) == ("failed", "Currency pair not supported NOPE/USD")
    assert {(each.kind, each.symbol) for each in watch.statuses("rejected")} == {
        ("books", "NOPE/USD"),
        ("trades", "NOPE/USD"),
    }


def test_what_nobody_knows_is_passed_over_and_what_surrounds_it_arrives() -> None:
    watch = Watch()
    with still() as twin:
        subscription = listen(twin, watch, trades=["BTC/USD"], quotes=["BTC/USD"], instruments=["*"])
        watch.subscribed(3)
        twin.provoke("unknown_channel")
        twin.provoke("unknown_fields")
        twin.provoke("instrument_update", symbol="BTC/USD", status="post_only")
        twin.provoke("zero_ticker", symbol="BTC/USD")
        twin.advance(3.0)
        made = [str(fill.id) for fill in twin.trades]
        watch.until(lambda: ids(watch.of(Trade)) == made)
        subscription.dispose()
    assert not watch.of(Malformed)
    assert [each.status for each in watch.of(Instrument)] == ["online", "post_only"]
    assert [each for each in watch.of(Quote) if each.bid is None and each.ask is None]


def test_a_rate_that_was_exceeded_is_said_and_what_was_lost_is_asked_again() -> None:
    watch = Watch()
    with still() as twin:
        twin.provoke("exceeded_rate")
        subscription = listen(twin, watch, trades=["BTC/USD"], quotes=["BTC/USD"])
        watch.subscribed(2)
        subscription.dispose()
        assert twin.accepted == 1
    assert [each.text for each in watch.statuses("throttled")] == ["Exceeded msg rate"]
