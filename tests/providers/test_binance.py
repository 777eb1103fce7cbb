"""Binance: what its frames mean, and how a conversation with it goes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Malformed,
    OrderBookUpdate,
    Quote,
    ReferencePrice,
    Side,
    Status,
    Trade,
)
from rtflow.provider import (
    Answer,
    Expiring,
    Fetch,
    Provider,
    Rate,
    Refused,
    Request,
    Session,
    Subscription,
    Traffic,
)
from rtflow.providers.binance import Binance
from rtflow.time import SECOND
from tests.fuzz import broken, survives

NOW = 1_723_161_601_500_000_000
MARKET = Literal["spot", "usdm", "us"]

TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161601438,"s":"BTCUSDT","t":3735693016,'
    '"p":"61685.99000000","q":"0.00017000","T":1723161601437,"m":true,"M":true}}'
)
AGGREGATE = (
    '{"stream":"nknusdt@aggTrade","data":{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,'
    '"p":"0.35280000","q":"58.00000000","f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}}'
)
QUOTE = (
    '{"stream":"ethusdt@bookTicker","data":{"u":35346513501,"s":"ETHUSDT","b":"2683.80000000",'
    '"B":"3.02920000","a":"2683.81000000","A":"31.43950000"}}'
)
DIFFERENCE = (
    '{"stream":"ethusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255508,"s":"ETHUSDT",'
    '"U":35346513513,"u":35346513514,"b":[["2676.78000000","4.24540000"],["2672.03000000","0.00000000"]],'
    '"a":[]}}'
)
TOP = (
    '{"stream":"ethusdt@depth5@100ms","data":{"lastUpdateId":35346513514,"bids":[["2683.80000000",'
    '"2.25820000"],["2683.78000000","0.00200000"]],"asks":[["2683.81000000","31.43950000"]]}}'
)
KLINE = (
    '{"stream":"omgbusd@kline_1m","data":{"e":"kline","E":1633998301755,"s":"OMGBUSD","k":{"t":1633998240000,'
    '"T":1633998299999,"s":"OMGBUSD","i":"1m","f":439572,"L":439585,"o":"13.72120000","c":"13.76640000",'
    '"h":"13.80760000","l":"13.72120000","v":"536.51000000","n":14,"x":true,"q":"7387.12073500",'
    '"V":"231.60000000","Q":"3187.75743000","B":"0"}}}'
)
SNAPSHOT = 'depth ETHUSDT\n{"lastUpdateId":35346513512,"bids":[["2683.80000000","3.02920000"]],"asks":[]}'
FUTURES_AGGREGATE = (
    '{"stream":"ctkusdt@aggTrade","data":{"e":"aggTrade","E":1626992741575,"a":16599292,"s":"CTKUSDT",'
    '"p":"1.01100","q":"10","f":23961322,"l":23961322,"T":1626992741421,"m":true}}'
)
FUTURES_QUOTE = (
    '{"stream":"sushiusdt@bookTicker","data":{"e":"bookTicker","u":600859603936,"s":"SUSHIUSDT","b":"7.6110",'
    '"B":"6","a":"7.6120","A":"297","T":1626992741163,"E":1626992741167}}'
)
FUTURES_DIFFERENCE = (
    '{"stream":"sushiusdt@depth@100ms","data":{"e":"depthUpdate","E":1626992741140,"T":1626992741123,'
    '"s":"SUSHIUSDT","U":600859601193,"u":600859602861,"pu":600859600917,"b":[["7.5980","1433"]],'
    '"a":[["7.6170","534"]]}}'
)
FUTURES_TOP = (
    '{"stream":"btcusdt@depth5@100ms","data":{"e":"depthUpdate","E":1571889248277,"T":1571889248276,'
    '"s":"BTCUSDT","U":390497796,"u":390497878,"pu":390497794,"b":[["7403.89","0.002"]],'
    '"a":[["7405.96","3.340"],["7406.63","4.525"]]}}'
)
FUTURES_SNAPSHOT = (
    'depth BTCUSDT\n{"lastUpdateId":1027024,"E":1589436922972,"T":1589436922959,'
    '"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"]]}'
)
MARK = (
    '{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT",'
    '"p":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"0.00038167","T":1562306400000}}'
)
ATTEMPTS = Rate(250, 300.0)
LISTED = '{"result":["btcusdt@aggTrade","ethusdt@depth@100ms","what@ever"],"id":3}'
DONE = '{"result":null,"id":1}'
NESTED = '{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}'
FLAT = '{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}'
SHUTDOWN = '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'
BARE_SHUTDOWN = '{"e":"serverShutdown","E":1770123456789}'
SPOT = [TRADE, AGGREGATE, QUOTE, DIFFERENCE, TOP, KLINE]
USDM = [FUTURES_AGGREGATE, FUTURES_QUOTE, FUTURES_DIFFERENCE, FUTURES_TOP, KLINE, MARK]
ANSWERS = [LISTED, DONE, NESTED, FLAT, SHUTDOWN, BARE_SHUTDOWN]


def frame(text: str | bytes, ts_recv: int = NOW, epoch: int = 1) -> Frame:
    payload = text.encode() if isinstance(text, str) else text
    kind = FrameKind.HTTP if payload.startswith(b"depth ") else FrameKind.TEXT
    return Frame(kind, payload, ts_recv, epoch)


def decoded(*texts: str | bytes, market: MARKET = "spot") -> list[Event]:
    decoder = Binance(market).decoder()
    return [event for text in texts for event in decoder.decode(frame(text))]


def one(text: str | bytes, market: MARKET = "spot") -> Event:
    [event] = decoded(text, market=market)
    return event


def malformed(text: str | bytes, market: MARKET = "spot") -> str:
    """Why a frame is malformed; it is nothing else besides."""
    event = one(text, market)
    assert isinstance(event, Malformed)
    assert event == Malformed(frame(text), event.reason, NOW)
    return event.reason


# ------------------------------------------------------------------------------------------ the provider


@pytest.mark.parametrize(
    ("market", "name", "url"),
    [
        ("spot", "binance", "wss://stream.binance.com:9443/stream"),
        ("usdm", "binance_usdm", "wss://fstream.binance.com/public/stream"),
        ("us", "binance_us", "wss://stream.binance.us:9443/stream"),
    ],
)
def test_each_market_is_a_provider_that_needs_nothing(market: MARKET, name: str, url: str) -> None:
    binance: Provider = Binance(market)
    assert binance.name == name
    assert set(binance.kinds) <= set(Binance.profile.kinds)
    assert binance.request(Subscription()) == Request(url, attempts=ATTEMPTS)
    assert binance.request(Subscription.of(quotes="BTCUSDT")) == Request(url, attempts=ATTEMPTS)
    assert repr(binance) == f"Binance({market!r})"


def test_another_host_keeps_the_paths() -> None:
    wanted = Subscription.of(quotes="BTCUSDT")
    assert Binance(url="wss://127.0.0.1:9/").request(wanted) == Request(
        "wss://127.0.0.1:9/stream", attempts=ATTEMPTS
    )
    usdm = Binance("usdm", url="wss://127.0.0.1:9")
    assert usdm.request(wanted) == Request("wss://127.0.0.1:9/public/stream", attempts=ATTEMPTS)
    assert usdm.request(Subscription.of(bars="BTCUSDT")) == Request(
        "wss://127.0.0.1:9/market/stream", attempts=ATTEMPTS
    )


def test_microseconds_are_asked_for_in_the_address() -> None:
    address = "wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND"
    assert Binance(microseconds=True).request(Subscription()) == Request(address, attempts=ATTEMPTS)


@pytest.mark.parametrize(
    ("market", "options", "why"),
    [
        ("coinm", {}, "no market 'coinm'; it has spot, usdm, us"),
        ("spot", {"depth": 7}, "the best 5, 10 or 20 levels, not 7"),
        ("spot", {"speed": 250}, "each 100 or 1000 ms, not 250"),
        ("usdm", {"speed": 1000}, "each 100, 500 or 250 ms, not 1000"),
        ("spot", {"interval": "2m"}, "bars of 1s, 1m, .* or 1M, not '2m'"),
        ("usdm", {"interval": "1s"}, "bars of 1m, .* or 1M, not '1s'"),
        ("spot", {"levels": 0}, "snapshots of 1 to 5000 levels, not 0"),
        ("spot", {"levels": 5001}, "snapshots of 1 to 5000 levels, not 5001"),
        ("usdm", {"levels": 200}, "snapshots of 5, 10, 20, 50, 100, 500 or 1000 levels, not 200"),
        ("us", {"microseconds": True}, "binance_us has no stamps in microseconds"),
    ],
)
def test_an_option_that_the_market_lacks_is_refused_at_once(
    market: Any, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unsupported, match=why):
        Binance(market, **options)


@pytest.mark.parametrize(
    ("market", "wanted", "why"),
    [
        ("spot", {"lulds": "BTCUSDT"}, "binance has no 'lulds'"),
        ("spot", {"mark_prices": "BTCUSDT"}, "binance has no 'mark_prices'"),
        ("usdm", {"trades": "BTCUSDT"}, "binance_usdm has no 'trades'; it offers aggregate_trades"),
        ("spot", {"trades": "btcusdt"}, "as in 'BTCUSDT', not 'btcusdt'"),
        ("spot", {"trades": "BTC/USDT"}, "as in 'BTCUSDT', not 'BTC/USDT'"),
        ("spot", {"trades": " "}, "as in 'BTCUSDT', not ' '"),
        ("spot", {"books": "A", "top_books": "A"}, "of A either books or top_books"),
        ("spot", {"trades": "A", "aggregate_trades": "A"}, "of A either trades or aggregate_trades"),
        (
            "usdm",
            {"books": "A", "bars": "A"},
            "serves bars and books at two addresses, not over one connection",
        ),
        ("spot", {"trades": [f"S{each}" for each in range(1025)]}, "allows 1024 streams .* not 1025"),
    ],
)
def test_what_cannot_be_served_is_refused_before_we_connect(
    market: MARKET, wanted: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unsupported, match=why):
        Binance(market).request(Subscription.of(**wanted))


def test_the_limits_themselves_are_within_them() -> None:
    binance = Binance()
    binance.request(Subscription.of(trades=[f"S{each}" for each in range(1024)]))
    binance.request(Subscription.of(books="A", top_books="B", trades="A", aggregate_trades="B"))
    binance.request(Subscription.of(trades=["BTCUSDT_250627", "币安人生USDT", "1000SATSUSDT"]))


# ------------------------------------------------------------------------------------------ trades and quotes


def test_where_the_buyer_was_the_maker_the_aggressor_sold() -> None:
    sold = Trade(
        "BTCUSDT",
        ts_event=1723161601437_000_000,
        ts_recv=NOW,
        price=61685.99,
        size=0.00017,
        side=Side.SELL,
        id="3735693016",
        venue="binance",
    )
    assert decoded(TRADE) == [sold]
    assert decoded(TRADE.replace('"m":true', '"m":false')) == [msgspec.structs.replace(sold, side=Side.BUY)]


def test_an_aggregate_is_a_trade_whose_id_is_of_another_kind() -> None:
    bought = Trade(
        "NKNUSDT", 1633998523963_000_000, NOW, 0.3528, 58.0, Side.BUY, id="a15683430", venue="binance"
    )
    assert decoded(AGGREGATE) == [bought]
    sold = Trade("CTKUSDT", 1626992741421_000_000, NOW, 1.011, 10.0, Side.SELL, "a16599292", "binance_usdm")
    assert decoded(FUTURES_AGGREGATE, market="usdm") == [sold]


def test_stamps_in_microseconds_are_known_by_their_length() -> None:
    [trade] = decoded(TRADE.replace('"T":1723161601437', '"T":1723161601437123'))
    assert isinstance(trade, Trade)
    assert trade.ts_event == 1723161601437_123_000


@pytest.mark.parametrize(
    ("at", "stamp"),
    [
        (9_223_372_036_854, 9_223_372_036_854_000_000),  # the last millisecond that 64 bits reach, in 2262
        (9_223_372_036_855, 9_223_372_036_855_000),  # so that this is microseconds, in April 1970
        (9_223_372_036_854_775, 9_223_372_036_854_775_000),
    ],
)
def test_no_stamp_leaves_the_64_bits(at: int, stamp: int) -> None:
    trade = one(TRADE.replace('"T":1723161601437', f'"T":{at}'))
    assert isinstance(trade, Trade)
    assert trade.ts_event == stamp
    assert malformed(TRADE.replace('"T":1723161601437', '"T":9223372036854776'))


def test_a_quote_of_spot_is_stamped_when_it_came_and_one_of_usdm_by_the_engine() -> None:
    quote = Quote("ETHUSDT", NOW, NOW, 2683.8, 3.0292, 2683.81, 31.4395, venue="binance")
    assert decoded(QUOTE) == [quote]
    assert decoded(FUTURES_QUOTE, market="usdm") == [
        Quote("SUSHIUSDT", 1626992741163_000_000, NOW, 7.611, 6.0, 7.612, 297.0, venue="binance_usdm")
    ]


@pytest.mark.parametrize("nothing", ['"0.00000000"', '"0"'])
def test_a_side_without_a_quote_is_none(nothing: str) -> None:
    for price, size in (('"2683.80000000"', '"3.02920000"'), ('"2683.81000000"', '"31.43950000"')):
        for gone in ((price,), (size,), (price, size)):
            text = QUOTE
            for number in gone:
                text = text.replace(number, nothing)
            quote = one(text)
            assert isinstance(quote, Quote)
            bid_gone = price == '"2683.80000000"'
            assert (quote.bid, quote.bid_size) == ((None, None) if bid_gone else (2683.8, 3.0292))
            assert (quote.ask, quote.ask_size) == ((2683.81, 31.4395) if bid_gone else (None, None))


def test_a_mark_price_is_no_trade() -> None:
    mark = ReferencePrice("BTCUSDT", 1562305380000_000_000, NOW, 11794.15, "mark", "binance_usdm")
    assert decoded(MARK, market="usdm") == [mark]


# ------------------------------------------------------------------------------------------ books


def test_a_difference_says_which_numbers_it_covers() -> None:
    [update] = Binance().decoder().decode(frame(DIFFERENCE, epoch=3))
    assert update == OrderBookUpdate(
        "ETHUSDT",
        ts_event=1723161255508_000_000,
        ts_recv=NOW,
        bids=((2676.78, 4.2454), (2672.03, 0.0)),
        asks=(),
        epoch=3,
        venue="binance",
        sequence=35346513514,
        first_sequence=35346513513,
    )


def test_a_difference_of_usdm_names_the_one_before_and_is_stamped_by_the_engine() -> None:
    assert decoded(FUTURES_DIFFERENCE, market="usdm") == [
        OrderBookUpdate(
            "SUSHIUSDT",
            ts_event=1626992741123_000_000,
            ts_recv=NOW,
            bids=((7.598, 1433.0),),
            asks=((7.617, 534.0),),
            venue="binance_usdm",
            sequence=600859602861,
            first_sequence=600859601193,
            previous_sequence=600859600917,
        )
    ]


def test_a_snapshot_comes_as_a_document_and_is_stamped_when_it_came_unless_it_says() -> None:
    assert decoded(SNAPSHOT) == [
        OrderBookUpdate(
            "ETHUSDT",
            NOW,
            NOW,
            ((2683.8, 3.0292),),
            (),
            snapshot=True,
            venue="binance",
            sequence=35346513512,
            limit=1000,
        )
    ]
    assert decoded(FUTURES_SNAPSHOT, market="usdm") == [
        OrderBookUpdate(
            "BTCUSDT",
            1589436922959_000_000,
            NOW,
            ((4.0, 431.0),),
            ((4.000002, 12.0),),
            snapshot=True,
            venue="binance_usdm",
            sequence=1027024,
            limit=1000,
        )
    ]


def test_a_snapshot_says_how_many_levels_were_asked_for() -> None:
    [snapshot] = Binance(levels=500).decoder().decode(frame(SNAPSHOT))
    assert isinstance(snapshot, OrderBookUpdate)
    assert snapshot.limit == 500


def test_a_listing_without_a_book_yet_has_no_snapshot() -> None:
    assert decoded('depth NEWUSDT\n{"lastUpdateId":-1,"bids":[],"asks":[]}') == [
        Status("venue", NOW, "there is no book yet", "NEWUSDT", "books", venue="binance")
    ]


def test_a_partial_book_is_whole_and_known_by_the_name_of_its_stream() -> None:
    assert decoded(TOP) == [
        OrderBookUpdate(
            "ETHUSDT",
            NOW,
            NOW,
            ((2683.8, 2.2582), (2683.78, 0.002)),
            ((2683.81, 31.4395),),
            snapshot=True,
            venue="binance",
            depth=5,
            sequence=35346513514,
        )
    ]
    assert decoded(FUTURES_TOP, market="usdm") == [
        OrderBookUpdate(
            "BTCUSDT",
            1571889248276_000_000,
            NOW,
            ((7403.89, 0.002),),
            ((7405.96, 3.34), (7406.63, 4.525)),
            snapshot=True,
            venue="binance_usdm",
            depth=5,
            sequence=390497878,
        )
    ]


@pytest.mark.parametrize(
    "level",
    [
        '["-1","1"]',
        '["0","1"]',
        '["1","-1"]',
        '["1"]',
        '["1","1","1"]',
        '["one","1"]',
        '["1",null]',
        '["NaN","1"]',
        '["1","Infinity"]',
        '["1e999","1"]',
        '["1","1e200"]',
        '{"price":"1"}',
        "1",
    ],
)
def test_a_bad_level_spoils_its_whole_group(level: str) -> None:
    for text in (DIFFERENCE, TOP, SNAPSHOT):
        assert malformed(text.replace("[[", f"[{level},[", 1))


@pytest.mark.parametrize(
    ("text", "market"),
    [
        (DIFFERENCE.replace('"u":35346513514', '"u":35346513512'), "spot"),  # it would end before it begins
        (FUTURES_DIFFERENCE.replace('"pu":600859600917', '"pu":600859602861'), "usdm"),  # its own predecessor
        (DIFFERENCE.replace('"U":35346513513', '"U":-1'), "spot"),
        (DIFFERENCE.replace('"u":35346513514', f'"u":{2**63}'), "spot"),
        (SNAPSHOT.replace("35346513512", "-2"), "spot"),
    ],
)
def test_numbers_that_cannot_be_are_malformed(text: str, market: MARKET) -> None:
    assert malformed(text, market)


# ------------------------------------------------------------------------------------------ bars


def test_a_kline_is_a_bar_that_says_itself_whether_it_is_final() -> None:
    bar = Bar(
        "OMGBUSD",
        1633998240000_000_000,
        1633998300000_000_000,
        13.7212,
        13.8076,
        13.7212,
        13.7664,
        volume=536.51,
        count=14,
        value=7387.120735,
        buy_volume=231.6,
        sell_volume=304.91,
        ts_recv=NOW,
        venue="binance",
        interval="1m",
    )
    assert decoded(KLINE) == [bar]
    assert decoded(KLINE.replace('"x":true', '"x":false')) == [msgspec.structs.replace(bar, final=False)]


def test_a_kline_in_microseconds_ends_a_microsecond_later_than_its_last_one() -> None:
    text = KLINE.replace("1633998240000", "1633998240000000").replace("1633998299999", "1633998299999999")
    assert decoded(text) == decoded(KLINE)


def test_a_kline_without_trades_is_synthetic() -> None:
    bar = one(KLINE.replace('"n":14', '"n":0'))
    assert isinstance(bar, Bar)
    assert bar.synthetic


@pytest.mark.parametrize(
    "change",
    [
        ('"T":1633998299999', '"T":1633998239998'),  # ends before it begins
        ('"T":1633998299999', f'"T":{(2**63 - 1) // 1000}'),  # in 2262, to the microsecond
        ('"V":"231.60000000"', '"V":"536.51000001"'),  # more bought than traded
        ('"l":"13.72120000"', '"l":"0"'),
        ('"n":14', '"n":-1'),
    ],
)
def test_a_kline_that_cannot_be_is_malformed(change: tuple[str, str]) -> None:
    assert malformed(KLINE.replace(*change))


# ------------------------------------------------------------------------------------------ any message


@pytest.mark.parametrize(
    ("text", "market"), [*((text, "spot") for text in SPOT), *((text, "usdm") for text in USDM)]
)
def test_a_frame_must_name_the_symbol_of_its_stream(text: str, market: MARKET) -> None:
    other = text.replace('USDT"', 'USDC"', 1).replace('BUSD"', 'BUSC"', 1)
    if '"s":' in text:
        assert "speaks of" in malformed(other, market)


@pytest.mark.parametrize("text", [TRADE, AGGREGATE])
@pytest.mark.parametrize(
    "change",
    [
        ('"p":"', '"p":"-'),
        ('"p":"', '"p":"x'),
        ('"q":"', '"q":"-'),
        ('"m":', '"x":'),
        ('"T":', '"T":-'),
        ('"T":1', f'"T":{2**63}'),
        ('"e":"', '"e":"not'),
        ('"data":', '"date":'),
    ],
)
def test_a_bad_trade_is_malformed(text: str, change: tuple[str, str]) -> None:
    assert malformed(text.replace(*change, 1))


@pytest.mark.parametrize("text", [*SPOT, *USDM])
def test_spaces_and_another_order_of_keys_make_no_difference(text: str) -> None:
    market: MARKET = "usdm" if text in USDM else "spot"
    whole = json.loads(text)
    turned = json.dumps({"data": dict(reversed(whole["data"].items())), "stream": whole["stream"]}, indent=1)
    escaped = text.replace('"stream":"', '"stream":"\\u00' + f"{ord(whole['stream'][0]):02x}", 1).replace(
        whole["stream"], whole["stream"][1:], 1
    )
    assert json.loads(escaped) == whole
    assert decoded(turned, escaped, text, market=market) == decoded(text, market=market) * 3


def test_a_symbol_in_another_alphabet_is_read_like_any_other() -> None:
    trade = one(TRADE.replace("btcusdt", "币安人生usdt").replace("BTCUSDT", "币安人生USDT"))
    assert isinstance(trade, Trade)
    assert trade.symbol == "币安人生USDT"


@pytest.mark.parametrize(
    "text",
    [
        TRADE.replace("@trade", "@weather"),
        MARK,  # of which spot knows nothing
        '{"hello":1}',
        "{}",
        "weather ETHUSDT\n{}",
    ],
)
def test_what_nobody_knows_is_passed_over_and_counted(text: str) -> None:
    decoder = Binance().decoder()
    kind = FrameKind.HTTP if text.startswith("weather") else FrameKind.TEXT
    assert list(decoder.decode(Frame(kind, text.encode(), NOW))) == []
    assert decoder.skipped == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "7",
        "null",
        TRADE[:-1],
        TRADE.replace('"stream"', '"strXam"', 1).replace("}}", "}"),
        '{"stream":5}',
        '{"stream":"btcusdt@trade"}',
        '{"stream":"btcusdt@trade","data":[]}',
        '{"stream":"btcusdt@trade","data":' + "[" * 100_000,
        '{"result":7,"id":1}',
        '{"result":[7],"id":1}',
        '{"error":"no"}',
        "depth ETHUSDT\n",
        "depth ETHUSDT\n[]",
        'depth ETHUSDT\n{"code":-1121,"msg":"Invalid symbol."}',
        b'{"stream":"btc\xff@trade"}',
        b"\xff\xfe",
    ],
)
def test_a_broken_frame_is_one_malformed(text: str | bytes) -> None:
    assert malformed(text)


def test_a_known_stream_under_another_key_is_malformed_too() -> None:
    *_, bad = decoded(TRADE, TRADE.replace('{"stream"', '{"strXam"'))
    assert isinstance(bad, Malformed)


# ------------------------------------------------------------------------------------------ answers


def status(text: str) -> tuple[str, str]:
    said = one(text)
    assert isinstance(said, Status)
    assert said == Status(said.state, NOW, said.text, venue="binance")
    return said.state, said.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NESTED, ("rejected", "2 Invalid request: invalid stream")),
        (FLAT, ("rejected", "3 Invalid JSON: expected value at line 1 column 1")),
        ('{"error":{"code":503,"msg":"busy"},"id":1}', ("venue", "503 busy")),
        (SHUTDOWN, ("venue", "serverShutdown")),
        (BARE_SHUTDOWN, ("venue", "serverShutdown")),
    ],
)
def test_the_venue_speaks_of_itself(text: str, said: tuple[str, str]) -> None:
    assert status(text) == said


@pytest.mark.parametrize("text", [DONE, '{"result":true,"id":2}'])
def test_an_answer_that_names_no_stream_says_nothing(text: str) -> None:
    decoder = Binance().decoder()
    assert list(decoder.decode(frame(text))) == []
    assert decoder.skipped == 0


def test_a_list_says_what_has_come_and_gone() -> None:
    def said(state: Any, kind: str, symbol: str) -> Status:
        return Status(state, NOW, "", symbol, kind, venue="binance")

    everything = (
        '{"result":["a@trade","a@aggTrade","a@bookTicker","a@depth","a@depth20@100ms","a@kline_1d@+08:00",'
        '"a@markPrice@1s"],"id":7}'
    )
    assert decoded(LISTED, LISTED, '{"result":["ethusdt@depth@100ms"],"id":9}', everything) == [
        said("subscribed", "aggregate_trades", "BTCUSDT"),
        said("subscribed", "books", "ETHUSDT"),
        said("unsubscribed", "aggregate_trades", "BTCUSDT"),
        said("unsubscribed", "books", "ETHUSDT"),
        *(said("subscribed", kind, "A") for kind in sorted(Binance.profile.kinds)),
    ]


CONVERSATION = [DONE, LISTED, TRADE, DIFFERENCE, '{"result":["ethusdt@depth@100ms"],"id":4}', "{}", TRADE]


@pytest.mark.parametrize("cut", range(len(CONVERSATION) + 1))
def test_a_decoder_cut_anywhere_goes_on_as_if_it_had_not_been(cut: int) -> None:
    whole = Binance().decoder()
    expected = [list(whole.decode(frame(text))) for text in CONVERSATION]
    first, second = Binance().decoder(), Binance().decoder()
    got = [list(first.decode(frame(text))) for text in CONVERSATION[:cut]]
    second.restore(msgspec.json.decode(msgspec.json.encode(first.state())))
    got += [list(second.decode(frame(text))) for text in CONVERSATION[cut:]]
    assert got == expected
    assert second.skipped == whole.skipped == 1
    assert second.state() == whole.state()


def test_more_streams_than_anybody_has_are_read_and_not_remembered() -> None:
    decoder = Binance().decoder()
    for number in range(4100):
        [trade] = decoder.decode(frame(TRADE.replace("BTC", f"B{number}").replace("btc", f"b{number}")))
        assert isinstance(trade, Trade)
    assert len(decoder._known) == 4096


# ------------------------------------------------------------------------------------------ bad input

WANTED = {
    "spot": Subscription.of(trades="BTCUSDT", books="ETHUSDT"),
    "usdm": Subscription.of(books=["SUSHIUSDT", "BTCUSDT"]),
}


@settings(max_examples=600)
@given(broken([text.encode() for text in [*SPOT, *ANSWERS]]))
def test_no_frame_of_spot_is_too_broken(payload: bytes) -> None:
    survives(Binance(), WANTED["spot"], payload)


@settings(max_examples=400)
@given(broken([text.encode() for text in [*USDM, *ANSWERS]]))
def test_no_frame_of_usdm_is_too_broken(payload: bytes) -> None:
    survives(Binance("usdm"), WANTED["usdm"], payload)


@settings(max_examples=400)
@given(broken([SNAPSHOT.partition("\n")[2].encode(), FUTURES_SNAPSHOT.partition("\n")[2].encode()]))
def test_no_document_is_too_broken(body: bytes) -> None:
    survives(Binance(), WANTED["spot"], b"depth ETHUSDT\n" + body, FrameKind.HTTP)


@settings(max_examples=400)
@given(st.sampled_from([*SPOT, *USDM]), st.data())
def test_a_frame_whose_names_disagree_is_never_an_event(text: str, data: st.DataObject) -> None:
    """One letter of either symbol changed to another: what comes is malformed, or of no known stream."""
    market: MARKET = "usdm" if text in USDM else "spot"
    whole = json.loads(text)
    if "s" not in whole["data"]:
        return
    symbol = whole["data"]["s"]
    at = data.draw(st.integers(0, len(symbol) - 1))
    letter = data.draw(st.sampled_from([each for each in "ABCXYZ019" if each != symbol[at]]))
    changed = symbol[:at] + letter + symbol[at + 1 :]
    if data.draw(st.booleans()):
        whole["data"]["s"] = changed
    else:
        whole["stream"] = whole["stream"].replace(symbol.lower(), changed.lower())
    assert "speaks of" in malformed(json.dumps(whole), market)


# ------------------------------------------------------------------------------------------ talking


class Venue:
    """A conversation in virtual time, whose other side, sockets and documents, is written by the test."""

    def __init__(self, subscription: Subscription, market: MARKET = "spot", **options: Any) -> None:
        self.session: Session = Binance(market, **options).session(subscription)
        self.now = NOW
        self.session.started(NOW)
        self.sent: list[dict[str, Any]] = []
        self.fetches: list[Fetch] = []
        self.refused: list[Refused] = []
        self.errors: list[RtflowError] = []
        self.ends: list[str] = []
        self.hear(self.session.opened())

    def hear(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            match answer:
                case Refused():
                    self.refused.append(answer)
                case RtflowError():
                    self.errors.append(answer)
                case Fetch():
                    self.fetches.append(answer)
                case str():
                    self.sent.append(json.loads(answer))
                case Expiring():
                    self.ends.append(answer.reason)
                case _:
                    raise AssertionError(answer)

    def said(self) -> list[dict[str, Any]]:
        """What the session has sent since we last asked."""
        sent, self.sent = self.sent, []
        return sent

    def fetched(self) -> list[str]:
        """The labels of what the session has asked for since we last asked."""
        fetches, self.fetches = self.fetches, []
        return [fetch.label for fetch in fetches]

    def say(self, message: str | dict[str, Any]) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        told = frame(text, self.now)
        if self.session.classify(told.payload) is Traffic.CONTROL:
            self.hear(self.session.received(told))

    def accept(self, request: dict[str, Any]) -> None:
        result = ["some@trade"] if request["method"] == "LIST_SUBSCRIPTIONS" else None
        self.say({"result": result, "id": request["id"]})

    def refuse(self, request: dict[str, Any] | None, code: int = 2, text: str = "no") -> None:
        if request is None:
            self.say({"code": code, "msg": text})
        else:
            self.say({"error": {"code": code, "msg": text}, "id": request["id"]})

    def settle(self, seconds: float = 2.0) -> list[dict[str, Any]]:
        """Accept everything, for a while; what was said meanwhile."""
        said = []
        end = self.now + round(seconds * SECOND)
        while self.now < end:
            for request in self.said():
                said.append(request)
                self.accept(request)
            self.wait(0.05)
        return said

    def wait(self, seconds: float) -> None:
        end = self.now + round(seconds * SECOND)
        while (due := self.session.due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.hear(self.session.wake(self.now))
            if self.errors:
                return
            moved = self.session.due()
            assert moved is not None
            assert moved > self.now
        self.now = end

    def document(self, symbol: str, last: int) -> None:
        body = f'{{"lastUpdateId":{last},"bids":[],"asks":[]}}'
        self.hear(self.session.received(frame(f"depth {symbol}\n{body}", self.now)))

    def fail(self, symbol: str, error: RtflowError) -> None:
        self.hear(self.session.unfetched(Fetch(f"depth {symbol}", "https://…"), error, self.now))

    def differ(self, symbol: str, first: int, last: int, before: int | None = None) -> None:
        data: dict[str, Any] = {"e": "depthUpdate", "s": symbol, "U": first, "u": last}
        if before is not None:
            data["pu"] = before
        text = json.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": data}, separators=(",", ":"))
        self.say(text)


def request(method: str, number: int, *streams: str) -> dict[str, Any]:
    return {"method": method, **({"params": [*streams]} if streams else {}), "id": number}


def test_it_asks_for_each_kind_in_the_venues_own_words() -> None:
    wanted = Subscription.of(
        trades="A", aggregate_trades="B", quotes="A", books="A", top_books="B", bars=["A", "B"]
    )
    assert Venue(wanted, interval="1h", depth=10).said() == [
        request(
            "SUBSCRIBE",
            1,
            "b@aggTrade",
            "a@kline_1h",
            "b@kline_1h",
            "a@depth@100ms",
            "a@bookTicker",
            "b@depth10@100ms",
            "a@trade",
        )
    ]
    assert Venue(Subscription.of(books="A"), speed=1000).said() == [request("SUBSCRIBE", 1, "a@depth")]
    assert Venue(Subscription.of(top_books="A"), "usdm", speed=500).said() == [
        request("SUBSCRIBE", 1, "a@depth20@500ms")
    ]
    assert Venue(Subscription.of(mark_prices="A"), "usdm").said() == [
        request("SUBSCRIBE", 1, "a@markPrice@1s")
    ]


def test_nothing_wanted_is_nothing_said() -> None:
    venue = Venue(Subscription())
    venue.wait(5)
    assert venue.said() == []


def test_many_streams_leave_in_chunks_one_at_a_time_and_then_a_list_is_asked_for() -> None:
    venue = Venue(Subscription.of(trades=[f"S{number:03}" for number in range(250)]))
    said = venue.settle(3.0)
    assert [len(each.get("params", [])) for each in said] == [100, 100, 50, 0]
    assert [each["method"] for each in said] == ["SUBSCRIBE"] * 3 + ["LIST_SUBSCRIPTIONS"]
    assert [each["id"] for each in said] == [1, 2, 3, 4]


@pytest.mark.parametrize(("market", "most"), [("spot", 5), ("usdm", 10)])
def test_no_second_holds_more_messages_than_the_venue_allows_with_room_for_a_pong(
    market: MARKET, most: int
) -> None:
    venue = Venue(Subscription.of(bars=[f"S{number:04}" for number in range(1024)]), market)
    stamps: list[int] = []
    for _ in range(500):
        for message in venue.said():
            stamps.append(venue.now)
            venue.accept(message)
        venue.wait(0.01)
    assert len(stamps) == 12
    for stamp in stamps:
        assert sum(stamp <= each <= stamp + SECOND for each in stamps) < most


def test_what_is_wanted_may_change_while_we_talk() -> None:
    venue = Venue(Subscription.of(trades=["A", "B"]))
    [take] = venue.said()
    venue.hear(venue.session.wanted(Subscription.of(trades="C"), Subscription.of(trades="A")))
    assert venue.said() == [], "one is in flight"
    venue.accept(take)
    assert venue.settle() == [
        request("LIST_SUBSCRIPTIONS", 2),  # else nobody would hear that A was served, and is no longer
        request("UNSUBSCRIBE", 3, "a@trade"),
        request("SUBSCRIBE", 4, "c@trade"),
        request("LIST_SUBSCRIPTIONS", 5),
    ]


def test_a_change_of_mind_and_back_says_nothing_more_than_the_list() -> None:
    wanted = Subscription.of(trades="A")
    venue = Venue(wanted)
    [take] = venue.said()
    venue.hear(venue.session.wanted(Subscription(), wanted))
    venue.hear(venue.session.wanted(wanted, Subscription()))
    venue.accept(take)
    assert venue.settle() == [request("LIST_SUBSCRIPTIONS", 2)]


def test_an_unsubscribe_that_is_refused_is_not_asked_again() -> None:
    wanted = Subscription.of(trades="A")
    venue = Venue(wanted)
    venue.settle()
    venue.hear(venue.session.wanted(Subscription(), wanted))
    venue.wait(1)
    [leave] = venue.said()
    venue.refuse(leave)
    assert venue.settle() == [request("LIST_SUBSCRIPTIONS", 4)]
    assert venue.refused == []


def test_what_usdm_serves_elsewhere_needs_another_connection() -> None:
    venue = Venue(Subscription.of(books="A"), "usdm")
    venue.hear(venue.session.wanted(Subscription.of(quotes="A"), Subscription()))
    assert venue.errors == []
    venue.hear(venue.session.wanted(Subscription.of(bars="A"), Subscription.of(books="A", quotes="A")))
    [error] = venue.errors
    assert isinstance(error, Disconnected)
    assert error.announced, "so that a retry is immediate"


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("named", [True, False])
def test_of_a_request_that_is_refused_the_culprit_is_found_by_halves(named: bool) -> None:
    venue = Venue(Subscription.of(trades=["A", "B", "C", "BAD", "D"]))
    served: set[str] = set()
    for _ in range(20):
        for message in venue.said():
            if "bad@trade" in message.get("params", ()):
                venue.refuse(message if named else None, 2, "Invalid request: invalid stream")
            else:
                served |= {*message.get("params", ())}
                venue.accept(message)
        venue.wait(0.5)
    assert venue.refused == [Refused((("trades", "BAD"),), "2 Invalid request: invalid stream")]
    assert served == {"a@trade", "b@trade", "c@trade", "d@trade"}


def test_a_suspect_that_nobody_wants_any_more_is_not_asked_for() -> None:
    venue = Venue(Subscription.of(trades=["A", "B"]))
    venue.refuse(venue.said()[0])
    venue.hear(venue.session.wanted(Subscription(), Subscription.of(trades=["A", "B"])))
    venue.wait(2)
    assert venue.said() == []


@pytest.mark.parametrize("code", [0, 1, 3, -1])
def test_a_fault_of_our_own_making_ends_it_for_good(code: int) -> None:
    venue = Venue(Subscription.of(trades="A"))
    venue.refuse(None, code, "Unknown property")
    [error] = venue.errors
    assert isinstance(error, Rejected)
    assert (error.reason, error.code) == (f"{code} Unknown property", code)


def test_a_fault_of_the_servers_may_pass() -> None:
    venue = Venue(Subscription.of(trades="A"))
    venue.settle()
    venue.refuse(None, 503, "busy")
    [error] = venue.errors
    assert isinstance(error, Disconnected)
    assert error.reason == "503 busy"


def test_an_answer_that_nobody_waits_for_changes_nothing() -> None:
    venue = Venue(Subscription.of(trades="A"))
    venue.say('{"result":null,"id":99}')
    venue.say('{"error":{"code":2,"msg":"no"},"id":99}')
    venue.wait(1)
    assert len(venue.said()) == 1
    assert not venue.refused
    assert not venue.errors


def test_a_request_without_an_answer_is_the_end_after_ten_seconds() -> None:
    venue = Venue(Subscription.of(trades="A"))
    venue.wait(9.5)
    assert venue.errors == []
    venue.wait(1)
    [error] = venue.errors
    assert isinstance(error, Disconnected)
    assert error.reason == "no answer to SUBSCRIBE within 10 s, silent for 10 s"


# ------------------------------------------------------------------------------------------ life and its end


def test_after_thirty_silent_seconds_it_asks_and_without_an_answer_it_leaves() -> None:
    venue = Venue(Subscription.of(trades="A"))
    venue.settle()
    venue.wait(20)
    venue.say(TRADE)
    venue.wait(29)
    assert venue.said() == []
    venue.wait(3)
    [question] = venue.said()
    assert question["method"] == "LIST_SUBSCRIPTIONS"
    venue.accept(question)
    venue.wait(35)
    assert [each["method"] for each in venue.said()] == ["LIST_SUBSCRIPTIONS"]
    venue.wait(15)
    [error] = venue.errors
    assert isinstance(error, Disconnected)
    assert "no answer to LIST_SUBSCRIPTIONS" in error.reason


@pytest.mark.parametrize("text", [SHUTDOWN, BARE_SHUTDOWN])
def test_a_server_that_is_about_to_go_is_expiring_and_its_end_was_announced(text: str) -> None:
    venue = Venue(Subscription.of(trades="A"))
    venue.say(text)
    assert venue.errors == []
    assert venue.ends == ["the venue shuts this server down"]
    error = venue.session.closed(1006, "")
    assert isinstance(error, Disconnected)
    assert error.announced, "so that a retry is immediate"


def test_a_connection_is_replaced_an_hour_before_its_day_is_over_and_says_so_once() -> None:
    session = Binance().session(Subscription())
    session.started(NOW)
    said = [[*session.wake(NOW + 23 * 3600 * SECOND + early)] for early in (-1, 0, 1)]
    assert [Expiring("its 24 hours are almost over") in answers for answers in said] == [False, True, False]


def test_it_serves_when_all_that_is_wanted_is_acknowledged() -> None:
    venue = Venue(Subscription.of(trades="A"))
    assert not venue.session.serving()
    venue.settle()
    assert venue.session.serving()
    venue.hear(venue.session.wanted(Subscription.of(trades="B"), Subscription()))
    assert not venue.session.serving()


def test_a_book_is_served_when_it_has_a_snapshot_that_its_stream_joins_on_to() -> None:
    venue = Venue(Subscription.of(books="ETHUSDT"))
    venue.settle()
    assert venue.fetched() == ["depth ETHUSDT"]
    assert not venue.session.serving()
    venue.document("ETHUSDT", 35346513500)
    assert venue.session.serving()
    venue.say(DIFFERENCE)
    assert not venue.session.serving(), "the stream begins above where the snapshot stands"


def test_the_end_after_a_day_was_announced_however_it_comes() -> None:
    session = Binance().session(Subscription())
    session.started(NOW)
    session.wake(NOW + 23 * 3600 * SECOND)
    early = session.closed(1006, "")
    assert isinstance(early, Disconnected)
    assert not early.announced
    session.wake(NOW + 24 * 3600 * SECOND - 10 * SECOND)
    for code, reason, told in (
        (1006, "", "closed with code 1006, as was announced"),
        (1008, "bye", "bye, as was announced"),
    ):
        error = session.closed(code, reason)
        assert isinstance(error, Disconnected)
        assert (error.reason, error.code, error.announced) == (told, code, True)


def test_too_many_requests_is_a_reason_to_wait() -> None:
    session = Binance().session(Subscription())
    error = session.closed(1008, "Too many requests")
    assert isinstance(error, Throttled)
    assert error.retry_after == 60.0
    slow = session.closed(1008, "Pong timeout")
    assert isinstance(slow, Disconnected)


@pytest.mark.parametrize(("status", "wait"), [(429, 60.0), (418, 120.0), (403, 300.0)])
def test_an_upgrade_that_comes_too_often_waits(status: int, wait: float) -> None:
    error = Binance().session(Subscription()).denied(status, "slow down")
    assert isinstance(error, Throttled)
    assert (error.reason, error.retry_after) == (f"HTTP {status} slow down", wait)


def test_an_upgrade_from_where_the_venue_may_not_serve_is_rejected() -> None:
    session = Binance().session(Subscription())
    assert isinstance(session.denied(451, "restricted location"), Rejected)
    assert isinstance(session.denied(502, ""), Disconnected)


# ------------------------------------------------------------------------------------------ classifying


@pytest.mark.parametrize("text", [*SPOT, *USDM, json.dumps(json.loads(TRADE))])
def test_data_is_told_from_the_rest(text: str) -> None:
    assert Binance().session(Subscription()).classify(text.encode()) is Traffic.DATA


@pytest.mark.parametrize("text", [*ANSWERS, "", "hello", '{"stream":"', json.dumps(json.loads(SHUTDOWN))])
def test_the_session_reads_the_rest(text: str) -> None:
    expected = Traffic.DATA if text == '{"stream":"' else Traffic.CONTROL  # which the decoder finds malformed
    assert Binance().session(Subscription()).classify(text.encode()) is expected


@pytest.mark.parametrize("text", ["", "hello", "7", '{"stream":5}', '{"result":7}', TRADE])
def test_the_session_lets_pass_what_it_cannot_read(text: str) -> None:
    venue = Venue(Subscription.of(trades="A"))
    venue.hear(venue.session.received(frame(text)))
    assert not venue.refused
    assert not venue.errors


# ------------------------------------------------------------------------------------------ snapshots


def subscribed(*symbols: str, market: MARKET = "spot", **options: Any) -> Venue:
    """A venue that serves these books."""
    venue = Venue(Subscription.of(books=symbols), market, **options)
    [take] = venue.said()
    venue.accept(take)
    return venue


def test_a_snapshot_is_asked_for_when_the_stream_is_acknowledged_and_not_before() -> None:
    venue = Venue(Subscription.of(books="BTCUSDT", trades="BTCUSDT"))
    [take] = venue.said()
    venue.wait(1)
    assert venue.fetches == []
    venue.accept(take)
    url = "https://api.binance.com/api/v3/depth?limit=1000&symbol=BTCUSDT"
    assert venue.fetches == [
        Fetch("depth BTCUSDT", url, weight=50, allowance=Rate(3000, 60.0)),
    ]


def test_or_when_its_first_difference_has_come() -> None:
    venue = Venue(Subscription.of(books=["A", "B"]))
    [take] = venue.said()
    venue.differ("A", 10, 12)
    assert venue.fetched() == ["depth A"]
    venue.differ("A", 13, 14)
    venue.accept(take)
    assert venue.fetched() == ["depth B"]


def test_only_the_first_difference_is_read_by_the_session() -> None:
    session = Binance().session(Subscription.of(books="ETHUSDT"))
    list(session.opened())
    assert session.classify(TRADE.encode()) is Traffic.DATA
    assert session.classify(DIFFERENCE.encode()) is Traffic.CONTROL
    list(session.received(frame(DIFFERENCE.replace('"U":', '"X":'))))
    assert session.classify(DIFFERENCE.encode()) is Traffic.CONTROL, "that one was malformed"
    list(session.received(frame(DIFFERENCE)))
    assert session.classify(DIFFERENCE.encode()) is Traffic.DATA


@pytest.mark.parametrize(
    ("market", "url"),
    [
        ("usdm", "https://fapi.binance.com/fapi/v1/depth?limit=100&symbol=%E5%B8%81USDT"),
        ("us", "https://api.binance.us/api/v3/depth?limit=100&symbol=%E5%B8%81USDT"),
    ],
)
def test_each_market_has_its_documents_elsewhere(market: MARKET, url: str) -> None:
    assert [each.url for each in subscribed("币USDT", market=market, levels=100).fetches] == [url]
    there = subscribed("A", market=market, rest_url="http://127.0.0.1:9/").fetches[0].url
    assert there.startswith("http://127.0.0.1:9/")
    assert "//" not in there[7:]


def test_a_snapshot_as_new_as_the_stream_is_enough() -> None:
    venue = subscribed("A")
    assert venue.fetched() == ["depth A"]
    venue.differ("A", 10, 12)
    venue.document("A", 9)
    venue.wait(100)
    assert venue.fetched() == []


@pytest.mark.parametrize("document_first", [True, False])
def test_a_snapshot_older_than_the_stream_is_taken_anew_after_a_wait_that_grows(document_first: bool) -> None:
    venue = subscribed("A")
    venue.fetched()
    if document_first:
        venue.document("A", 8)
        assert venue.fetched() == []
        venue.differ("A", 10, 12)
    else:
        venue.differ("A", 10, 12)
        venue.document("A", 8)
    for wait in (1, 2, 4, 8, 16, 32, 60, 60):
        venue.settle(wait - 0.05)
        assert venue.fetched() == []
        venue.settle(0.1)
        assert venue.fetched() == ["depth A"]
        venue.document("A", 8)
    venue.settle(61)
    venue.fetched()
    venue.document("A", 9)
    venue.settle(100)
    assert venue.fetched() == []


def test_on_usdm_the_snapshot_must_reach_the_difference_before_the_first() -> None:
    venue = subscribed("A", market="usdm")
    venue.fetched()
    venue.differ("A", 100, 120, before=50)
    venue.document("A", 49)
    venue.settle(1.5)
    assert venue.fetched() == ["depth A"]
    venue.document("A", 50)
    venue.settle(100)
    assert venue.fetched() == []


def test_a_listing_without_a_book_is_asked_about_again() -> None:
    venue = subscribed("A")
    venue.fetched()
    venue.document("A", -1)
    venue.settle(1.5)
    assert venue.fetched() == ["depth A"]


def test_a_resync_asks_once_for_a_fresh_snapshot_of_that_book() -> None:
    venue = subscribed("A", "B")
    assert venue.fetched() == ["depth A", "depth B"]
    venue.hear(venue.session.resync("A"))
    assert venue.fetched() == [], "one is under way"
    venue.document("A", 5)
    venue.document("B", 5)
    for _ in range(2):
        venue.hear(venue.session.resync("A"))
    venue.hear(venue.session.resync("NOBODYS"))
    assert venue.fetched() == ["depth A"]


def weights(venue: Venue, weight: int, seconds: float) -> list[tuple[int, int]]:
    """When what was asked for, each answered at once."""
    told = []
    end = venue.now + round(seconds * SECOND)
    while venue.now < end:
        for request in venue.said():
            venue.accept(request)
        for label in venue.fetched():
            told.append((venue.now, weight))
            venue.document(label.removeprefix("depth "), 5)
        venue.wait(0.1)
    return told


@pytest.mark.parametrize(
    ("market", "levels", "weight", "allowance"),
    [
        ("spot", 100, 5, 6000),
        ("spot", 500, 25, 6000),
        ("spot", 1000, 50, 6000),
        ("spot", 5000, 250, 6000),
        ("usdm", 1000, 20, 2400),
        ("us", 1000, 50, 1200),
        ("us", 5000, 250, 1200),
    ],
)
def test_the_snapshots_of_any_minute_weigh_less_than_the_venue_allows(
    market: MARKET, levels: int, weight: int, allowance: int
) -> None:
    venue = Venue(Subscription.of(books=[f"S{number:03}" for number in range(300)]), market, levels=levels)
    told = weights(venue, weight, 200)
    assert len(told) >= 8
    for start, _ in told:
        within = [each for stamp, each in told if start <= stamp <= start + 60 * SECOND]
        assert sum(within) < allowance
    if len(told) < 300:
        assert sum(each for _, each in told) > allowance, "and half of it is used"


def test_a_document_that_did_not_come_is_asked_for_again_after_a_wait_that_grows() -> None:
    venue = subscribed("A")
    venue.fetched()
    for wait in (1, 2, 4):
        venue.fail("A", Disconnected("HTTP 503"))
        venue.settle(wait - 0.05)
        assert venue.fetched() == []
        venue.settle(0.1)
        assert venue.fetched() == ["depth A"]
    venue.document("A", 5)
    venue.hear(venue.session.resync("A"))
    venue.fetched()
    venue.fail("A", Disconnected("HTTP 503"))
    venue.settle(1.1)
    assert venue.fetched() == ["depth A"], "what helped ends the row"


def test_a_document_that_cannot_be_read_is_asked_for_again() -> None:
    venue = subscribed("A")
    venue.fetched()
    venue.hear(venue.session.received(frame("depth A\noops")))
    venue.settle(1.1)
    assert venue.fetched() == ["depth A"]


@pytest.mark.parametrize(
    ("error", "wait"),
    [(Throttled("HTTP 429", retry_after=30), 30), (Rejected("HTTP 403", code=403), 300)],
)
def test_nothing_is_asked_for_while_the_venue_wants_us_to_wait(error: RtflowError, wait: int) -> None:
    venue = subscribed("A", "B")
    venue.fetched()
    venue.fail("A", error)
    venue.document("B", 5)
    venue.hear(venue.session.resync("B"))
    venue.settle(wait - 0.1)
    assert venue.fetched() == []
    venue.settle(5)
    assert sorted(venue.fetched()) == ["depth A", "depth B"]
    assert venue.refused == []


def test_a_book_that_the_venue_does_not_have_is_refused_and_let_go() -> None:
    venue = subscribed("NOPE", "A")
    venue.fetched()
    venue.fail("NOPE", Rejected("HTTP 400 Bad Request", code=400))
    assert venue.refused == [Refused((("books", "NOPE"),), "depth NOPE: HTTP 400 Bad Request")]
    said = venue.settle(5)
    assert said == [request("UNSUBSCRIBE", 2, "nope@depth@100ms"), request("LIST_SUBSCRIPTIONS", 3)]
    assert venue.fetched() == []


def test_a_book_is_let_go_when_its_snapshot_has_come() -> None:
    venue = subscribed("A")
    venue.fetched()
    venue.hear(venue.session.wanted(Subscription(), Subscription.of(books="A")))
    assert [each["method"] for each in venue.settle()] == ["LIST_SUBSCRIPTIONS"]
    venue.document("A", 5)
    assert [each["method"] for each in venue.settle()] == ["UNSUBSCRIBE", "LIST_SUBSCRIPTIONS"]
    venue.document("A", 6)
    venue.fail("A", Disconnected("late"))
    venue.fail("A", Rejected("late", code=400))
    venue.hear(venue.session.resync("A"))
    venue.wait(5)
    assert venue.fetched() == []
    assert venue.refused == []


def test_a_book_that_is_wanted_again_in_time_gets_its_snapshot_after_all() -> None:
    book = Subscription.of(books="A")
    venue = subscribed("A")
    venue.fetched()
    venue.fail("A", Disconnected("HTTP 503"))
    venue.hear(venue.session.wanted(Subscription(), book))
    venue.wait(1.5)  # the list is in flight, so nothing was unsubscribed, and nothing is asked for
    assert venue.fetched() == []
    venue.hear(venue.session.wanted(book, Subscription()))
    assert venue.fetched() == ["depth A"]


def test_a_book_that_is_taken_again_begins_again() -> None:
    book = Subscription.of(books="A")
    venue = subscribed("A")
    venue.differ("A", 10, 12)
    venue.fetched()
    venue.fail("A", Disconnected("HTTP 503"))
    venue.hear(venue.session.wanted(Subscription(), book))
    venue.settle(0.9)
    venue.hear(venue.session.wanted(book, Subscription()))
    venue.settle(0.5)
    assert venue.fetched() == ["depth A"]
    venue.differ("A", 20, 22)
    venue.document("A", 18)
    venue.settle(3)
    assert venue.fetched() == ["depth A"], "measured by its new stream"


def test_a_twins_url_wants_the_twins_snapshots_too() -> None:
    with pytest.raises(
        ValueError, match="a twin's snapshots are its own: say rest_url= beside url='ws://127"
    ):
        Binance(url="ws://127.0.0.1:1")
    assert Binance(url="wss://data-stream.binance.vision").request(Subscription.of(books="BTCUSDT")).url
