"""Coinbase: what the frames of its two feeds mean, and how a conversation with it goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Gap,
    Instrument,
    Malformed,
    OrderBookUpdate,
    Quote,
    Side,
    Status,
    Ticker,
    Trade,
)
from rtflow.operators._book_apply import book_apply
from rtflow.provider import (
    Answer,
    Decoder,
    Profile,
    Provider,
    Rate,
    Refused,
    Request,
    Session,
    Subscription,
    Traffic,
)
from rtflow.providers import coinbase
from rtflow.providers.coinbase import Coinbase, CoinbaseExchange
from rtflow.time import SECOND, parse
from tests.fuzz import broken, survives

NOW = 1_790_735_999_600_000_000

# ---- Advanced Trade, as recorded or, where it says so, as documented

L2_SNAPSHOT = (
    '{"channel":"l2_data","timestamp":"2026-08-26T12:13:45.818626985Z","sequence_num":0,"events":[{"type":'
    '"snapshot","product_id":"ATOM-USD","updates":[{"side":"bid","event_time":"2026-08-26T12:13:45.754166Z",'
    '"price_level":"1.5577","new_quantity":"92.81"},{"side":"bid","event_time":"2026-08-26T12:13:45.754166Z",'
    '"price_level":"1.5576","new_quantity":"160.49"},{"side":"offer","event_time":"2026-08-26T12:13:45.754166Z",'
    '"price_level":"1.5580","new_quantity":"290.47"}]}]}'
)
L2_UPDATE = (
    '{"channel":"l2_data","timestamp":"2026-09-30T02:39:59.566460558Z","sequence_num":248,"events":[{"type":'
    '"update","product_id":"ETH-USD","updates":[{"side":"bid","event_time":"2026-09-30T02:39:59.537106Z",'
    '"price_level":"2667.24","new_quantity":"0"},{"side":"bid","event_time":"2026-09-30T02:39:59.537106Z",'
    '"price_level":"2667.15","new_quantity":"2.246"},{"side":"offer","event_time":"2026-09-30T02:39:59.537106Z",'
    '"price_level":"2667.4","new_quantity":"0"},{"side":"offer","event_time":"2026-09-30T02:39:59.537106Z",'
    '"price_level":"2667.41","new_quantity":"3.23779864"}]}]}'
)
MARKET_TRADES = (
    '{"channel":"market_trades","timestamp":"2026-09-30T02:39:59.551901038Z","sequence_num":247,"events":['
    '{"type":"update","trades":[{"product_id":"ETH-USD","trade_id":"846155167","price":"2667.2",'
    '"size":"0.84275842","time":"2026-09-30T02:39:59.4104Z","side":"SELL"}]}]}'
)
TWO_TRADES = (
    '{"channel":"market_trades","timestamp":"2026-09-30T02:40:01.250000000Z","sequence_num":290,"events":['
    '{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"1100253501","price":"83290.12","size":"0.5",'
    '"time":"2026-09-30T02:40:01.1Z","side":"BUY"},{"product_id":"BTC-USD","trade_id":"1100253500",'
    '"price":"83290.5","size":"0.01","time":"2026-09-30T02:40:01.05Z","side":"BUY"}]}]}'
)
TICKER = (
    '{"channel":"ticker","timestamp":"2026-09-30T02:40:00.100000000Z","sequence_num":260,"events":[{"type":'
    '"update","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"83277.25","volume_24_h":"5123.11",'
    '"low_24_h":"82100.1","high_24_h":"84000","low_52_w":"40000","high_52_w":"110000",'
    '"price_percent_chg_24_h":"0.4","best_bid":"83277.25","best_bid_quantity":"0.00715626",'
    '"best_ask":"83277.26","best_ask_quantity":"0.12"}]}]}'
)
TICKER_BATCH = (
    '{"channel":"ticker_batch","client_id":"","timestamp":"2023-03-01T12:15:18.382173051Z","sequence_num":0,'
    '"events":[{"type":"snapshot","tickers":[{"type":"ticker","product_id":"DOGE-USD","price":"0.08212",'
    '"volume_24_h":"242556423.3","low_24_h":"0.07989","high_24_h":"0.08308","low_52_w":"0.04908",'
    '"high_52_w":"0.1801","price_percent_chg_24_h":"0.50177456859626"}]}]}'
)
CANDLES = (
    '{"channel":"candles","client_id":"","timestamp":"2026-04-07T14:30:05.000000Z","sequence_num":3,"events":['
    '{"type":"update","candles":[{"start":"1775521800","high":"68950.00","low":"68850.00","open":"68900.00",'
    '"close":"68920.50","volume":"42.15000000","product_id":"BTC-USD"}]}]}'
)
STATUS = (
    '{"channel":"status","client_id":"","timestamp":"2023-02-09T20:29:49.753424311Z","sequence_num":0,"events":['
    '{"type":"snapshot","products":[{"product_type":"SPOT","id":"BTC-USD","base_currency":"BTC",'
    '"quote_currency":"USD","base_increment":"0.00000001","quote_increment":"0.01","display_name":"BTC/USD",'
    '"status":"online","status_message":"","min_market_funds":"1"}]}]}'
)
HEARTBEATS = (
    '{"channel":"heartbeats","timestamp":"2026-09-07T23:37:22.675755362Z","sequence_num":3,"events":['
    '{"current_time":"2026-09-07 23:37:22.674409 +0000 UTC m=+139651.272674714","heartbeat_counter":139651}]}'
)
SUBSCRIPTIONS = (
    '{"channel":"subscriptions","timestamp":"2026-09-07T23:37:22.278739877Z","sequence_num":2,"events":['
    '{"subscriptions":{"heartbeats":["heartbeats"],"level2":["BTC-PERP-INTX","ETH-PERP-INTX"]}}]}'
)
ERROR = '{"type":"error","message":"authentication failure"}'
ADVANCED = [
    *(L2_SNAPSHOT, L2_UPDATE, MARKET_TRADES, TWO_TRADES, TICKER, TICKER_BATCH, CANDLES, STATUS),
    *(HEARTBEATS, SUBSCRIPTIONS, ERROR),
]

# ---- the Exchange

SNAPSHOT = (
    '{"type":"snapshot","product_id":"BTC-USD","asks":[["83420.21","0.08080000"],["83421.13","0.00114802"]],'
    '"bids":[["83420.20","0.07599840"],["83420.19","0.00003405"]],"time":"2026-09-30T02:03:12.999999Z"}'
)
OLD_SNAPSHOT = (
    '{"type":"snapshot","product_id":"BAND-GBP","asks":[["14.8024","12.77"]],"bids":[["14.7550","10.00"]]}'
)
TORN_SNAPSHOT = (  # what the venue once sent
    '{"type":"snapshot","product_id":"YFI-USD","asks":[["40584.89","0.039985"]],'
    '"bids":[["40533.24","0.020416"],["40531.19","0.-10000"]]}'
)
L2UPDATE = (
    '{"type":"l2update","product_id":"BTC-USD","changes":[["buy","83432.17","0.02151290"],'
    '["sell","83493.82","0.20548509"],["sell","83432.82","0.00000000"]],"time":"2026-09-30T02:03:22.757093Z"}'
)
ONE_CHANGE = (
    '{"type":"l2update","product_id":"SKL-BTC","changes":[["sell","0.00001306","660.5"]],'
    '"time":"2021-04-17T16:43:37.075687Z"}'
)
MATCH = (
    '{"type":"match","trade_id":1100243522,"maker_order_id":"fe46feac-51bf-4cb7-8b03-074ecbcde74b",'
    '"taker_order_id":"a2726f1c-99d4-4f1b-8643-57a987f804a9","side":"buy","size":"0.00000026",'
    '"price":"83432.17","product_id":"BTC-USD","sequence":136999334834,"time":"2026-09-30T02:03:22.743248Z"}'
)
LAST_MATCH = (
    '{"type":"last_match","trade_id":846151671,"maker_order_id":"abd8a89e-03f9-47a1-963e-0ce3a2c92819",'
    '"taker_order_id":"a54cd56a-05a4-4930-b371-d4763d250239","side":"sell","size":"0.00370659",'
    '"price":"2671.33","product_id":"ETH-USD","sequence":103492697192,"time":"2026-09-30T02:03:12.257184Z"}'
)
EXCHANGE_TICKER = (
    '{"type":"ticker","sequence":50978628538,"product_id":"BTC-USD","price":"17165.16","open_24h":"16437.94",'
    '"volume_24h":"42492.05081975","low_24h":"16423.37","high_24h":"17259.37","volume_30d":"1093827.95195495",'
    '"best_bid":"17165.15","best_bid_size":"0.61540890","best_ask":"17167.76","best_ask_size":"0.18528568",'
    '"side":"sell","time":"2022-12-01T00:00:00.122581Z","trade_id":463751434,"last_size":"0.05"}'
)
OLD_TICKER = (
    '{"type":"ticker","sequence":27883326,"product_id":"SKL-GBP","price":"0.5752","open_24h":"0.5102",'
    '"volume_24h":"3479861.10000000","low_24h":"0.5","high_24h":"0.588","volume_30d":"76123674.10000000",'
    '"best_bid":"0.5752","best_ask":"0.5771","side":"sell","time":"2021-04-17T16:43:29.571587Z",'
    '"trade_id":82007,"last_size":"1008.2"}'
)
HEARTBEAT = (
    '{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD",'
    '"time":"2014-11-07T08:19:28.464459Z"}'
)
EXCHANGE_STATUS = (
    '{"type":"status","products":[{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD",'
    '"base_increment":"0.00000001","quote_increment":"0.01","display_name":"BTC/USD","status":"online",'
    '"status_message":"","min_market_funds":"1","post_only":false,"limit_only":false,"cancel_only":false,'
    '"fx_stablecoin":false}],"currencies":[]}'
)
CHANNELS = (
    '{"type":"subscriptions","channels":[{"name":"level2_50","product_ids":["ETH-USD","BTC-USD"],'
    '"account_ids":null},{"name":"matches","product_ids":["BTC-USD","ETH-USD"],"account_ids":null},'
    '{"name":"heartbeat","product_ids":["BTC-USD","ETH-USD"],"account_ids":null}]}'
)
EXCHANGE_ERROR = '{"type":"error","message":"Failed to subscribe","reason":"level2 requires authentication"}'
EXCHANGE = [
    *(SNAPSHOT, OLD_SNAPSHOT, TORN_SNAPSHOT, L2UPDATE, ONE_CHANGE, MATCH, LAST_MATCH, EXCHANGE_TICKER),
    *(OLD_TICKER, HEARTBEAT, EXCHANGE_STATUS, CHANNELS, EXCHANGE_ERROR),
]


def frame(text: str | bytes, ts_recv: int = NOW, epoch: int = 1) -> Frame:
    return Frame(FrameKind.TEXT, text.encode() if isinstance(text, str) else text, ts_recv, epoch)


def numbered(*texts: str) -> list[str]:
    """The frames, counted from 0 as one connection's are."""
    counted = []
    for number, text in enumerate(texts):
        head, key, rest = text.partition('"sequence_num":')
        counted.append(head + key + str(number) + rest.lstrip("0123456789") if key else text)
    return counted


