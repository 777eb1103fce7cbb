"""Alpaca: frames in, events out; and the conversation, as the venue's own pages have it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any, Literal, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.errors import Disconnected, Rejected, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Imbalance,
    Malformed,
    News,
    OrderBookUpdate,
    PriceBands,
    Quote,
    Side,
    Status,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
)
from rtflow.provider import Answer, Decoder, Provider, Refused, Session, Subscription, Traffic
from rtflow.providers.alpaca import Alpaca
from rtflow.time import SECOND, parse
from tests.fuzz import JUNK, bitten, broken, flipped, spoiled, survives

NOW = 1_700_000_000 * SECOND
LATER = NOW + 5
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
KEY, SECRET = "PK-THE-KEY", "THE-SECRET"
AUTH = {"action": "auth", "key": KEY, "secret": SECRET}

Encoding = Literal["json", "msgpack"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
both = pytest.mark.parametrize("encoding", ENCODINGS)


def alpaca(feed: str = "sip", **options: Any) -> Alpaca:
    return Alpaca(KEY, SECRET, feed=feed, **options)


def frame(text: str, encoding: Encoding = "json") -> Frame:
    """The venue's frame that says the JSON ``text``, in either encoding."""
    if encoding == "json":
        return Frame(FrameKind.TEXT, text.encode(), NOW, epoch=3)
    return Frame(FrameKind.BINARY, msgspec.msgpack.encode(stamped(json.loads(text))), NOW, epoch=3)


def stamped(said: Any) -> Any:
    """``said`` with its stamps as the timestamp extension."""
    if isinstance(said, list):
        return [stamped(each) for each in said]
    if not isinstance(said, dict):
        return said
    texts = {key: said[key] for key in ("t", "created_at", "updated_at") if isinstance(said.get(key), str)}
    return said | {key: extension(text) for key, text in texts.items()}


def extension(text: str) -> object:
    """A stamp as MessagePack has it; what is none stays what it is."""
    try:
        return msgspec.msgpack.Ext(-1, timestamp_64(*divmod(parse(text), SECOND)))
    except ValueError:
        return text


def timestamp_64(second: int, fraction: int) -> bytes:
    return struct.pack(">Q", fraction << 34 | second)


def decode(text: str, encoding: Encoding = "json", feed: str = "sip", **options: Any) -> list[Event]:
    return list(alpaca(feed, **options).decoder().decode(frame(text, encoding)))


# --- stocks ---------------------------------------------------------------------------------------

STOCKS: dict[str, tuple[str, Event]] = {
    "trade": (
        '{"T":"t","i":96921,"S":"AAPL","x":"D","p":126.55,"s":1,"t":"2021-02-22T15:51:44.208Z","c":["@","I"],'
        '"z":"C"}',
        Trade(
            symbol="AAPL",
            ts_event=1_614_009_104_208_000_000,
            ts_recv=NOW,
            price=126.55,
            size=1.0,
            side=Side.UNKNOWN,
            id="D:96921",
            venue="alpaca",
            exchange="D",
            conditions=("@", "I"),
            tape="C",
        ),
    ),
    "quote": (
        '{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"Q","ap":87.68,"as":4,'
        '"t":"2021-02-22T15:51:45.335689322Z","c":["R"],"z":"C"}',
        Quote(
            symbol="AMD",
            ts_event=1_614_009_105_335_689_322,
            ts_recv=NOW,
            bid=87.66,
            bid_size=100.0,
            ask=87.68,
            ask_size=400.0,
            venue="alpaca",
            bid_exchange="U",
            ask_exchange="Q",
            conditions=("R",),
            tape="C",
            lot=100.0,
        ),
    ),
    "bar": (
        '{"T":"b","S":"SPY","o":388.985,"h":389.13,"l":388.975,"c":389.12,"v":49378,"n":461,"vw":389.062639,'
        '"t":"2021-02-22T19:15:00Z"}',
        Bar(
            symbol="SPY",
            start=1_614_021_300 * SECOND,
            end=1_614_021_360 * SECOND,
            open=388.985,
            high=389.13,
            low=388.975,
            close=389.12,
            volume=49378.0,
            count=461,
            value=389.062639 * 49378,
            ts_recv=NOW,
            venue="alpaca",
            interval="1m",
        ),
    ),
    "updated bar": (
        '{"T":"u","S":"TEST","o":100,"h":101.2,"l":98.67,"c":101.3,"v":2570,"t":"2021-03-05T16:00:00Z",'
        '"n":1235,"vw":100.123457}',
        Bar(
            symbol="TEST",
            start=1_614_960_000 * SECOND,
            end=1_614_960_060 * SECOND,
            open=100.0,
            high=101.2,
            low=98.67,
            close=101.3,
            volume=2570.0,
            count=1235,
            value=100.123457 * 2570,
            ts_recv=NOW,
            venue="alpaca",
            revision=1,
            interval="1m:updated",
        ),
    ),
    "daily bar of the oldest kind": (
        '{"T":"d","S":"SPY","o":388.985,"h":389.13,"l":388.975,"c":389.12,"v":749378,'
        '"t":"2021-02-16T05:00:00Z"}',
        Bar(
            symbol="SPY",
            start=1_613_451_600 * SECOND,
            end=1_613_538_000 * SECOND,
            open=388.985,
            high=389.13,
            low=388.975,
            close=389.12,
            volume=749378.0,
            count=0,
            value=389.12 * 749378,
            ts_recv=NOW,
            venue="alpaca",
            final=False,
            interval="1d",
        ),
    ),
    "correction": (
        '{"T":"c","S":"TEST","x":"X","oi":123,"op":123.123,"os":123,"oc":[" ","7","V"],"ci":124,"cp":124.124,'
        '"cs":125,"cc":[" ","7","Z","V"],"z":"C","t":"2021-12-07T13:32:00Z"}',
        TradeCorrection(
            symbol="TEST",
            ts_event=1_638_883_920 * SECOND,
            ts_recv=NOW,
            original_id="X:123",
            original_price=123.123,
            original_size=123.0,
            id="X:124",
            price=124.124,
            size=125.0,
            venue="alpaca",
            exchange="X",
            conditions=(" ", "7", "Z", "V"),
            tape="C",
            original_conditions=(" ", "7", "V"),
        ),
    ),
    "cancel": (
        '{"T":"x","S":"GOOGL","i":465,"x":"D","p":105.31,"s":300,"a":"C","z":"C",'
        '"t":"2023-04-06T13:15:42.83540958Z"}',
        TradeCancel(
            symbol="GOOGL",
            ts_event=1_680_786_942_835_409_580,
            ts_recv=NOW,
            id="D:465",
            price=105.31,
            size=300.0,
            venue="alpaca",
            exchange="D",
            action="C",
            tape="C",
        ),
    ),
    "bands": (
        '{"T":"l","S":"IONM","u":3.24,"d":2.65,"i":"B","t":"2023-04-06T13:34:45.565004401Z","z":"C"}',
        PriceBands("IONM", 1_680_788_085_565_004_401, NOW, 3.24, 2.65, "B", "alpaca", "C"),
    ),
    "no bands": (
        '{"T":"l","S":"SPY","u":0,"d":0,"i":"A","t":"2024-01-02T21:00:00Z","z":"B"}',
        PriceBands("SPY", 1_704_229_200 * SECOND, NOW, None, None, "A", "alpaca", "B"),
    ),
    "halt": (
        '{"T":"s","S":"AAPL","sc":"H","sm":"Trading Halt","rc":"T12",'
        '"rm":"Trading Halted; For information requested by NASDAQ","t":"2021-02-22T19:15:00Z","z":"C"}',
        TradingStatus(
            symbol="AAPL",
            ts_event=1_614_021_300 * SECOND,
            ts_recv=NOW,
            code="H",
            text="Trading Halt",
            reason_code="T12",
            reason="Trading Halted; For information requested by NASDAQ",
            venue="alpaca",
            tape="C",
        ),
    ),
    "imbalance": (
        '{"T":"i","S":"INAQU","p":9.12,"z":"C","t":"2024-12-13T19:58:09.242138635Z"}',
        Imbalance("INAQU", 1_734_119_889_242_138_635, NOW, 9.12, "alpaca", "C"),
    ),
}

