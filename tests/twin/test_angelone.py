"""Angel One's dialect, as conversations without a socket; a naive client of its own reads the packets."""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from typing import Any

import pytest

from rtflow.time import SECOND
from rtflow.twin.angelone import INSTRUMENT_FILE, AngelOneConversation, AngelOneVenue
from rtflow.twin.market import NEVER, Listing, Market, Move
from rtflow.twin.venue import Conversation, Denied, Hangup, Message

START = 1_790_358_500 * SECOND
SBIN, NIFTY, FUTURE, DOLLAR = "nse_cm:3045", "nse_cm:99926000", "nse_fo:53001", "cde_fo:1185"
HEADERS = {
    "Authorization": "Bearer jwt",
    "x-api-key": "key",
    "x-client-code": "A123456",
    "x-feed-token": "feed",
}
CREDENTIALS = {name.lower(): value for name, value in HEADERS.items()}


def venue(*symbols: str | Listing, seed: int = 3, warmup: float = 10.0, **options: Any) -> AngelOneVenue:
    listed = [
        each for each in AngelOneVenue.listings or () if isinstance(each, Listing) and each.symbol in symbols
    ]
    others = [each for each in symbols if isinstance(each, Listing)]
    market = Market(seed, [*listed, *others], start=START - round(warmup * SECOND))
    opened = AngelOneVenue(market, **options)
    opened.advance(START)
    return opened


def ask(
    talk: Conversation, mode: int, *tokens: str, action: int = 1, exchange: int = 1, **others: Any
) -> list[str | bytes]:
    params = {"mode": mode, "tokenList": [{"exchangeType": exchange, "tokens": [*tokens]}]}
    talk.received(json.dumps({"action": action, "params": params} | others))
    return taken(talk)


def taken(talk: Conversation) -> list[str | bytes]:
    said = talk.take()
    assert all(isinstance(each, Message) for each in said)
    return [each.payload for each in said if isinstance(each, Message)]


def read(packet: str | bytes) -> dict[str, Any]:
    """A packet by the venue's table, offset by offset."""
    assert isinstance(packet, bytes)
    mode, exchange = packet[0], packet[1]
    assert len(packet) == {1: 51, 2: 123, 3: 379, 4: 443}[mode]

    def number(offset: int, code: str = "q") -> Any:
        return struct.unpack_from("<" + code, packet, offset)[0]

    fields: dict[str, Any] = {
        "mode": mode,
        "exchange": exchange,
        "token": packet[2:27].rstrip(b"\0").decode(),
    }
    if mode == 4:
        fields |= {"time": number(27), "received": number(35)}
        levels = [struct.unpack_from("<iih", packet, 43 + 10 * index) for index in range(40)]
        return fields | {"bids": levels[:20], "asks": levels[20:]}
    names = ["sequence", "time", "price"]
    if mode > 1:
        names += ["size", "average", "volume", "bid_size", "ask_size", "open", "high", "low", "close"]
    for index, name in enumerate(names):
        fields[name] = number(27 + 8 * index, "d" if name in ("bid_size", "ask_size") else "q")
    if mode == 3:
        fields |= {"traded": number(123), "interest": number(131), "dummy": number(139, "d")}
        fields["entries"] = [struct.unpack_from("<hqqh", packet, 147 + 20 * index) for index in range(10)]
        fields |= {"upper": number(347), "lower": number(355), "high52": number(363), "low52": number(371)}
    return fields


# ------------------------------------------------------------------------------------------ the upgrade


def test_whoever_shows_four_credentials_is_admitted_without_a_word() -> None:
    talk = venue(SBIN).connect("/smart-stream", HEADERS)
    assert talk.take() == []
    assert not talk.listening


@pytest.mark.parametrize("prefix", ["", "Bearer "])
def test_a_jwt_is_good_with_its_prefix_and_without(prefix: str) -> None:
    strict = venue(SBIN, credentials=CREDENTIALS)
    strict.connect("/smart-stream", HEADERS | {"Authorization": prefix + "jwt"})


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Authorization", "Invalid Header - Invalid Auth token"),
        ("x-client-code", "Invalid Header - Invalid Client Code"),
        ("x-api-key", "Invalid Header - Invalid API Key"),
        ("x-feed-token", "Invalid Header - Invalid Feed Token"),
    ],
)
@pytest.mark.parametrize("given", ["", "wrong", None])
def test_a_credential_that_is_wrong_is_named_in_a_header(header: str, reason: str, given: str | None) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != header}
    if given is not None:
        headers[header] = given
    with pytest.raises(Denied) as denied:
        venue(SBIN, credentials=CREDENTIALS).connect("/smart-stream", headers)
    assert (denied.value.status, denied.value.text) == (401, "Unauthorized")
    assert denied.value.headers == {"x-error-message": reason}