def advanced(*texts: str) -> list[Event]:
    decoder = Coinbase().decoder()
    return [event for text in numbered(*texts) for event in decoder.decode(frame(text))]


def exchange(*texts: str | bytes) -> list[Event]:
    decoder = CoinbaseExchange().decoder()
    return [event for text in texts for event in decoder.decode(frame(text))]


# ------------------------------------------------------------------------------------------ the providers


def test_they_are_providers_that_need_nothing_but_an_address() -> None:
    both: list[Provider] = [Coinbase(), CoinbaseExchange()]
    assert [each.name for each in both] == ["coinbase", "coinbase_exchange"]
    wanted = Subscription.of(trades="BTC-USD", instruments="*")
    assert [each.request(wanted) for each in both] == [
        Request("wss://advanced-trade-ws.coinbase.com", attempts=Rate(6, 1.0)),
        Request("wss://ws-feed.exchange.coinbase.com", attempts=Rate(6, 1.0)),
    ]
    assert Coinbase(url="ws://127.0.0.1:9/").request(Subscription()).url == "ws://127.0.0.1:9/"
    assert CoinbaseExchange(url="ws://127.0.0.1:9/").request(Subscription()).url == "ws://127.0.0.1:9/"


@pytest.mark.parametrize("provider", [Coinbase, CoinbaseExchange])
def test_what_a_provider_declares_is_what_it_takes(provider: type[Coinbase | CoinbaseExchange]) -> None:
    assert isinstance(provider.profile, Profile)
    assert provider.profile.kinds == tuple(provider.kinds)
    for kind in provider.kinds:
        provider().request(Subscription.of(**{kind: "*" if kind == "instruments" else "BTC-USD"}))


@pytest.mark.parametrize("provider", [Coinbase(), CoinbaseExchange()])
def test_what_the_venue_does_not_have_is_refused_before_we_connect(provider: Provider) -> None:
    with pytest.raises(Unsupported, match=f"{provider.name} has no 'lulds'"):
        provider.request(Subscription.of(lulds="BTC-USD"))
    with pytest.raises(Unsupported, match="ask for '\\*', not 'BTC-USD'"):
        provider.request(Subscription.of(instruments="BTC-USD"))
    with pytest.raises(Unsupported, match="coinbase_exchange has no 'bars'"):
        CoinbaseExchange().request(Subscription.of(bars="BTC-USD"))


def test_a_product_that_comes_under_another_name_is_refused_and_the_name_is_told() -> None:
    with pytest.raises(Unsupported, match="serves BTC-USDC as BTC-USD; ask for that"):
        Coinbase().request(Subscription.of(books="BTC-USDC"))
    for own in ("USDT-USDC", "EURC-USDC"):
        Coinbase().request(Subscription.of(books=own))
    CoinbaseExchange().request(Subscription.of(books="BTC-USDC"))


def test_a_provider_shows_no_secret() -> None:
    for provider in (Coinbase(jwt=lambda: "secret"), CoinbaseExchange(sign=lambda: {"key": "secret"})):
        assert "secret" not in repr(provider)
        assert provider.url in repr(provider)


# ---------------------------------------------------------------------------------- Advanced: books


def test_a_snapshot_is_the_whole_book_and_offers_are_asks() -> None:
    assert advanced(L2_SNAPSHOT) == [
        OrderBookUpdate(
            "ATOM-USD",
            ts_event=parse("2026-08-26T12:13:45.754166Z"),
            ts_recv=NOW,
            bids=((1.5577, 92.81), (1.5576, 160.49)),
            asks=((1.558, 290.47),),
            snapshot=True,
            venue="coinbase",
        )
    ]


def test_an_update_has_absolute_sizes_and_says_all_it_is() -> None:
    [text] = numbered(L2_UPDATE)
    assert list(Coinbase().decoder().decode(frame(text, epoch=3))) == [
        OrderBookUpdate(
            "ETH-USD",
            ts_event=parse("2026-09-30T02:39:59.537106Z"),
            ts_recv=NOW,
            bids=((2667.24, 0.0), (2667.15, 2.246)),
            asks=((2667.4, 0.0), (2667.41, 3.23779864)),
            epoch=3,
            venue="coinbase",
        )
    ]


@pytest.mark.parametrize("year", ["1970", "0001"])
def test_a_level_without_a_time_has_the_frames(year: str) -> None:
    [book] = advanced(
        L2_SNAPSHOT.replace('"event_time":"2026-08-26T12:13:45', f'"event_time":"{year}-01-01T00:00:00')
    )
    assert isinstance(book, OrderBookUpdate)
    assert book.ts_event == parse("2026-08-26T12:13:45.818626985Z")


def test_a_group_is_as_late_as_its_latest_level() -> None:
    late = L2_UPDATE.replace("59.537106Z", "59.6Z", 1)
    [book] = advanced(late)
    assert isinstance(book, OrderBookUpdate)
    assert book.ts_event == parse("2026-09-30T02:39:59.6Z")


def test_several_books_may_share_a_frame() -> None:
    whole = json.loads(L2_UPDATE)
    whole["events"].append(json.loads(L2_SNAPSHOT)["events"][0])
    assert [type(each) for each in advanced(json.dumps(whole, separators=(",", ":")))] == [
        OrderBookUpdate,
        OrderBookUpdate,
    ]


def spoilt(text: str, change: Callable[[Any], object]) -> str:
    """The frame with something of it changed."""
    whole = json.loads(text)
    change(whole)
    return json.dumps(whole, separators=(",", ":"))


BAD_LEVELS: list[dict[str, object]] = [
    {"new_quantity": "0.-10000"},
    {"new_quantity": "-1"},
    {"new_quantity": "NaN"},
    {"new_quantity": "Infinity"},
    {"new_quantity": None},
    {"price_level": "0"},
    {"price_level": ""},
    {"price_level": "1e999"},
    {"side": "ask"},
    {"event_time": "yesterday"},
    {"event_time": "2300-01-01T00:00:00Z"},
]


@pytest.mark.parametrize("bad", BAD_LEVELS)
def test_a_bad_level_of_a_snapshot_is_malformed_and_the_others_are_a_book(bad: dict[str, object]) -> None:
    text = spoilt(L2_SNAPSHOT, lambda whole: whole["events"][0]["updates"][1].update(bad))
    book, malformed = advanced(text)
    assert isinstance(book, OrderBookUpdate)
    assert (book.bids, book.asks) == (((1.5577, 92.81),), ((1.558, 290.47),))
    assert isinstance(malformed, Malformed)
    assert malformed.frame.payload == text.encode()


@pytest.mark.parametrize("bad", BAD_LEVELS)
def test_a_bad_level_of_an_update_makes_it_no_update_and_its_book_a_hole(bad: dict[str, object]) -> None:
    malformed, gap = advanced(spoilt(L2_UPDATE, lambda whole: whole["events"][0]["updates"][1].update(bad)))
    assert isinstance(malformed, Malformed)
    reason = "an update that cannot be read"
    assert gap == Gap(NOW, NOW, 1, NOW, reason, "coinbase", ("ETH-USD",))


# ---------------------------------------------------------------------------------- Advanced: trades


def test_the_side_of_a_trade_is_the_makers_and_leaves_as_the_takers() -> None:
    assert advanced(MARKET_TRADES) == [
        Trade(
            "ETH-USD",
            ts_event=parse("2026-09-30T02:39:59.4104Z"),
            ts_recv=NOW,
            price=2667.2,
            size=0.84275842,
            side=Side.BUY,
            id="846155167",
            venue="coinbase",
        )
    ]
    [sold] = advanced(MARKET_TRADES.replace("SELL", "BUY"))
    assert isinstance(sold, Trade)
    assert sold.side is Side.SELL