CRYPTO: dict[str, tuple[str, Event]] = {
    "trade": (
        '{"T":"t","S":"AVAX/USD","p":47.299,"s":29.205707815,"t":"2024-03-12T10:27:48.858228144Z",'
        '"i":3447222699101865076,"tks":"S"}',
        Trade(
            symbol="AVAX/USD",
            ts_event=1_710_239_268_858_228_144,
            ts_recv=NOW,
            price=47.299,
            size=29.205707815,
            side=Side.SELL,
            id="3447222699101865076",
            venue="alpaca",
        ),
    ),
    "trade of another exchange": (
        '{"T":"t","S":"A","x":"ERSX","p":100,"s":10.1,"t":"2021-03-04T15:16:17.000000018Z","i":32,"tks":"B"}',
        Trade("A", 1_614_870_977_000_000_018, NOW, 100.0, 10.1, Side.BUY, "32", "alpaca", "ERSX"),
    ),
    "trade without a side": (
        '{"T":"t","S":"A","p":100,"s":10.1,"t":"2021-03-04T15:16:17Z","i":32,"tks":""}',
        Trade("A", 1_614_870_977 * SECOND, NOW, 100.0, 10.1, Side.UNKNOWN, "32", "alpaca"),
    ),
    "quote": (
        '{"T":"q","S":"BAT/USD","bp":0.35718,"bs":13445.46,"ap":0.3581,"as":13561.902,'
        '"t":"2024-03-12T10:29:43.111588173Z"}',
        Quote("BAT/USD", 1_710_239_383_111_588_173, NOW, 0.35718, 13445.46, 0.3581, 13561.902, "alpaca"),
    ),
    "quote of another exchange": (
        '{"T":"q","S":"TEST","x":"ERSX","bp":99.9,"bs":1.0945,"ap":100.1,"as":2.41231,'
        '"t":"2021-03-04T15:16:17.000000018Z"}',
        Quote(
            "TEST",
            1_614_870_977_000_000_018,
            NOW,
            99.9,
            1.0945,
            100.1,
            2.41231,
            "alpaca",
            "ERSX",
            "ERSX",
        ),
    ),
    "bar without trades": (
        '{"T":"b","S":"BTC/USD","o":71856.1435,"h":71856.1435,"l":71856.1435,"c":71856.1435,"v":0,'
        '"t":"2024-03-12T10:37:00Z","n":0,"vw":0}',
        Bar(
            symbol="BTC/USD",
            start=1_710_239_820 * SECOND,
            end=1_710_239_880 * SECOND,
            open=71856.1435,
            high=71856.1435,
            low=71856.1435,
            close=71856.1435,
            volume=0.0,
            count=0,
            value=0.0,
            ts_recv=NOW,
            venue="alpaca",
            interval="1m",
        ),
    ),
    "whole book": (
        '{"T":"o","S":"BTC/USD","t":"2024-03-12T10:38:50.79613221Z","b":[{"p":71859.53,"s":0.27994},'
        '{"p":71849.4,"s":0.553986},{"p":71820.469,"s":0.83495}],"a":[{"p":71939.7,"s":0.83953},'
        '{"p":71940.4,"s":0.28025},{"p":71950.715,"s":0.555928}],"r":true}',
        OrderBookUpdate(
            symbol="BTC/USD",
            ts_event=1_710_239_930_796_132_210,
            ts_recv=NOW,
            bids=((71859.53, 0.27994), (71849.4, 0.553986), (71820.469, 0.83495)),
            asks=((71939.7, 0.83953), (71940.4, 0.28025), (71950.715, 0.555928)),
            snapshot=True,
            epoch=3,
            venue="alpaca",
        ),
    ),
    "a level set": (
        '{"T":"o","S":"MKR/USD","t":"2024-03-12T10:39:39.445492807Z","b":[],"a":[{"p":2614.587,"s":12.5308}]}',
        OrderBookUpdate(
            "MKR/USD", 1_710_239_979_445_492_807, NOW, (), ((2614.587, 12.5308),), False, 3, "alpaca"
        ),
    ),
    "a level removed": (
        '{"T":"o","S":"CRV/USD","t":"2024-03-12T10:39:40.501160019Z","b":[{"p":0.7904,"s":0}],"a":[]}',
        OrderBookUpdate("CRV/USD", 1_710_239_980_501_160_019, NOW, ((0.7904, 0.0),), (), False, 3, "alpaca"),
    ),
}


OPTIONS: dict[str, tuple[str, Event]] = {
    "trade": (
        '{"T":"t","S":"AAPL240315C00172500","t":"2024-03-11T13:35:35.13312256Z","p":2.84,"s":1,"x":"N","c":"S"}',
        Trade(
            symbol="AAPL240315C00172500",
            ts_event=1_710_164_135_133_122_560,
            ts_recv=NOW,
            price=2.84,
            size=1.0,
            side=Side.UNKNOWN,
            venue="alpaca",
            exchange="N",
            conditions=("S",),
        ),
    ),
    "trade whose condition is in lower case": (
        '{"T":"t","S":"TSLA240621C00200000","t":"2024-06-03T14:00:01Z","p":3.05,"s":5,"x":"X","c":"a"}',
        Trade(
            "TSLA240621C00200000",
            1_717_423_201 * SECOND,
            NOW,
            3.05,
            5.0,
            venue="alpaca",
            exchange="X",
            conditions=("a",),
        ),
    ),
    "quote": (
        '{"T":"q","S":"SPXW240327P04925000","t":"2024-03-12T11:59:38.897261568Z","bx":"C","bp":9.46,"bs":53,'
        '"ax":"C","ap":9.66,"as":38,"c":"A"}',
        Quote(
            symbol="SPXW240327P04925000",
            ts_event=1_710_244_778_897_261_568,
            ts_recv=NOW,
            bid=9.46,
            bid_size=53.0,
            ask=9.66,
            ask_size=38.0,
            venue="alpaca",
            bid_exchange="C",
            ask_exchange="C",
            conditions=("A",),
        ),
    ),
    "quote without a bid": (
        '{"T":"q","S":"AAPL240315C00300000","t":"2024-03-11T13:35:36Z","bx":"?","bp":0,"bs":0,"ax":"Q",'
        '"ap":0.01,"as":700,"c":" "}',
        Quote(
            "AAPL240315C00300000",
            1_710_164_136 * SECOND,
            NOW,
            None,
            None,
            0.01,
            700.0,
            "alpaca",
            "?",
            "Q",
            (" ",),
        ),
    ),
}

NEWS: dict[str, tuple[str, Event]] = {
    "article": (
        '{"T":"n","id":24918784,"headline":"Corsair Reports Purchase Of Majority Ownership In iDisplay, No '
        'Terms Disclosed","summary":"Corsair Gaming, Inc. (NASDAQ:CRSR) (“Corsair”), a leading global '
        'provider","author":"Benzinga Newsdesk","created_at":"2022-01-05T22:00:37Z","updated_at":'
        '"2022-01-05T22:00:38Z","url":"https://www.benzinga.com/m-a/22/01/24918784/corsair","content":"\\u003cp\\u003eCorsair\\u003c/p\\u003e",'
        '"symbols":["CRSR"],"source":"benzinga"}',
        News(
            symbols=("CRSR",),
            ts_event=1_641_420_038 * SECOND,
            ts_recv=NOW,
            id="24918784",
            headline="Corsair Reports Purchase Of Majority Ownership In iDisplay, No Terms Disclosed",
            summary="Corsair Gaming, Inc. (NASDAQ:CRSR) (“Corsair”), a leading global provider",
            content="<p>Corsair</p>",
            author="Benzinga Newsdesk",
            url="https://www.benzinga.com/m-a/22/01/24918784/corsair",
            source="benzinga",
            ts_created=1_641_420_037 * SECOND,
            venue="alpaca",
        ),
    ),
    "article of no symbol and little else": (
        '{"T":"n","id":1,"headline":"The Week Ahead","created_at":"2022-01-05T22:00:37.5Z","updated_at":'
        '"2022-01-05T22:00:38Z","symbols":[],"url":null,"author":null}',
        News(
            (),
            1_641_420_038 * SECOND,
            NOW,
            "1",
            "The Week Ahead",
            ts_created=1_641_420_037_500_000_000,
            venue="alpaca",
        ),
    ),
}

FEEDS = {"sip": STOCKS, "crypto/us": CRYPTO, "opra": OPTIONS, "news": NEWS}


@both
@pytest.mark.parametrize("name", STOCKS)
def test_what_the_venue_says_of_stocks(name: str, encoding: Encoding) -> None:
    text, event = STOCKS[name]
    assert decode(f"[{text}]", encoding) == [event]


@both
@pytest.mark.parametrize("name", CRYPTO)
def test_what_the_venue_says_of_crypto(name: str, encoding: Encoding) -> None:
    text, event = CRYPTO[name]
    assert decode(f"[{text}]", encoding, "crypto/us") == [event]


