"""Coinbase's dialects, as conversations without a socket; checked by a naive client of their own."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from rtflow.errors import Unsupported
from rtflow.time import SECOND, parse
from rtflow.twin.coinbase import CoinbaseVenue
from rtflow.twin.market import Fill, Listing, Market
from rtflow.twin.venue import Conversation, Denied, Hangup, Message

START = 1_790_358_600 * SECOND  # a full five minutes


def venue(
    *symbols: str | Listing, seed: int = 3, rate: float = 1.0, warmup: float = 30.0, **options: Any
) -> CoinbaseVenue:
    listed = symbols or CoinbaseVenue.listings
    opened = CoinbaseVenue(Market(seed, listed, start=START - round(warmup * SECOND), rate=rate), **options)
    opened.advance(START)
    return opened


def exchange(*symbols: str | Listing, **options: Any) -> CoinbaseVenue:
    return venue(*symbols, feed="exchange", **options)


def read(talk: Conversation) -> list[dict[str, Any]]:
    """What was said, all of it messages."""
    said = talk.take()
    assert all(isinstance(each, Message) for each in said), said
    return [json.loads(each.payload) for each in said if isinstance(each, Message)]


def ask(talk: Conversation, action: str = "subscribe", **request: Any) -> list[dict[str, Any]]:
    talk.received(json.dumps({"type": action, **request}))
    return read(talk)


def pass_(coinbase: CoinbaseVenue, seconds: float) -> None:
    coinbase.advance(coinbase.now + round(seconds * SECOND))


def of(messages: list[dict[str, Any]], channel: str, type_: str = "update") -> list[dict[str, Any]]:
    """The events of a channel of Advanced Trade."""
    return [
        event
        for message in messages
        if message.get("channel") == channel
        for event in message["events"]
        if event.get("type", type_) == type_
    ]


def typed(messages: list[dict[str, Any]], *types: str) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] in types]


class NaiveBook:
    """A client that knows nothing but the venue's written rules."""

    def __init__(self) -> None:
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}

    def put(self, bid: bool, price: str, size: str) -> None:
        side = self.bids if bid else self.asks
        if float(size):
            side[float(price)] = float(size)
        else:
            side.pop(float(price), None)

    def apply(self, event: dict[str, Any]) -> None:
        """An event of Advanced Trade."""
        for row in event["updates"]:
            self.put({"bid": True, "offer": False}[row["side"]], row["price_level"], row["new_quantity"])

    def change(self, message: dict[str, Any]) -> None:
        """A message of the Exchange."""
        for side, levels in ((True, message.get("bids", ())), (False, message.get("asks", ()))):
            for price, size in levels:
                self.put(side, price, size)
        for name, price, size in message.get("changes", ()):
            self.put({"buy": True, "sell": False}[name], price, size)

    def agrees(self, coinbase: CoinbaseVenue, symbol: str) -> bool:
        listing = coinbase.market.listings[symbol]
        price, size = 10**listing.price_precision, 10**listing.size_precision
        return [self.bids, self.asks] == [
            {level / price: amount / size for level, amount in ladder.levels()}
            for ladder in coinbase.market.book(symbol)
        ]


# ------------------------------------------------------------------------------------------ both


@pytest.mark.parametrize("feed", ["advanced", "exchange"])
def test_nothing_is_said_unasked_and_five_seconds_without_a_request_are_the_end(feed: str) -> None:
    coinbase = venue(feed=feed)
    talk = coinbase.connect("/?x=1", {})
    pass_(coinbase, 4.9)
    assert talk.take() == []
    assert not talk.listening
    pass_(coinbase, 0.2)
    assert talk.take() == [Hangup(1008, "no subscription within 5 s")]
    pass_(coinbase, 60)
    assert talk.take() == []


def test_another_path_or_feed_does_not_exist() -> None:
    with pytest.raises(Denied) as denied:
        venue().connect("/v1", {})
    assert (denied.value.status, denied.value.text) == (404, "Not Found")
    with pytest.raises(Unsupported, match="no feed 'prime'; it has advanced and exchange"):
        venue(feed="prime")