def test_trades_come_newest_first_and_leave_oldest_first() -> None:
    trades = advanced(TWO_TRADES)
    assert [each.id for each in trades if isinstance(each, Trade)] == ["1100253500", "1100253501"]


def test_trades_from_before_we_subscribed_are_history() -> None:
    assert advanced(TWO_TRADES.replace('"update"', '"snapshot"')) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"price": "-1"},
        {"price": "0"},
        {"size": "NaN"},
        {"side": "buy"},
        {"trade_id": "first"},
        {"trade_id": str(2**64)},
        {"time": "0001-01-01T00:00:00Z"},
        {"time": 5},
        {"product_id": 7},
    ],
)
@pytest.mark.parametrize("kind", ["snapshot", "update"])
def test_a_bad_trade_is_malformed_and_its_neighbours_are_intact(bad: dict[str, object], kind: str) -> None:
    def change(whole: Any) -> None:
        whole["events"][0]["type"] = kind
        whole["events"][0]["trades"][0].update(bad)

    *trades, malformed = advanced(spoilt(TWO_TRADES, change))
    assert [each.id for each in trades if isinstance(each, Trade)] == ["1100253500"] * (kind == "update")
    assert isinstance(malformed, Malformed)


# ---------------------------------------------------------------------------------- Advanced: the rest


def test_a_ticker_is_a_quote_stamped_by_its_frame() -> None:
    assert advanced(TICKER) == [
        Quote(
            "BTC-USD",
            parse("2026-09-30T02:40:00.1Z"),
            NOW,
            bid=83277.25,
            bid_size=0.00715626,
            ask=83277.26,
            ask_size=0.12,
            venue="coinbase",
        )
    ]


def test_a_side_without_a_quote_is_none_rather_than_zero() -> None:
    [zeros] = advanced(TICKER.replace('"best_bid":"83277.25"', '"best_bid":"0"'))
    [missing] = advanced(TICKER.replace('"best_ask":', '"some_ask":'))
    assert isinstance(zeros, Quote)
    assert isinstance(missing, Quote)
    assert (zeros.bid, zeros.bid_size, zeros.ask, zeros.ask_size) == (None, None, 83277.26, 0.12)
    assert (missing.bid, missing.bid_size, missing.ask, missing.ask_size) == (
        83277.25,
        0.00715626,
        None,
        None,
    )


def test_a_batched_ticker_is_the_last_day() -> None:
    assert advanced(TICKER_BATCH) == [
        Ticker(
            "DOGE-USD",
            parse("2023-03-01T12:15:18.382173051Z"),
            NOW,
            last=0.08212,
            high=0.08308,
            low=0.07989,
            volume=242556423.3,
            window="24h",
            venue="coinbase",
        )
    ]


def test_a_ticker_of_empty_texts_is_nothing() -> None:
    decoder = Coinbase().decoder()
    empty = spoilt(
        TICKER_BATCH,
        lambda whole: whole["events"][0]["tickers"].append(
            dict.fromkeys(whole["events"][0]["tickers"][0], "")
        ),
    )
    assert [type(each) for each in decoder.decode(frame(empty))] == [Ticker]
    assert decoder.skipped == 1


def candles(*rows: tuple[int, str], kind: str = "update", symbol: str = "BTC-USD") -> str:
    """A frame of bars: how many bars after the first, and the close."""
    return json.dumps(
        {
            "channel": "candles",
            "timestamp": "2026-04-07T14:30:05.000000Z",
            "sequence_num": 0,
            "events": [
                {
                    "type": kind,
                    "candles": [
                        {
                            "start": str(1775521800 + 300 * number),
                            "open": "2",
                            "high": "9",
                            "low": "1",
                            "close": close,
                            "volume": "4",
                            "product_id": symbol,
                        }
                        for number, close in rows
                    ],
                }
            ],
        },
        separators=(",", ":"),
    )