@both
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("feed", ["opra", "indicative"])
def test_what_the_venue_says_of_options(feed: str, name: str, encoding: Encoding) -> None:
    text, event = OPTIONS[name]
    assert decode(f"[{text}]", encoding, feed) == [event]


@both
@pytest.mark.parametrize("name", NEWS)
def test_what_the_venue_says_of_the_news(name: str, encoding: Encoding) -> None:
    text, event = NEWS[name]
    assert decode(f"[{text}]", encoding, "news") == [event]


@both
@pytest.mark.parametrize("condition", ['"c":""', '"c":null', '"d":1'])
def test_an_option_may_have_no_condition(condition: str, encoding: Encoding) -> None:
    for name in ("trade", "quote"):
        text = OPTIONS[name][0].replace('"c":"S"', condition).replace('"c":"A"', condition)
        (event,) = decode(f"[{text}]", encoding, "opra")
        assert isinstance(event, Trade | Quote)
        assert event.conditions == ()


@pytest.mark.parametrize("key", ["id", "headline", "created_at", "updated_at"])
@pytest.mark.parametrize("instead", [[], {"key": None}, {"key": "yesterday"}])
def test_an_article_without_a_stamp_or_a_name_is_malformed(key: str, instead: Any) -> None:
    said = json.loads(NEWS["article"][0])
    if instead and key != "headline":
        said[key] = instead["key"]
    else:
        del said[key]
    (event,) = decode(json.dumps([said]), feed="news")
    assert isinstance(event, Malformed)


@both
@pytest.mark.parametrize(("feed", "said"), FEEDS.items())
def test_a_frame_holds_messages_of_all_kinds_in_their_order(
    feed: str, said: dict[str, tuple[str, Event]], encoding: Encoding
) -> None:
    text = ",".join(text for text, _ in said.values())
    assert decode(f"[{text}]", encoding, feed) == [event for _, event in said.values()]


@both
def test_a_frame_may_say_nothing(encoding: Encoding) -> None:
    assert decode("[]", encoding) == []


@both
def test_keys_may_come_in_any_order_and_with_others_that_nobody_knows(encoding: Encoding) -> None:
    text, event = STOCKS["trade"]
    said = dict(reversed(json.loads(text).items())) | {"new": {"r": [1, None, "x"]}}
    assert decode(json.dumps([said]), encoding) == [event]


@both
def test_lists_may_be_null_or_missing(encoding: Encoding) -> None:
    trade = '[{"T":"t","i":1,"S":"A","x":"V","p":1.5,"s":2,"t":"2021-02-22T15:51:44Z","c":null}]'
    quote = '[{"T":"q","S":"A","bp":1.5,"bs":2,"ap":1.6,"as":3,"t":"2021-02-22T15:51:44Z"}]'
    book = '[{"T":"o","S":"A","t":"2021-02-22T15:51:44Z","b":null,"r":null}]'
    assert [event.conditions for event in decode(trade, encoding) if isinstance(event, Trade)] == [()]
    assert [event.conditions for event in decode(quote, encoding) if isinstance(event, Quote)] == [()]
    assert decode(book, encoding, "crypto/us") == [
        OrderBookUpdate("A", parse("2021-02-22T15:51:44Z"), NOW, (), (), False, 3, "alpaca")
    ]


@both
@pytest.mark.parametrize("feed", ["sip", "crypto/us"])
@pytest.mark.parametrize(
    ("bid", "bid_size", "ask", "ask_size"),
    [(0, 0, 0.01, 7), (0, 5, 0.01, 7), (0.01, 7, 0, 0), (0.01, 7, 0.02, 0), (0.01, 0, 0, 7)],
)
def test_a_side_without_price_or_size_is_no_quote(
    feed: str, encoding: Encoding, bid: float, bid_size: float, ask: float, ask_size: float
) -> None:
    said = {"T": "q", "S": "A", "t": "2024-03-11T13:35:36Z", "bp": bid, "bs": bid_size}
    (quote,) = decode(json.dumps([said | {"ap": ask, "as": ask_size}]), encoding, feed)
    assert isinstance(quote, Quote)
    assert (quote.bid is None) == (quote.bid_size is None) == (bid * bid_size == 0)
    assert (quote.ask is None) == (quote.ask_size is None) == (ask * ask_size == 0)


def test_a_lot_is_what_the_user_says() -> None:
    (quote,) = decode(f"[{STOCKS['quote'][0]}]", lot=40.0)
    assert isinstance(quote, Quote)
    assert (quote.bid_size, quote.ask_size, quote.lot) == (40.0, 160.0, 40.0)


@pytest.mark.parametrize("feed", ["sip", "crypto/us"])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2021-02-16T05:00:00Z", "2021-02-17T05:00:00Z"),
        ("2021-07-16T04:00:00Z", "2021-07-17T04:00:00Z"),
        ("2024-03-10T05:00:00Z", "2024-03-11T04:00:00Z"),  # the clocks go forward
        ("2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"),  # and back
        ("2024-03-10T06:00:00Z", "2024-03-11T05:00:00Z"),  # a day of Chicago's
        ("2024-03-10T00:00:00Z", "2024-03-11T00:00:00Z"),  # a day of UTC
    ],
)
def test_a_daily_bar_ends_where_the_next_day_begins(feed: str, start: str, end: str) -> None:
    (bar,) = decode('[{"T":"d","S":"A","o":1,"h":1,"l":1,"c":1,"v":1,"t":"%s"}]' % start, feed=feed)  # noqa: UP031
    assert isinstance(bar, Bar)
    assert (bar.start, bar.end, bar.final) == (parse(start), parse(end), False)


# --- stamps in MessagePack ------------------------------------------------------------------------

OPTION = bytes.fromhex(  # as a client of the venue's encodes it
    "9187a154a174a153b34141504c323430333135433030313732353030a174d7ff1fbd280065ef08a7"
    "a170cb4006b851eb851eb8a17301a178a14ea163a153"
)


def trade_at(stamp: bytes) -> Frame:
    """A stock's trade with the MessagePack value ``stamp`` under ``t``."""
    said = {"T": "t", "S": "A", "i": 1, "x": "V", "p": 1.5, "s": 2, "t": msgspec.Raw(stamp)}
    return Frame(FrameKind.BINARY, msgspec.msgpack.encode([said]), NOW)


@pytest.mark.parametrize(
    ("stamp", "nanoseconds"),
    [
        ("d6ff6033d310", 1_614_009_104 * SECOND),
        ("d7ff319750046033d310", 1_614_009_104_208_000_001),
        ("d7ff1fbd280065ef08a7", 1_710_164_135_133_122_560),
        ("d7ffee6b27fc6033d310", 1_614_009_104_999_999_999),
        ("c70cff000000010000000000000002", 2_000_000_001),
        ("c70cff00000001fffffffffffffffe", -1_999_999_999),
        ("b4323032312d30322d32325431353a35313a34345a", 1_614_009_104 * SECOND),  # a text
    ],
)
def test_msgpack_stamps_keep_all_nine_digits(stamp: str, nanoseconds: int) -> None:
    (trade,) = alpaca().decoder().decode(trade_at(bytes.fromhex(stamp)))
    assert isinstance(trade, Trade)
    assert trade.ts_event == nanoseconds


@pytest.mark.parametrize(
    "stamp",
    [
        "d7ffee6b28006033d310",  # a billion nanoseconds
        "d601" + "6033d310",  # another extension
        "d5ff0000",  # of two bytes
        "c70cff000000007fffffffffffffff",  # beyond what 64 bits of nanoseconds hold
        "c70cff000000008000000000000000",
        "c0",
        "ce6033d310",  # a number
    ],
)
def test_a_stamp_that_is_none_is_malformed(stamp: str) -> None:
    (event,) = alpaca().decoder().decode(trade_at(bytes.fromhex(stamp)))
    assert isinstance(event, Malformed)


def test_a_clients_bytes_are_what_we_think_they_are() -> None:
    assert list(alpaca("opra").decoder().decode(Frame(FrameKind.BINARY, OPTION, NOW))) == [
        OPTIONS["trade"][1]
    ]
    decoder = alpaca().decoder()
    (event,) = decoder.decode(Frame(FrameKind.BINARY, OPTION, NOW))
    assert isinstance(event, Malformed)  # an option's trade is no stock's
    assert event.reason == "element 0: Expected `array | null`, got `str` - at `$.c`"
    greeting = bytes.fromhex("9182a154a773756363657373a36d7367a9636f6e6e6563746564")
    assert list(decoder.decode(Frame(FrameKind.BINARY, greeting, NOW))) == [
        Status("venue", NOW, "connected", venue="alpaca")
    ]


# --- what breaks the format -----------------------------------------------------------------------