def test_a_listing_with_a_slash_is_spelled_with_a_dash() -> None:
    [product] = of(ask(venue("BTC/USD").connect("/", {}), channel="status"), "status", "snapshot")[0][
        "products"
    ]
    assert (product["id"], product["base_currency"], product["quote_currency"]) == ("BTC-USD", "BTC", "USD")


@pytest.mark.parametrize("feed", ["advanced", "exchange"])
def test_one_script_is_one_answer(feed: str) -> None:
    def script() -> list[Message | Hangup]:
        coinbase = venue(feed=feed)
        talk = coinbase.connect("/", {})
        for name in ("level2", "ticker", "matches", "level2_batch", "market_trades", "heartbeat"):
            talk.received(
                json.dumps(
                    {
                        "type": "subscribe",
                        "channel": name,
                        "channels": [name],
                        "product_ids": ["ETH-USD", "BTC-USD"],
                    }
                )
            )
        pass_(coinbase, 2)
        return talk.take()

    assert script() == script()
    assert len(script()) > 50


@pytest.mark.parametrize("feed", ["advanced", "exchange"])
def test_too_many_requests_are_refused_until_time_has_passed(feed: str) -> None:
    coinbase = venue(feed=feed, burst=2, message_rate=1.0)
    talk = coinbase.connect("/", {})
    request: dict[str, Any] = {"channel": "status", "channels": ["status"]}
    assert [ask(talk, **request)[-1].get("message") for _ in range(4)] == [
        None,
        None,
        None,
        "rate limit exceeded",
    ]
    pass_(coinbase, 1)
    talk.take()
    assert ask(talk, **request)[-1].get("message") is None


@pytest.mark.parametrize("feed", ["advanced", "exchange"])
def test_faults_reach_every_connection(feed: str) -> None:
    coinbase = venue(feed=feed)
    talk = coinbase.connect("/", {})
    request: dict[str, Any] = {"channel": "ticker", "channels": ["ticker"], "product_ids": ["BTC-USD"]}
    ask(talk, **request)
    coinbase.provoke("rate_limit")
    assert ask(talk, **request) == [{"type": "error", "message": "rate limit exceeded"}]
    coinbase.provoke("error")
    coinbase.provoke("error", message="a", reason="b")
    assert read(talk) == [
        {"type": "error", "message": "internal error"},
        {"type": "error", "message": "a", "reason": "b"},
    ]
    coinbase.provoke("slow_consumer")
    assert talk.take() == [Hangup(1008, "ErrSlowConsume")]


@pytest.mark.parametrize("feed", ["advanced", "exchange"])
def test_a_message_may_come_twice_or_behind_the_next(feed: str) -> None:
    def told(*faults: str) -> list[Any]:
        coinbase = venue(feed=feed)
        talk = coinbase.connect("/", {})
        ask(talk, channel="ticker", channels=["ticker"], product_ids=["BTC-USD"])
        for fault in faults:
            coinbase.provoke(fault)
        pass_(coinbase, 3)
        return read(talk)

    plain = told()
    assert len(plain) > 3
    assert told("duplicate") == [plain[0], *plain]
    assert told("reorder") == [plain[1], plain[0], *plain[2:]]


@pytest.mark.parametrize(
    "payload",
    ["", "[]", "{", '{"type":5}', '{"type":"subscribe","product_ids":5}', b"\xff", '{"type":"dance"}'],
)
def test_what_is_no_request_is_refused(payload: str | bytes) -> None:
    talk = venue().connect("/", {})
    talk.received(payload)
    [error] = read(talk)
    assert error["type"] == "error"


# ------------------------------------------------------------------------------------------ Advanced Trade


def test_the_snapshot_comes_first_and_then_the_list_of_all_that_is_subscribed() -> None:
    coinbase = venue()
    talk = coinbase.connect("/", {})
    book, answer = ask(talk, channel="level2", product_ids=["BTC-USD"])
    assert [*book] == ["channel", "timestamp", "sequence_num", "events"]
    assert (book["channel"], book["timestamp"], book["sequence_num"]) == (
        "l2_data",
        "2026-09-25T17:50:00.000000000Z",
        0,
    )
    assert (answer["channel"], answer["sequence_num"]) == ("subscriptions", 1)
    assert answer["events"] == [{"subscriptions": {"level2": ["BTC-USD"]}}]
    assert talk.listening
    [answer] = ask(talk, channel="heartbeats")
    assert answer["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"], "level2": ["BTC-USD"]}}]
    assert answer["sequence_num"] == 2
    [answer] = ask(talk, channel="level2", product_ids=["BTC-USD"])  # twice: no second snapshot
    assert answer["channel"] == "subscriptions"


