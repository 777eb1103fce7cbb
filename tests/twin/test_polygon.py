"""Massive's dialect (once Polygon.io's), as conversations without a socket."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest

from rtflow.errors import Unsupported
from rtflow.time import SECOND, parse
from rtflow.twin.market import Fill, Listing, Market, Move
from rtflow.twin.polygon import INDEX, TOPICS, PolygonConversation, PolygonVenue
from rtflow.twin.venue import Conversation, Denied, Hangup, Message

START = parse("2026-09-25T17:48:20Z")
MS = 1_000_000
MINUTE = 60 * SECOND
SYMBOLS = ("AAPL", "SPY", "GME", "BTC/USD", "SOL/USD", "EUR/USD")
CONTRACT = "O:AAPL261016C00230000"


def status(word: str, message: str) -> dict[str, str]:
    return {"ev": "status", "status": word, "message": message}


CONNECTED = status("connected", "Connected Successfully")
AUTHENTICATED = status("auth_success", "authenticated")


def venue(
    *symbols: str | Listing, start: int = START, seed: int = 3, rate: float = 1.0, **options: Any
) -> PolygonVenue:
    return PolygonVenue(Market(seed, symbols or SYMBOLS, start=start, rate=rate), **options)


def ask(talk: Conversation, action: str, params: str) -> list[Any]:
    talk.received(json.dumps({"action": action, "params": params}))
    return heard(talk)


def greeted(polygon: PolygonVenue, cluster: str = "stocks") -> PolygonConversation:
    talk = polygon.connect(f"/{cluster}", {})
    assert isinstance(talk, PolygonConversation)
    assert heard(talk) == [CONNECTED]
    return talk


def admitted(
    polygon: PolygonVenue, cluster: str = "stocks", topics: str = "", key: str = "k"
) -> PolygonConversation:
    talk = greeted(polygon, cluster)
    assert ask(talk, "auth", key) == [AUTHENTICATED]
    if topics:
        assert ask(talk, "subscribe", topics) == subscribed(topics)
    return talk


def subscribed(topics: str) -> list[dict[str, str]]:
    return [status("success", f"subscribed to: {topic}") for topic in topics.split(",")]


def heard(talk: Conversation) -> list[Any]:
    """Every element of every message said; what ends the connection as it is."""
    return [
        element
        for each in talk.take()
        for element in ([each] if isinstance(each, Hangup) else json.loads(each.payload))
    ]


def watched(polygon: PolygonVenue, seconds: float) -> list[Move]:
    moves: list[Move] = []
    polygon.watch = moves.append
    polygon.advance(polygon.now + round(seconds * SECOND))
    return moves


def fills(moves: list[Move], symbol: str) -> list[Fill]:
    return [fill for move in moves for fill in move.trades if fill.symbol == symbol]


# --- authentication -----------------------------------------------------------------------------------------


def test_a_connection_is_greeted_and_admitted_with_a_key() -> None:
    talk = venue().connect("/stocks?a=1", {})
    assert talk.take() == [
        Message('[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
    ]
    talk.received('{"action":"auth","params":"k"}')
    assert talk.take() == [Message('[{"ev":"status","status":"auth_success","message":"authenticated"}]')], (
        "alone: its own client looks at the first element of the next frame only"
    )
    assert ask(talk, "auth", "k") == [AUTHENTICATED], "who is admitted stays so"
    assert not talk.listening


@pytest.mark.parametrize("path", ["/", "/bonds", "/stocks/", "/futures"])
def test_an_unknown_path_does_not_exist(path: str) -> None:
    with pytest.raises(Denied) as denied:
        venue().connect(path, {})
    assert denied.value.status == 404


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        ({}, "", "authentication failed"),
        ({"keys": ["right"]}, "wrong", "authentication failed"),
        ({"clusters": ["crypto"]}, "k", "Your plan doesn't include websocket access."),
    ],
)
def test_a_wrong_key_is_refused_and_hung_up_on(options: dict[str, Any], key: str, message: str) -> None:
    talk = greeted(venue(**options))
    assert ask(talk, "auth", key) == [status("auth_failed", message), Hangup(1000, "auth_failed")]
    assert ask(talk, "auth", key) == [], "and is not listened to any more"


def test_the_right_key_and_cluster_are_admitted() -> None:
    admitted(venue(keys=["right"], clusters=["crypto"]), "crypto", key="right")


def test_who_says_nothing_for_ten_seconds_is_too_late() -> None:
    polygon = venue()
    talk, other = greeted(polygon), admitted(polygon)
    polygon.advance(START + 10 * SECOND - 1)
    assert heard(talk) == []
    polygon.advance(START + 30 * SECOND)
    assert heard(talk) == [
        status("auth_timeout", "authentication timed out"),
        Hangup(1000, "auth_timeout"),
    ]
    assert heard(other) == []


def test_nothing_is_served_before_authentication_and_each_topic_is_told_so() -> None:
    talk = greeted(venue())
    assert ask(talk, "subscribe", "T.A,Q.A") == [
        status("auth_required", "not authenticated: T.A"),
        status("auth_required", "not authenticated: Q.A"),
    ]


# --- who may stay -------------------------------------------------------------------------------------------

FULL = status(
    "max_connections",
    "Maximum number of websocket connections exceeded. "
    "You have reached the connection limit for your account.",
)


def test_of_a_key_and_a_cluster_the_oldest_connection_goes() -> None:
    polygon = venue()
    first, other, elsewhere = admitted(polygon), admitted(polygon, key="b"), admitted(polygon, "crypto")
    second = admitted(polygon)
    assert heard(first) == [FULL, Hangup(1008, "max_connections")]
    third = admitted(polygon)
    assert heard(second) == [FULL, Hangup(1008, "max_connections")]
    assert [heard(each) for each in (first, other, elsewhere, third)] == [[]] * 4


def test_who_has_left_counts_no_more() -> None:
    polygon = venue()
    first = admitted(polygon)
    polygon.leave(first)
    admitted(polygon)
    assert heard(first) == []


def test_the_newest_is_served_first_and_then_goes() -> None:
    polygon = venue(evicts="newest", connections=2)
    old = [admitted(polygon), admitted(polygon)]
    new = admitted(polygon)
    assert ask(new, "subscribe", "T.A") == [*subscribed("T.A"), FULL, Hangup(1008, "max_connections")]
    assert [heard(each) for each in old] == [[], []]


def test_a_random_one_goes_as_the_seed_has_it() -> None:
    def gone(seed: int) -> list[int]:
        polygon = venue(seed=seed, evicts="random", connections=3)
        talks = [admitted(polygon) for _ in range(3)]
        talks.append(greeted(polygon))
        ask(talks[-1], "auth", "k")
        return [index for index, each in enumerate(talks) if each.over]

    assert {len(gone(seed)) for seed in range(20)} == {1}
    assert {gone(seed)[0] for seed in range(20)} == {0, 1, 2, 3}
    assert gone(5) == gone(5)


def test_a_slow_reader_is_told_and_loses_what_was_gathered() -> None:
    polygon = venue()
    talk = admitted(polygon, topics="Q.*")
    talk.add({"ev": "Q"})
    talk.lagging()
    assert heard(talk) == [
        status("slow_consumer", "the buffer of this connection is full"),
        Hangup(1000, "slow_consumer"),
    ]
    talk.lagging()
    assert heard(talk) == []


# --- subscriptions ------------------------------------------------------------------------------------------


def test_each_topic_is_answered_by_a_frame_of_its_own() -> None:
    talk = admitted(venue())
    talk.received('{"action":"subscribe","params":"T.BRK.A, Q.*"}')
    assert talk.take() == [
        Message('[{"ev":"status","status":"success","message":"subscribed to: T.BRK.A"}]'),
        Message('[{"ev":"status","status":"success","message":"subscribed to: Q.*"}]'),
    ]
    assert talk.listening
    assert talk.covers("T", "BRK.A")
    assert not talk.covers("T", "BRK")
    assert talk.covers("Q", "X")
    assert ask(talk, "unsubscribe", "Q.*") == [status("success", "unsubscribed to: Q.*")]
    assert not talk.covers("Q", "X")


@pytest.mark.parametrize(
    ("cluster", "topic", "message"),
    [
        ("stocks", "XT.A", "unknown topic: XT.A"),
        ("stocks", "T", "unknown topic: T"),
        ("stocks", "", "unknown topic: "),
        ("stocks", "NOI.A", "not entitled: NOI.A"),
        ("options", "Q.*", "no wildcard for this topic: Q.*"),
        ("options", "FMV.*", "no wildcard for this topic: FMV.*"),
        ("indices", "V.*", "no wildcard for this topic: V.*"),
    ],
)
def test_a_refusal_says_why_and_of_which_topic(cluster: str, topic: str, message: str) -> None:
    talk = admitted(venue(topics=["T", "Q", "FMV", "V"]), cluster)
    assert ask(talk, "subscribe", topic) == [status("error", message)]
    assert not talk.listening


def test_a_good_topic_is_served_beside_a_bad_one() -> None:
    talk = admitted(venue())
    assert ask(talk, "subscribe", "ZZ.A,T.A") == [status("error", "unknown topic: ZZ.A"), *subscribed("T.A")]


def test_a_connection_has_quotes_and_fair_values_of_so_many_contracts() -> None:
    talk = admitted(venue(contracts=2), "options", "Q.O:A,FMV.O:A,FMV.O:B,T.O:C,Q.O:B")
    assert ask(talk, "subscribe", "Q.O:C") == [status("error", "more than 2 contracts: Q.O:C")]
    assert ask(talk, "unsubscribe", "FMV.O:B,Q.O:B")[1] == status("success", "unsubscribed to: Q.O:B")
    assert ask(talk, "subscribe", "Q.O:C") == subscribed("Q.O:C")


@pytest.mark.parametrize("payload", ["", "[]", "{", '{"action":1}', b"\xff\xfe", '{"params":"T.A"}'])
def test_what_is_no_request_is_an_error(payload: str | bytes) -> None:
    talk = admitted(venue())
    talk.received(payload)
    assert heard(talk) == [status("error", "the request cannot be read")]


def test_an_unknown_action_is_named() -> None:
    assert ask(admitted(venue()), "buy", "A") == [status("error", "unknown action: buy")]


# --- what it can do wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "code"), [("max_connections", 1008), ("force_disconnect", 1000)])
def test_everybody_is_thrown_out_on_request(word: str, code: int) -> None:
    polygon = venue()
    talks = [admitted(polygon), greeted(polygon, "crypto")]
    polygon.provoke("end", status=word)
    assert [heard(each) for each in talks] == [[status(word, word), Hangup(code, word)]] * 2
    polygon.advance(START + 20 * SECOND)
    assert [heard(each) for each in talks] == [[]] * 2


def test_everybody_is_forgotten_on_request() -> None:
    polygon = venue()
    talk, stranger = admitted(polygon, topics="T.*"), greeted(polygon)
    polygon.provoke("forget")
    assert heard(talk) == [status("auth_required", "not authenticated")]
    assert heard(stranger) == []
    assert not talk.listening
    assert talk.due() == START + 10 * SECOND
    assert ask(talk, "auth", "k") == [AUTHENTICATED]


def test_a_topic_is_revoked_on_request() -> None:
    polygon = venue()
    talk, other = admitted(polygon, topics="T.AAPL,T.SPY"), admitted(polygon, key="b")
    polygon.provoke("revoke", topic="T.AAPL")
    assert heard(talk) == [status("error", "no longer entitled: T.AAPL")]
    assert ask(other, "subscribe", "T.AAPL") == [status("error", "not entitled: T.AAPL")]
    watched(polygon, 5)
    assert {each["sym"] for each in heard(talk)} == {"SPY"}


def test_refusals_name_no_topic_on_request() -> None:
    polygon = venue()
    polygon.provoke("mumble")
    assert ask(admitted(polygon), "subscribe", "ZZ.A") == [status("error", "unknown topic")]


def test_answers_are_swallowed_on_request() -> None:
    polygon = venue()
    talk = admitted(polygon)
    polygon.provoke("mute", count=2)
    assert ask(talk, "subscribe", "T.A,T.B,T.C,T.D") == subscribed("T.C,T.D")
    assert talk.covers("T", "A")


def test_anything_is_slipped_among_the_data_on_request() -> None:
    polygon = venue()
    talk = admitted(polygon, topics="Q.*")
    polygon.provoke("slip", element={"ev": "NEW"})
    polygon.advance(START + SECOND)
    first, *_ = talk.take()
    assert isinstance(first, Message)
    assert first.data
    elements = json.loads(first.payload)
    assert elements[(len(elements)) // 2] == {"ev": "NEW"}
    watched(polygon, 1)
    assert {each["ev"] for each in heard(talk)} == {"Q"}, "once"


def test_what_it_cannot_do_wrong_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="it has end, forget, mumble, mute, revoke, slip"):
        venue().provoke("wrong_checksum")


# --- stocks -------------------------------------------------------------------------------------------------


def test_stock_trades_say_what_the_market_did() -> None:
    polygon = venue(start=START + 15 * SECOND)
    talk = admitted(polygon, topics="T.AAPL")
    made = fills(watched(polygon, 20), "AAPL")
    told = heard(talk)
    assert [(each["i"], each["p"], each["s"], each["t"]) for each in told] == [
        (str(fill.id), fill.price / 100, fill.size, fill.stamp // MS) for fill in made
    ]
    assert {each["z"] for each in told} == {3}
    numbers = [each["q"] for each in told]
    assert all(later > earlier for earlier, later in pairwise(numbers))
    assert any(later > earlier + 1 for earlier, later in pairwise(numbers)), "with holes"
    for each, fill in zip(told, made, strict=True):
        assert (37 in each.get("c", ())) == (fill.size < 100)
        assert each.get("c") != [], "absent, not empty"
        assert ("trfi" in each) == (each["x"] == 4)
        assert each.get("trft", each["t"]) == each["t"]
    assert any(14 in each.get("c", ()) for each in told), "a sweep"
    assert list(told[0])[:2] == ["ev", "sym"]


def test_stock_quotes_are_in_lots() -> None:
    polygon = venue()
    talk = admitted(polygon, topics="Q.SPY")
    moves = [move for move in watched(polygon, 3) if move.symbol == "SPY" and move.touched]
    told = heard(talk)
    assert [(each["bp"], each["bs"] * 100, each["ap"], each["as"] * 100, each["t"]) for each in told] == [
        (
            move.bid / 100,
            move.bid_size // 100 * 100,
            move.ask / 100,
            move.ask_size // 100 * 100,
            move.stamp // MS,
        )
        for move in moves
    ]
    assert told[0]["z"] == 2
    assert told[0]["c"] == 1
    assert told[0]["i"] == [604]


def test_a_second_and_a_minute_make_a_bar_of_their_trades() -> None:
    polygon = venue(start=START // MINUTE * MINUTE)
    talk = admitted(polygon, topics="A.AAPL,AM.AAPL")
    made = fills(watched(polygon, 60.5), "AAPL")
    told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in heard(talk):
        told[each["ev"]].append(each)
    [minute] = told["AM"]
    begin = START // MINUTE * MINUTE
    inside = [fill for fill in made if fill.stamp < begin + MINUTE]
    on_time = [
        fill for fill in inside if fill.stamp < begin + 59 * SECOND
    ]  # one in four of the last second's is late
    assert (minute["s"], minute["e"]) == (begin // MS, (begin + MINUTE) // MS)
    assert minute["o"] == minute["op"] == next(fill.price for fill in inside if fill.size >= 100) / 100
    assert sum(fill.size for fill in on_time) <= minute["v"] <= sum(fill.size for fill in inside)
    assert minute["av"] >= minute["v"]
    assert minute["l"] <= minute["vw"] <= minute["h"]
    assert minute["l"] <= minute["a"] <= minute["h"]
    for bar in told["A"]:
        mine = [fill for fill in on_time if bar["s"] <= fill.stamp / MS < bar["e"]]
        assert bar["e"] == bar["s"] + 1000
        if not mine:
            continue
        priced = [fill for fill in mine if fill.size >= 100]
        value, weight = sum(fill.price * fill.size for fill in priced), sum(fill.size for fill in priced)
        assert bar | {"ev": "A", "sym": "AAPL", "v": sum(fill.size for fill in mine)} == bar
        assert [bar[key] for key in "ohlc"] == [
            priced[0].price / 100,
            max(fill.price for fill in priced) / 100,
            min(fill.price for fill in priced) / 100,
            priced[-1].price / 100,
        ]
        assert bar["vw"] == pytest.approx(value / weight / 100, abs=1e-7)
        assert bar["z"] == bar["v"] // len(mine)
    assert sum(bar["v"] for bar in told["A"]) <= minute["v"], "seconds of odd lots alone have no bar"


def test_seconds_of_odd_lots_alone_have_no_bar() -> None:
    polygon = venue(Listing("ODD", 100_00, lot=100, size=20, rate=4.0, tape="A"))
    talk = admitted(polygon, topics="A.*,T.*")
    watched(polygon, 60)
    told = heard(talk)
    odd = {each["t"] // 1000 for each in told if each["ev"] == "T" and each["s"] < 100}
    round_ = {each["t"] // 1000 for each in told if each["ev"] == "T" and each["s"] >= 100}
    barred = {each["s"] // 1000 for each in told if each["ev"] == "A"}
    assert odd - round_
    assert barred <= round_


def test_a_minute_is_told_again_with_what_came_late() -> None:
    polygon = venue("SPY", rate=4.0, start=START // MINUTE * MINUTE)
    talk = admitted(polygon, topics="AM.SPY,T.SPY")
    watched(polygon, 200)
    minutes: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    late = 0
    for each in heard(talk):
        if each["ev"] == "AM":
            minutes[each["s"]].append(each)
        elif each["t"] // 60_000 * 60_000 in minutes:
            late += 1
    again = [bars for bars in minutes.values() if len(bars) == 2]
    assert late
    assert again
    assert all(first["e"] == second["e"] and first != second for first, second in again)


def test_bands_and_imbalances_come_with_the_minute_in_the_examples_units() -> None:
    polygon = venue(start=START // MINUTE * MINUTE - SECOND)
    talk = admitted(polygon, topics="LULD.GME,NOI.GME,FMV.GME,LV.GME")
    watched(polygon, 1.5)
    told = {each["ev"]: each for each in heard(talk)}
    now = START // MINUTE * MINUTE
    bids, asks = polygon.market.book("GME")
    middle = (bids.keys[-1] - asks.keys[-1]) // 2
    assert told["LULD"] == {
        "ev": "LULD",
        "T": "GME",
        "h": middle * 105 // 100 / 100,
        "l": middle * 95 // 100 / 100,
        "i": [21],
        "z": 1,
        "t": now // 1000,
        "q": now // SECOND,
    }
    assert (told["NOI"]["T"], told["NOI"]["t"], told["NOI"]["b"]) == ("GME", now, middle / 100)
    assert told["FMV"] == {"ev": "FMV", "fmv": told["LV"]["val"], "sym": "GME", "t": now // MS}
    assert told["LV"]["val"] == pytest.approx((bids.keys[-1] - asks.keys[-1]) / 200)


@pytest.mark.parametrize(("unit", "size"), [("ms", 13), ("us", 16), ("ns", 19)])
def test_the_unit_of_their_stamps_is_what_is_asked(unit: str, size: int) -> None:
    polygon = venue(start=START // MINUTE * MINUTE - SECOND, stamps=unit)
    talk = admitted(polygon, topics="LULD.*,NOI.*,FMV.*,LV.*")
    watched(polygon, 1.5)
    sizes = {each["ev"]: len(str(each["t"])) for each in heard(talk)}
    assert sizes == {"LULD": size, "NOI": size, "FMV": size, "LV": 13}


def test_what_may_be_missing_is_missing_where_that_is_asked() -> None:
    keys: dict[bool, dict[str, set[str]]] = {}
    for sparse in (False, True):
        polygon = venue(start=START // MINUTE * MINUTE - 2 * SECOND, sparse=sparse)
        found: dict[str, set[str]] = {}
        for cluster, topics in (
            ("stocks", "Q.*,A.*,LULD.*"),
            ("options", "T.*,A.*"),
            ("forex", "CAS.*"),
            ("crypto", "XAS.*"),
        ):
            talk = admitted(polygon, cluster, topics)
            watched(polygon, 4)
            found |= {f"{cluster} {each['ev']}": set(each) for each in heard(talk)}
        keys[sparse] = found
    missing = {name: there - keys[True][name] for name, there in keys[False].items()}
    bar = {"av", "op", "a", "vw", "z"}
    assert missing == {
        "stocks Q": {"c", "i"},
        "stocks A": bar,
        "stocks LULD": {"i"},
        "options T": {"c"},
        "options A": bar,
        "forex CAS": {"e"},
        "crypto XAS": {"vw", "z", "e"},
    }


# --- the other clusters -------------------------------------------------------------------------------------


def test_options_follow_their_stocks_touch() -> None:
    polygon = venue("AAPL")
    talk = admitted(polygon, "options", f"Q.{CONTRACT},Q.O:NONE,FMV.{CONTRACT}")
    moves = [move for move in watched(polygon, 5) if move.touched]
    told = [each for each in heard(talk) if each["ev"] == "Q"]
    assert [(each["sym"], each["t"]) for each in told] == [(CONTRACT, move.stamp // MS) for move in moves]
    by_stock = sorted(zip(moves, told, strict=True), key=lambda pair: pair[0].bid + pair[0].ask)
    asks = [each["ap"] for _, each in by_stock]
    assert asks == sorted(asks), "a call is worth more when its stock is"
    assert all(0 < each["bp"] < each["ap"] and each["bs"] and each["as"] for each in told)


def test_an_option_that_is_worth_nothing_has_no_bid() -> None:
    polygon = venue("AAPL")
    talk = admitted(polygon, "options", "Q.O:AAPL261016C00260000")
    watched(polygon, 2)
    [quote, *_] = heard(talk)
    assert (quote["bp"], quote["bs"]) == (0, 0)
    assert quote["ap"] > 0


def test_options_trade_as_their_stocks_do_and_make_bars() -> None:
    polygon = venue("AAPL", "SPY", start=START // MINUTE * MINUTE)
    talk = admitted(polygon, "options", "T.*,A.*,AM.*,LV.*")
    watched(polygon, 62)
    told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in heard(talk):
        told[each["ev"]].append(each)
    assert all(each["sym"].startswith(("O:AAPL", "O:SPY")) for each in told["T"])
    end = (START // MINUTE * MINUTE + MINUTE) // MS
    volume = sum(each["s"] for each in told["T"] if each["t"] < end)
    assert sum(each["v"] for each in told["AM"]) == volume
    assert sum(each["v"] for each in told["A"] if each["e"] <= end) == volume
    assert {each["sym"] for each in told["AM"]} <= {each["sym"] for each in told["LV"]}


def test_currencies_have_quotes_without_sizes_and_bars_of_them() -> None:
    polygon = venue(start=START // MINUTE * MINUTE)
    talk = admitted(polygon, "forex", "C.EUR/USD,CAS.*,CA.*,AM.*,FMV.*")
    moves = [move for move in watched(polygon, 60.5) if move.symbol == "EUR/USD" and move.touched]
    told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in heard(talk):
        told[each["ev"]].append(each)
    assert told["C"] == [
        {
            "ev": "C",
            "p": "EUR/USD",
            "x": "44",
            "a": move.ask / 10 ** move_places(polygon),
            "b": move.bid / 10 ** move_places(polygon),
            "t": move.stamp // MS,
        }
        for move in moves
    ]
    [minute], [launchpad] = told["CA"], told["AM"]
    assert minute["v"] == sum(each["v"] for each in told["CAS"])
    assert launchpad == {key: value for key, value in minute.items() if key != "pair"} | {
        "ev": "AM",
        "sym": "C:EURUSD",
    }
    assert told["FMV"][0]["sym"] == "C:EURUSD"


def move_places(polygon: PolygonVenue) -> int:
    return polygon.market.listings["EUR/USD"].price_precision


def test_coins_trade_with_their_takers_side() -> None:
    polygon = venue()
    talk = admitted(polygon, "crypto", "XT.BTC-USD")
    made = fills(watched(polygon, 10), "BTC/USD")
    assert heard(talk) == [
        {
            "ev": "XT",
            "pair": "BTC-USD",
            "p": fill.price / 10 if fill.price % 10 else fill.price // 10,
            "t": fill.stamp // MS,
            "s": fill.size / 10**8,
            "c": [2 if fill.side > 0 else 1],
            "i": str(fill.id),
            "x": 1,
            "r": fill.stamp // MS + 5,
        }
        for fill in made
    ]


def test_a_coins_book_comes_whole_after_each_stretch_in_which_it_changed() -> None:
    polygon = venue()
    talk = admitted(polygon, "crypto", "XL2.SOL-USD,XQ.SOL-USD")
    moves = [move for move in watched(polygon, 2) if move.symbol == "SOL/USD"]
    *quotes, book = heard(talk)
    assert [(each["bp"], each["as"]) for each in quotes] == [
        (move.bid / 100, move.ask_size / 10**8) for move in moves if move.touched
    ]
    bids, asks = polygon.market.book("SOL/USD")
    last = [move for move in moves if move.bids or move.asks][-1]
    assert book == {
        "ev": "XL2",
        "pair": "SOL-USD",
        "t": last.stamp // MS,
        "r": last.stamp // MS + 5,
        "x": 1,
        "b": [[price / 100, size / 10**8] for price, size in bids.levels(100)],
        "a": [[price / 100, size / 10**8] for price, size in asks.levels(100)],
    }
    polygon.advance(polygon.now)
    assert heard(talk) == [], "nothing changed"


def test_coins_have_bars_and_fair_values() -> None:
    polygon = venue(start=START // MINUTE * MINUTE)
    talk = admitted(polygon, "crypto", "XAS.BTC-USD,XA.BTC-USD,AM.BTC-USD,FMV.BTC-USD,LV.BTC-USD")
    made = fills(watched(polygon, 60.2), "BTC/USD")
    told = heard(talk)
    inside = [fill for fill in made if fill.stamp < START // MINUTE * MINUTE + MINUTE]
    [minute] = [each for each in told if each["ev"] == "XA"]
    assert minute["v"] == sum(fill.size for fill in inside) / 10**8
    assert minute["c"] == pytest.approx(inside[-1].price / 10)
    assert {each["sym"] for each in told if each["ev"] in ("AM", "FMV", "LV")} == {"X:BTC-USD"}
    assert {each["pair"] for each in told if each["ev"].startswith("X")} == {"BTC-USD"}


def test_the_index_is_the_mean_of_all_stocks_middles() -> None:
    polygon = venue(start=START // MINUTE * MINUTE)
    talk = admitted(polygon, "indices", f"V.{INDEX},A.*,AM.*")
    watched(polygon, 60.2)
    told = heard(talk)
    values = [each for each in told if each["ev"] == "V"]
    middles = []
    for symbol in ("AAPL", "SPY", "GME"):
        bids, asks = polygon.market.book(symbol)
        middles.append((bids.keys[-1] - asks.keys[-1]) / 200)
    assert values[-1]["val"] == pytest.approx(sum(middles) / 3, abs=0.0001)
    assert all(earlier["val"] != later["val"] for earlier, later in pairwise(values))
    [minute] = [each for each in told if each["ev"] == "AM"]
    assert minute == {
        "ev": "AM",
        "sym": INDEX,
        "o": values[0]["val"],
        "c": [each for each in values if each["t"] < minute["e"]][-1]["val"],
        "h": max(each["val"] for each in values if each["t"] < minute["e"]),
        "l": min(each["val"] for each in values if each["t"] < minute["e"]),
        "s": START // MINUTE * MINUTE // MS,
        "e": (START // MINUTE * MINUTE + MINUTE) // MS,
    }


@pytest.mark.parametrize(("symbols", "path"), [(["AAPL", "BTC/USD"], "/stocks"), (["BTC/USD"], "/crypto")])
def test_clients_are_expected_where_there_is_something(symbols: list[str], path: str) -> None:
    assert venue(*symbols).path == path
    assert venue(*symbols, cluster="forex").path == "/forex"


def test_without_stocks_the_index_is_silent() -> None:
    polygon = venue("BTC/USD", "EUR/USD")
    talk = admitted(polygon, "indices", f"V.{INDEX}")
    watched(polygon, 3)
    assert heard(talk) == []


def test_what_is_traded_by_default_fills_every_cluster() -> None:
    polygon = PolygonVenue(Market(3, PolygonVenue.listings, start=START // MINUTE * MINUTE - SECOND))
    assert {"AAPL", "BTC/USD", "EUR/USD"} <= polygon.market.listings.keys()
    talks = {cluster: admitted(polygon, cluster) for cluster in TOPICS}
    for cluster, talk in talks.items():
        ask(talk, "subscribe", ",".join(f"{code}.*" for code in TOPICS[cluster]))
    ask(talks["options"], "subscribe", f"Q.{CONTRACT},FMV.{CONTRACT}")
    ask(talks["indices"], "subscribe", f"V.{INDEX}")
    polygon.advance(polygon.now + 2 * MINUTE)
    for cluster, talk in talks.items():
        assert {each["ev"] for each in heard(talk)} == set(TOPICS[cluster]), cluster


def test_a_flush_is_one_array() -> None:
    polygon = venue()
    talk = admitted(polygon, topics="T.*,Q.*")
    polygon.advance(START + SECOND)
    [message] = talk.take()
    assert isinstance(message, Message)
    assert message.data
    assert len(json.loads(message.payload)) > 5


def test_a_trade_at_the_very_end_of_a_second_is_the_nexts() -> None:
    polygon = venue("AAPL")
    talk = admitted(polygon, topics="A.AAPL")
    second = START + SECOND
    polygon._count("stocks", "AAPL", START + 1, 100_00, 100)
    polygon._count("stocks", "AAPL", second, 200_00, 100)
    talk.flush()
    [bar] = heard(talk)
    assert (bar["s"], bar["c"]) == (START // MS, 100)


def test_what_comes_late_is_in_no_bar_of_another_time() -> None:
    polygon = venue("AAPL", rate=0.001)
    talk = admitted(polygon, topics="A.AAPL")
    polygon.advance(START + 5 * SECOND)
    polygon._count("stocks", "AAPL", START + 2 * SECOND, 300_00, 100)
    polygon._count("stocks", "AAPL", START + 5 * SECOND, 100_00, 100)
    polygon._count("stocks", "AAPL", START + 4 * SECOND, 300_00, 100)
    polygon.advance(START + 7 * SECOND)
    [bar] = heard(talk)
    assert (bar["s"], bar["v"], bar["h"]) == ((START + 5 * SECOND) // MS, 100, 100)
    assert bar["av"] == 300, "but it is in the day's"


def test_the_same_script_gets_the_same_frames() -> None:
    def played() -> list[Any]:
        polygon = venue()
        talks = [
            admitted(polygon, cluster, "FMV.*" if cluster != "options" else "T.*,LV.*")
            for cluster in ("stocks", "options", "crypto")
        ]
        stocks = talks[0]
        ask(stocks, "subscribe", "T.*,Q.*,A.*,AM.*,LULD.*,NOI.*")
        polygon.advance(START + 65 * SECOND)
        return [each.take() for each in talks]

    assert played() == played()
    assert all(played())