@both
def test_one_bad_element_leaves_its_neighbours_alone(encoding: Encoding) -> None:
    (first, one), (third, three) = STOCKS["trade"], STOCKS["quote"]
    bad = '{"T":"t","S":"AAPL","i":"x","x":"K","p":1,"s":1,"t":"2023-04-06T11:54:26Z"}'
    sent = frame(f"[{first},{bad},{third}]", encoding)
    assert list(alpaca().decoder().decode(sent)) == [
        one,
        Malformed(sent, "element 1: Expected `int`, got `str` - at `$.i`", NOW),
        three,
    ]


@both
@pytest.mark.parametrize(
    "change",
    [
        {"p": -1.5},
        {"p": 1e300},
        {"p": "126.55"},
        {"p": None},
        {"p": True},
        {"s": -1},
        {"S": None},
        {"S": 7},
        {"t": "yesterday"},
        {"t": 7},
        {"T": 7},
        {"T": None},
        {"c": "@"},
        {"c": [1]},
        {"x": ["D"]},
    ],
)
def test_a_field_of_another_type_or_range_is_malformed(change: dict[str, Any], encoding: Encoding) -> None:
    said = json.loads(STOCKS["trade"][0]) | change
    if encoding == "msgpack":
        sent = Frame(FrameKind.BINARY, msgspec.msgpack.encode([said]), NOW)
    else:
        sent = frame(json.dumps([said]))
    (event,) = alpaca().decoder().decode(sent)
    assert isinstance(event, Malformed)
    assert event.frame is sent
    assert event.ts_recv == NOW


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("key", ["p", "s"])
def test_a_number_that_is_none_is_malformed(key: str, number: float) -> None:
    said = json.loads(STOCKS["trade"][0]) | {key: number}
    (event,) = alpaca().decoder().decode(Frame(FrameKind.BINARY, msgspec.msgpack.encode([said]), NOW))
    assert isinstance(event, Malformed)


@pytest.mark.parametrize("key", ["T", "S", "i", "x", "p", "s", "t"])
def test_a_field_that_is_missing_is_malformed(key: str) -> None:
    said = json.loads(STOCKS["trade"][0])
    del said[key]
    (event,) = decode(json.dumps([said]))
    assert isinstance(event, Malformed)


@pytest.mark.parametrize("count", [-1, 1.5, 2**63, 2**70])
def test_a_count_is_a_whole_number_that_others_can_hold(count: float) -> None:
    (event,) = decode(json.dumps([json.loads(STOCKS["bar"][0]) | {"n": count}]))
    assert isinstance(event, Malformed)


@pytest.mark.parametrize(
    "said",
    ['{"p":1}', '{"s":1}', '{"p":-1,"s":1}', '{"p":1,"s":-1}', "[1,1]"],
)
def test_a_level_is_a_price_and_a_size(said: str) -> None:
    (event,) = decode(
        '[{"T":"o","S":"A","t":"2024-03-12T10:38:50Z","b":[' + said + '],"a":[]}]', feed="crypto/us"
    )
    assert isinstance(event, Malformed)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[",
        b"7",
        b"[7",
        b'{"T":"t"}',
        b'[{"T":"t"}]]',
        b'[{"T":"t","p":NaN}]',
        b"[" * 100_000,
        b"\xff",
        b"\x91",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xc1",
    ],
)
@pytest.mark.parametrize("kind", [FrameKind.TEXT, FrameKind.BINARY])
def test_a_frame_that_is_no_list_is_one_malformed(payload: bytes, kind: FrameKind) -> None:
    sent = Frame(kind, payload, NOW)
    (event,) = alpaca().decoder().decode(sent)
    assert isinstance(event, Malformed)
    assert event.frame is sent
    assert event.reason


@pytest.mark.parametrize(
    "element",
    [
        b"7",
        b"null",
        b"[]",
        b"{}",
        b'{"T":"t","S":"\xff"}',
        b'{"T":"t","new":' + b"[" * 9_999 + b"]" * 9_999 + b"}",
    ],
)
def test_an_element_that_is_no_message_is_malformed_alone(element: bytes) -> None:
    text, event = STOCKS["trade"]
    sent = Frame(FrameKind.TEXT, b"[" + element + b"," + text.encode() + b"]", NOW)
    events = list(alpaca().decoder().decode(sent))
    if len(events) == 1:  # nested too deep for the list itself to be split
        assert isinstance(events[0], Malformed)
    else:
        assert isinstance(events[0], Malformed)
        assert events[0].reason.startswith("element 0: ")
        assert events[1:] == [event]


def test_a_day_beyond_the_calendar_is_malformed() -> None:
    (event,) = decode('[{"T":"d","S":"A","o":1,"h":1,"l":1,"c":1,"v":1,"t":"9999-12-31T05:00:00Z"}]')
    assert isinstance(event, Malformed)


@both
def test_a_type_that_nobody_knows_is_skipped_and_counted(encoding: Encoding) -> None:
    text, event = STOCKS["trade"]
    decoder = alpaca().decoder()
    sent = frame(f'[{{"T":"n","headline":"…"}},{text},{{"T":"pricing"}}]', encoding)
    assert decoder.skipped == 0
    assert list(decoder.decode(sent)) == [event]
    assert decoder.skipped == 2
    assert list(decoder.decode(sent)) == [event]
    assert decoder.skipped == 4


def test_an_order_book_of_a_stock_is_nothing_we_know() -> None:
    decoder = alpaca().decoder()
    assert list(decoder.decode(frame(f"[{CRYPTO['whole book'][0]}]"))) == []
    assert decoder.skipped == 1


def packed(value: object) -> bytes:
    """In MessagePack, which has no whole numbers beyond 64 bits."""
    try:
        return msgspec.msgpack.encode(value)
    except OverflowError:
        return b"\xcf"


@settings(max_examples=800)
@given(st.sampled_from([*FEEDS]), st.data())
def test_nothing_that_a_venue_sends_makes_anyone_raise(feed: str, data: st.DataObject) -> None:
    texts = [f"[{text},{text}]" for text, _ in FEEDS[feed].values()]
    texts += [DOCUMENTED, CONNECTED, '[{"T":"error","code":406,"msg":"connection limit exceeded"}]']
    kind = data.draw(st.sampled_from([FrameKind.TEXT, FrameKind.BINARY]))
    if kind is FrameKind.TEXT:
        payload = data.draw(broken([frame(text).payload for text in texts]))
    else:
        frames = [frame(text, "msgpack").payload for text in texts]
        whole = spoiled(frames, msgspec.msgpack.decode, packed)
        payload = data.draw(st.one_of(bitten(frames), flipped(frames), whole, st.binary(max_size=40)))
    survives(alpaca(feed), Subscription.of(news=["A"]), payload, kind)


SAID = [(feed, text, event) for feed, said in FEEDS.items() for text, event in said.values()]


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=300)
@given(st.sampled_from(SAID), st.data())
def test_whatever_becomes_of_one_message_its_neighbours_say_what_they_always_say(
    encoding: Encoding, said: tuple[str, str, Event], data: st.DataObject
) -> None:
    feed, text, event = said
    good, bad = json.loads(text), json.loads(text)
    bad[data.draw(st.sampled_from([key for key in sorted(bad) if key != "T"]))] = data.draw(
        JUNK.filter(lambda value: packed(value) != b"\xcf")
    )
    if encoding == "msgpack":
        sent = Frame(FrameKind.BINARY, packed([stamped(each) for each in (good, bad, good)]), NOW, epoch=3)
    else:
        sent = Frame(FrameKind.TEXT, msgspec.json.encode([good, bad, good]), NOW, epoch=3)
    first, other, third = alpaca(feed).decoder().decode(sent)
    assert first == third == event
    assert isinstance(other, type(event) | Malformed)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_stamp_of_nothing_is_malformed_and_not_the_end(encoding: Encoding) -> None:
    (event,) = decode(json.dumps([json.loads(STOCKS["trade"][0]) | {"t": ""}]), encoding)
    assert isinstance(event, Malformed)


# --- what the venue says of the connection --------------------------------------------------------

DOCUMENTED = (
    '[{"T":"subscription","trades":["AAPL"],"quotes":["AMD","CLDR"],"bars":["*"],"updatedBars":[],'
    '"dailyBars":["VOO"],"statuses":["*"],"lulds":[],"corrections":["AAPL"],"cancelErrors":["AAPL"]}]'
)


def status(state: Any, text: str = "", **rest: Any) -> Status:
    return Status(state, NOW, text, epoch=3, venue="alpaca", **rest)


