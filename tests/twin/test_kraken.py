"""Kraken's dialect, as conversations without a socket; checked by a naive client of its own."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

import pytest

from rtflow.time import SECOND
from rtflow.time import format as rfc3339
from rtflow.twin.kraken import KrakenVenue, _Window
from rtflow.twin.market import Ladder, Listing, Market, Move
from rtflow.twin.venue import Conversation, Denied, Hangup, Message

START = 1_790_358_500 * SECOND
NOW = ',"time_in":"2026-09-25T17:48:20.000000Z","time_out":"2026-09-25T17:48:20.000021Z"}'


def venue(*symbols: str | Listing, seed: int = 3, rate: float = 1.0, warmup: float = 0.0) -> KrakenVenue:
    opened = KrakenVenue(
        Market(
            seed, symbols or ["BTC/USD", "ADA/USD", "AAPL"], start=START - round(warmup * SECOND), rate=rate
        )
    )
    opened.advance(START)
    return opened


def greeted(kraken: KrakenVenue) -> Conversation:
    talk = kraken.connect("/v2", {})
    talk.take()
    return talk


def texts(talk: Conversation) -> list[str]:
    said = talk.take()
    assert all(isinstance(each, Message) for each in said)
    return [str(each.payload) for each in said if isinstance(each, Message)]


def ask(talk: Conversation, method: str, req_id: int | None = None, **params: Any) -> list[str]:
    request: dict[str, object] = {"method": method, "params": params}
    talk.received(json.dumps(request if req_id is None else request | {"req_id": req_id}))
    return texts(talk)


def data(messages: Iterable[str], channel: str, type_: str = "update") -> list[dict[str, Any]]:
    read = [json.loads(each, parse_float=str) for each in messages]
    return [
        row
        for each in read
        if each.get("channel") == channel and each.get("type") == type_
        for row in each["data"]
    ]


class NaiveBook:
    """A client that knows nothing but the venue's written rules."""

    def __init__(self, depth: int, snapshot: dict[str, Any]) -> None:
        self.depth = depth
        self.sides: dict[str, dict[str, str]] = {"asks": {}, "bids": {}}
        self.apply(snapshot)

    def apply(self, row: dict[str, Any]) -> None:
        for name, side in self.sides.items():
            for level in row[name]:
                if float(level["qty"]):
                    side[level["price"]] = level["qty"]
                else:
                    side.pop(level["price"], None)
            for price in self.best(name)[self.depth :]:
                del side[price]
        digits = [
            text.replace(".", "").lstrip("0")
            for name in ("asks", "bids")
            for price in self.best(name)[:10]
            for text in (price, self.sides[name][price])
        ]
        assert zlib.crc32("".join(digits).encode()) == row["checksum"]

    def best(self, name: str) -> list[str]:
        return sorted(self.sides[name], key=float, reverse=name == "bids")


def test_a_connection_is_greeted_by_the_status_alone() -> None:
    kraken = venue()
    talk = kraken.connect("/v2?x=1", {})
    (status,) = texts(talk)
    number = json.loads(status)["data"][0]["connection_id"]
    assert number > 1 << 63
    assert status == (
        '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",'
        f'"connection_id":{number},"upcoming_maintenance":[],"emergency":[]}}]}}'
    )
    kraken.advance(START + 30 * SECOND)
    assert talk.take() == []
    assert not talk.listening


def test_another_path_does_not_exist() -> None:
    with pytest.raises(Denied) as denied:
        venue().connect("/v1", {})
    assert (denied.value.status, denied.value.text) == (404, "Not Found")


def test_each_symbol_is_acknowledged_and_then_the_snapshots_come() -> None:
    said = ask(greeted(venue()), "subscribe", 7, channel="book", symbol=["BTC/USD", "ADA/USD"], depth=25)
    assert said[:2] == [
        '{"method":"subscribe","req_id":7,"result":{"channel":"book","depth":25,"snapshot":true,'
        f'"symbol":"{symbol}"}},"success":true' + NOW
        for symbol in ("BTC/USD", "ADA/USD")
    ]
    for row, places in zip(data(said[2:], "book", "snapshot"), (1, 6), strict=True):
        assert [len(row["bids"]), len(row["asks"])] == [25, 25]
        for level in row["bids"] + row["asks"]:
            assert [len(level[each].partition(".")[2]) for each in ("price", "qty")] == [places, 8]
        NaiveBook(25, row)
    assert said[2].endswith('"timestamp":"2026-09-25T17:48:20.000000Z"}]}')