def test_some_hosts_send_an_empty_client_id() -> None:
    talk = venue(client_id=True).connect("/", {})
    [answer] = ask(talk, channel="heartbeats")
    assert [*answer] == ["channel", "client_id", "timestamp", "sequence_num", "events"]
    assert answer["client_id"] == ""


def test_every_frame_is_counted_over_all_channels() -> None:
    coinbase = venue()
    talk = coinbase.connect("/", {})
    told = []
    for name in ("heartbeats", "status", "level2", "market_trades", "ticker", "ticker_batch", "candles"):
        told += ask(talk, channel=name, product_ids=["BTC-USD", "ETH-USD"])
    pass_(coinbase, 11)
    told += read(talk)
    assert [each["sequence_num"] for each in told] == list(range(len(told)))
    assert {each["channel"] for each in told} == {
        *("subscriptions", "heartbeats", "status", "l2_data"),
        *("market_trades", "ticker", "ticker_batch", "candles"),
    }
    coinbase.provoke("sequence_gap", count=3)
    pass_(coinbase, 1)
    assert read(talk)[0]["sequence_num"] == len(told) + 3


def test_books_are_bundled_every_fifty_milliseconds_and_stay_the_venues() -> None:
    coinbase = venue()
    talk = coinbase.connect("/", {})
    book = NaiveBook()
    book.apply(of(ask(talk, channel="level2", product_ids=["BTC-USD"]), "l2_data", "snapshot")[0])
    assert book.agrees(coinbase, "BTC-USD")
    assert len(book.bids) > 200
    pass_(coinbase, 2)
    told = read(talk)
    stamps = [parse(each["timestamp"]) for each in told]
    assert all(stamp % (SECOND // 20) == 0 for stamp in stamps)
    assert len(set(stamps)) == len(stamps) > 20
    for event in of(told, "l2_data"):
        book.apply(event)
        assert max(book.bids) < min(book.asks)
        assert all(not row["price_level"].endswith((".", ".0")) for row in event["updates"])
    assert book.agrees(coinbase, "BTC-USD")


def test_trades_are_gathered_newest_first_with_the_makers_side() -> None:
    coinbase = venue(
        "BTC-USD" and Listing("BTC-USD", 65000_00, 2, 8, size=25_000_000, spacing=120, rate=60.0)
    )
    fills: dict[str, Fill] = {}
    coinbase.watch = lambda move: fills.update(
        {str(fill.id): fill for fill in move.trades if fill.symbol == "BTC-USD"}
    )
    talk = coinbase.connect("/", {})
    history, _ = ask(talk, channel="market_trades", product_ids=["BTC-USD"])
    [event] = history["events"]
    assert event["type"] == "snapshot"
    ids = [int(each["trade_id"]) for each in event["trades"]]
    assert ids == list(range(ids[0], ids[0] - 100, -1))
    pass_(coinbase, 4)
    rows = []
    for event in of(read(talk), "market_trades"):
        assert [int(one["trade_id"]) - int(two["trade_id"]) for one, two in pairwise(event["trades"])] == [
            1
        ] * (len(event["trades"]) - 1)
        rows += event["trades"][::-1]
    assert [row["trade_id"] for row in rows] == [*fills]
    assert int(rows[0]["trade_id"]) == ids[0] + 1
    for row in rows:
        fill = fills[row["trade_id"]]
        assert row["side"] == ("SELL" if fill.side > 0 else "BUY")
        assert (float(row["price"]), float(row["size"])) == (fill.price / 100, fill.size / 10**8)
        assert parse(row["time"]) == fill.stamp // 1000 * 1000


def test_a_ticker_comes_with_each_trade_and_a_batch_every_five_seconds() -> None:
    coinbase = venue()
    talk = coinbase.connect("/", {})
    first, _ = ask(talk, channel="ticker", product_ids=["BTC-USD"])
    assert first["events"][0]["type"] == "snapshot"
    pass_(coinbase, 1)
    for event in of(read(talk), "ticker"):
        [row] = event["tickers"]
        assert float(row["best_bid"]) < float(row["best_ask"])
    ask(talk, "unsubscribe", channel="ticker")
    ask(talk, channel="ticker_batch", product_ids=["BTC-USD", "ETH-USD"])
    pass_(coinbase, 11)
    batches = of(read(talk), "ticker_batch")
    assert [[row["product_id"] for row in each["tickers"]] for each in batches] == [
        ["BTC-USD", "ETH-USD"]
    ] * 2
    assert "best_bid" not in batches[0]["tickers"][0]
    coinbase.provoke("blank_ticker")
    assert set(of(read(talk), "ticker_batch")[0]["tickers"][0].values()) == {"ticker", ""}


def test_candles_are_five_minutes_long_and_the_forming_one_is_repeated() -> None:
    coinbase = venue(warmup=700.0)
    talk = coinbase.connect("/", {})
    first, _ = ask(talk, channel="candles", product_ids=["ETH-USD"])
    starts = [int(each["start"]) for each in first["events"][0]["candles"]]
    assert starts == [START // SECOND + offset for offset in (-900, -600, -300)]
    pass_(coinbase, 3)
    bars = [bar for event in of(read(talk), "candles") for bar in event["candles"]]
    assert {int(bar["start"]) for bar in bars} == {START // SECOND}
    assert 1 <= len(bars) <= 3
    for bar in bars:
        assert float(bar["low"]) <= min(float(bar["open"]), float(bar["close"]))
        assert float(bar["high"]) >= max(float(bar["open"]), float(bar["close"]))


def test_a_product_without_trades_has_no_candles() -> None:
    quiet = Listing("Q-USD", 1000_00, 2, 8, size=10**8, rate=0.001)
    coinbase = venue(quiet, "BTC/USD", warmup=0.0)
    talk = coinbase.connect("/", {})
    first, _ = ask(talk, channel="candles", product_ids=["Q-USD", "BTC-USD"])[::2]
    assert first["events"] == [{"type": "snapshot", "candles": []}]
    pass_(coinbase, 3)
    assert {bar["product_id"] for event in of(read(talk), "candles") for bar in event["candles"]} == {
        "BTC-USD"
    }


def test_products_are_listed_and_their_status_changes() -> None:
    coinbase = venue()
    talk = coinbase.connect("/", {})
    first, _ = ask(talk, channel="status")
    assert first["events"][0]["products"][0] == {
        "product_type": "SPOT",
        "id": "BTC-USD",
        "base_currency": "BTC",
        "quote_currency": "USD",
        "base_increment": "0.00000001",
        "quote_increment": "0.01",
        "display_name": "BTC/USD",
        "status": "online",
        "status_message": "",
        "min_market_funds": "1",
    }
    coinbase.provoke("status", status="delisted")
    pass_(coinbase, 5)
    [update] = of(read(talk), "status")
    assert {each["status"] for each in update["products"]} == {"delisted"}


def test_a_heartbeat_comes_every_second_and_tells_the_time_as_go_does() -> None:
    coinbase = venue()
    talk = coinbase.connect("/", {})
    ask(talk, channel="heartbeats")
    pass_(coinbase, 3)
    beats = of(read(talk), "heartbeats")
    count = START // SECOND
    assert beats[0] == {
        "current_time": f"2026-09-25 17:50:01.000000000 +0000 UTC m=+{count + 1}.000000000",
        "heartbeat_counter": count + 1,
    }
    assert [beat["heartbeat_counter"] for beat in beats] == [count + 1, count + 2, count + 3]


def test_a_channel_without_news_is_closed_unless_there_are_heartbeats() -> None:
    quiet = Listing("Q-USD", 1000_00, 2, 8, size=10**8, rate=0.000001)
    for hearts in (False, True):
        coinbase = venue(quiet, "BTC/USD", warmup=0.0)
        talk = coinbase.connect("/", {})
        if hearts:
            ask(talk, channel="heartbeats")
        ask(talk, channel="ticker_batch", product_ids=["Q-USD"])
        ask(talk, channel="ticker", product_ids=["Q-USD"])
        pass_(coinbase, 90)
        talk.take()
        [answer] = ask(talk, "unsubscribe", channel="candles")
        listed = answer["events"][0]["subscriptions"]
        assert ("ticker" in listed) == hearts
        assert "ticker_batch" in listed


def test_letting_go_names_products_or_the_whole_channel() -> None:
    coinbase = venue()
    talk = coinbase.connect("/", {})
    ask(talk, channel="level2", product_ids=["BTC-USD", "ETH-USD"])
    ask(talk, channel="market_trades", product_ids=["BTC-USD", "ETH-USD"])
    ask(talk, channel="heartbeats")
    pass_(coinbase, 0.99)
    talk.take()
    [answer] = ask(talk, "unsubscribe", channel="level2", product_ids=["BTC-USD"])
    assert answer["events"][0]["subscriptions"]["level2"] == ["ETH-USD"]
    for name in ("level2", "market_trades", "heartbeats"):
        [answer] = ask(talk, "unsubscribe", channel=name)
    assert answer["events"] == [{"subscriptions": {}}]
    assert not talk.listening
    pass_(coinbase, 30)
    assert talk.take() == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"channel": "weather"}, "authentication failure"),
        ({"channel": "level2"}, "failure to subscribe"),
        ({"channel": "level2", "product_ids": ["NOPE-USD"]}, "failure to subscribe"),
        ({"channel": "candles", "product_ids": ["BTC-USD"]}, "authentication failure"),
        ({"channel": "ticker", "product_ids": ["BTC-USD"], "jwt": "bad"}, "authentication failure"),
        ({"type": "dance", "channel": "ticker"}, "failure to subscribe"),
    ],
)
def test_what_advanced_trade_refuses_has_neither_channel_nor_number(
    request_: dict[str, Any], message: str
) -> None:
    talk = venue(keys=["good"], keyed=["candles"]).connect("/", {})
    assert ask(talk, **{"action": request_.pop("type", "subscribe"), **request_}) == [
        {"type": "error", "message": message}
    ]
    assert not talk.listening
    assert len(ask(talk, channel="candles", product_ids=["BTC-USD"], jwt="good")) == 2