@both
def test_an_acknowledgement_says_what_came_and_what_went(encoding: Encoding) -> None:
    decoder = alpaca().decoder()
    assert list(decoder.decode(frame(DOCUMENTED, encoding))) == [
        status("subscribed", symbol="*", kind="bars"),
        status("subscribed", symbol="VOO", kind="daily_bars"),
        status("subscribed", symbol="AMD", kind="quotes"),
        status("subscribed", symbol="CLDR", kind="quotes"),
        status("subscribed", symbol="*", kind="statuses"),
        status("subscribed", symbol="AAPL", kind="trades"),
    ]
    assert list(decoder.decode(frame(DOCUMENTED, encoding))) == []
    less = '[{"T":"subscription","trades":["AAPL","SPY"],"quotes":["CLDR"],"bars":null}]'
    assert list(decoder.decode(frame(less, encoding))) == [
        status("unsubscribed", symbol="*", kind="bars"),
        status("unsubscribed", symbol="VOO", kind="daily_bars"),
        status("unsubscribed", symbol="AMD", kind="quotes"),
        status("unsubscribed", symbol="*", kind="statuses"),
        status("subscribed", symbol="SPY", kind="trades"),
    ]


def test_every_channel_has_its_kind() -> None:
    stocks = (
        '[{"T":"subscription","trades":["A"],"quotes":["A"],"bars":["A"],"updatedBars":["A"],'
        '"dailyBars":["A"],"statuses":["A"],"lulds":["A"],"imbalances":["A"],"corrections":["A"]}]'
    )
    crypto = (
        '[{"T":"subscription","trades":["A"],"quotes":["A"],"orderbooks":["A"],"bars":["A"],'
        '"updatedBars":["A"],"dailyBars":["A"]}]'
    )
    options = '[{"T":"subscription","trades":["A"],"quotes":["A"]}]'
    news = '[{"T":"subscription","news":["A"]}]'
    for feed, text in (("sip", stocks), ("crypto/us", crypto), ("opra", options), ("news", news)):
        kinds = [event.kind for event in decode(text, feed=feed) if isinstance(event, Status)]
        assert sorted(kinds) == sorted(alpaca(feed).kinds)


@both
@pytest.mark.parametrize(
    ("said", "state"), [("connected", "venue"), ("authenticated", "authenticated"), ("hello", "venue")]
)
def test_a_success_is_a_status(said: str, state: str, encoding: Encoding) -> None:
    assert decode(f'[{{"T":"success","msg":"{said}"}}]', encoding) == [status(state, said)]


ERRORS = {
    400: ("invalid syntax", "rejected"),
    401: ("not authenticated", "rejected"),
    402: ("auth failed", "rejected"),
    403: ("already authenticated", "venue"),
    404: ("auth timeout", "venue"),
    405: ("symbol limit exceeded", "rejected"),
    406: ("connection limit exceeded", "throttled"),
    407: ("slow client", "venue"),
    408: ("v2 not enabled", "rejected"),
    409: ("insufficient subscription", "rejected"),
    410: ("invalid subscribe action for this feed", "rejected"),
    411: ("insufficient scope", "rejected"),
    412: ("option messages are only available in MsgPack format", "rejected"),
    413: ("star subscription is not allowed for option quotes", "rejected"),
    429: ("too many requests", "throttled"),
    500: ("internal error", "venue"),
    599: ("nobody has documented this", "venue"),
}


def error(code: int, encoding: Encoding = "json") -> Frame:
    return frame(f'[{{"T":"error","code":{code},"msg":"{ERRORS[code][0]}"}}]', encoding)


@both
@pytest.mark.parametrize("code", ERRORS)
def test_an_error_is_a_status(code: int, encoding: Encoding) -> None:
    text, state = ERRORS[code]
    assert list(alpaca().decoder().decode(error(code, encoding))) == [status(state, f"{code} {text}")]


@pytest.mark.parametrize(
    "text", ['[{"T":"error"}]', '[{"T":"error","code":"406"}]', '[{"T":"success","msg":7}]']
)
def test_a_control_message_can_be_malformed_too(text: str) -> None:
    (event,) = decode(text)
    assert isinstance(event, Malformed)
    assert answers(talk(alpaca()), frame(text)) == []


def test_a_decoder_goes_on_where_another_left() -> None:
    def sent() -> Iterable[Frame]:
        yield frame(DOCUMENTED)
        yield frame('[{"T":"n"}]')
        yield frame(f"[{STOCKS['trade'][0]}]")
        yield frame('[{"T":"subscription","trades":["SPY"],"quotes":["AMD"]}]')
        yield frame('[{"T":"n"},{"T":"n"}]')

    frames = list(sent())
    whole = alpaca().decoder()
    expected = [event for each in frames for event in whole.decode(each)]
    for cut in range(len(frames) + 1):
        before, after = alpaca().decoder(), alpaca().decoder()
        events = [event for each in frames[:cut] for event in before.decode(each)]
        after.restore(msgspec.json.decode(msgspec.json.encode(before.state())))
        assert events + [event for each in frames[cut:] for event in after.decode(each)] == expected
        assert after.skipped == whole.skipped == 3


# --- the conversation -----------------------------------------------------------------------------


CONNECTED = '[{"T":"success","msg":"connected"}]'
AUTHENTICATED = '[{"T":"success","msg":"authenticated"}]'


def talk(provider: Provider, **topics: Iterable[str]) -> Session:
    """A conversation just opened."""
    session = provider.session(Subscription.of(**topics))
    session.started(NOW)
    assert list(session.opened()) == []
    return session


def answers(session: Session, *frames: Frame) -> list[Any]:
    """What the session answers; requests read back from their encoding."""
    return [heard(answer) for each in frames for answer in session.received(each)]


def heard(answer: Answer) -> Any:
    if isinstance(answer, str):
        return json.loads(answer)
    return msgspec.msgpack.decode(answer) if isinstance(answer, bytes) else answer


def asked(sends: Iterable[Answer]) -> list[Any]:
    return [heard(send) for send in sends]


def ack(encoding: Encoding = "json", /, **channels: list[str]) -> Frame:
    return frame(json.dumps([{"T": "subscription"} | channels]), encoding)


def serving(provider: Provider | None = None, **topics: list[str]) -> Session:
    """A conversation that has got all it wants."""
    session = talk(provider or alpaca(), **topics)
    answers(session, frame(CONNECTED), frame(AUTHENTICATED))
    names = {"books": "orderbooks", "daily_bars": "dailyBars", "updated_bars": "updatedBars"}
    if topics:
        assert (
            answers(session, ack(**{names.get(kind, kind): symbols for kind, symbols in topics.items()}))
            == []
        )
    assert session.due() is None
    return session


@both
def test_a_conversation(encoding: Encoding) -> None:
    session = talk(alpaca(encoding=encoding), trades=["AAPL"], quotes=["CLDR", "AMD"], daily_bars=["VOO"])
    assert answers(session, frame(CONNECTED, encoding)) == [AUTH]
    assert answers(session, frame(AUTHENTICATED, encoding)) == [
        {"action": "subscribe", "dailyBars": ["VOO"], "quotes": ["AMD", "CLDR"], "trades": ["AAPL"]}
    ]
    served = ack(encoding, trades=["AAPL"], quotes=["CLDR", "AMD"], dailyBars=["VOO"], corrections=["AAPL"])
    assert answers(session, served) == []
    assert asked(session.wanted(Subscription.of(trades=["SPY"]), Subscription())) == [
        {"action": "subscribe", "trades": ["SPY"]}
    ]
    more = ack(encoding, trades=["SPY", "AAPL"], quotes=["AMD", "CLDR"], dailyBars=["VOO"])
    assert answers(session, more) == []
    assert asked(session.wanted(Subscription(), Subscription.of(quotes=["AMD", "CLDR"]))) == [
        {"action": "unsubscribe", "quotes": ["AMD", "CLDR"]}
    ]
    assert answers(session, ack(encoding, trades=["SPY", "AAPL"], dailyBars=["VOO"])) == []


@pytest.mark.parametrize(("encoding", "type_"), [("json", str), ("msgpack", bytes)])
def test_json_leaves_as_text_and_msgpack_as_binary(encoding: Encoding, type_: type) -> None:
    session = talk(alpaca(encoding=encoding), trades=["A"])
    sends = [*session.received(frame(CONNECTED, encoding)), *session.received(frame(AUTHENTICATED, encoding))]
    assert [type(send) for send in sends] == [type_, type_]