def told(events: Iterable[Event]) -> list[tuple[int, float, bool]]:
    """Number, close and finality of each bar."""
    bars = [event for event in events if isinstance(event, Bar)]
    return [((bar.start // SECOND - 1775521800) // 300, bar.close, bar.final) for bar in bars]


def test_a_candle_is_a_bar_of_five_minutes_still_forming() -> None:
    start = 1775521800 * SECOND
    assert advanced(CANDLES) == [
        Bar(
            "BTC-USD",
            start,
            start + 300 * SECOND,
            68900.0,
            68950.0,
            68850.0,
            68920.5,
            volume=42.15,
            count=0,
            value=68920.5 * 42.15,
            ts_recv=NOW,
            venue="coinbase",
            final=False,
            interval="5m",
        )
    ]


def test_a_bar_is_finished_when_a_later_one_begins() -> None:
    assert told(advanced(candles((0, "3")), candles((0, "4")), candles((2, "5")))) == [
        (0, 3.0, False),
        (0, 4.0, False),
        (0, 4.0, True),
        (2, 5.0, False),
    ]


def test_of_a_snapshot_only_the_last_bar_is_forming_whatever_the_order() -> None:
    first = candles((2, "5"), (0, "3"), (1, "4"), kind="snapshot")
    assert told(advanced(first)) == [(0, 3.0, True), (1, 4.0, True), (2, 5.0, False)]
    assert told(advanced(candles((1, "3")), first)) == [
        (1, 3.0, False),
        (0, 3.0, True),
        (1, 4.0, True),
        (2, 5.0, False),
    ]


def test_a_bar_of_the_past_is_final_and_leaves_the_forming_one_alone() -> None:
    assert told(advanced(candles((1, "3")), candles((0, "2")), candles((2, "5")))) == [
        (1, 3.0, False),
        (0, 2.0, True),
        (1, 3.0, True),
        (2, 5.0, False),
    ]


def test_one_products_bars_do_not_finish_anothers() -> None:
    assert told(advanced(candles((0, "3")), candles((1, "4"), symbol="ETH-USD"))) == [
        (0, 3.0, False),
        (1, 4.0, False),
    ]


def test_a_bar_that_no_stamp_can_end_is_malformed_and_leaves_no_trace() -> None:
    far = candles((0, "3"), (1, "4")).replace('"start":"1775522100"', f'"start":"{2**63 // SECOND}"')
    *bars, malformed = advanced(far)
    assert told(bars) == [(0, 3.0, False)]
    assert isinstance(malformed, Malformed)


INSTRUMENT = Instrument("BTC-USD", NOW, "online", 2, 8, 0.01, 1e-08, 1e-08, "BTC", "USD", "coinbase")


def test_a_product_is_an_instrument() -> None:
    assert advanced(STATUS) == [INSTRUMENT]
    assert advanced(STATUS.replace("online", "delisted")) == [
        msgspec.structs.replace(INSTRUMENT, status="delisted")
    ]
    [whole] = advanced(STATUS.replace('"0.00000001"', '"10"').replace('"0.01"', '"0.50"'))
    assert isinstance(whole, Instrument)
    assert (whole.size_increment, whole.size_precision) == (10.0, 0)
    assert (whole.price_increment, whole.price_precision) == (0.5, 1)


@pytest.mark.parametrize(
    "step", ['"1e-8"', '"-1"', '""', '"a.b"', '"٣"', '"0.1.2"', "5", '"' + "9" * 41 + '"']
)
def test_an_increment_that_is_none_is_malformed(step: str) -> None:
    [malformed] = advanced(STATUS.replace('"0.01"', step))
    assert isinstance(malformed, Malformed)


def test_a_heartbeat_says_that_the_line_lives_whichever_way_it_counts() -> None:
    beat = Status("heartbeat", NOW, venue="coinbase")
    assert advanced(HEARTBEATS) == [beat]
    assert advanced(HEARTBEATS.replace("139651}", '"3049"}')) == [beat]


def test_what_is_subscribed_now_is_said_as_what_has_changed() -> None:
    books = json.dumps({"level2": ["ETH-PERP-INTX"], "market_trades": ["BTC-USD"], "user": ["me"]})
    later = SUBSCRIPTIONS[: SUBSCRIPTIONS.index('{"heartbeats"')] + books + "}]}"
    assert advanced(SUBSCRIPTIONS, SUBSCRIPTIONS, later) == [
        Status("subscribed", NOW, "", "BTC-PERP-INTX", "books", venue="coinbase"),
        Status("subscribed", NOW, "", "ETH-PERP-INTX", "books", venue="coinbase"),
        Status("unsubscribed", NOW, "", "BTC-PERP-INTX", "books", venue="coinbase"),
        Status("subscribed", NOW, "", "BTC-USD", "trades", venue="coinbase"),
    ]


@pytest.mark.parametrize(
    ("text", "state", "said"),
    [
        (ERROR, "rejected", "authentication failure"),
        ('{"type":"error"}', "rejected", "no reason given"),
        (EXCHANGE_ERROR, "rejected", "Failed to subscribe: level2 requires authentication"),
        ('{"type":"error","message":"rate limit exceeded"}', "throttled", "rate limit exceeded"),
    ],
)
def test_an_error_is_a_status_and_takes_no_number(text: str, state: Any, said: str) -> None:
    decoder = Coinbase().decoder()
    assert list(decoder.decode(frame(text))) == [Status(state, NOW, said, venue="coinbase")]
    assert exchange(text) == [Status(state, NOW, said, venue="coinbase_exchange")]
    assert [type(each) for each in decoder.decode(frame(numbered(TICKER)[0]))] == [Quote]


# ---------------------------------------------------------------------------------- Advanced: sequence


def at(number: int, text: str = TICKER) -> str:
    return text.replace(f'"sequence_num":{json.loads(text)["sequence_num"]}', f'"sequence_num":{number}')


def test_a_hole_in_the_sequence_is_a_gap_of_everything_before_what_it_came_with() -> None:
    decoder = Coinbase().decoder()
    list(decoder.decode(frame(at(0), NOW + 1)))
    gap, quote = decoder.decode(frame(at(3), NOW + 5, epoch=2))
    assert gap == Gap(NOW + 1, NOW + 5, 2, NOW + 5, "sequence 3 came, not 1", "coinbase")
    assert isinstance(quote, Quote)
    assert [type(each) for each in decoder.decode(frame(at(4)))] == [Quote]


def test_a_connection_is_counted_from_0() -> None:
    gap, _ = Coinbase().decoder().decode(frame(at(7)))
    assert gap == Gap(NOW, NOW, 1, NOW, "sequence 7 came, not 0", "coinbase")


def test_a_frame_that_comes_late_or_twice_is_dropped_and_counted() -> None:
    decoder = Coinbase().decoder()
    for number in (0, 1, 3):
        list(decoder.decode(frame(at(number))))
    for text in (at(2), at(3), at(1, at(0, MARKET_TRADES)), '{"channel":"weather","sequence_num":2}'):
        assert list(decoder.decode(frame(text))) == []
    assert decoder.skipped == 4
    assert [type(each) for each in decoder.decode(frame(at(4)))] == [Quote]


def test_0_again_means_that_the_venue_counts_anew() -> None:
    decoder = Coinbase().decoder()
    for number in (0, 1):
        list(decoder.decode(frame(at(number))))
    assert [type(each) for each in decoder.decode(frame(at(0)))] == [Gap, Quote]
    assert [type(each) for each in decoder.decode(frame(at(1)))] == [Quote]


def test_what_nobody_knows_is_counted_as_skipped_and_in_the_sequence() -> None:
    decoder = Coinbase().decoder()
    for text in ('{"channel":"weather","sequence_num":0,"events":[1]}', "{}", '{"type":"dance"}'):
        assert list(decoder.decode(frame(text))) == []
    assert decoder.skipped == 3
    assert [type(each) for each in decoder.decode(frame(at(1)))] == [Quote]
    assert [type(each) for each in decoder.decode(frame('{"channel":"weather","sequence_num":3}'))] == [Gap]


def test_a_frame_that_cannot_be_read_is_missed_by_the_next() -> None:
    decoder = Coinbase().decoder()
    assert [type(each) for each in decoder.decode(frame(at(0)[:100]))] == [Malformed]
    assert [type(each) for each in decoder.decode(frame(at(1)))] == [Gap, Quote]


def test_a_frame_with_a_flaw_counts_as_come() -> None:
    decoder = Coinbase().decoder()
    assert [type(each) for each in decoder.decode(frame(at(0).replace("83277.26", "x")))] == [Malformed]
    assert [type(each) for each in decoder.decode(frame(at(1)))] == [Quote]


def test_a_hole_in_the_sequence_makes_every_book_of_the_connection_ask_for_a_snapshot() -> None:
    asked: list[str] = []
    books = book_apply(resync=asked.append).kernel()
    decoder = Coinbase().decoder()
    said = []
    for text in (at(0, L2_SNAPSHOT), at(2)):
        for event in decoder.decode(frame(text)):
            said += [state.status for state in books.push(event)]
    assert said == ["live", "syncing", "syncing"]
    assert asked == ["ATOM-USD"]


# ------------------------------------------------------------------------------------------ Exchange


def test_a_snapshot_of_the_exchange_is_the_whole_book() -> None:
    assert exchange(SNAPSHOT) == [
        OrderBookUpdate(
            "BTC-USD",
            ts_event=parse("2026-09-30T02:03:12.999999Z"),
            ts_recv=NOW,
            bids=((83420.2, 0.0759984), (83420.19, 0.00003405)),
            asks=((83420.21, 0.0808), (83421.13, 0.00114802)),
            snapshot=True,
            venue="coinbase_exchange",
        )
    ]


@pytest.mark.parametrize(
    ("text", "symbol", "bids", "asks", "time"),
    [
        (
            L2UPDATE,
            "BTC-USD",
            ((83432.17, 0.0215129),),
            ((83493.82, 0.20548509), (83432.82, 0.0)),
            "2026-09-30T02:03:22.757093Z",
        ),
        (ONE_CHANGE, "SKL-BTC", (), ((0.00001306, 660.5),), "2021-04-17T16:43:37.075687Z"),
        (
            ONE_CHANGE.replace("sell", "buy"),
            "SKL-BTC",
            ((0.00001306, 660.5),),
            (),
            "2021-04-17T16:43:37.075687Z",
        ),
    ],
)
def test_an_update_of_the_exchange_has_absolute_sizes(
    text: str, symbol: str, bids: Any, asks: Any, time: str
) -> None:
    assert exchange(text) == [
        OrderBookUpdate(symbol, parse(time), NOW, bids, asks, venue="coinbase_exchange")
    ]


def test_a_book_without_a_time_is_as_late_as_the_one_before_or_else_as_its_frame() -> None:
    nowhere = ONE_CHANGE.replace("2021-04-17T16:43:37.075687Z", "0001-01-01T00:00:00.000000Z")
    books = exchange(OLD_SNAPSHOT, nowhere, ONE_CHANGE, nowhere, OLD_SNAPSHOT)
    then = parse("2021-04-17T16:43:37.075687Z")
    assert [each.ts_event for each in books if isinstance(each, OrderBookUpdate)] == [
        NOW,
        NOW,
        then,
        then,
        then,
    ]


def test_a_size_the_venue_spelled_wrongly_is_malformed_and_the_other_levels_are_the_book() -> None:
    book, malformed = exchange(TORN_SNAPSHOT)
    assert isinstance(book, OrderBookUpdate)
    assert (book.bids, book.asks) == (((40533.24, 0.020416),), ((40584.89, 0.039985),))
    assert isinstance(malformed, Malformed)


def hole(symbol: str) -> Gap:
    reason = "a message of its book cannot be read"
    return Gap(NOW, NOW, 1, NOW, reason, "coinbase_exchange", (symbol,))


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        (L2UPDATE.replace("0.20548509", "0.-1"), "BTC-USD"),
        (L2UPDATE.replace("0.20548509", "-1"), "BTC-USD"),
        (L2UPDATE.replace('"buy"', '"bid"'), "BTC-USD"),
        (L2UPDATE.replace("2026-", "2266-"), "BTC-USD"),
        (L2UPDATE[:80], "BTC-USD"),
        (SNAPSHOT[:80], "BTC-USD"),
        (SNAPSHOT.replace("2026-", "2266-"), "BTC-USD"),
        (SNAPSHOT.replace('"asks"', '"offers"'), "BTC-USD"),
    ],
)
def test_a_message_of_a_book_that_cannot_be_read_is_a_hole_in_that_book(text: str, symbol: str) -> None:
    malformed, gap = exchange(text)
    assert isinstance(malformed, Malformed)
    assert gap == hole(symbol)


@pytest.mark.parametrize("text", [L2UPDATE, SNAPSHOT])
def test_a_book_of_nobody_is_malformed_and_that_is_all(text: str) -> None:
    [malformed] = exchange(text.replace('"BTC-USD"', '""'))
    assert isinstance(malformed, Malformed)


def test_the_side_of_a_match_is_the_makers_and_leaves_as_the_takers() -> None:
    assert exchange(MATCH) == [
        Trade(
            "BTC-USD",
            ts_event=parse("2026-09-30T02:03:22.743248Z"),
            ts_recv=NOW,
            price=83432.17,
            size=0.00000026,
            side=Side.SELL,
            id="1100243522",
            venue="coinbase_exchange",
        )
    ]
    [bought] = exchange(MATCH.replace('"buy"', '"sell"'))
    assert isinstance(bought, Trade)
    assert bought.side is Side.BUY


def test_the_last_match_before_we_subscribed_is_history() -> None:
    assert exchange(LAST_MATCH) == []


def match(trade: int, product: str = "BTC-USD") -> str:
    return MATCH.replace("1100243522", str(trade)).replace("BTC-USD", product)


def beat(trade: int, product: str = "BTC-USD") -> str:
    return HEARTBEAT.replace(":20,", f":{trade},").replace("BTC-USD", product)


def summary(events: Iterable[Event]) -> list[str]:
    """Trades by id, gaps by what they say."""
    return [
        event.id if isinstance(event, Trade) else event.reason
        for event in events
        if isinstance(event, Trade | Gap)
    ]


def test_a_trade_that_is_not_the_next_one_is_a_gap_of_its_product() -> None:
    decoder = CoinbaseExchange().decoder()
    list(decoder.decode(frame(match(5).replace('"match"', '"last_match"'), NOW + 1)))
    assert summary(decoder.decode(frame(match(6), NOW + 2))) == ["6"]
    assert summary(decoder.decode(frame(match(90, "ETH-USD"), NOW + 3))) == ["90"]
    gap, trade = decoder.decode(frame(match(9), NOW + 4))
    assert gap == Gap(NOW + 2, NOW + 4, 1, NOW + 4, "trade 9 came, not 7", "coinbase_exchange", ("BTC-USD",))
    assert isinstance(trade, Trade)
    assert summary(decoder.decode(frame(match(91, "ETH-USD")))) == ["91"]


def test_a_trade_that_came_before_is_dropped_and_counted() -> None:
    decoder = CoinbaseExchange().decoder()
    assert [summary(decoder.decode(frame(match(trade)))) for trade in (5, 6, 6, 5, 7)] == [
        ["5"],
        ["6"],
        [],
        [],
        ["7"],
    ]
    assert decoder.skipped == 2


def test_a_trade_that_two_heartbeats_have_named_and_that_never_came_is_a_gap() -> None:
    assert summary(exchange(CHANNELS, match(5), beat(5), beat(7), match(6), match(7), beat(7))) == [
        "5",
        "6",
        "7",
    ]
    decoder = CoinbaseExchange().decoder()
    said = [
        summary(decoder.decode(frame(text, NOW + number)))
        for number, text in enumerate([CHANNELS, match(5), beat(7), beat(8), beat(8), match(9)])
    ]
    assert said == [[], ["5"], [], ["trade 7 did not come"], ["trade 8 did not come"], ["9"]]


def test_a_heartbeat_names_no_trade_that_nobody_subscribed() -> None:
    assert summary(exchange(beat(7), beat(9), match(5), beat(9), beat(9))) == ["5"]
    nothing = '{"type":"subscriptions","channels":[]}'
    assert summary(exchange(CHANNELS, match(5), nothing, beat(9), beat(9), CHANNELS, match(12))) == [
        "5",
        "12",
    ]


def test_a_heartbeat_of_the_exchange_is_a_products() -> None:
    assert exchange(HEARTBEAT) == [Status("heartbeat", NOW, symbol="BTC-USD", venue="coinbase_exchange")]


BTC_QUOTE = Quote(
    "BTC-USD",
    parse("2022-12-01T00:00:00.122581Z"),
    NOW,
    bid=17165.15,
    bid_size=0.6154089,
    ask=17167.76,
    ask_size=0.18528568,
    venue="coinbase_exchange",
)
BTC_TICKER = Ticker(
    "BTC-USD",
    parse("2022-12-01T00:00:00.122581Z"),
    NOW,
    last=17165.16,
    last_size=0.05,
    open=16437.94,
    high=17259.37,
    low=16423.37,
    volume=42492.05081975,
    ts_trade=parse("2022-12-01T00:00:00.122581Z"),
    window="24h",
    venue="coinbase_exchange",
)


def channels(**listed: list[str]) -> str:
    return json.dumps(
        {
            "type": "subscriptions",
            "channels": [{"name": name, "product_ids": each} for name, each in listed.items()],
        }
    )


def test_a_ticker_of_the_exchange_is_a_quote_and_a_batched_one_a_ticker() -> None:
    assert exchange(EXCHANGE_TICKER) == [BTC_QUOTE]
    assert exchange(channels(ticker=["BTC-USD"], ticker_batch=["ETH-USD"]), EXCHANGE_TICKER)[-1:] == [
        BTC_QUOTE
    ]
    assert exchange(channels(ticker_batch=["BTC-USD"]), EXCHANGE_TICKER)[1:] == [BTC_TICKER]
    both = channels(ticker=["BTC-USD"], ticker_batch=["BTC-USD"])
    assert exchange(both, EXCHANGE_TICKER)[2:] == [BTC_QUOTE, BTC_TICKER]


def test_an_old_ticker_has_no_sizes_and_one_without_a_trade_no_time() -> None:
    [old] = exchange(OLD_TICKER)
    assert isinstance(old, Quote)
    assert (old.bid, old.bid_size, old.ask, old.ask_size) == (0.5752, None, 0.5771, None)
    bare = '{"type":"ticker","product_id":"A-B","price":"0","best_bid":"0","best_ask":"0"}'
    assert exchange(channels(ticker=["A-B"], ticker_batch=["A-B"]), bare)[2:] == [
        Quote("A-B", NOW, NOW, None, None, None, None, "coinbase_exchange"),
        Ticker("A-B", NOW, NOW, window="24h", venue="coinbase_exchange"),
    ]


def test_products_of_the_exchange_are_instruments_and_a_bad_one_is_malformed() -> None:
    instrument = msgspec.structs.replace(INSTRUMENT, venue="coinbase_exchange")
    assert exchange(EXCHANGE_STATUS) == [instrument]

    def change(whole: Any) -> None:
        [good] = whole["products"]
        whole["products"] = [good, good | {"quote_increment": "x"}, good]

    first, bad, second = exchange(spoilt(EXCHANGE_STATUS, change))
    assert [first, second] == [instrument, instrument]
    assert isinstance(bad, Malformed)


def test_the_batched_books_are_books_whatever_they_are_called() -> None:
    assert exchange(CHANNELS) == [
        Status("subscribed", NOW, "", product, kind, venue="coinbase_exchange")
        for kind, product in [
            ("books", "BTC-USD"),
            ("books", "ETH-USD"),
            ("trades", "BTC-USD"),
            ("trades", "ETH-USD"),
        ]
    ]
    for name in ("level2", "level2_batch", "level2_50"):
        assert [
            each.kind for each in exchange(channels(**{name: ["BTC-USD"]})) if isinstance(each, Status)
        ] == ["books"]
    [status] = exchange(channels(status=[], full=["BTC-USD"]))
    assert status == Status("subscribed", NOW, "", "*", "instruments", venue="coinbase_exchange")


def test_what_nobody_knows_of_the_exchange_is_passed_over_and_counted() -> None:
    decoder = CoinbaseExchange().decoder()
    for text in ('{"type":"received"}', "{}", '{"channel":"l2_data"}'):
        assert list(decoder.decode(frame(text))) == []
    assert decoder.skipped == 3


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "7",
        '{"channel":5}',
        '{"channel":"ticker"',
        '{"channel":"ticker"}',
        '{"channel":"ticker","sequence_num":0}',
        '{"channel":"ticker","sequence_num":-1,"timestamp":"","events":[]}',
        '{"channel":"ticker","sequence_num":0,"timestamp":"2026-09-30T02:39:59Z","events":{}}',
        '{"channel":"ticker","sequence_num":0,"timestamp":"2026-09-30T02:39:59Z","events":[5]}',
        '{"channel":"ticker","sequence_num":0,"timestamp":"2026-09-30T02:39:59Z","events":[{}]}',
        '{"channel":"ticker","sequence_num":0,"timestamp":"2026-09-30T02:39:59Z","events":[{"type":"x","tickers":[]}]}',
        '{"channel":"ticker","sequence_num":0,"timestamp":"","events":[]}',
        '{"channel":"subscriptions","sequence_num":0,"timestamp":"","events":[{"subscriptions":[]}]}',
        '{"channel":"heartbeats","sequence_num":0}',
        '{"channel":"ticker","sequence_num":0,"timestamp":"","events":[' + "[" * 100_000,
        '{"type":"error","message":5}',
        b'{"channel":"ticker","\xff":0}',
        b"\xff\xfe",
    ],
)
def test_a_broken_frame_of_advanced_trade_is_one_malformed(text: str | bytes) -> None:
    [malformed] = Coinbase().decoder().decode(frame(text))
    assert isinstance(malformed, Malformed)
    assert malformed.frame == frame(text)
    assert malformed.reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"type":5}',
        '{"type":"match"}',
        '{"type":"match","trade_id":1',
        MATCH.replace("83432.17", "0"),
        MATCH.replace('"buy"', '"BUY"'),
        MATCH.replace("2026-", "0001-"),
        MATCH.replace("1100243522", "-1"),
        MATCH.replace('"BTC-USD"', '""'),
        EXCHANGE_TICKER.replace("17165.15", "-1"),
        EXCHANGE_TICKER.replace("17167.76", "Infinity"),
        '{"type":"heartbeat"}',
        '{"type":"status","products":{}}',
        '{"type":"subscriptions"}',
        '{"type":"subscriptions","channels":[5]}',
        b'{"type":"match","product_id":"\xff"}',
    ],
)
def test_a_broken_frame_of_the_exchange_is_one_malformed(text: str | bytes) -> None:
    [malformed] = exchange(text)
    assert isinstance(malformed, Malformed)
    assert malformed.frame == frame(text)
    assert malformed.reason