def test_an_unknown_product_may_be_left_out_without_a_word() -> None:
    talk = venue(silent_refusals=True).connect("/", {})
    *_, answer = ask(talk, channel="ticker", product_ids=["NOPE-USD", "BTC-USD"])
    assert answer["events"] == [{"subscriptions": {"ticker": ["BTC-USD"]}}]
    [answer] = ask(talk, channel="candles", product_ids=["NOPE-USD"])
    assert answer["events"] == [{"subscriptions": {"ticker": ["BTC-USD"]}}]


def test_a_broken_level_has_a_size_that_is_no_number() -> None:
    coinbase = venue()
    talk = coinbase.connect("/", {})
    ask(talk, channel="heartbeats")
    coinbase.provoke("broken_level", symbol="BTC-USD")
    [event] = of(read(talk), "l2_data")
    assert event["updates"][0]["new_quantity"] == "0.-10000"
    other = exchange()
    listener = other.connect("/", {})
    other.provoke("broken_level", symbol="BTC-USD")
    other.provoke("blank_ticker")  # there is none on the Exchange
    [update] = read(listener)
    assert update["changes"] == [["buy", "1.00", "0.-10000"]]


# ------------------------------------------------------------------------------------------ the Exchange


def test_the_answer_comes_first_and_then_the_last_match_the_ticker_and_the_book() -> None:
    talk = exchange().connect("/", {})
    said = ask(
        talk, channels=["matches", "ticker", "level2_batch", "heartbeat", "status"], product_ids=["BTC-USD"]
    )
    assert [each["type"] for each in said] == ["subscriptions", "last_match", "ticker", "snapshot", "status"]
    assert said[0]["channels"] == [
        {"name": "matches", "product_ids": ["BTC-USD"], "account_ids": None},
        {"name": "ticker", "product_ids": ["BTC-USD"], "account_ids": None},
        {"name": "level2_50", "product_ids": ["BTC-USD"], "account_ids": None},
        {"name": "heartbeat", "product_ids": ["BTC-USD"], "account_ids": None},
        {"name": "status", "product_ids": [], "account_ids": None},
    ]
    assert [*said[3]] == ["type", "product_id", "asks", "bids", "time"]
    assert all(len(size.partition(".")[2]) == 8 for _, size in said[3]["asks"])