def test_every_kind_has_its_channel() -> None:
    stocks, crypto = (
        talk(alpaca(), **{kind: ["A"] for kind in alpaca().kinds}),
        talk(alpaca("crypto/us"), books=["B"]),
    )
    channels = ["trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances"]
    assert answers(stocks, frame(AUTHENTICATED)) == [
        {"action": "subscribe"} | {channel: ["A"] for channel in channels}
    ]
    assert answers(crypto, frame(AUTHENTICATED)) == [{"action": "subscribe", "orderbooks": ["B"]}]
    options = talk(alpaca("opra"), trades=["*"], quotes=["AAPL240315C00172500"])
    assert answers(options, frame(AUTHENTICATED, "msgpack")) == [
        {"action": "subscribe", "quotes": ["AAPL240315C00172500"], "trades": ["*"]}
    ]
    news = talk(alpaca("news"), news=["*"])
    assert answers(news, frame(AUTHENTICATED)) == [{"action": "subscribe", "news": ["*"]}]


def test_many_symbols_leave_in_requests_that_the_venues_own_client_could_send() -> None:
    contracts = [f"AAPL2403{day:02}C{strike:08}" for day in range(10, 35) for strike in range(90)]
    session = talk(alpaca("sip"), trades=contracts)
    served: list[str] = []
    sizes = []
    requests = answers(session, frame(AUTHENTICATED))
    while requests:
        (request,) = requests
        assert len(json.dumps(request)) < 32_768
        sizes.append(len(request["trades"]))
        served += request["trades"]
        requests = answers(session, ack(trades=served))
    assert sizes == [1000, 1000, 250]
    assert served == sorted(contracts)
    (leave,) = asked(session.wanted(Subscription(), Subscription.of(trades=contracts)))
    assert len(leave["trades"]) == 1000


def test_whoever_wants_nothing_asks_for_nothing() -> None:
    session = talk(alpaca())
    assert answers(session, frame(CONNECTED), frame(AUTHENTICATED)) == [AUTH]
    assert session.due() is None


def test_nothing_is_asked_before_the_venue_knows_us() -> None:
    session = talk(alpaca(), trades=["A"])
    assert list(session.wanted(Subscription.of(trades=["B"]), Subscription())) == []
    assert answers(session, frame(CONNECTED)) == [AUTH]
    assert list(session.wanted(Subscription.of(trades=["C"]), Subscription.of(trades=["A"]))) == []
    assert answers(session, frame(AUTHENTICATED)) == [{"action": "subscribe", "trades": ["B", "C"]}]


def test_one_request_is_in_flight_at_a_time() -> None:
    session = talk(alpaca(), trades=["A"])
    answers(session, frame(CONNECTED), frame(AUTHENTICATED))
    assert list(session.wanted(Subscription.of(trades=["B"]), Subscription())) == []
    assert list(session.wanted(Subscription.of(trades=["C"]), Subscription.of(trades=["A"]))) == []
    assert answers(session, ack(trades=["A"])) == [{"action": "unsubscribe", "trades": ["A"]}]
    assert answers(session, ack()) == [{"action": "subscribe", "trades": ["B", "C"]}]
    assert answers(session, ack(trades=["C", "B"])) == []


def test_what_comes_and_goes_while_a_request_is_in_flight_is_not_asked_for() -> None:
    session = serving(trades=["A"])
    assert asked(session.wanted(Subscription.of(trades=["B"]), Subscription()))
    assert list(session.wanted(Subscription.of(trades=["C"]), Subscription())) == []
    assert list(session.wanted(Subscription(), Subscription.of(trades=["C"]))) == []
    assert answers(session, ack(trades=["A", "B"])) == []


def test_a_symbol_taken_back_in_flight_is_unsubscribed_after_it() -> None:
    session = serving(trades=["A"])
    assert asked(session.wanted(Subscription.of(trades=["B"]), Subscription()))
    assert list(session.wanted(Subscription(), Subscription.of(trades=["B"]))) == []
    assert answers(session, ack(trades=["A", "B"])) == [{"action": "unsubscribe", "trades": ["B"]}]
    assert answers(session, ack(trades=["A"])) == []


def test_a_symbol_taken_back_and_left_out_is_nobodys_refusal() -> None:
    session = serving(trades=["A"])
    assert asked(session.wanted(Subscription.of(trades=["B"]), Subscription()))
    assert list(session.wanted(Subscription(), Subscription.of(trades=["B"]))) == []
    assert answers(session, ack(trades=["A"])) == []


def test_what_an_acknowledgement_leaves_out_is_refused() -> None:
    session = talk(alpaca(), trades=["A", "B"], lulds=["A"])
    answers(session, frame(CONNECTED), frame(AUTHENTICATED))
    assert answers(session, ack(trades=["B"])) == [
        Refused((("lulds", "A"), ("trades", "A")), "left out of the acknowledgement")
    ]
    assert answers(session, ack(trades=["B"])) == []


def test_a_wildcard_covers_its_symbols() -> None:
    session = talk(alpaca(), bars=["*", "A"])
    assert answers(session, frame(AUTHENTICATED)) == [{"action": "subscribe", "bars": ["*", "A"]}]
    assert answers(session, ack(bars=["*"])) == []
    assert asked(session.wanted(Subscription(), Subscription.of(bars=["*"]))) == [
        {"action": "unsubscribe", "bars": ["*"]}
    ]
    assert answers(session, ack()) == [{"action": "subscribe", "bars": ["A"]}]


def test_a_topic_that_stays_though_unsubscribed_is_not_asked_for_again_and_again() -> None:
    session = serving(trades=["A"])
    assert asked(session.wanted(Subscription(), Subscription.of(trades=["A"])))
    assert answers(session, ack(trades=["A"])) == []


def test_with_the_key_in_the_headers_nothing_is_said_to_authenticate() -> None:
    session = talk(alpaca(auth="headers"), trades=["A"])
    assert answers(session, frame(CONNECTED)) == []
    assert answers(session, frame(AUTHENTICATED)) == [{"action": "subscribe", "trades": ["A"]}]


def test_a_venue_that_repeats_itself_is_answered_once() -> None:
    session = talk(alpaca(), trades=["A"])
    assert len(answers(session, frame(CONNECTED), frame(AUTHENTICATED))) == 2
    assert answers(session, frame(AUTHENTICATED), frame('[{"T":"success","msg":"hello"}]')) == []
    assert session.due() == NOW + 10 * SECOND  # still waiting for the acknowledgement


@both
def test_data_says_nothing_to_the_conversation(encoding: Encoding) -> None:
    session = talk(alpaca(), trades=["A"])
    assert answers(session, frame(f"[{STOCKS['trade'][0]}]", encoding)) == []


# --- errors ---------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("code", [402, 408, 409, 411, 412])
def test_what_we_are_is_refused_for_good(code: int, encoding: Encoding) -> None:
    session = talk(alpaca(encoding=encoding), trades=["A"])
    (answer,) = answers(session, error(code, encoding))
    assert isinstance(answer, Rejected)
    advice = {
        402: ": check key and secret",
        409: ": your plan does not cover this feed",
        411: ": your token does not cover market data",
    }
    assert (answer.code, answer.reason) == (code, f"{code} {ERRORS[code][0]}{advice.get(code, '')}")


@pytest.mark.parametrize("code", [404, 407, 500, 599])
def test_what_may_pass_is_a_disconnect(code: int) -> None:
    (answer,) = answers(serving(trades=["A"]), error(code))
    assert isinstance(answer, Disconnected)
    assert answer.reason.startswith(f"{code} {ERRORS[code][0]}")


def test_a_slow_client_is_told_so() -> None:
    (answer,) = answers(serving(trades=["A"]), error(407))
    assert str(answer) == "407 slow client: we read slower than the venue sends, and its buffer is full"


@pytest.mark.parametrize("code", [406, 429])
def test_too_many_connections_are_throttled(code: int) -> None:
    session = talk(alpaca(), trades=["A"])
    assert answers(session, frame(CONNECTED)) == [AUTH]
    (answer,) = answers(session, error(code))
    assert isinstance(answer, Throttled)
    assert answer.retry_after == 1.0
    assert answer.reason == f"{code} {ERRORS[code][0]}"


def test_a_star_that_may_not_be_is_refused_and_what_was_asked_beside_it_is_asked_again() -> None:
    session = talk(alpaca("opra"), trades=["*"], quotes=["*", "AAPL240315C00172500"])
    assert len(answers(session, frame(AUTHENTICATED, "msgpack"))) == 1
    assert answers(session, error(413, "msgpack")) == [
        Refused((("quotes", "*"),), "413 star subscription is not allowed for option quotes"),
        {"action": "subscribe", "quotes": ["AAPL240315C00172500"], "trades": ["*"]},
    ]
    assert answers(session, error(413, "msgpack")) == [
        Refused(
            (("quotes", "AAPL240315C00172500"), ("trades", "*")),
            "413 star subscription is not allowed for option quotes",
        )
    ], "a venue that says so of no star is taken at its word"