def test_a_bad_trade_leaves_no_trace_in_what_is_followed() -> None:
    assert summary(exchange(match(5), match(9).replace("2026-", "0001-"), match(6))) == ["5", "6"]


def test_spaces_and_other_orders_of_keys_make_no_difference() -> None:
    for text in ADVANCED:
        whole = json.loads(*numbered(text))
        turned = json.dumps(dict(reversed(whole.items())), indent=1)
        assert list(Coinbase().decoder().decode(frame(turned))) == advanced(text)
        assert Coinbase().session(Subscription()).classify(turned.encode()) is traffic(Coinbase(), text)
    for text in EXCHANGE:
        if text == TORN_SNAPSHOT:
            continue  # its Malformed shows the frame
        turned = json.dumps(dict(reversed(json.loads(text).items())), indent=1)
        assert exchange(turned) == exchange(text)
        assert CoinbaseExchange().session(Subscription()).classify(turned.encode()) is traffic(
            CoinbaseExchange(), text
        )


CONVERSATIONS: list[tuple[Callable[[], Decoder], list[str]]] = [
    (
        Coinbase().decoder,
        [
            *numbered(candles((0, "3"), (1, "4")), SUBSCRIPTIONS, TICKER, candles((1, "5")), MARKET_TRADES),
            at(4),
            at(7),
            '{"channel":"weather","sequence_num":8}',
            at(9, candles((2, "5"))),
            at(10, SUBSCRIPTIONS.replace('"ETH-PERP-INTX"', '"ETH-USD"')),
        ],
    ),
    (
        CoinbaseExchange().decoder,
        [
            channels(matches=["BTC-USD"], ticker_batch=["BTC-USD"]),
            OLD_SNAPSHOT,
            match(5),
            beat(7),
            ONE_CHANGE,
            OLD_SNAPSHOT,
            EXCHANGE_TICKER,
            beat(7),
            match(5),
            match(9),
            CHANNELS,
        ],
    ),
]