def test_a_browser_shows_them_in_the_query_and_has_no_jwt() -> None:
    strict = venue(SBIN, credentials=CREDENTIALS)
    talk = strict.connect("/smart-stream?clientCode=A123456&feedToken=feed&apiKey=key", {})
    assert isinstance(talk, AngelOneConversation)
    assert talk.client == "A123456"
    with pytest.raises(Denied, match="401"):
        strict.connect("/smart-stream?clientCode=A123456&feedToken=old&apiKey=key", {})


def test_another_path_does_not_exist() -> None:
    with pytest.raises(Denied, match="404"):
        venue(SBIN).connect("/", HEADERS)


@pytest.mark.parametrize("crowded", [429, 401])
def test_a_client_code_has_three_connections(crowded: int) -> None:
    here = venue(SBIN, crowded=crowded)
    first, *_ = [here.connect("/smart-stream", HEADERS) for _ in range(3)]
    with pytest.raises(Denied) as denied:
        here.connect("/smart-stream", HEADERS)
    assert denied.value.status == crowded
    here.connect("/smart-stream", HEADERS | {"x-client-code": "B1"})
    here.leave(first)
    here.connect("/smart-stream", HEADERS)


# ------------------------------------------------------------------------------------------ requests


def talk_to(here: AngelOneVenue) -> Conversation:
    return here.connect("/smart-stream", HEADERS)


def test_a_subscription_is_answered_by_the_state_and_nothing_else() -> None:
    here = venue(SBIN)
    talk = talk_to(here)
    for mode in (1, 2, 3, 4):
        [packet] = ask(talk, mode, "3045", correlationID="abcde12345")
        assert {**read(packet)}.items() >= {"mode": mode, "exchange": 1, "token": "3045"}.items()
    assert talk.listening


def test_twice_is_once_and_what_is_not_listed_says_nothing() -> None:
    talk = talk_to(venue(SBIN))
    assert len(ask(talk, 1, "3045", "3045", "4")) == 1
    assert ask(talk, 1, "3045") == []
    assert ask(talk, 1, "3045", exchange=3) == [], "another exchange, another token"


def test_an_unsubscribe_ends_one_mode_and_one_of_nothing_is_ignored() -> None:
    here = venue(SBIN)
    talk = talk_to(here)
    ask(talk, 1, "3045"), ask(talk, 2, "3045")
    assert ask(talk, 1, "3045", "9", action=0) == ask(talk, 1, "9", action=0) == []
    assert ask(talk, 1, "9") == ask(talk, 1, "9", action=0) == []
    here.advance(START + 2 * SECOND)
    assert {read(each)["mode"] for each in taken(talk)} == {2}
    ask(talk, 2, "3045", action=0)
    assert not talk.listening


@pytest.mark.parametrize(
    "request_",
    [
        "",
        "hello",
        "[]",
        b"\x00",
        "{}",
        '{"action":1}',
        '{"action":2,"params":{"mode":1,"tokenList":[{"exchangeType":1,"tokens":["1"]}]}}',
        '{"action":1,"params":{"mode":0,"tokenList":[{"exchangeType":1,"tokens":["1"]}]}}',
        '{"action":1,"params":{"mode":5,"tokenList":[{"exchangeType":1,"tokens":["1"]}]}}',
        '{"action":1,"params":{"mode":1,"tokenList":[{"exchangeType":6,"tokens":["1"]}]}}',
        '{"action":1,"params":{"mode":1,"tokenList":[{"exchangeType":1,"tokens":[1]}]}}',
        '{"action":1,"params":{"mode":1,"tokenList":[]}}',
        '{"action":1,"params":{"mode":4,"tokenList":[{"exchangeType":3,"tokens":["1"]}]}}',
    ],
)
def test_what_cannot_be_understood_is_E1001(request_: str | bytes) -> None:
    talk = talk_to(venue(SBIN))
    talk.received(request_)
    assert taken(talk) == ['{"errorCode":"E1001","errorMessage":"Invalid Request Payload."}']