@pytest.mark.parametrize(
    ("params", "result", "snapshots"),
    [
        ({"channel": "trade"}, '"channel":"trade","snapshot":false,"symbol":"BTC/USD"', 0),
        ({"channel": "trade", "snapshot": True}, '"channel":"trade","snapshot":true,"symbol":"BTC/USD"', 1),
        (
            {"channel": "book", "snapshot": False},
            '"channel":"book","depth":10,"snapshot":false,"symbol":"BTC/USD"',
            0,
        ),
        (
            {"channel": "ticker"},
            '"channel":"ticker","event_trigger":"trades","snapshot":true,"symbol":"BTC/USD"',
            1,
        ),
        (
            {"channel": "ohlc", "interval": 5},
            '"channel":"ohlc","interval":5,"snapshot":true,"symbol":"BTC/USD",'
            '"warnings":["timestamp is deprecated, use interval_begin"]',
            1,
        ),
    ],
)
def test_an_acknowledgement_spells_the_effective_parameters(
    params: dict[str, Any], result: str, snapshots: int
) -> None:
    talk = greeted(venue())
    said = ask(talk, "subscribe", symbol=["BTC/USD"], **params)
    assert said[0] == f'{{"method":"subscribe","result":{{{result}}},"success":true' + NOW
    assert len(said) == 1 + snapshots
    assert talk.listening


@pytest.mark.parametrize(
    ("params", "result"),
    [
        ({"channel": "trade"}, '"channel":"trade",'),
        ({"channel": "book", "depth": 10}, '"channel":"book","depth":10,'),
        ({"channel": "ticker", "event_trigger": "bbo"}, '"channel":"ticker","event_trigger":"bbo",'),
        ({"channel": "ohlc", "interval": 15}, '"channel":"ohlc","interval":15,'),
    ],
)
def test_what_is_unsubscribed_falls_silent(params: dict[str, Any], result: str) -> None:
    kraken = venue()
    talk = greeted(kraken)
    ask(talk, "subscribe", symbol=["BTC/USD"], **params)
    kraken.advance(START + SECOND // 2)
    assert data(texts(talk), str(params["channel"]))
    said = ask(talk, "unsubscribe", 4, symbol=["BTC/USD"], **params)
    assert said[0].startswith(
        f'{{"method":"unsubscribe","req_id":4,"result":{{{result}"symbol":"BTC/USD"}},"success":true,"time_in":'
    )
    assert not talk.listening
    kraken.advance(START + 30 * SECOND)
    assert talk.take() == []


def test_a_window_of_any_depth_keeps_every_checksum() -> None:
    for depth in (10, 25, 100):
        kraken = venue(rate=20.0, seed=depth)
        talk = greeted(kraken)
        said = ask(talk, "subscribe", channel="book", symbol=["BTC/USD"], depth=depth)
        book = NaiveBook(depth, data(said, "book", "snapshot")[0])
        kraken.advance(START + 4 * SECOND)
        rows = data(texts(talk), "book")
        assert len(rows) > 2000
        for row in rows:
            before = {name: set(book.best(name)) for name in book.sides}
            book.apply(row)
            for name in book.sides:
                assert len(book.best(name)) == depth, "what leaves is replaced in the same frame"
                for level in row[name]:
                    if not float(level["qty"]):
                        assert level["price"] in before[name], "only what was in sight is deleted"
                    else:
                        assert level["price"] in book.sides[name], "nothing out of sight is told"
        bids, asks = kraken.market.book("BTC/USD")
        assert [round(float(each) * 10) for each in book.best("bids")] == [p for p, _ in bids.levels(depth)]
        assert [round(float(each) * 10) for each in book.best("asks")] == [p for p, _ in asks.levels(depth)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (((12, 0), (2, 5)), [(12, 0), (2, 5)]),  # what changes as it enters is told once
        (((13, 1), (3, 9)), [(13, 1)]),  # what changes as it is pushed out is not
        (((13, 1), (3, 0)), [(13, 1), (3, 0)]),  # but deleted, it is gone
        (((12, 0), (11, 0)), [(12, 0), (11, 0), (2, 1), (1, 1)]),
        (((2, 0),), None),
    ],
)
def test_a_window_tells_what_moves_in_and_out_of_sight_at_once(
    changes: tuple[tuple[int, int], ...], told: list[tuple[int, int]] | None
) -> None:
    bids, asks = Ladder(1), Ladder(-1)
    for price in range(1, 13):
        bids.put(price, 1)
    window = _Window(10, bids, asks)
    for price, size in changes:
        bids.put(price, size)
    move = Move("X", 0, (), changes, (), 0, 0, 0, 0, True)
    assert window.update(move) == (None if told is None else (told, []))