def test_channels_may_have_products_of_their_own() -> None:
    talk = exchange().connect("/", {})
    own = [{"name": "ticker", "product_ids": ["BTC-USD"]}, {"name": "heartbeat"}, "matches"]
    said = ask(talk, channels=own, product_ids=["ETH-USD"])
    assert {each["name"]: each["product_ids"] for each in said[0]["channels"]} == {
        "ticker": ["BTC-USD"],
        "heartbeat": ["ETH-USD"],
        "matches": ["ETH-USD"],
    }
    [answer] = ask(talk, "unsubscribe", channels=["heartbeat", "matches", "ticker"])
    assert answer == {"type": "subscriptions", "channels": []}


def test_where_nothing_was_traded_yet_there_is_no_last_match() -> None:
    quiet = Listing("Q-USD", 1000_00, 2, 8, size=10**8, rate=0.001)
    coinbase = exchange(quiet, warmup=0.0)
    talk = coinbase.connect("/", {})
    said = ask(talk, channels=["matches", "ticker", "ticker_batch", "heartbeat"], product_ids=["Q-USD"])
    assert [each["type"] for each in said] == ["subscriptions"]
    pass_(coinbase, 6)
    assert {each["type"] for each in read(talk)} == {"heartbeat"}


def test_a_match_is_followed_by_a_ticker_of_its_sequence_and_the_sides_are_opposite() -> None:
    coinbase = exchange()
    fills: dict[int, Fill] = {}
    coinbase.watch = lambda move: fills.update(
        {fill.id: fill for fill in move.trades if fill.symbol == "BTC-USD"}
    )
    coinbase_keys = ["matches", "ticker", "level2"]
    talk = coinbase.connect("/", {})
    said = ask(talk, channels=coinbase_keys, product_ids=["BTC-USD"], key="any", signature="x")
    assert [each["type"] for each in said] == ["subscriptions", "last_match", "ticker", "snapshot"]
    book = NaiveBook()
    book.change(said[-1])
    last = said[1]["trade_id"]
    pass_(coinbase, 3)
    said = read(talk)
    for match, ticker in pairwise(typed(said, "match", "ticker")):
        if match["type"] == "match":
            last += 1
            assert match["trade_id"] == ticker["trade_id"] == last
            assert match["sequence"] == ticker["sequence"]
            assert {match["side"], ticker["side"]} == {"buy", "sell"}
            assert ticker["side"] == ("buy" if fills[last].side > 0 else "sell")
    assert last == max(fills)
    for update in typed(said, "l2update"):
        assert len(update["changes"]) == 1
        book.change(update)
    assert book.agrees(coinbase, "BTC-USD")