@pytest.mark.parametrize("code", [405, 410])
def test_a_refused_request_leaves_the_rest_in_place(code: int) -> None:
    session = serving(trades=["A"])
    assert asked(session.wanted(Subscription.of(trades=["B"], quotes=["*"]), Subscription()))
    assert list(session.wanted(Subscription.of(trades=["C"]), Subscription())) == []
    assert answers(session, error(code)) == [
        Refused((("quotes", "*"), ("trades", "B")), f"{code} {ERRORS[code][0]}"),
        {"action": "subscribe", "trades": ["C"]},
    ]
    assert answers(session, ack(trades=["A", "C"])) == []


def test_a_kind_that_the_address_does_not_have_is_refused_for_good_at_the_start() -> None:
    session = talk(alpaca(), imbalances=["A"])
    assert answers(session, frame(CONNECTED), frame(AUTHENTICATED)) != []
    (answer,) = answers(session, error(410))
    assert isinstance(answer, Rejected)
    assert answer.code == 410


def test_a_misspelt_symbol_is_found_among_the_others() -> None:
    session = talk(alpaca(), trades=["A", "B", "C", "&", "E"])
    served: list[str] = []
    requests = answers(session, frame(AUTHENTICATED))
    assert requests == [{"action": "subscribe", "trades": ["&", "A", "B", "C", "E"]}]
    refusals = []
    for _ in range(20):
        if not requests:
            break
        (request,) = requests
        if "&" in request["trades"]:
            replies = answers(session, error(400))
        else:
            served += request["trades"]
            replies = answers(session, ack(trades=served))
        refusals += [reply for reply in replies if isinstance(reply, Refused)]
        requests = [reply for reply in replies if not isinstance(reply, Refused)]
    assert requests == []
    assert refusals == [Refused((("trades", "&"),), "400 invalid syntax")]
    assert sorted(served) == ["A", "B", "C", "E"]
    assert session.due() is None


def test_a_suspect_that_nobody_wants_any_more_is_not_asked_for() -> None:
    session = talk(alpaca(), trades=["A", "B"])
    answers(session, frame(AUTHENTICATED))
    assert answers(session, error(400)) == [{"action": "subscribe", "trades": ["A"]}]
    assert list(session.wanted(Subscription(), Subscription.of(trades=["B"]))) == []
    assert answers(session, ack(trades=["A"])) == []


def test_a_refused_unsubscription_is_not_repeated() -> None:
    session = serving(trades=["A"])
    assert asked(session.wanted(Subscription(), Subscription.of(trades=["A"])))
    assert answers(session, error(400)) == []
    assert session.due() is None


def test_a_key_that_the_venue_cannot_read_is_refused_for_good() -> None:
    session = talk(alpaca(), trades=["A"])
    assert answers(session, frame(CONNECTED)) == [AUTH]
    (answer,) = answers(session, error(400))
    assert isinstance(answer, Rejected)
    assert (answer.code, answer.reason) == (400, "400 invalid syntax: check key and secret")


@pytest.mark.parametrize("code", [400, 405, 410, 413])
def test_a_refusal_of_nothing_we_asked_changes_nothing(code: int) -> None:
    session = serving(trades=["A"])
    assert answers(session, error(code)) == []
    assert answers(session, ack(trades=["A"])) == []


def test_a_venue_that_forgot_us_is_told_again_once() -> None:
    session = talk(alpaca(), trades=["A"])
    subscribe = {"action": "subscribe", "trades": ["A"]}
    assert answers(session, frame(CONNECTED), frame(AUTHENTICATED)) == [AUTH, subscribe]
    assert answers(session, msgspec.structs.replace(error(401), ts_recv=LATER)) == [AUTH]
    assert session.due() == LATER + 10 * SECOND
    assert answers(session, frame(AUTHENTICATED)) == [subscribe]
    (answer,) = answers(session, error(401))
    assert isinstance(answer, Disconnected)


def test_already_authenticated_is_authenticated() -> None:
    session = talk(alpaca(), trades=["A"])
    assert answers(session, frame(CONNECTED)) == [AUTH]
    assert answers(session, error(403)) == [{"action": "subscribe", "trades": ["A"]}]
    assert answers(session, error(403)) == []
    assert answers(session, ack(trades=["A"])) == []


# --- deadlines ------------------------------------------------------------------------------------


def test_the_venue_has_ten_seconds_to_let_us_in() -> None:
    session = talk(alpaca(), trades=["A"])
    assert session.due() == NOW + 10 * SECOND
    assert answers(session, frame(CONNECTED)) == [AUTH]
    assert list(session.wake(NOW + 10 * SECOND - 1)) == []
    assert session.due() == NOW + 10 * SECOND
    (failure,) = session.wake(NOW + 10 * SECOND)
    assert isinstance(failure, Disconnected)
    assert failure.reason == "no answer to auth within 10 s"
    assert session.due() is None
    assert list(session.wake(NOW + 20 * SECOND)) == []


def test_and_as_long_to_answer_a_request() -> None:
    session = talk(alpaca(), trades=["A"])
    answers(session, frame(CONNECTED), frame(AUTHENTICATED))
    assert session.due() == NOW + 10 * SECOND
    (failure,) = session.wake(NOW + 10 * SECOND)
    assert isinstance(failure, Disconnected)
    assert failure.reason == "no answer to subscribe within 10 s"


def test_of_a_request_in_between_the_first_wake_tells_when_it_left() -> None:
    session = serving(trades=["A"])
    session.wanted(Subscription(), Subscription.of(trades=["A"]))
    due = session.due()
    assert due is not None
    assert due < NOW
    assert list(session.wake(LATER)) == []
    assert session.due() == LATER + 10 * SECOND
    (failure,) = session.wake(LATER + 10 * SECOND)
    assert str(failure) == "no answer to unsubscribe within 10 s"


def test_a_session_that_nobody_started_has_no_deadline() -> None:
    assert alpaca().session(Subscription()).due() is None


# --- resync ---------------------------------------------------------------------------------------


def crypto_books(*symbols: str) -> Session:
    return serving(alpaca("crypto/us"), books=list(symbols))


def test_a_fresh_book_comes_of_a_fresh_subscription() -> None:
    session = crypto_books("BTC/USD", "ETH/USD")
    assert asked(session.resync("BTC/USD")) == [{"action": "unsubscribe", "orderbooks": ["BTC/USD"]}]
    assert list(session.resync("BTC/USD")) == []
    assert answers(session, ack(orderbooks=["ETH/USD"])) == [
        {"action": "subscribe", "orderbooks": ["BTC/USD"]}
    ]
    assert list(session.resync("BTC/USD")) == []  # on its way
    assert answers(session, ack(orderbooks=["ETH/USD", "BTC/USD"])) == []


def test_a_book_of_the_wildcard_is_refreshed_with_all_of_them() -> None:
    session = crypto_books("*")
    assert asked(session.resync("BTC/USD")) == [{"action": "unsubscribe", "orderbooks": ["*"]}]
    assert answers(session, ack()) == [{"action": "subscribe", "orderbooks": ["*"]}]
    assert answers(session, ack(orderbooks=["*"])) == []


def test_a_book_that_nobody_wants_is_not_refreshed() -> None:
    session = serving(alpaca("crypto/us"), trades=["BTC/USD"])
    assert list(session.resync("BTC/USD")) == []


def test_a_resync_waits_for_the_request_in_flight() -> None:
    session = crypto_books("A", "B")
    assert asked(session.wanted(Subscription.of(books=["C"]), Subscription()))
    assert list(session.resync("A")) == []
    assert answers(session, ack(orderbooks=["A", "B", "C"])) == [
        {"action": "unsubscribe", "orderbooks": ["A"]}
    ]


def test_a_refused_resync_subscribes_again_and_is_forgotten() -> None:
    session = crypto_books("A", "B")
    assert asked(session.resync("A"))
    assert answers(session, error(400)) == [{"action": "subscribe", "orderbooks": ["A"]}]
    assert answers(session, ack(orderbooks=["A", "B"])) == []


# --- the line -------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "text", [CONNECTED, AUTHENTICATED, DOCUMENTED, '[{"T":"error","code":406,"msg":"…"}]']
)
def test_control_messages_are_control(text: str, encoding: Encoding) -> None:
    sent = frame(text, encoding)
    backwards = [dict(reversed(each.items())) for each in json.loads(text)]
    session = talk(alpaca())
    assert session.classify(sent.payload) is Traffic.CONTROL
    for spelt in (json.dumps(json.loads(text)), json.dumps(backwards)):
        assert session.classify(frame(spelt, encoding).payload) is Traffic.CONTROL