def test_a_book_with_fewer_levels_than_the_window_is_told_whole() -> None:
    kraken = venue(Listing("THIN/USD", 10_000, 3, 4, levels=11, size=90_000, rate=500.0))
    talk = greeted(kraken)
    book = NaiveBook(
        10, data(ask(talk, "subscribe", channel="book", symbol=["THIN/USD"]), "book", "snapshot")[0]
    )
    kraken.advance(START + 5 * SECOND)
    sizes = set()
    for row in data(texts(talk), "book"):
        book.apply(row)
        sizes.add(len(book.sides["asks"]))
    assert min(sizes) < 10
    assert max(sizes) == 10


def test_trades_of_one_order_travel_together_with_their_taker() -> None:
    kraken = venue()
    talk = greeted(kraken)
    ask(talk, "subscribe", channel="trade", symbol=["BTC/USD"])
    fills = [fill for move in _watched(kraken, 20) for fill in move.trades if fill.symbol == "BTC/USD"]
    messages = [each for each in texts(talk) if "trade" in each]
    rows = data(messages, "trade")
    assert [(row["trade_id"], row["side"], row["ord_type"]) for row in rows] == [
        (each.id, "buy" if each.side == 1 else "sell", "market" if each.market else "limit") for each in fills
    ]
    assert [(row["price"], row["qty"], row["timestamp"]) for row in rows] == [
        (f"{each.price / 10:.1f}", f"{each.size / 10**8:.8f}", rfc3339(each.stamp, 6)) for each in fills
    ]
    assert len(messages) < len(rows)


def test_a_trade_snapshot_holds_the_newest_fifty() -> None:
    kraken = venue(warmup=60.0)
    rows = data(
        ask(greeted(kraken), "subscribe", channel="trade", symbol=["BTC/USD"], snapshot=True),
        "trade",
        "snapshot",
    )
    assert [row["trade_id"] - rows[0]["trade_id"] for row in rows] == list(range(50))


def test_a_ticker_follows_the_touch_or_the_trades() -> None:
    kraken = venue(warmup=30.0)
    talk, other = greeted(kraken), greeted(kraken)
    (snapshot,) = data(
        ask(talk, "subscribe", channel="ticker", symbol=["BTC/USD"], event_trigger="bbo"),
        "ticker",
        "snapshot",
    )
    assert snapshot["timestamp"] == "2026-09-25T17:48:20.000000Z"
    ask(other, "subscribe", channel="ticker", symbol=["BTC/USD"])
    moves = [each for each in _watched(kraken, 20) if each.symbol == "BTC/USD"]
    quotes, trades = data(texts(talk), "ticker"), data(texts(other), "ticker")
    assert [(row["bid"], row["ask_qty"]) for row in quotes] == [
        (f"{each.bid / 10:.1f}", f"{each.ask_size / 10**8:.8f}") for each in moves if each.touched
    ]
    assert [row["last"] for row in trades] == [
        f"{each.trades[-1].price / 10:.1f}" for each in moves if each.trades
    ]
    day = trades[-1]
    assert float(day["low"]) <= float(day["vwap"]) <= float(day["high"])
    assert float(day["change"]) == pytest.approx(float(day["last"]) - 65000.0)
    assert float(day["change_pct"]) == pytest.approx(float(day["change"]) / 650.0, abs=0.005)
    assert day["trades"] > snapshot["trades"] > 0
    assert [len(day[each].partition(".")[2]) for each in ("vwap", "volume", "change", "change_pct")] == [
        1,
        8,
        1,
        2,
    ]