@pytest.mark.parametrize("which", [0, 1])
def test_a_decoder_cut_anywhere_goes_on_as_if_it_had_not_been(which: int) -> None:
    fresh, texts = CONVERSATIONS[which]
    whole = fresh()
    expected = [list(whole.decode(frame(text))) for text in texts]
    for cut in range(len(texts) + 1):
        first, second = fresh(), fresh()
        got = [list(first.decode(frame(text))) for text in texts[:cut]]
        second.restore(msgspec.json.decode(msgspec.json.encode(first.state())))
        got += [list(second.decode(frame(text))) for text in texts[cut:]]
        assert got == expected
        assert second.state() == whole.state()
        assert second.skipped == whole.skipped > 0


FUZZED = Subscription.of(books="BTC-USD", trades="BTC-USD")


@settings(max_examples=600)
@given(
    broken([text.encode() for text in (*numbered(*ADVANCED[:1]), *map(at, [0] * 9, ADVANCED[1:-1]), ERROR)])
)
def test_advanced_trade_survives_whatever_comes(payload: bytes) -> None:
    survives(Coinbase(), FUZZED, payload)


@settings(max_examples=600)
@given(broken([text.encode() for text in EXCHANGE]))
def test_the_exchange_survives_whatever_comes(payload: bytes) -> None:
    survives(CoinbaseExchange(), FUZZED, payload)


@settings(max_examples=400)
@given(
    st.sampled_from(["price_level", "new_quantity"]),
    st.integers(0, 3),
    st.text(max_size=6)
    | st.floats().map(str)
    | st.none()
    | st.booleans()
    | st.floats(max_value=-1e-9, allow_infinity=False),
)
def test_an_update_is_whole_or_it_is_none(key: str, row: int, value: object) -> None:
    """Whatever stands for a number: all four levels come, or a Malformed and a Gap and nothing else."""
    text = spoilt(L2_UPDATE, lambda whole: whole["events"][0]["updates"][row].update({key: value}))
    events = advanced(text)
    if isinstance(events[0], OrderBookUpdate):
        assert isinstance(value, str | float)
        assert float(value) >= 0
        assert len(events[0].bids) + len(events[0].asks) == 4
    else:
        assert [type(each) for each in events] == [Malformed, Gap]


# ------------------------------------------------------------------------------------------ talking


def traffic(provider: Provider, text: str) -> Traffic:
    return provider.session(Subscription()).classify(text.encode())


def test_data_control_and_heartbeats_are_told_apart_by_their_first_bytes() -> None:
    for text in ADVANCED:
        name = json.loads(text).get("channel")
        expected = {"heartbeats": Traffic.HEARTBEAT, "subscriptions": Traffic.CONTROL, None: Traffic.CONTROL}
        assert traffic(Coinbase(), text) is expected.get(name, Traffic.DATA), name
    for text in EXCHANGE:
        name = json.loads(text)["type"]
        expected = {
            "heartbeat": Traffic.HEARTBEAT,
            "subscriptions": Traffic.CONTROL,
            "error": Traffic.CONTROL,
        }
        assert traffic(CoinbaseExchange(), text) is expected.get(name, Traffic.DATA), name
    for text in ("", "{}", "[", '{"type":"dance"}', '{"channel":"weather"}'):
        assert traffic(Coinbase(), text) is Traffic.CONTROL


class Talk:
    """A conversation in virtual time, one side of which is written by the test."""

    def __init__(self, provider: Provider, **wanted: str | list[str]) -> None:
        self.session: Session = provider.session(Subscription.of(**wanted))
        self.advanced = provider.name == "coinbase"
        self.now = NOW
        self.session.started(NOW)
        self.sent: list[dict[str, Any]] = []
        self.refused: list[Refused] = []
        self.errors: list[RtflowError] = []
        self.listed: dict[str, set[str]] = {}
        self.counted = 0
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

    def said(self) -> list[dict[str, Any]]:
        """What the session has sent since we last asked."""
        sent, self.sent = self.sent, []
        return sent

    def one(self) -> dict[str, Any]:
        """The one request that the session has sent."""
        [request] = self.said()
        return request

    def say(self, message: dict[str, Any]) -> None:
        if "channel" in message:
            message = (
                {"channel": message["channel"], "timestamp": "2026-09-30T02:40:00Z"}
                | {"sequence_num": self.counted}
                | message
            )
            self.counted = message["sequence_num"] + 1
        payload = json.dumps(message, separators=(",", ":")).encode()
        if self.session.classify(payload) is Traffic.CONTROL:
            self.hear(self.session.received(frame(payload, self.now)))

    def refuse(self, message: str, **more: str) -> None:
        self.say({"type": "error", "message": message, **more})

    def change(self, request: dict[str, Any], without: Iterable[str] = ()) -> None:
        """What the venue does about a request."""
        for channel in [request["channel"]] if self.advanced else request["channels"]:
            products = set(request.get("product_ids", ["*"])) - set(without)
            here = self.listed.setdefault(channel, set())
            here.symmetric_difference_update(
                products - here if request["type"] == "subscribe" else products & here
            )

    def accept(self, *requests: dict[str, Any], without: Iterable[str] = ()) -> None:
        """Do what is asked, and list all that is subscribed."""
        for request in requests:
            self.change(request, without)
            self.list_all()

    def list_all(self) -> None:
        if self.advanced:
            listed = {name: sorted(each) for name, each in self.listed.items() if each}
            self.say({"channel": "subscriptions", "events": [{"subscriptions": listed}]})
        else:
            channels = [
                {"name": name, "product_ids": sorted(each - {"*"})}
                for name, each in self.listed.items()
                if each
            ]
            self.say({"type": "subscriptions", "channels": channels})

    def settle(self) -> list[dict[str, Any]]:
        """Accept until there is nothing left to ask; what was asked."""
        asked = []
        while True:
            for request in self.said():
                asked.append(request)
                self.accept(request)
            if not self.sent:
                self.wait(0.25)
                if not self.sent:
                    return asked

    def beat(self) -> None:
        self.say({"channel": "heartbeats"} if self.advanced else {"type": "heartbeat", "product_id": "A-USD"})

    def wait(self, seconds: float, beating: bool = True) -> None:
        """Time passes, with a heartbeat every second if the venue lives."""
        end = self.now + round(seconds * SECOND)
        heart = self.now + SECOND
        while True:
            due = self.session.due()
            assert due is not None
            following = min(due, heart) if beating else due
            if following > end:
                self.now = end
                return
            self.now = max(self.now, following)
            if beating and self.now == heart:
                self.beat()
                heart += SECOND
            if due <= self.now:
                self.hear(self.session.wake(self.now))
                moved = self.session.due()
                assert moved is not None
                assert moved > self.now


def ask(action: str, channel: str, *products: str, **more: str) -> dict[str, Any]:
    """A request of Advanced Trade."""
    listed: dict[str, Any] = {"product_ids": list(products)} if products else {}
    return {"type": action, **listed, "channel": channel, **more}


def order(action: str, channel: str, *products: str, **more: str) -> dict[str, Any]:
    """A request of the Exchange."""
    listed: dict[str, Any] = {"product_ids": list(products)} if products else {}
    return {"type": action, **listed, "channels": [channel], **more}


EVERYTHING: dict[str, str | list[str]] = {
    "trades": ["ETH-USD", "BTC-USD"],
    "quotes": "BTC-USD",
    "tickers": "BTC-USD",
    "books": "BTC-USD",
    "instruments": "*",
}


def test_it_asks_for_heartbeats_first_and_then_one_channel_at_a_time() -> None:
    talk = Talk(Coinbase(), bars="BTC-USD", **EVERYTHING)
    assert talk.sent == [ask("subscribe", "heartbeats")]
    assert talk.settle() == [
        ask("subscribe", "heartbeats"),
        ask("subscribe", "market_trades", "BTC-USD", "ETH-USD"),
        ask("subscribe", "ticker", "BTC-USD"),
        ask("subscribe", "ticker_batch", "BTC-USD"),
        ask("subscribe", "candles", "BTC-USD"),
        ask("subscribe", "status"),
        ask("subscribe", "level2", "BTC-USD"),
    ]
    assert (talk.refused, talk.errors) == ([], [])