@both
@pytest.mark.parametrize("count", [1, 2, 15, 16, 70_000])
def test_data_is_data_however_many(count: int, encoding: Encoding) -> None:
    session = talk(alpaca())
    said = json.loads(STOCKS["imbalance"][0])
    assert session.classify(frame(json.dumps([said] * count), encoding).payload) is Traffic.DATA
    assert session.classify(frame(json.dumps([said] * count, separators=(",", ":")), encoding).payload) is (
        Traffic.DATA
    )
    backwards = dict(reversed(said.items()))
    assert session.classify(frame(json.dumps([backwards] * count), encoding).payload) is Traffic.DATA


@pytest.mark.parametrize("said", FEEDS.values())
@both
def test_every_type_of_data_is_data(said: dict[str, tuple[str, Event]], encoding: Encoding) -> None:
    session = talk(alpaca())
    for text, _ in said.values():
        assert session.classify(frame(f"[{text}]", encoding).payload) is Traffic.DATA


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"\x90", b"[{]", b"\x91", b"\xdc", b"hello", b"\xff\xff", b'[{"a":1}]']
)
def test_what_nobody_can_read_delivers_nothing(payload: bytes) -> None:
    assert talk(alpaca()).classify(payload) is Traffic.CONTROL


def test_the_line_itself_fails_as_any_other_does() -> None:
    session = talk(alpaca())
    for code, text in ((401, "Unauthorized"), (403, "Forbidden")):
        refusal = session.denied(code, text)
        assert isinstance(refusal, Rejected)
        assert (refusal.code, refusal.reason) == (code, f"HTTP {code} {text}: check key and secret")
    assert isinstance(session.denied(404, "Not Found"), Rejected)
    assert "key" not in str(session.denied(404, "Not Found"))
    assert isinstance(session.denied(429, "Too Many Requests"), Throttled)
    assert isinstance(session.denied(503, ""), Disconnected)
    assert isinstance(session.closed(1006, ""), Disconnected)


# --- the provider ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feed", "path"),
    [
        ("iex", "v2/iex"),
        ("sip", "v2/sip"),
        ("delayed_sip", "v2/delayed_sip"),
        ("test", "v2/test"),
        ("boats", "v1beta1/boats"),
        ("overnight", "v1beta1/overnight"),
        ("crypto/us", "v1beta3/crypto/us"),
        ("crypto/us-1", "v1beta3/crypto/us-1"),
        ("crypto/eu-1", "v1beta3/crypto/eu-1"),
        ("indicative", "v1beta1/indicative"),
        ("opra", "v1beta1/opra"),
        ("news", "v1beta1/news"),
    ],
)
def test_each_feed_has_its_address(feed: str, path: str) -> None:
    request = alpaca(feed).request(Subscription())
    assert request.url == f"wss://stream.data.alpaca.markets/{path}"
    encoding = "msgpack" if feed in ("opra", "indicative") else "json"
    assert request.headers == {"Content-Type": f"application/{encoding}"}


def test_the_free_feed_is_the_first_choice() -> None:
    assert Alpaca(KEY, SECRET).request(Subscription()).url.endswith("/v2/iex")


def test_another_address_replaces_the_whole() -> None:
    url = "ws://127.0.0.1:8080/v2/iex"
    assert alpaca(url=url).request(Subscription()).url == url


def test_headers_choose_the_encoding_and_carry_the_key_if_so_asked() -> None:
    request = alpaca(encoding="msgpack", auth="headers").request(Subscription())
    assert request.headers == {
        "Content-Type": "application/msgpack",
        "APCA-API-KEY-ID": KEY,
        "APCA-API-SECRET-KEY": SECRET,
    }


@pytest.mark.parametrize(
    ("feed", "kind", "offer"),
    [
        ("sip", "books", "bars"),
        ("crypto/us", "lulds", "bars"),
        ("iex", "news", "bars"),
        ("opra", "bars", "quotes, trades$"),
        ("news", "trades", "news$"),
    ],
)
def test_a_kind_that_a_feed_does_not_have_is_unsupported(feed: str, kind: str, offer: str) -> None:
    with pytest.raises(Unsupported, match=f"alpaca has no '{kind}'; it offers {offer}"):
        alpaca(feed).request(Subscription.of(**{kind: ["A"]}))


def symbols(count: int) -> list[str]:
    return [f"S{number}" for number in range(count)]


@pytest.mark.parametrize(("feed", "limit"), [("indicative", 200), ("opra", 1000)])
def test_the_quotes_of_options_are_limited_by_the_feed_and_their_trades_are_not(
    feed: str, limit: int
) -> None:
    alpaca(feed).request(Subscription.of(quotes=symbols(limit), trades=["*", *symbols(2000)]))
    with pytest.raises(Unsupported) as refusal:
        alpaca(feed).request(Subscription.of(quotes=symbols(limit + 1)))
    assert str(refusal.value) == (
        f"alpaca's plan allows {limit} quotes of options on {feed}, and not {limit + 1}; "
        "if yours allows more, say so by symbol_limit="
    )
    alpaca(feed, symbol_limit=5000).request(Subscription.of(quotes=symbols(limit + 1)))


def test_there_is_no_star_for_the_quotes_of_options() -> None:
    with pytest.raises(Unsupported, match="no '\\*' for the quotes of options; name the contracts"):
        alpaca("opra").request(Subscription.of(quotes="*"))


@pytest.mark.parametrize("feed", ["iex", "crypto/us"])
def test_a_plan_counts_trades_and_quotes_and_nothing_else(feed: str) -> None:
    within = Subscription.of(trades=symbols(20), quotes=symbols(10), bars=["*", *symbols(100)])
    alpaca(feed, symbol_limit=30).request(within)
    alpaca(feed).request(within | Subscription.of(trades=symbols(5000), quotes="*"))
    for more, count in ((Subscription.of(trades="X"), "31"), (Subscription.of(quotes="*"), "all of them")):
        with pytest.raises(Unsupported) as refusal:
            alpaca(feed, symbol_limit=30).request(within | more)
        assert str(refusal.value).startswith(
            f"alpaca's plan allows 30 trades and quotes together on {feed}, and not {count}; "
        )


def test_options_are_not_to_be_had_in_json() -> None:
    assert alpaca("opra", encoding="msgpack").request(Subscription()).headers == {
        "Content-Type": "application/msgpack"
    }
    with pytest.raises(Unsupported, match="alpaca sends options as msgpack only, not as json"):
        alpaca("indicative", encoding="json")


@pytest.mark.parametrize(("key", "secret"), [("", ""), (KEY, ""), ("", SECRET), (" ", SECRET), (None, None)])
def test_without_key_and_secret_it_says_what_to_give(key: Any, secret: Any) -> None:
    with pytest.raises(ValueError, match=r"give both, as in Alpaca\(key, secret\)") as refusal:
        Alpaca(key, secret)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("url", ["", "stream.data.alpaca.markets/v2/iex", "https://127.0.0.1/v2/iex"])
def test_an_address_that_is_no_websockets_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="ws://… or wss://…, not '" + url):
        alpaca(url=url)


def test_its_profile_has_every_kind_of_every_feed() -> None:
    kinds = {kind for feed in ("iex", "crypto/us", "opra", "news") for kind in alpaca(feed).kinds}
    assert {*Alpaca.profile.kinds} == kinds


def test_a_feed_that_alpaca_does_not_have_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="alpaca has no feed 'nyse'; it offers iex, sip"):
        alpaca("nyse")


@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "xml"},
        {"auth": "handshake"},
        {"symbol_limit": 0},
        {"lot": 0.0},
        {"lot": -1.0},
        {"lot": float("inf")},
        {"lot": float("nan")},
    ],
)
def test_other_arguments_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as refusal:
        alpaca(**options)
    assert SECRET not in str(refusal.value)


def test_nobody_sees_the_key() -> None:
    for auth in ("message", "headers"):
        provider = alpaca(auth=auth)
        session = talk(provider, trades=["A"])
        seen = [provider, provider.request(Subscription()), session, provider.decoder()]
        seen += [
            *answers(session, error(402)),
            *session.wake(NOW + 10 * SECOND),
            *answers(session, error(500)),
        ]
        for each in seen:
            assert KEY not in repr(each) + str(each)
            assert SECRET not in repr(each) + str(each)


def test_a_provider_gives_what_the_protocol_asks() -> None:
    provider: Provider = alpaca()
    decoder: Decoder = provider.decoder()
    assert (provider.name, decoder.skipped) == ("alpaca", 0)