def test_a_pair_without_trades_shows_its_opening_price() -> None:
    (row,) = data(
        ask(greeted(venue()), "subscribe", channel="ticker", symbol=["ADA/USD"]), "ticker", "snapshot"
    )
    assert (row["last"], row["vwap"], row["volume"], row["trades"]) == (
        "0.450000",
        "0.450000",
        "0.00000000",
        0,
    )


def test_a_candle_is_sent_with_each_trade_and_describes_the_current_interval() -> None:
    kraken = venue(warmup=300.0)
    talk = greeted(kraken)
    (snapshot,) = ask(talk, "subscribe", channel="ohlc", symbol=["BTC/USD"])[1:]
    assert snapshot.startswith(
        '{"channel":"ohlc","type":"snapshot","timestamp":"2026-09-25T17:48:20.000000000Z","data":['
    )
    rows = data([snapshot], "ohlc", "snapshot")
    assert [row["interval_begin"][14:19] for row in rows] == [f"{each}:00" for each in range(43, 49)]
    ask(talk, "subscribe", channel="ohlc", symbol=["BTC/USD"], interval=5)
    fills = [fill for move in _watched(kraken, 130) for fill in move.trades if fill.symbol == "BTC/USD"]
    minutes = [row for row in data(texts(talk), "ohlc") if row["interval"] == 1]
    last = minutes[-1]
    begin = (START + 130 * SECOND) // (60 * SECOND) * 60 * SECOND
    mine = [fill for fill in fills if fill.stamp >= begin]
    prices = [fill.price for fill in mine]
    value, volume = sum(fill.price * fill.size for fill in mine), sum(fill.size for fill in mine)
    assert last == {
        "symbol": "BTC/USD",
        "open": f"{prices[0] / 10:.1f}",
        "high": f"{max(prices) / 10:.1f}",
        "low": f"{min(prices) / 10:.1f}",
        "close": f"{prices[-1] / 10:.1f}",
        "trades": len(mine),
        "volume": f"{volume / 10**8:.8f}",
        "vwap": f"{value / volume / 10:.1f}",
        "interval_begin": "2026-09-25T17:50:00.000000000Z",
        "interval": 1,
        "timestamp": "2026-09-25T17:51:00.000000Z",
    }


def test_instruments_are_told_once_with_exponents() -> None:
    talk = greeted(venue())
    acknowledged, snapshot = ask(talk, "subscribe", channel="instrument")
    assert acknowledged == (
        '{"method":"subscribe","result":{"channel":"instrument","snapshot":true,'
        '"warnings":["tick_size is deprecated, use price_increment"]},"success":true' + NOW
    )
    assert (
        '{"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"online","qty_precision":8,"qty_increment":1e-08,'
        '"price_precision":1,"cost_precision":5,"marginable":true,"has_index":true,"cost_min":0.5,'
        '"margin_initial":0.1,"position_limit_long":350,"position_limit_short":250,"tick_size":0.1,'
        '"price_increment":0.1,"qty_min":5e-08}'
    ) in snapshot
    told = json.loads(snapshot)["data"]
    assert [each["symbol"] for each in told["pairs"]] == ["BTC/USD", "ADA/USD"], "stocks are not Kraken's"
    assert [each["id"] for each in told["assets"]] == ["ADA", "BTC", "USD"]
    assert "Already subscribed" in ask(talk, "subscribe", channel="instrument")[0]
    assert ask(talk, "unsubscribe", channel="instrument")[0].startswith(
        '{"method":"unsubscribe","result":{"channel":"instrument"},"success":true'
    )