def test_it_asks_the_exchange_for_a_heartbeat_of_each_product() -> None:
    assert Talk(CoinbaseExchange(), **EVERYTHING).settle() == [
        order("subscribe", "heartbeat", "BTC-USD", "ETH-USD"),
        order("subscribe", "matches", "BTC-USD", "ETH-USD"),
        order("subscribe", "ticker", "BTC-USD"),
        order("subscribe", "ticker_batch", "BTC-USD"),
        order("subscribe", "status"),
        order("subscribe", "level2_batch", "BTC-USD"),
    ]


def test_it_asks_for_something_within_five_seconds_even_if_nothing_is_wanted() -> None:
    assert Talk(Coinbase()).said() == [ask("subscribe", "heartbeats")]
    talk = Talk(CoinbaseExchange())
    assert talk.settle() == [order("subscribe", "heartbeat", "BTC-USD")]
    talk.hear(talk.session.wanted(Subscription.of(trades="ETH-USD"), Subscription()))
    assert talk.settle() == [
        order("unsubscribe", "heartbeat", "BTC-USD"),
        order("subscribe", "heartbeat", "ETH-USD"),
        order("subscribe", "matches", "ETH-USD"),
    ]


def test_each_request_is_signed_anew() -> None:
    tokens = iter("abc")
    talk = Talk(Coinbase(jwt=lambda: next(tokens)), trades="BTC-USD")
    assert talk.settle() == [
        ask("subscribe", "heartbeats", jwt="a"),
        ask("subscribe", "market_trades", "BTC-USD", jwt="b"),
    ]
    stamps = iter("12")
    signed = Talk(CoinbaseExchange(sign=lambda: {"key": "k", "timestamp": next(stamps)}), books="BTC-USD")
    assert signed.settle() == [
        order("subscribe", "heartbeat", "BTC-USD", key="k", timestamp="1"),
        order("subscribe", "level2", "BTC-USD", key="k", timestamp="2"),
    ]