def test_an_error_names_the_request_that_named_itself() -> None:
    talk = talk_to(venue(SBIN))
    assert ask(talk, 9, "1", correlationID="abcde12345") == [
        '{"correlationID":"abcde12345","errorCode":"E1001","errorMessage":"Invalid Request Payload."}'
    ]
    assert len(ask(talk, 1, "3045", correlationID="longer than ten")) == 1
    assert not talk.listening


def test_beyond_the_limit_the_whole_request_is_refused() -> None:
    talk = talk_to(venue(SBIN, subscriptions=3))
    ask(talk, 1, "3045", "1")
    assert ask(talk, 2, "3045", "1", correlationID="x") == [
        '{"correlationID":"x","errorCode":"E1002",'
        '"errorMessage":"Invalid Request. Subscription Limit Exceeded"}'
    ]
    [packet] = ask(talk, 2, "3045")
    assert read(packet)["mode"] == 2, "there was room for one"
    assert ask(talk, 1, "1", "3045") == []


def test_twenty_levels_have_a_limit_of_their_own_and_may_be_gone() -> None:
    talk = talk_to(venue(SBIN, deep=1))
    [packet] = ask(talk, 4, "3045")
    assert read(packet)["mode"] == 4
    [refused] = ask(talk, 4, "1")
    assert '"E1002"' in str(refused)
    [gone] = ask(talk_to(venue(SBIN, withdrawn=True)), 4, "3045")
    assert '"E1001"' in str(gone)


# ------------------------------------------------------------------------------------------ packets


