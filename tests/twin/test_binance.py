"""Binance's dialect: what the twin says, word for word, and what it can be made to do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from rtflow.errors import Unsupported
from rtflow.time import SECOND
from rtflow.twin.binance import INTERVALS, BinanceVenue
from rtflow.twin.market import NEVER, Listing, Market, Move, decimal
from rtflow.twin.venue import Conversation, Denied, Hangup, Message, Page

START = 1_790_358_500_000_000_000  # 17:48:20, on every grid there is


def venue(*symbols: str | Listing, seed: int = 7, warmup: float = 0.0, **options: Any) -> BinanceVenue:
    market = Market(seed, symbols or ("BTC/USD", "ADA/USD", "AAPL"), start=START - round(warmup * SECOND))
    binance = BinanceVenue(market, **options)
    binance.advance(START)
    return binance


def texts(talk: Conversation) -> list[str]:
    said = talk.take()
    assert all(isinstance(each, Message) for each in said), said
    return [str(each.payload) for each in said if isinstance(each, Message)]


def listening(binance: BinanceVenue, *names: str, path: str = "/stream") -> Conversation:
    talk = binance.connect(path, {})
    talk.received(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
    assert texts(talk) == ['{"result":null,"id":1}']
    return talk


def data(talk: Conversation) -> list[dict[str, Any]]:
    return [json.loads(text)["data"] for text in texts(talk)]


def watched(binance: BinanceVenue, seconds: float, symbol: str = "BTC/USD") -> list[Move]:
    moves: list[Move] = []
    binance.watch = moves.append
    binance.advance(binance.now + round(seconds * SECOND))
    return [each for each in moves if each.symbol == symbol]


def page(binance: BinanceVenue, query: str = "symbol=BTCUSD&limit=5000") -> tuple[int, Any, dict[str, str]]:
    answer = binance.page(f"{binance.rules.page}?{query}", {})
    return answer.status, json.loads(answer.body), dict(answer.headers)


# ------------------------------------------------------------------------------------------ connecting


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("spot", "/v2"),
        ("spot", "/"),
        ("spot", "/public/stream"),
        ("usdm", "/stream"),
        ("usdm", "/ws/btcusd@bookTicker"),
        ("usdm", "/public/other"),
    ],
)
def test_elsewhere_there_is_nothing(kind: str, path: str) -> None:
    with pytest.raises(Denied, match="404"):
        venue(kind=kind).connect(path, {})


def test_streams_may_be_named_in_the_path_and_are_bare_or_wrapped() -> None:
    binance = venue()
    bare = binance.connect("/ws/btcusd@trade", {})
    two = binance.connect("/ws/btcusd@bookTicker/adausd@bookTicker", {})
    wrapped = binance.connect("/stream?streams=btcusd@trade/adausd@trade", {})
    assert texts(bare) == texts(wrapped) == [], "nothing is said without being asked"
    assert bare.listening
    binance.advance(START + 5 * SECOND)
    alone = [json.loads(text) for text in texts(bare)]
    around = [json.loads(text) for text in texts(wrapped)]
    assert alone == [each["data"] for each in around if each["stream"] == "btcusd@trade"]
    assert alone
    assert {json.loads(text)["s"] for text in texts(two)} == {"BTCUSD", "ADAUSD"}


def test_more_streams_than_allowed_are_not_accepted_in_the_path() -> None:
    with pytest.raises(Denied, match="400"):
        venue(streams=1).connect("/stream?streams=a@trade/b@trade", {})


def test_usdm_serves_at_each_path_only_what_belongs_there() -> None:
    binance = venue(kind="usdm")
    names = ("btcusd@aggTrade", "btcusd@bookTicker", "btcusd@depth@100ms", "btcusd@markPrice@1s")
    public = listening(binance, *names, path="/public/stream")
    market = listening(binance, *names, path="/market/stream")
    binance.advance(START + 5 * SECOND)
    assert {json.loads(text)["stream"] for text in texts(public)} == {names[1], names[2]}
    assert {json.loads(text)["stream"] for text in texts(market)} == {names[0], names[3]}


def test_what_is_not_listed_is_accepted_and_silent() -> None:
    binance = venue()
    talk = listening(binance, "nope@trade", "BTCUSD@trade", "aapl@trade", "btcusd@weather", "!miniTicker@arr")
    binance.advance(START + 5 * SECOND)
    assert texts(talk) == []
    assert talk.listening


# ------------------------------------------------------------------------------------------ requests


def asked(talk: Conversation, request: object) -> list[str]:
    talk.received(request if isinstance(request, str | bytes) else json.dumps(request))
    return texts(talk)


def test_subscriptions_come_go_and_are_listed_in_order() -> None:
    talk = venue().connect("/stream", {})
    assert asked(talk, {"method": "SUBSCRIBE", "params": ["b@trade", "a@trade"], "id": 7}) == [
        '{"result":null,"id":7}'
    ]
    assert asked(talk, {"method": "LIST_SUBSCRIPTIONS", "id": "abc"}) == [
        '{"result":["b@trade","a@trade"],"id":"abc"}'
    ]
    assert asked(talk, {"method": "UNSUBSCRIBE", "params": ["b@trade", "c@trade"], "id": None}) == [
        '{"result":null,"id":null}'
    ]
    assert asked(talk, {"method": "LIST_SUBSCRIPTIONS"}) == ['{"result":["a@trade"],"id":null}']


def test_messages_may_be_wrapped_or_not_on_request() -> None:
    binance = venue(messages=100)
    talk = binance.connect("/ws", {})
    assert asked(talk, {"method": "GET_PROPERTY", "params": ["combined"], "id": 2}) == [
        '{"result":false,"id":2}'
    ]
    asked(talk, {"method": "SUBSCRIBE", "params": ["btcusd@trade"], "id": 3})
    binance.advance(START + SECOND)
    assert all("stream" not in json.loads(text) for text in texts(talk))
    assert asked(talk, {"method": "SET_PROPERTY", "params": ["combined", True], "id": 5}) == [
        '{"result":null,"id":5}'
    ]
    assert asked(talk, {"method": "GET_PROPERTY", "params": ["combined"], "id": 2}) == [
        '{"result":true,"id":2}'
    ]
    binance.advance(START + 3 * SECOND)
    assert {json.loads(text)["stream"] for text in texts(talk)} == {"btcusd@trade"}


MISSING = "Invalid request: missing field `method` at line 1 column 8"
UNKNOWN = (
    "Invalid request: unknown variant `DANCE`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
    "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
)
REFUSALS: list[tuple[object, int, str, object]] = [
    ("{", 3, "Invalid JSON: expected value at line 1 column 1", None),
    (b"\xff\xfe", 3, "Invalid JSON: expected value at line 1 column 1", None),
    ("[]", 2, "Invalid request: invalid type", None),
    ({"method": "SUBSCRIBE", "params": {}, "id": 1}, 2, "Invalid request: invalid type", None),
    ('{"id":1}', 2, MISSING, None),
    ({"method": "DANCE", "id": 1}, 2, UNKNOWN, 1),
    ({"method": "LIST_SUBSCRIPTIONS", "id": -1}, 2, "request ID must be an unsigned integer", None),
    ({"method": "LIST_SUBSCRIPTIONS", "id": 1.5}, 2, "request ID must be an unsigned integer", None),
    ({"method": "LIST_SUBSCRIPTIONS", "id": True}, 2, "request ID must be an unsigned integer", None),
    ({"method": "SUBSCRIBE", "params": ["btcusd"], "id": 4}, 2, "Invalid request: invalid stream", 4),
    ({"method": "SUBSCRIBE", "params": [5], "id": 4}, 2, "Invalid request: invalid stream", 4),
    ({"method": "SUBSCRIBE", "params": ["a@trade", "b@trade"], "id": 4}, 2, "too many parameters", 4),
    ({"method": "SET_PROPERTY", "params": [], "id": 5}, 2, "property name must be a string", 5),
    ({"method": "SET_PROPERTY", "params": [1, "combined"], "id": 5}, 2, "name must be a string", 5),
    ({"method": "SET_PROPERTY", "params": ["colour", True], "id": 5}, 0, "Unknown property", 5),
    ({"method": "SET_PROPERTY", "params": ["combined"], "id": 5}, 1, "expected Boolean", 5),
    ({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 5}, 1, "expected Boolean", 5),
]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("request_", "code", "message", "number"), REFUSALS)
def test_a_refusal_comes_in_either_of_two_shapes(
    request_: object, code: int, message: str, number: object, nested: bool
) -> None:
    talk = venue(nested=nested, streams=1).connect("/stream", {})
    (text,) = asked(talk, request_)
    answer = json.loads(text)
    assert answer.pop("id", None) == number
    fault = answer.pop("error") if nested else answer
    assert fault["code"] == code
    assert fault["msg"].endswith(message)
    assert set(fault) == {"code", "msg"}


@pytest.mark.parametrize(("kind", "path", "most"), [("spot", "/stream", 5), ("usdm", "/public/stream", 10)])
def test_one_message_too_many_within_a_second_is_the_end(kind: str, path: str, most: int) -> None:
    binance = venue(kind=kind)
    talk = binance.connect(path, {})
    for _ in range(2):
        for _ in range(most):
            asked(talk, {"method": "LIST_SUBSCRIPTIONS"})
        binance.advance(binance.now + SECOND)
    for _ in range(most + 1):
        talk.received('{"method":"LIST_SUBSCRIPTIONS"}')
    assert talk.take()[-1] == Hangup(1008, "Too many requests")


# ------------------------------------------------------------------------------------------ data


def test_a_trade_says_who_made_it() -> None:
    binance = venue()
    talk = listening(binance, "btcusd@trade")
    fills = [fill for move in watched(binance, 10) for fill in move.trades]
    assert texts(talk) == [
        f'{{"stream":"btcusd@trade","data":{{"e":"trade","E":{fill.stamp // 10**6},"s":"BTCUSD",'
        f'"t":{fill.id},"p":"{decimal(fill.price, 1)}0000000","q":"{decimal(fill.size, 8)}",'
        f'"T":{fill.stamp // 10**6},"m":{"true" if fill.side < 0 else "false"},"M":true}}}}'
        for fill in fills
    ]
    assert {fill.side for fill in fills} == {1, -1}


@pytest.mark.parametrize(("kind", "path"), [("spot", "/stream"), ("usdm", "/market/stream")])
def test_aggregates_join_what_one_order_took_at_one_price(kind: str, path: str) -> None:
    binance = venue(kind=kind)
    talk = listening(binance, "btcusd@aggTrade", path=path)
    fills = [fill for move in watched(binance, 10) for fill in move.trades]
    rows = data(talk)
    assert [each["a"] - rows[0]["a"] for each in rows] == [*range(len(rows))]
    assert rows[0]["f"] == fills[0].id
    for row, following in pairwise(rows):
        assert following["f"] == row["l"] + 1
    assert rows[-1]["l"] == fills[-1].id
    assert [float(row["q"]) for row in rows] == [fill.size / 10**8 for fill in fills]
    assert all(("M" in row) == (kind == "spot") for row in rows)
    assert (rows[0]["p"][-4:] == "0000") == (kind == "spot"), "only spot fills up to eight decimals"


@pytest.mark.parametrize(("kind", "path"), [("spot", "/stream"), ("usdm", "/public/stream")])
def test_a_quote_follows_every_touch_and_has_a_time_on_usdm_alone(kind: str, path: str) -> None:
    binance = venue(kind=kind)
    talk = listening(binance, "btcusd@bookTicker", path=path)
    touches = [move for move in watched(binance, 5) if move.touched]
    rows = data(talk)
    assert [(float(row["b"]), float(row["A"])) for row in rows] == [
        (move.bid / 10, move.ask_size / 10**8) for move in touches
    ]
    assert [row["u"] for row in rows] == sorted(row["u"] for row in rows)
    for row, move in zip(rows, touches, strict=True):
        stamp = move.stamp // 10**6
        timed = {key: row[key] for key in ("e", "E", "T") if key in row}
        assert timed == ({"e": "bookTicker", "E": stamp, "T": stamp} if kind == "usdm" else {})


def test_stamps_are_finer_on_request_and_on_spot_alone() -> None:
    binance = venue()
    talk = listening(binance, "btcusd@trade", path="/stream?timeUnit=MICROSECOND")
    (fill, *_) = [fill for move in watched(binance, 5) for fill in move.trades]
    assert data(talk)[0]["T"] == fill.stamp // 1000
    futures = venue(kind="usdm")
    talk = listening(futures, "btcusd@aggTrade", path="/market/stream?timeUnit=microsecond")
    (fill, *_) = [fill for move in watched(futures, 5) for fill in move.trades]
    assert data(talk)[0]["T"] == fill.stamp // 10**6


class NaiveBook:
    """A book by the written procedure, for one who has a snapshot."""

    def __init__(self, snapshot: dict[str, Any], futures: bool) -> None:
        self.sides = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
        self.last = snapshot["lastUpdateId"]
        self.futures = futures
        self.first = True

    def apply(self, row: dict[str, Any]) -> None:
        if row["u"] <= self.last:
            return
        if self.futures and not self.first:
            assert row["pu"] == self.last
        elif self.futures:
            assert row["U"] <= self.last or row["pu"] == self.last
        else:
            assert row["U"] <= self.last + 1
        self.first = False
        self.last = row["u"]
        for side, levels in self.sides.items():
            for price, size in row[side]:
                levels[price] = size
                if not float(size):
                    del levels[price]

    def best(self, side: str) -> list[tuple[float, float]]:
        levels = [(float(price), float(size)) for price, size in self.sides[side].items()]
        return sorted(levels, reverse=side == "b")


@pytest.mark.parametrize("midway", [False, True])
@pytest.mark.parametrize(
    ("kind", "speed"),
    [("spot", "@100ms"), ("spot", ""), ("usdm", "@100ms"), ("usdm", ""), ("usdm", "@500ms")],
)
def test_a_snapshot_and_the_differences_after_it_are_the_markets_book(
    kind: str, speed: str, midway: bool
) -> None:
    binance = venue(kind=kind, midway=midway, warmup=1.0)
    path = "/public/stream" if kind == "usdm" else "/stream"
    talk = listening(binance, f"btcusd@depth{speed}", path=path)
    binance.advance(START + 2_370_000_000)
    limit = 1000
    status, snapshot, _ = page(binance, f"symbol=BTCUSD&limit={limit}")
    assert status == 200
    binance.advance(START + 9 * SECOND)
    rows = data(talk)
    book = NaiveBook(snapshot, kind == "usdm")
    for row in rows:
        book.apply(row)
    for side, ladder in zip("ba", binance.market.book("BTC/USD"), strict=True):
        assert book.best(side) == [(price / 10, size / 10**8) for price, size in ladder.levels()]
    inside = [row for row in rows if row["U"] <= snapshot["lastUpdateId"] < row["u"]]
    at_the_end = [row for row in rows if row["u"] == snapshot["lastUpdateId"]]
    if midway:
        assert inside
    elif speed == "@100ms":
        assert at_the_end


def test_a_snapshot_moves_on_with_the_differences_of_100_ms_and_no_others() -> None:
    binance = venue(kind="usdm")
    binance.advance(START + 201_000_000)
    _, before, _ = page(binance, "symbol=BTCUSD&limit=1000")
    binance.advance(START + 251_000_000)
    _, between, _ = page(binance, "symbol=BTCUSD&limit=1000")
    binance.advance(START + 301_000_000)
    _, after, _ = page(binance, "symbol=BTCUSD&limit=1000")
    names = ("lastUpdateId", "bids", "asks")
    assert [before[name] for name in names] == [between[name] for name in names]
    assert before["lastUpdateId"] < after["lastUpdateId"]


def test_differences_join_and_on_usdm_all_symbols_share_the_numbers() -> None:
    spot, usdm = venue(), venue(kind="usdm")
    names = ("btcusd@depth@100ms", "adausd@depth@100ms")
    joined: dict[str, list[bool]] = {}
    for binance, path in ((spot, "/stream"), (usdm, "/public/stream")):
        talk = listening(binance, *names, path=path)
        binance.advance(START + 10 * SECOND)
        last: dict[str, int] = {}
        for row in data(talk):
            before = last.get(row["s"])
            last[row["s"]] = row["u"]
            assert row["E"] % 100 == 0
            if before is not None:
                assert row.get("pu", before) == before
                joined.setdefault(path, []).append(row["U"] == before + 1)
            if "T" in row:
                assert row["E"] - 100 <= row["T"] <= row["E"]
    assert all(joined["/stream"])
    assert not all(joined["/public/stream"])


@pytest.mark.parametrize("kind", ["spot", "usdm"])
@pytest.mark.parametrize("depth", [5, 10, 20])
def test_a_partial_book_is_the_top_of_the_book_whole(kind: str, depth: int) -> None:
    binance = venue(kind=kind)
    path = "/public/stream" if kind == "usdm" else "/stream"
    talk = listening(binance, f"btcusd@depth{depth}@100ms", path=path)
    binance.advance(START + 3 * SECOND)
    rows = data(talk)
    bids, asks = binance.market.book("BTC/USD")
    names = ("b", "a") if kind == "usdm" else ("bids", "asks")
    for name, ladder in zip(names, (bids, asks), strict=True):
        assert [(float(price), float(size)) for price, size in rows[-1][name]] == [
            (price / 10, size / 10**8) for price, size in ladder.levels(depth)
        ]
    number = "u" if kind == "usdm" else "lastUpdateId"
    assert [row[number] for row in rows] == sorted({row[number] for row in rows})
    assert set(rows[0]) == (
        {"e", "E", "T", "s", "U", "u", "pu", "b", "a"} if kind == "usdm" else {number, *names}
    )


@pytest.mark.parametrize("kind", ["spot", "usdm"])
def test_klines_add_up_what_was_traded_and_the_last_one_is_closed(kind: str) -> None:
    binance = venue(kind=kind, warmup=15.0)
    path = "/market/stream" if kind == "usdm" else "/stream"
    talk = listening(binance, "btcusd@kline_1m", path=path)
    begin = START + 40 * SECOND
    fills = [
        fill
        for move in watched(binance, 110)
        for fill in move.trades
        if begin <= fill.stamp < begin + 60 * SECOND
    ]
    rows = data(talk)
    assert [row["E"] for row in rows] == sorted(row["E"] for row in rows)
    assert all(row["E"] % 2000 == 0 for row in rows)
    (closed,) = [row["k"] for row in rows if row["k"]["x"] and row["k"]["t"] == begin // 10**6]
    prices, bought = [fill.price for fill in fills], [fill for fill in fills if fill.side > 0]
    assert closed["T"] == begin // 10**6 + 59_999
    assert (closed["f"], closed["L"], closed["n"]) == (fills[0].id, fills[-1].id, len(fills))
    assert [float(closed[each]) for each in "ohlc"] == [
        each / 10 for each in (prices[0], max(prices), min(prices), prices[-1])
    ]
    for name, some in (("v", fills), ("V", bought)):
        assert float(closed[name]) == pytest.approx(sum(fill.size for fill in some) / 10**8)
    for name, some in (("q", fills), ("Q", bought)):
        assert float(closed[name]) == pytest.approx(sum(fill.price * fill.size for fill in some) / 10**9)


def test_klines_of_a_second_close_though_the_next_has_begun_or_nothing_comes() -> None:
    binance = venue()
    talk = listening(binance, "btcusd@kline_1s", "adausd@kline_1s")
    binance.advance(START + 30 * SECOND)
    closed: dict[str, list[int]] = {}
    for row in data(talk):
        if row["k"]["x"]:
            closed.setdefault(row["s"], []).append(row["k"]["t"])
    assert closed["BTCUSD"] == sorted({*closed["BTCUSD"]})
    assert len(closed["BTCUSD"]) > 15
    assert closed["ADAUSD"]


def test_a_kline_that_ends_between_two_looks_is_closed_at_the_second() -> None:
    """Minutes are looked at each two seconds; a second's kline whose successor has begun waits until then."""
    chain = venue(Listing("BUSY/USD", 100_000, 2, 8, rate=400.0)).chains["BUSY/USD"]
    market = Market(3, [Listing("BUSY/USD", 100_000, 2, 8, rate=400.0)], start=START)
    for move in market.until(START + 3 * SECOND):
        chain.moved(move)
    told = [*chain.told("1s", START + 3 * SECOND)]
    assert [(each.begin - START) // SECOND for each in told if each.closed] == [0, 1, 2]
    assert [*chain.told("1s", START + 3 * SECOND)] == []
    assert set(INTERVALS) > {"1s", "1m", "1d"}


def test_a_mark_price_comes_each_second_or_each_third() -> None:
    binance = venue(kind="usdm")
    talk = listening(binance, "btcusd@markPrice@1s", "adausd@markPrice", path="/market/stream")
    binance.advance(START + 9 * SECOND)
    rows = data(talk)
    bids, asks = binance.market.book("BTC/USD")
    mine = [row for row in rows if row["s"] == "BTCUSD"]
    assert len(mine) == 9
    assert len(rows) - len(mine) == 3
    assert float(mine[-1]["p"]) == pytest.approx((bids.keys[-1] - asks.keys[-1]) / 20)
    assert mine[-1]["T"] % (8 * 3600 * 1000) == 0


def test_more_decimals_than_eight_are_cut() -> None:
    binance = venue(Listing("TINY/USD", 10**9, 9, 9, spacing=1, size=10**9, rate=50.0))
    talk = listening(binance, "tinyusd@trade")
    (fill, *_) = [fill for move in watched(binance, 5, "TINY/USD") for fill in move.trades]
    row = data(talk)[0]
    assert (row["p"], row["q"]) == (decimal(fill.price // 10, 8), decimal(fill.size // 10, 8))


def test_a_halt_changes_no_number() -> None:
    binance = venue(Listing("HALT/USD", 100_000, 2, 8, rate=50.0, halts=2.0))
    talk = listening(binance, "haltusd@depth@100ms")
    halts = [move for move in watched(binance, 20, "HALT/USD") if move.status]
    assert len(halts) >= 2
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(numbers(data(talk))))


# ------------------------------------------------------------------------------------------ documents


def test_a_snapshot_is_as_deep_as_asked_and_its_weight_is_counted() -> None:
    binance = venue()
    status, body, headers = page(binance, "symbol=BTCUSD&limit=10")
    assert (status, headers) == (200, {"X-MBX-USED-WEIGHT-1M": "5"})
    assert [len(body["bids"]), len(body["asks"])] == [10, 10]
    assert set(body) == {"lastUpdateId", "bids", "asks"}
    used = [page(binance, f"symbol=BTCUSD{query}")[2] for query in ("", "&limit=500", "&limit=5000")]
    assert [each["X-MBX-USED-WEIGHT-1M"] for each in used] == ["10", "35", "285"]
    binance.advance(START + 60 * SECOND)
    assert page(binance)[2] == {"X-MBX-USED-WEIGHT-1M": "250"}, "a new minute"
    futures = venue(kind="usdm", warmup=1.0)
    _, body, headers = page(futures, "symbol=BTCUSD&limit=1000")
    assert headers == {"X-MBX-USED-WEIGHT-1M": "20"}
    assert body["E"] == START // 10**6 > body["T"] > body["E"] - 1000


@pytest.mark.parametrize(
    ("kind", "query", "code"),
    [
        ("spot", "", -1102),
        ("spot", "symbol=", -1102),
        ("spot", "symbol=NOPE", -1121),
        ("spot", "symbol=btcusd", -1121),
        ("spot", "symbol=AAPL", -1121),
        ("spot", "symbol=BTCUSD&limit=5001", -1130),
        ("spot", "symbol=BTCUSD&limit=0", -1130),
        ("spot", "symbol=BTCUSD&limit=many", -1130),
        ("usdm", "symbol=BTCUSD&limit=200", -1130),
    ],
)
def test_a_snapshot_that_cannot_be_is_a_bad_request(kind: str, query: str, code: int) -> None:
    status, body, _ = page(venue(kind=kind), query)
    assert (status, body["code"]) == (400, code)


def test_elsewhere_there_is_no_document() -> None:
    assert venue().page("/fapi/v1/depth?symbol=BTCUSD", {}).status == 404
    assert venue(kind="usdm").page("/api/v3/depth?symbol=BTCUSD", {}).status == 404


def test_too_much_weight_is_to_wait_and_going_on_is_a_ban() -> None:
    binance = venue(allowance=600)
    binance.advance(START + 5_500_000_000)
    answers = [page(binance) for _ in range(7)]
    assert [status for status, _, _ in answers] == [200, 200, 429, 429, 429, 418, 418]
    assert answers[2][1]["code"] == -1003
    minute_left = 60 - (START // SECOND + 5) % 60  # the half second is waited for, too
    assert [headers.get("Retry-After") for _, _, headers in answers[2:]] == [str(minute_left)] * 3 + [
        "120"
    ] * 2
    binance.advance(START + 125 * SECOND)
    assert page(binance)[0] == 418
    binance.advance(START + 126 * SECOND)
    assert page(binance)[0] == 200


# ------------------------------------------------------------------------------------------ faults


def numbers(rows: Iterable[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(row["U"], row["u"]) for row in rows]


def test_a_difference_is_missing_for_everybody_or_comes_twice() -> None:
    binance = venue()
    binance.provoke("missing_difference", count=2)
    binance.provoke("repeated_difference")
    binance.advance(START + SECOND)  # nobody listened: nothing was harmed
    talk, other = listening(binance, "btcusd@depth@100ms"), listening(binance, "btcusd@depth@100ms")
    before = binance.chains["BTC/USD"].last
    binance.advance(START + 2 * SECOND)
    told = numbers(data(talk))
    assert told == numbers(data(other))
    assert told[0] == told[1]
    assert told[0][0] > before + 1
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(told[1:]))


def test_an_old_snapshot_and_one_of_no_book() -> None:
    binance = venue()
    _, now, _ = page(binance)
    binance.provoke("old_snapshot", symbol="BTCUSD", count=2)
    binance.provoke("no_book")
    binance.advance(START + SECOND)
    assert [page(binance)[1] for _ in range(2)] == [now, now]
    assert page(binance)[1] == {"lastUpdateId": -1, "bids": [], "asks": []}
    assert page(binance)[1]["lastUpdateId"] > now["lastUpdateId"]


def test_a_document_that_fails() -> None:
    binance = venue()
    binance.provoke("rest_failure")
    binance.provoke("rest_failure", status=429, retry_after=7)
    first, second = (binance.page("/api/v3/depth?symbol=BTCUSD", {}) for _ in range(2))
    assert (first.status, dict(first.headers)) == (503, {})
    assert (second.status, dict(second.headers)) == (429, {"Retry-After": "7"})
    assert isinstance(first, Page)


def test_a_server_that_goes_away_says_so_first() -> None:
    binance = venue()
    wrapped, bare = binance.connect("/stream", {}), binance.connect("/ws", {})
    binance.provoke("server_shutdown", seconds=2.0)
    said = {"e": "serverShutdown", "E": START // 10**6}
    assert [json.loads(text) for text in texts(wrapped)] == [{"stream": "!serverShutdown", "data": said}]
    assert [json.loads(text) for text in texts(bare)] == [said]
    binance.advance(START + 1_990_000_000)
    assert wrapped.take() == []
    binance.advance(START + 2 * SECOND)
    assert wrapped.take() == bare.take() == [Hangup(1001, "connection lifetime is over")]
    assert wrapped.due() == NEVER


def test_a_connection_lives_for_a_day() -> None:
    binance = venue(lifetime=5.0)
    talk = binance.connect("/stream", {})
    binance.advance(START + 4_900_000_000)
    assert talk.take() == []
    binance.advance(START + 5 * SECOND)
    assert talk.take() == [Hangup(1001, "connection lifetime is over")]
    other = binance.connect("/stream", {})
    binance.provoke("day_over")
    assert other.take() == [Hangup(1001, "connection lifetime is over")]


def test_what_it_cannot_do_wrong_it_says() -> None:
    with pytest.raises(Unsupported, match="missing_difference, no_book, old_snapshot"):
        venue().provoke("wrong_checksum")


@pytest.mark.parametrize("kind", ["spot", "usdm"])
def test_the_same_script_gets_the_same_frames(kind: str) -> None:
    def played() -> list[str]:
        binance = venue(kind=kind, warmup=20.0)
        path = "/public/stream" if kind == "usdm" else "/stream"
        talk = listening(binance, "btcusd@depth@100ms", "btcusd@bookTicker", "adausd@depth5", path=path)
        binance.advance(START + 5 * SECOND)
        return [*texts(talk), str(page(binance, "symbol=BTCUSD&limit=1000"))]

    assert played() == played()
    assert len(played()) > 60


def test_what_is_traded_by_default_is_spelled_in_tether() -> None:
    binance = BinanceVenue(Market(1, BinanceVenue.listings))
    assert [each.symbol for each in binance.chains.values()] == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT"]