def test_many_products_leave_in_chunks_one_in_flight_and_at_a_pace() -> None:
    names = [f"S{number:03}-USD" for number in range(320)]
    talk = Talk(Coinbase(), trades=names)
    times = []
    chunks = []
    began = talk.now
    while talk.sent:
        request = talk.one()
        times.append(talk.now - began)
        chunks.append(request.get("product_ids", []))
        talk.accept(request)
        if not talk.sent:
            talk.wait(0.25)
    assert [name for chunk in chunks for name in chunk] == names
    assert [len(chunk) for chunk in chunks] == [0, 50, 50, 50, 50, 50, 50, 20]
    assert times == [0, 0, 0, 0, SECOND // 4, SECOND // 2, SECOND * 3 // 4, SECOND]


def test_what_is_wanted_may_change_while_we_talk() -> None:
    talk = Talk(Coinbase(), trades=["A-USD", "B-USD"])
    talk.settle()
    talk.hear(talk.session.wanted(Subscription.of(trades="C-USD"), Subscription.of(trades="A-USD")))
    assert talk.settle() == [
        ask("unsubscribe", "market_trades", "A-USD"),
        ask("subscribe", "market_trades", "C-USD"),
    ]


def test_a_change_of_mind_waits_for_the_answer_under_way() -> None:
    one = Subscription.of(books="A-USD")
    talk = Talk(Coinbase(), books="A-USD")
    talk.accept(talk.one())
    take = talk.one()
    for _ in range(2):
        talk.hear(talk.session.wanted(Subscription(), one))
        talk.hear(talk.session.wanted(one, Subscription()))
    talk.hear(talk.session.wanted(Subscription(), one))
    assert talk.said() == []
    talk.accept(take)
    leave = talk.one()
    assert leave == ask("unsubscribe", "level2", "A-USD")
    talk.hear(talk.session.wanted(one, Subscription()))
    talk.accept(leave)
    assert talk.one() == ask("subscribe", "level2", "A-USD")


def test_a_resync_lets_go_of_the_book_and_takes_it_again_after_the_answer() -> None:
    talk = Talk(CoinbaseExchange(), books=["A-USD", "B-USD"], trades="A-USD")
    talk.settle()
    talk.wait(5)
    talk.hear(talk.session.resync("A-USD"))
    leave = talk.one()
    assert leave == order("unsubscribe", "level2_batch", "A-USD")
    talk.hear(talk.session.resync("A-USD"))  # said twice, done once
    assert talk.said() == []
    talk.accept(leave)
    take = talk.one()
    assert take == order("subscribe", "level2_batch", "A-USD")
    talk.hear(talk.session.resync("A-USD"))  # a snapshot is on its way
    talk.accept(take)
    assert talk.said() == []
    talk.hear(talk.session.resync("C-USD"))  # nobody wants it
    assert talk.said() == []


def test_a_resync_of_a_book_that_is_no_longer_wanted_ends_with_letting_go() -> None:
    talk = Talk(Coinbase(), books=["A-USD", "B-USD"])
    talk.settle()
    talk.hear(talk.session.resync("A-USD"))
    leave = talk.one()
    talk.hear(talk.session.wanted(Subscription(), Subscription.of(books="A-USD")))
    talk.accept(leave)
    assert talk.settle() == []


def test_a_hole_in_the_sequence_takes_every_book_again_and_nothing_else() -> None:
    talk = Talk(Coinbase(), books=["A-USD", "B-USD"], trades="A-USD")
    talk.settle()
    talk.wait(5)
    talk.counted += 2
    talk.beat()
    assert talk.said() == []
    talk.wait(0)
    assert talk.settle() == [
        ask("unsubscribe", "level2", "A-USD", "B-USD"),
        ask("subscribe", "level2", "A-USD", "B-USD"),
    ]
    talk.say({"channel": "heartbeats", "sequence_num": talk.counted - 3})  # late, or twice
    talk.counted += 2
    talk.beat()
    talk.wait(0)
    assert talk.settle() == []
    talk.counted = 0
    talk.beat()
    assert len(talk.settle()) == 2


def test_a_hole_while_a_snapshot_is_on_its_way_takes_that_book_again_too() -> None:
    talk = Talk(Coinbase(), books="A-USD")
    talk.accept(talk.one())
    take = talk.one()
    assert take["channel"] == "level2"
    talk.counted += 1
    talk.beat()
    talk.wait(0)
    talk.accept(take)
    assert talk.settle() == [ask("unsubscribe", "level2", "A-USD"), ask("subscribe", "level2", "A-USD")]


def test_a_frame_whose_number_nobody_can_read_is_no_hole() -> None:
    talk = Talk(Coinbase(), books="A-USD")
    talk.settle()
    for text in ('{"channel":"heartbeats","sequence_num":"x","a":1}', '{"channel":"heartbeats"}'):
        talk.session.classify(text.encode())
    talk.beat()
    assert talk.settle() == []


def test_a_product_that_is_left_out_twice_is_refused() -> None:
    talk = Talk(Coinbase(), trades=["A-USD", "NOPE-USD"])
    talk.accept(talk.one())
    talk.accept(talk.one(), without=["NOPE-USD"])
    assert talk.refused == []
    again = talk.one()
    assert again == ask("subscribe", "market_trades", "NOPE-USD")
    talk.accept(again, without=["NOPE-USD"])
    assert talk.refused == [Refused((("trades", "NOPE-USD"),), "left out of the answer")]
    assert talk.settle() == []
    talk.hear(talk.session.wanted(Subscription.of(trades="NOPE-USD"), Subscription()))
    assert talk.settle() == [ask("subscribe", "market_trades", "NOPE-USD")]


def test_an_answer_too_many_costs_a_question_and_refuses_nobody() -> None:
    talk = Talk(Coinbase(), trades="A-USD", quotes="A-USD")
    talk.accept(talk.one())
    trades = talk.one()
    talk.list_all()  # an answer that nobody asked for, before the right one
    talk.accept(trades)
    talk.settle()
    assert talk.listed["market_trades"] == talk.listed["ticker"] == {"A-USD"}
    assert (talk.refused, talk.errors) == ([], [])


def test_an_error_that_names_a_product_refuses_that_one_alone() -> None:
    talk = Talk(Coinbase(), trades=["A-USD", "A-USDT", "B-USD"])
    talk.accept(talk.one())
    talk.one()
    talk.refuse("Failed to subscribe", reason="A-USDT is not a valid product")
    text = "Failed to subscribe: A-USDT is not a valid product"
    assert talk.refused == [Refused((("trades", "A-USDT"),), text)]
    assert talk.settle() == [ask("subscribe", "market_trades", "A-USD", "B-USD")]


def test_an_error_that_names_nobody_is_narrowed_down_by_halves() -> None:
    talk = Talk(Coinbase(), trades=["A-USD", "B-USD", "C-USD", "NOPE-USD", "X-USD"])
    talk.accept(talk.one())
    asked = 0
    while talk.sent:
        request = talk.one()
        asked += 1
        if "NOPE-USD" in request["product_ids"]:
            talk.refuse("failure to subscribe")
        else:
            talk.accept(request)
        talk.wait(0.5)
    assert talk.refused == [Refused((("trades", "NOPE-USD"),), "failure to subscribe")]
    assert talk.listed["market_trades"] == {"A-USD", "B-USD", "C-USD", "X-USD"}
    assert asked == 7
    assert talk.errors == []


def test_what_is_no_longer_wanted_is_no_longer_suspected() -> None:
    talk = Talk(Coinbase(), trades=["A-USD", "B-USD"])
    talk.accept(talk.one())
    talk.refuse("failure to subscribe")
    assert talk.said()[-1] == ask("subscribe", "market_trades", "A-USD")
    talk.hear(
        talk.session.wanted(Subscription.of(quotes="A-USD"), Subscription.of(trades=["A-USD", "B-USD"]))
    )
    talk.accept(ask("subscribe", "market_trades", "A-USD"))
    assert talk.settle() == [
        ask("unsubscribe", "market_trades", "A-USD"),
        ask("subscribe", "ticker", "A-USD"),
    ]


def test_without_a_key_a_kind_that_needs_one_is_refused_and_with_one_the_key_is() -> None:
    talk = Talk(Coinbase(), trades=["A-USD", "B-USD"])
    talk.accept(talk.one())
    talk.one()
    talk.refuse("authentication failure")
    assert talk.refused == [Refused((("trades", "A-USD"), ("trades", "B-USD")), "authentication failure")]
    assert talk.errors == []
    signed = Talk(Coinbase(jwt=lambda: "x"), trades="A-USD")
    signed.refuse("authentication failure")
    [error] = signed.errors
    assert type(error) is Rejected
    other = Talk(CoinbaseExchange(sign=lambda: {"key": "x"}), trades="A-USD")
    other.refuse("Authentication Failed", reason='{"message":"Invalid API Key"}')
    assert [type(each) for each in other.errors] == [Rejected]


def test_heartbeats_that_are_refused_are_done_without() -> None:
    talk = Talk(Coinbase(), trades="A-USD")
    talk.one()
    talk.refuse("failure to subscribe")
    assert talk.settle() == [ask("subscribe", "market_trades", "A-USD")]
    assert talk.refused == []
    talk.wait(60, beating=False)
    assert talk.errors == []
    exchange = Talk(CoinbaseExchange(), trades=["A-USD", "NOPE-USD"])
    exchange.one()
    exchange.refuse("Failed to subscribe", reason="NOPE-USD is not a valid product")
    assert exchange.one() == order("subscribe", "heartbeat", "A-USD")


def test_a_refusal_to_let_go_is_the_end_of_asking() -> None:
    talk = Talk(Coinbase(), trades="A-USD")
    talk.settle()
    talk.hear(talk.session.wanted(Subscription(), Subscription.of(trades="A-USD")))
    talk.one()
    talk.refuse("failure to unsubscribe")
    assert (talk.said(), talk.refused, talk.errors) == ([], [], [])


def test_a_venue_that_does_not_let_go_is_not_asked_again() -> None:
    talk = Talk(Coinbase(), trades="A-USD")
    talk.settle()
    talk.hear(talk.session.wanted(Subscription(), Subscription.of(trades="A-USD")))
    talk.one()
    talk.list_all()  # as if nothing had been asked
    assert talk.settle() == []


def test_an_error_to_nobody_changes_nothing() -> None:
    talk = Talk(Coinbase(), trades="A-USD")
    talk.settle()
    talk.refuse("failure to subscribe")
    assert (talk.settle(), talk.refused, talk.errors) == ([], [], [])


def test_too_many_requests_make_a_pause_that_doubles_until_there_is_an_answer() -> None:
    talk = Talk(Coinbase(), trades="A-USD")
    talk.accept(talk.one())
    for pause in (1, 2, 4, 8, 16, 32, 32):
        request = talk.one()
        talk.refuse("rate limit exceeded")
        talk.wait(pause - 0.001)
        assert talk.said() == []
        talk.wait(0.001)
    talk.accept(request)
    talk.said()
    talk.refuse("rate limit exceeded")
    talk.hear(talk.session.wanted(Subscription.of(quotes="A-USD"), Subscription()))
    talk.wait(1)
    assert talk.sent[-1] == ask("subscribe", "ticker", "A-USD")
    assert talk.errors == []


def test_a_request_without_an_answer_ends_the_connection() -> None:
    talk = Talk(Coinbase(), trades="A-USD")
    talk.accept(talk.one())
    talk.wait(29.9)
    assert talk.errors == []
    talk.wait(0.2)
    [error] = talk.errors
    assert type(error) is Disconnected
    assert str(error) == "no answer to subscribe market_trades within 30 s"


@pytest.mark.parametrize("provider", [Coinbase(), CoinbaseExchange()])
def test_five_seconds_without_a_frame_mean_that_the_line_is_dead(provider: Provider) -> None:
    talk = Talk(provider, trades="A-USD")
    talk.settle()
    talk.wait(120)
    assert talk.errors == []
    talk.wait(4, beating=False)
    assert talk.errors == []
    talk.wait(3, beating=False)
    error = talk.errors[0]
    assert type(error) is Disconnected
    assert "although it sends heartbeats" in str(error)


def test_answers_that_cannot_be_read_change_nothing() -> None:
    talk = Talk(Coinbase(), trades="A-USD")
    for text in (
        "{",
        '{"channel":"subscriptions","events":5}',
        '{"type":"subscriptions","channels":5}',
        '{"type":"error","message":[]}',
        '{"channel":"weather"}',
    ):
        talk.hear(talk.session.received(frame(text)))
    assert (len(talk.said()), talk.refused, talk.errors) == (1, [], [])


def test_how_a_close_is_understood() -> None:
    session = Coinbase().session(Subscription())
    for code, reason in (
        (1008, "ErrSlowConsume"),
        (1008, "ErrSlowRead"),
        (1009, "Message too big"),
        (1009, ""),
    ):
        error = session.closed(code, reason)
        assert type(error) is Disconnected
        assert "we read slower than it sends" in str(error)
        assert error.code == code
    throttled = session.closed(1008, "Too many messages")
    assert type(throttled) is Throttled
    assert throttled.retry_after == 1.0
    announced = session.closed(1001, "going away")
    assert type(announced) is Disconnected
    assert announced.announced


def test_how_a_refused_upgrade_is_understood() -> None:
    session = CoinbaseExchange().session(Subscription())
    assert type(session.denied(429, "Too Many Requests")) is Throttled
    assert type(session.denied(403, "Forbidden")) is Rejected
    assert type(session.denied(503, "Unavailable")) is Disconnected


# -- flaws in odd places


def test_a_row_without_a_time_is_malformed_wherever_it_stands() -> None:
    def row(time: str, price: str) -> dict[str, str]:
        return {"side": "bid", "event_time": time, "price_level": price, "new_quantity": "1"}

    good = row("2026-09-30T02:39:59.5Z", "10")
    for rows in ([good, row("", "11")], [row("", "11"), good], [row("", "11")]):
        said = {
            "channel": "l2_data",
            "timestamp": "2026-09-30T02:39:59.5Z",
            "sequence_num": 0,
            "events": [{"type": "update", "product_id": "ETH-USD", "updates": rows}],
        }
        kinds = [type(each) for each in Coinbase().decoder().decode(frame(json.dumps(said)))]
        assert kinds == [Malformed, Gap], "half an update is none"


def test_taking_a_book_anew_forgets_no_trade() -> None:
    decoder = CoinbaseExchange().decoder()

    def match(number: int, kind: str = "match") -> str:
        said = {"type": kind, "trade_id": number, "side": "buy", "size": "1", "price": "10"}
        return json.dumps(said | {"product_id": "BTC-USD", "time": "2026-09-30T02:03:22.743248Z"})

    def listed(*channels: str) -> str:
        names = [{"name": name, "product_ids": ["BTC-USD"]} for name in channels]
        return json.dumps({"type": "subscriptions", "channels": names})

    words = (
        listed("matches", "level2_50"),
        match(99, "last_match"),
        match(100),
        listed("matches"),
        match(105),
    )
    *_, last = [list(decoder.decode(frame(each))) for each in words]
    assert [type(each) for each in last] == [Gap, Trade]


def test_one_flaw_among_ten_thousand_levels_is_found_by_halves(mocker: MockerFixture) -> None:
    rows = [
        {"side": "bid", "event_time": "2026-08-26T12:13:45Z", "price_level": str(n + 1), "new_quantity": "1"}
        for n in range(10_000)
    ]
    rows[7_000]["new_quantity"] = "x"
    event = {"type": "snapshot", "product_id": "A", "other": "y" * 100_000, "updates": rows}
    said = {"channel": "l2_data", "timestamp": "2026-08-26T12:13:45.8Z", "sequence_num": 0, "events": [event]}
    tried = mocker.spy(coinbase, "_tried")
    decoder = Coinbase().decoder()
    book, flaw = decoder.decode(frame(json.dumps(said)))
    assert isinstance(book, OrderBookUpdate)
    assert [price for price, _ in book.bids] == [float(n + 1) for n in range(10_000) if n != 7_000]
    assert isinstance(flaw, Malformed)
    assert tried.call_count < 40


@pytest.mark.parametrize("provider", [Coinbase(), CoinbaseExchange()])
def test_a_symbol_spelled_as_elsewhere_is_refused_at_once(provider: Coinbase | CoinbaseExchange) -> None:
    with pytest.raises(Unsupported, match=r"spells symbols as in 'BTC-USD', not 'BTC/USD' \(trades\)"):
        provider.request(Subscription.of(trades="BTC/USD"))


def test_a_token_where_a_function_signs_is_refused_and_not_shown() -> None:
    for make in (lambda: Coinbase(jwt=SECRET), lambda: CoinbaseExchange(sign=SECRET)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="is a function") as refused:
            make()
        assert SECRET not in str(refused.value)


SECRET = "eyJhbGciOiJFUzI1NiJ9"