def test_batched_changes_are_grouped_by_side_and_not_sorted() -> None:
    coinbase = exchange(rate=5.0)
    talk = coinbase.connect("/", {})
    book = NaiveBook()
    book.change(ask(talk, channels=["level2_batch"], product_ids=["BTC-USD"])[-1])
    pass_(coinbase, 2)
    said = read(talk)
    assert {each["type"] for each in said} == {"l2update"}
    assert any(
        [*prices] != sorted(prices) for prices in ([each[1] for each in one["changes"]] for one in said)
    )
    for update in said:
        sides = [each[0] for each in update["changes"]]
        assert sides == sorted(sides)
        book.change(update)
    assert book.agrees(coinbase, "BTC-USD")


def test_what_is_gathered_for_one_who_has_gone_is_not_said() -> None:
    for coinbase, name in ((exchange(), "level2_batch"), (venue(), "level2"), (venue(), "market_trades")):
        talk = coinbase.connect("/", {})
        request: dict[str, Any] = {"channel": name, "channels": [name], "product_ids": ["BTC-USD"]}
        ask(talk, **request)
        pass_(coinbase, 0.999)
        talk.take()
        ask(talk, "unsubscribe", **request)
        pass_(coinbase, 1)
        assert talk.take() == []


def test_who_lets_go_and_comes_back_at_once_gets_no_change_from_before_the_snapshot() -> None:
    for name in ("level2", "level2_batch"):
        coinbase = venue(rate=20.0, burst=1000, feed="advanced" if name == "level2" else "exchange")
        talk = coinbase.connect("/", {})
        request: dict[str, Any] = {"channel": name, "channels": [name], "product_ids": ["BTC-USD"]}
        for _ in range(20):  # bundles leave at 0.05 and 0.1
            ask(talk, **request)
            pass_(coinbase, 0.065)
            ask(talk, "unsubscribe", **request)
            pass_(coinbase, 0.02)
            book = NaiveBook()
            said = ask(talk, **request)
            pass_(coinbase, 0.015)
            for message in said + read(talk):
                book.change(message)
                for event in message.get("events", ()):
                    if "updates" in event:
                        book.apply(event)
            assert book.agrees(coinbase, "BTC-USD")
            ask(talk, "unsubscribe", **request)