@pytest.mark.parametrize(
    ("params", "error", "symbol"),
    [
        ({"channel": "book", "symbol": ["XBT/USD"]}, "Currency pair not supported XBT/USD", "XBT/USD"),
        ({"channel": "book", "symbol": ["btc/usd"]}, "Currency pair not supported btc/usd", "btc/usd"),
        (
            {"channel": "trade", "symbol": ["BTCUSD"]},
            "Currency pair not in ISO 4217-A3 format BTCUSD",
            "BTCUSD",
        ),
        ({"channel": "book", "symbol": ["BTC/USD"], "depth": 27}, "Subscription depth not supported", ""),
        ({"channel": "book", "symbol": ["BTC/USD"], "depth": 10.0}, "Subscription depth not supported", ""),
        (
            {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 2},
            "Subscription ohlc interval not supported",
            "",
        ),
        ({"channel": "ticker", "symbol": ["BTC/USD"], "event_trigger": "x"}, "Malformed request", ""),
        ({"channel": "trade", "symbol": ["BTC/USD"], "snapshot": 1}, "Malformed request", ""),
        ({"channel": "trade", "symbol": "BTC/USD"}, "Malformed request", ""),
        (
            {"channel": "trade", "symbol": ["BTC/USD"], "depth": 10},
            "Unsupported field: 'depth' for the given msg type: trade",
            "",
        ),
        ({"channel": "heartbeat"}, "Subscription name invalid", ""),
        ({}, "Subscription name invalid", ""),
        (
            {"channel": "executions"},
            "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com",
            "",
        ),
    ],
)
def test_a_refusal_says_why_and_of_which_symbol(params: dict[str, Any], error: str, symbol: str) -> None:
    talk = greeted(venue())
    tail = f',"symbol":"{symbol}"' if symbol else ""
    assert ask(talk, "subscribe", 2, **params) == [
        f'{{"error":"{error}","method":"subscribe","req_id":2,"success":false{tail}' + NOW
    ]
    assert not talk.listening


@pytest.mark.parametrize("channel", ["book", "trade", "ticker", "ohlc"])
def test_twice_the_same_is_already_subscribed_and_brings_no_snapshot(channel: str) -> None:
    talk = greeted(venue())
    ask(talk, "subscribe", channel=channel, symbol=["BTC/USD"])
    assert ask(talk, "subscribe", channel=channel, symbol=["BTC/USD"], snapshot=True) == [
        '{"error":"Already subscribed","method":"subscribe","success":false,"symbol":"BTC/USD"' + NOW
    ]


def test_a_second_depth_or_trigger_of_a_symbol_is_already_subscribed_but_not_the_one_to_leave() -> None:
    talk = greeted(venue())
    ask(talk, "subscribe", channel="book", symbol=["BTC/USD"], depth=10)
    ask(talk, "subscribe", channel="ticker", symbol=["BTC/USD"])
    assert "Already subscribed" in ask(talk, "subscribe", channel="book", symbol=["BTC/USD"], depth=25)[0]
    assert "Not Found" in ask(talk, "unsubscribe", channel="book", symbol=["BTC/USD"], depth=25)[0]
    assert (
        "Not Found" in ask(talk, "unsubscribe", channel="ticker", symbol=["BTC/USD"], event_trigger="bbo")[0]
    )
    assert talk.listening


def test_the_refusal_of_an_unsubscribe_says_subscribe() -> None:
    assert ask(greeted(venue()), "unsubscribe", 9, channel="ohlc", symbol=["BTC/USD"]) == [
        '{"error":"Subscription Not Found","method":"subscribe","req_id":9,"success":false,"symbol":"BTC/USD"'
        + NOW
    ]


def test_a_good_symbol_is_served_beside_a_bad_one() -> None:
    said = ask(greeted(venue()), "subscribe", channel="book", symbol=["NOPE/USD", "BTC/USD"])
    assert ["error" in each for each in said] == [True, False, False]