def test_packets_say_what_the_market_did() -> None:
    here = venue(SBIN, warmup=0.0)
    talk = talk_to(here)
    for mode in (1, 2, 3, 4):
        ask(talk, mode, "3045")
    moves: list[Move] = []
    here.watch = moves.append
    here.advance(START + 20 * SECOND)
    packets = [read(each) for each in taken(talk)]
    fills = [fill for move in moves for fill in move.trades]
    ends = [move.trades[-1] for move in moves if move.trades]
    assert len(ends) > 20

    def distinct(prices: list[int]) -> list[int]:
        return [price for index, price in enumerate(prices) if not index or prices[index - 1] != price]

    assert [each["price"] for each in packets if each["mode"] == 1] == distinct([fill.price for fill in ends])
    for mode in (2, 3):
        last = [each for each in packets if each["mode"] == mode][-1]
        assert last["price"] == fills[-1].price
        assert last["size"] == fills[-1].size
        assert last["volume"] == sum(fill.size for fill in fills)
        assert last["average"] == round(sum(fill.size * fill.price for fill in fills) / last["volume"])
        assert (last["open"], last["close"]) == (fills[0].price, 820_00)
        assert (last["high"], last["low"]) == (
            max(fill.price for fill in fills),
            min(fill.price for fill in fills),
        )
        assert last["time"] == moves[-1].stamp // 1_000_000
    bids, asks = here.market.book(SBIN)
    assert (last["bid_size"], last["ask_size"]) == (sum(bids.sizes.values()), sum(asks.sizes.values()))
    assert [(price, size) for _, size, price, _ in last["entries"]] == bids.levels(5) + asks.levels(5)
    assert [flag for flag, *_ in last["entries"]] == [1] * 5 + [0] * 5
    assert (last["traded"], last["interest"]) == (fills[-1].stamp // SECOND, 0)
    assert (last["upper"], last["lower"]) == (902_00, 738_00)
    assert (last["high52"], last["low52"]) == (1025_00, 615_00)
    deep = [each for each in packets if each["mode"] == 4][-1]
    assert [(price, size) for size, price, _ in deep["bids"] + deep["asks"]] == bids.levels(20) + asks.levels(
        20
    )
    assert deep["received"] == deep["time"] + 5


def test_before_the_first_trade_there_is_no_price() -> None:
    [packet] = ask(talk_to(venue(SBIN, warmup=0.0)), 2, "3045")
    assert [read(packet)[name] for name in ("price", "size", "average", "volume", "open", "high", "low")] == [
        0
    ] * 7
    assert read(packet)["close"] == 820_00


def test_a_packet_comes_when_something_changed_and_not_else() -> None:
    here = venue(SBIN)
    talk = talk_to(here)
    ask(talk, 1, "3045"), ask(talk, 4, "3045")
    here.advance(START + 10 * SECOND)
    for mode in (1, 4):
        said = [each for each in taken(talk) if isinstance(each, bytes) and each[0] == mode]
        assert all(one[43:] != two[43:] for one, two in pairwise(said))


def test_a_currency_is_scaled_to_seven_decimals() -> None:
    here = venue(DOLLAR)
    [packet] = ask(talk_to(here), 4, "1185", exchange=13) or ask(talk_to(here), 3, "1185", exchange=13)
    assert '"E1001"' in str(packet), "twenty levels are of one exchange"
    [packet] = ask(talk_to(here), 3, "1185", exchange=13)
    bids, _ = here.market.book(DOLLAR)
    assert read(packet)["entries"][0][2] == bids.levels(1)[0][0] * 1000


def test_a_derivative_has_open_interest() -> None:
    [packet] = ask(talk_to(venue(FUTURE, warmup=60.0)), 3, "53001", exchange=2)
    assert read(packet)["interest"] == read(packet)["volume"] // 2 > 0


def test_an_index_has_a_price_and_neither_quantities_nor_depth() -> None:
    [packet] = ask(talk_to(venue(NIFTY, warmup=60.0)), 3, "99926000")
    fields = read(packet)
    assert fields["price"] > 0
    assert [fields[name] for name in ("size", "average", "volume", "bid_size", "ask_size", "interest")] == [
        0
    ] * 6
    assert [entry[1:] for entry in fields["entries"]] == [(0, 0, 0)] * 10
    assert fields["sequence"] < 0, "garbage"


def test_packets_can_be_held_to_a_pace() -> None:
    here = venue(SBIN, every=0.25)
    talk = talk_to(here)
    ask(talk, 3, "3045"), ask(talk, 1, "3045")
    here.advance(START + 10 * SECOND)
    said = [read(each) for each in taken(talk)]
    assert 20 < len([each for each in said if each["mode"] == 3]) <= 40
    bids, asks = here.market.book(SBIN)
    here.advance(here.now + SECOND // 4)
    last = [each for each in said + [read(each) for each in taken(talk)] if each["mode"] == 3][-1]
    assert len(bids.levels(5)) == len(asks.levels(5)) == 5
    assert last["time"] >= (START + 9 * SECOND) // 1_000_000


def test_one_market_says_the_same_bytes_each_time() -> None:
    runs = []
    for _ in range(2):
        here = venue(SBIN, FUTURE)
        talk = talk_to(here)
        said = ask(talk, 3, "3045") + ask(talk, 2, "53001", exchange=2)
        here.advance(START + 3 * SECOND)
        runs.append(said + taken(talk))
    assert runs[0] == runs[1]
    assert len(runs[0]) > 50


def test_listings_that_are_no_address_are_not_traded_here() -> None:
    here = venue(SBIN, Listing("AAPL", 230_00), Listing("coins:1", 100_00_00))
    assert [each.listing.symbol for each in here.instruments.values()] == [SBIN]
    talk = talk_to(here)
    ask(talk, 1, "3045")
    here.advance(START + SECOND)
    assert here.instrument("AAPL") is None


@pytest.mark.parametrize("listing", [Listing("nse_cm:1", 230_0000, 4), Listing("nse_cm:1", 230_00, 2, 8)])
def test_a_listing_must_fit_into_packets(listing: Listing) -> None:
    with pytest.raises(ValueError, match="nse_cm:1 has prices of 2 decimals at most, and whole sizes"):
        venue(listing)


def test_the_instrument_file_lists_what_is_traded() -> None:
    here = venue(SBIN, NIFTY, Listing("mcx_fo:7", 230_00))
    page = here.page(INSTRUMENT_FILE, {})
    rows = {each["token"]: each for each in json.loads(page.body)}
    assert page.status == 200
    assert rows["3045"] == {
        "token": "3045",
        "symbol": "SBIN-EQ",
        "name": "SBIN",
        "expiry": "",
        "strike": "-1.000000",
        "lotsize": "1",
        "instrumenttype": "",
        "exch_seg": "NSE",
        "tick_size": "1.000000",
    }
    assert rows["99926000"]["instrumenttype"] == "AMXIDX"
    assert (rows["7"]["symbol"], rows["7"]["exch_seg"]) == ("MCX7", "MCX")
    assert here.page("/else", {}).status == 404


# ------------------------------------------------------------------------------------------ heartbeats


def test_a_ping_is_answered_until_it_is_not() -> None:
    here = venue(SBIN)
    talk = talk_to(here)
    talk.received("ping")
    assert taken(talk) == ["pong"]
    here.provoke("no_pong")
    talk.received("ping")
    talk.received("pong")
    assert taken(talk) == []
    here.provoke("ping")
    assert taken(talk) == ["ping"]


def test_patience_with_a_silent_client_ends_where_it_is_bounded() -> None:
    here = venue(SBIN, patience=30.0)
    talk = talk_to(here)
    here.advance(START + 29 * SECOND)
    talk.received("ping")
    taken(talk)
    here.advance(START + 58 * SECOND)
    assert talk.take() == []
    here.advance(START + 59 * SECOND)
    assert talk.take() == [Hangup(1000, "idle")]
    here.advance(START + 300 * SECOND)
    assert talk.take() == []
    assert talk_to(venue(SBIN)).due() == NEVER


# ------------------------------------------------------------------------------------------ faults


def test_a_day_ends_for_every_connection_and_credential() -> None:
    here = venue(SBIN)
    talk = talk_to(here)
    here.provoke("expire")
    assert talk.take() == [Hangup(1000, "session expired")]
    with pytest.raises(Denied) as denied:
        talk_to(here)
    assert denied.value.headers == {"x-error-message": "Invalid Header - Invalid Auth token"}


def test_an_error_may_name_nothing() -> None:
    here = venue(SBIN)
    talk = talk_to(here)
    here.provoke("error", code="E1002", message="no")
    assert taken(talk) == ['{"errorCode":"E1002","errorMessage":"no"}']


def harmed(harm: str, mode: int) -> tuple[bytes, bytes]:
    """A packet as it should be, and as it was after the fault was provoked."""
    here = venue(SBIN)
    talk = talk_to(here)
    [right] = ask(talk, mode, "3045")
    ask(talk, mode, "3045", action=0)
    here.provoke("harm", harm=harm)
    [wrong] = ask(talk, mode, "3045")
    assert isinstance(right, bytes)
    assert isinstance(wrong, bytes)
    ask(talk, mode, "3045", action=0)
    [again] = ask(talk, mode, "3045")
    assert (again == right) == (wrong != right), "once, where it fits"
    return right, wrong


def test_flags_order_and_sides_of_a_snap_quote_can_be_wrong() -> None:
    right, wrong = map(read, harmed("flags", 3))
    assert [flag for flag, *_ in wrong["entries"]] == [0] * 5 + [1] * 5
    assert [each[1:] for each in wrong["entries"]] == [each[1:] for each in right["entries"]]
    right, wrong = map(read, harmed("order", 3))
    assert wrong["entries"] == [right["entries"][1], right["entries"][0], *right["entries"][2:]]
    right, wrong = map(read, harmed("sides", 3))
    assert wrong["entries"] == right["entries"][5:] + right["entries"][:5]
    assert wrong["upper"] == right["upper"]


@pytest.mark.parametrize("harm", ["flags", "order", "sides"])
def test_they_wait_for_one(harm: str) -> None:
    here = venue(SBIN)
    talk = talk_to(here)
    here.provoke("harm", harm=harm)
    ask(talk, 1, "3045")
    [wrong] = ask(talk, 3, "3045")
    ask(talk, 3, "3045", action=0)
    [right] = ask(talk, 3, "3045")
    assert wrong != right


def test_the_rest_of_a_packet_can_be_wrong_too() -> None:
    for mode in (1, 2, 3, 4):
        right, wrong = harmed("stamp", mode)
        assert (read(right)["time"] > 0, read(wrong)["time"]) == (True, 0)
        right, wrong = harmed("longer", mode)
        assert wrong == right + b"\xff" * 8
        right, wrong = harmed("token", mode)
        assert (wrong[:7], wrong[24:27], wrong[27:]) == (right[:7], b"\xff\xfe\xfd", right[27:])
        right, wrong = harmed("mode", mode)
        assert (wrong[0], wrong[1:]) == (9, right[1:])
        right, wrong = harmed("exchange", mode)
        assert (wrong[1], wrong[2:]) == (6, right[2:])
    for mode in (1, 2, 3):
        right, wrong = harmed("negative", mode)
        assert (read(right)["price"] > 0, read(wrong)["price"]) == (True, -1)


def test_twenty_levels_have_no_last_price_to_be_negative() -> None:
    here = venue(SBIN)
    here.provoke("harm", harm="negative")
    talk = talk_to(here)
    [first] = ask(talk, 4, "3045")
    assert here.packet(4, next(iter(here.instruments.values()))) == first


def test_a_harm_that_nobody_knows_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no packet can be harmed by 'love'; there are flags, order"):
        venue(SBIN).provoke("harm", harm="love")