def test_who_comes_back_at_once_gets_no_trade_twice() -> None:
    coinbase = venue(rate=20.0, burst=1000)
    talk = coinbase.connect("/", {})
    ids: list[int] = []
    for _ in range(20):
        said = ask(talk, channel="market_trades", product_ids=["BTC-USD"])
        newest = int(of(said, "market_trades", "snapshot")[0]["trades"][0]["trade_id"])
        pass_(coinbase, 0.22)
        ids = [int(row["trade_id"]) for event in of(read(talk), "market_trades") for row in event["trades"]]
        assert all(each > newest for each in ids)
        ask(talk, "unsubscribe", channel="market_trades")
    assert ids


def test_a_heartbeat_of_each_product_names_its_last_trade() -> None:
    coinbase = exchange()
    talk = coinbase.connect("/", {})
    ask(talk, channels=["heartbeat"], product_ids=["BTC-USD", "ETH-USD"])
    pass_(coinbase, 2)
    beats = read(talk)
    assert [beat["product_id"] for beat in beats] == ["BTC-USD", "ETH-USD"] * 2
    assert beats[-1]["last_trade_id"] == coinbase.days["ETH-USD"].recent[-1].id


def test_a_lost_trade_leaves_a_hole_in_the_ids() -> None:
    coinbase = exchange()
    talk = coinbase.connect("/", {})
    ask(talk, channels=["matches"], product_ids=["BTC-USD"])
    pass_(coinbase, 1)
    last = read(talk)[-1]["trade_id"]
    coinbase.provoke("sequence_gap")
    pass_(coinbase, 2)
    assert [each["trade_id"] for each in read(talk)][:2] == [last + 2, last + 3]


def test_batched_tickers_and_lists_of_products_come_every_five_seconds() -> None:
    coinbase = exchange()
    talk = coinbase.connect("/", {})
    ask(talk, channels=["ticker_batch", "status"], product_ids=["BTC-USD"])
    pass_(coinbase, 11)
    assert [each["type"] for each in read(talk)] == ["ticker", "status"] * 2


@pytest.mark.parametrize(
    ("request_", "message", "reason"),
    [
        ({"channels": ["weather"]}, "Failed to subscribe", "weather is not a valid channel"),
        ({"channels": ["ticker"]}, "Failed to subscribe", "product_ids required"),
        (
            {"channels": ["ticker"], "product_ids": ["NOPE-USD"]},
            "Failed to subscribe",
            "NOPE-USD is not a valid product",
        ),
        (
            {"channels": ["level2"], "product_ids": ["BTC-USD"]},
            "Failed to subscribe",
            "level2 requires authentication",
        ),
        (
            {"channels": ["level2"], "product_ids": ["BTC-USD"], "key": "bad"},
            "Authentication Failed",
            '{"message":"Invalid API Key"}',
        ),
    ],
)
def test_the_exchange_says_why_it_refuses(request_: dict[str, Any], message: str, reason: str) -> None:
    talk = exchange(keys=["good"]).connect("/", {})
    assert ask(talk, **request_) == [{"type": "error", "message": message, "reason": reason}]
    assert not talk.listening
    assert len(ask(talk, channels=["level2"], product_ids=["BTC-USD"], key="good")) == 2