@pytest.mark.parametrize(
    "payload", ["", "[]", "{", '{"method":1}', '{"method":"ping","req_id":"x"}', b"\xff\xfe"]
)
def test_what_is_not_a_request_is_malformed(payload: str | bytes) -> None:
    talk = greeted(venue())
    talk.received(payload)
    assert texts(talk) == ['{"error":"Malformed request","success":false' + NOW]


def test_an_unknown_method_is_named_in_its_refusal() -> None:
    talk = greeted(venue())
    assert ask(talk, "add_order") == [
        '{"error":"Event(s) not found","method":"add_order","success":false' + NOW
    ]


def test_a_ping_is_answered_with_its_number() -> None:
    talk = greeted(venue())
    talk.received('{"method":"ping","req_id":101}')
    talk.received(b'{"method":"ping"}')
    assert texts(talk) == ['{"method":"pong","req_id":101' + NOW, '{"method":"pong"' + NOW]


def test_a_heartbeat_comes_each_second_from_the_first_subscription_on() -> None:
    kraken = venue()
    talk = greeted(kraken)
    ask(talk, "subscribe", channel="trade", symbol=["ADA/USD"])
    beats = []
    for tenth in range(1, 36):
        kraken.advance(START + tenth * SECOND // 10)
        beats += [tenth] * texts(talk).count('{"channel":"heartbeat"}')
    assert beats == [10, 20, 30]


def test_a_connection_that_wants_nothing_is_closed_after_a_minute() -> None:
    kraken = venue()
    talk = greeted(kraken)
    kraken.advance(START + 59 * SECOND)
    talk.received('{"method":"ping"}')
    kraken.advance(START + 118 * SECOND)
    assert len(talk.take()) == 1
    kraken.advance(START + 300 * SECOND)
    assert talk.take() == [Hangup(1000, "idle")]


def test_too_many_requests_are_lost_without_naming_them() -> None:
    kraken = venue()
    talk = greeted(kraken)
    for number in range(70):
        talk.received(f'{{"method":"ping","req_id":{number}}}')
    said = texts(talk)
    assert set(said[61:]) == {'{"Error":"Exceeded msg rate"}'}
    assert all("pong" in each for each in said[:61])
    kraken.advance(START + SECOND)
    talk.received('{"method":"ping"}')
    assert "pong" in texts(talk)[0]


def test_one_checksum_is_wrong_on_request() -> None:
    kraken = venue()
    talk = greeted(kraken)
    book = NaiveBook(
        10, data(ask(talk, "subscribe", channel="book", symbol=["BTC/USD"]), "book", "snapshot")[0]
    )
    kraken.provoke_wrong_checksum()
    kraken.advance(START + 2 * SECOND)
    first, *rest = data(texts(talk), "book")
    with pytest.raises(AssertionError):
        book.apply(first)
    assert len(rest) > 10
    for row in rest:
        book.apply(row)


def test_an_update_comes_before_the_snapshot_on_request() -> None:
    kraken = venue()
    talk = greeted(kraken)
    kraken.provoke_early_update()
    said = ask(talk, "subscribe", channel="book", symbol=["BTC/USD", "ADA/USD"])[2:]
    assert [(each["type"], each["data"][0]["symbol"]) for each in map(json.loads, said)] == [
        ("update", "BTC/USD"),
        ("snapshot", "BTC/USD"),
        ("snapshot", "ADA/USD"),
    ]
    (early,) = data(said, "book")
    snapshot = data(said, "book", "snapshot")[0]
    assert (early["bids"], early["asks"]) == (snapshot["bids"][:1], [])
    assert early["checksum"] == snapshot["checksum"]


def test_a_price_is_twice_in_a_snapshot_on_request_and_the_second_time_counts() -> None:
    kraken = venue()
    kraken.provoke_duplicate_price()
    talk = greeted(kraken)
    first, second = data(
        ask(talk, "subscribe", channel="book", symbol=["BTC/USD", "ADA/USD"]), "book", "snapshot"
    )
    prices = [level["price"] for level in first["asks"]]
    assert prices[0] == prices[1]
    assert first["asks"][0]["qty"] != first["asks"][1]["qty"]
    assert len(prices) == 11
    NaiveBook(10, first)
    assert len(second["asks"]) == 10


def test_a_pair_changes_its_status_on_request() -> None:
    kraken = venue()
    talk, other = greeted(kraken), greeted(kraken)
    ask(talk, "subscribe", channel="instrument")
    kraken.provoke_instrument_update("ADA/USD")
    (update,) = map(json.loads, texts(talk))
    assert update["type"] == "update"
    assert update["data"]["assets"] == []
    assert [(each["symbol"], each["status"]) for each in update["data"]["pairs"]] == [
        ("ADA/USD", "cancel_only")
    ]
    assert texts(other) == []
    snapshot = json.loads(ask(other, "subscribe", channel="instrument")[1])
    assert [each["status"] for each in snapshot["data"]["pairs"]] == ["online", "cancel_only"]
    with pytest.raises(KeyError):
        kraken.provoke_instrument_update("NOPE/USD")


def test_a_ticker_of_zeros_comes_on_request_to_whoever_listens() -> None:
    kraken = venue()
    talk, other = greeted(kraken), greeted(kraken)
    ask(talk, "subscribe", channel="ticker", symbol=["BTC/USD"])
    kraken.provoke_zero_ticker("BTC/USD")
    assert texts(talk) == [
        '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":0.0,"bid_qty":0.00000000,'
        '"ask":0.0,"ask_qty":0.00000000,"last":0.0,"volume":0.00000000,"vwap":0.0,"low":0.0,"high":0.0,'
        '"change":0.0,"change_pct":0.00,"trades":0,"timestamp":"1970-01-01T00:00:00.000000Z"}]}'
    ]
    assert texts(other) == []


def test_a_channel_that_nobody_knows_speaks_on_request() -> None:
    kraken = venue()
    first, second = greeted(kraken), greeted(kraken)
    kraken.provoke_unknown_channel()
    assert texts(first) == texts(second) != []


def test_fields_that_nobody_knows_come_once_on_request() -> None:
    kraken = venue()
    talk = greeted(kraken)
    ask(talk, "subscribe", channel="trade", symbol=["BTC/USD"])
    kraken.provoke_unknown_fields()
    kraken.advance(START + 5 * SECOND)
    first, *rest = [each for each in map(json.loads, texts(talk)) if each["channel"] == "trade"]
    assert (first["season"], first["data"][0]["mood"]) == ("winter", {"of": [1, None]})
    assert rest
    assert all("season" not in each for each in rest)


def test_requests_are_too_many_on_request() -> None:
    talk = greeted(kraken := venue())
    kraken.provoke_exceeded_rate(2)
    answers = [
        *ask(talk, "subscribe", channel="trade", symbol=["BTC/USD"]),
        *ask(talk, "ping"),
        *ask(talk, "ping"),
    ]
    assert answers == ['{"Error":"Exceeded msg rate"}'] * 2 + ['{"method":"pong"' + NOW]
    assert not talk.listening


def test_the_engine_announces_its_state_to_everybody() -> None:
    kraken = venue()
    first, second = greeted(kraken), greeted(kraken)
    kraken.provoke_announce("maintenance")
    assert all('"system":"maintenance"' in texts(each)[0] for each in (first, second))


def test_a_slow_client_is_hung_up_on() -> None:
    talk = greeted(venue())
    talk.lagging()
    assert talk.take() == [Hangup(1008, "slow client")]


def test_the_same_script_gets_the_same_frames() -> None:
    def played() -> list[str]:
        kraken = venue(warmup=20.0)
        talk = kraken.connect("/v2", {})
        for channel in ("book", "trade", "ticker", "ohlc"):
            talk.received(
                json.dumps({"method": "subscribe", "params": {"channel": channel, "symbol": ["BTC/USD"]}})
            )
        kraken.advance(START + 5 * SECOND)
        return texts(talk)

    assert played() == played()
    assert len(played()) > 300


def _watched(kraken: KrakenVenue, seconds: int) -> list[Any]:
    moves: list[Any] = []
    kraken.watch = moves.append
    kraken.advance(kraken.now + seconds * SECOND)
    return moves
