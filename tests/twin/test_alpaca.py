"""Alpaca's dialect, as conversations without a socket."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from rtflow.time import SECOND, parse
from rtflow.time import format as rfc3339
from rtflow.twin.alpaca import AlpacaVenue
from rtflow.twin.ledger import contracts
from rtflow.twin.market import Listing, Market, Move
from rtflow.twin.venue import Conversation, Denied, Hangup, Message

START = parse("2026-09-25T17:48:20Z")
CONNECTED = '[{"T":"success","msg":"connected"}]'
AUTHENTICATED = '[{"T":"success","msg":"authenticated"}]'


def venue(
    *symbols: str | Listing,
    seed: int = 3,
    rate: float = 1.0,
    keys: Mapping[str, str] | None = None,
    feeds: set[str] | None = None,
    symbol_limit: int | None = None,
    start: int = START,
) -> AlpacaVenue:
    market = Market(
        seed, symbols or ["AAPL", "SPY", "FAKEPACA", "BTC/USD", "SOL/USD"], start=start, rate=rate
    )
    return AlpacaVenue(market, keys=keys, feeds=feeds, symbol_limit=symbol_limit)


def admitted(alpaca: AlpacaVenue, path: str = "/v2/iex", **headers: str) -> Conversation:
    talk = alpaca.connect(path, {name.replace("_", "-"): value for name, value in headers.items()})
    say(talk, action="auth", key="k", secret="s")
    talk.take()
    return talk


def say(talk: Conversation, **request: object) -> None:
    talk.received(json.dumps(request))


def heard(talk: Conversation) -> list[Any]:
    return [json.loads(each.payload) for each in talk.take() if isinstance(each, Message)]


def error(code: int, text: str) -> list[Message]:
    return [Message(f'[{{"T":"error","code":{code},"msg":"{text}"}}]')]


def points(talk: Conversation) -> list[dict[str, Any]]:
    return [point for message in heard(talk) for point in message]


def watched(alpaca: AlpacaVenue, seconds: float) -> list[Move]:
    moves: list[Move] = []
    alpaca.watch = moves.append
    alpaca.advance(alpaca.now + round(seconds * SECOND))
    return moves


# --- authentication -----------------------------------------------------------------------------------------


def test_a_connection_is_greeted_and_admitted_with_a_key() -> None:
    talk = venue(keys={"PK": "shh"}).connect("/v2/sip", {})
    assert talk.take() == [Message(CONNECTED)]
    say(talk, action="auth", key="PK", secret="shh")
    assert talk.take() == [Message(AUTHENTICATED)]


@pytest.mark.parametrize(
    "headers",
    [
        {"APCA-API-KEY-ID": "PK", "APCA-API-SECRET-KEY": "shh"},
        {"Authorization": "Basic " + base64.b64encode(b"PK:shh").decode()},
        {"Authorization": "Bearer shh"},
    ],
)
def test_credentials_in_the_upgrade_need_no_message(headers: dict[str, str]) -> None:
    talk = venue(keys={"PK": "shh"}).connect("/v2/iex", headers)
    assert talk.take() == [Message(CONNECTED), Message(AUTHENTICATED)]


@pytest.mark.parametrize(
    "headers",
    [
        {"APCA-API-KEY-ID": "PK", "APCA-API-SECRET-KEY": "no"},
        {"Authorization": "Basic ***"},
        {"Authorization": "Bearer no"},
    ],
)
def test_wrong_credentials_in_the_upgrade_end_the_connection(headers: dict[str, str]) -> None:
    talk = venue(keys={"PK": "shh"}).connect("/v2/iex", headers)
    assert talk.take()[1:] == [*error(402, "auth failed"), Hangup(1000, "auth failed")]


def test_an_unknown_scheme_is_as_good_as_none() -> None:
    assert len(venue().connect("/v2/iex", {"Authorization": "Digest x"}).take()) == 1


@pytest.mark.parametrize("key", ["access_token", "oauth"])
def test_a_token_is_a_secret_under_a_fixed_key(key: str) -> None:
    talk = venue(keys={"PK": "token"}).connect("/v2/iex", {})
    say(talk, action="auth", key=key, secret="token")
    assert talk.take()[1:] == [Message(AUTHENTICATED)]


@pytest.mark.parametrize("keys", [{"PK": "shh"}, None])
def test_a_wrong_key_is_refused_and_hung_up_on(keys: dict[str, str] | None) -> None:
    alpaca = venue(keys=keys)
    talk = alpaca.connect("/v2/iex", {})
    say(talk, action="auth", key="PK", secret="")
    assert talk.take()[1:] == [*error(402, "auth failed"), Hangup(1000, "auth failed")]
    alpaca.advance(START + 60 * SECOND)
    assert talk.take() == [], "and not a second time"


def test_who_says_nothing_for_ten_seconds_is_too_late() -> None:
    alpaca = venue()
    talk = alpaca.connect("/v2/iex", {})
    alpaca.advance(START + 10 * SECOND - 1)
    assert len(talk.take()) == 1
    alpaca.advance(START + 10 * SECOND)
    assert talk.take() == [*error(404, "auth timeout"), Hangup(1000, "auth timeout")]


def test_who_is_admitted_is_admitted_once() -> None:
    alpaca = venue()
    talk = admitted(alpaca)
    say(talk, action="auth", key="k", secret="s")
    assert talk.take() == error(403, "already authenticated")
    alpaca.advance(START + 60 * SECOND)
    assert talk.take() == []


def test_a_key_has_one_session_per_feed_and_may_ask_again() -> None:
    alpaca = venue()
    first, elsewhere = admitted(alpaca), admitted(alpaca, "/v2/sip")
    second = alpaca.connect("/v2/iex", {})
    say(second, action="auth", key="k", secret="s")
    assert second.take()[1:] == error(406, "connection limit exceeded")
    alpaca.advance(START + 9 * SECOND)
    alpaca.leave(first)
    say(second, action="auth", key="k", secret="s")
    assert second.take() == [Message(AUTHENTICATED)]
    assert not elsewhere.take()
    alpaca.leave(alpaca.connect("/v2/iex", {}))  # one that never was admitted frees nothing
    assert len(alpaca.sessions) == 2


def test_a_feed_outside_the_plan_is_insufficient() -> None:
    talk = venue(feeds={"iex"}).connect("/v2/sip", {})
    say(talk, action="auth", key="k", secret="s")
    assert talk.take()[1:] == [
        *error(409, "insufficient subscription"),
        Hangup(1000, "insufficient subscription"),
    ]


def test_an_unknown_path_does_not_exist() -> None:
    with pytest.raises(Denied, match="404"):
        venue().connect("/v2/nowhere", {})


# --- subscriptions ------------------------------------------------------------------------------------------


def test_subscriptions_add_up_and_the_answer_is_the_whole_set() -> None:
    talk = admitted(venue())
    say(talk, action="subscribe", trades=["AAPL"], quotes=["AMD", "CLDR"], bars=["*"])
    assert talk.take() == [
        Message(
            '[{"T":"subscription","trades":["AAPL"],"quotes":["AMD","CLDR"],"bars":["*"],"updatedBars":[],'
            '"dailyBars":[],"statuses":[],"lulds":[],"corrections":["AAPL"],"cancelErrors":["AAPL"]}]'
        )
    ]
    say(talk, action="subscribe", trades=["SPY"], imbalances=["SPY"])
    ((answer,),) = heard(talk)
    assert answer["trades"] == answer["corrections"] == ["AAPL", "SPY"]
    assert answer["quotes"] == ["AMD", "CLDR"]
    assert list(answer.items())[-1] == ("imbalances", ["SPY"])
    say(
        talk,
        action="unsubscribe",
        trades=["AAPL", "IBM"],
        quotes=["AMD", "CLDR"],
        bars=["*"],
        imbalances=["SPY"],
    )
    ((answer,),) = heard(talk)
    assert {channel: symbols for channel, symbols in answer.items() if symbols} == {
        "T": "subscription",
        "trades": ["SPY"],
        "corrections": ["SPY"],
        "cancelErrors": ["SPY"],
    }
    assert talk.listening


@pytest.mark.parametrize(
    ("path", "channels"),
    [
        ("/v2/test", ["trades", "quotes", "bars"]),
        ("/v1beta3/crypto/us", ["trades", "quotes", "orderbooks", "bars", "updatedBars", "dailyBars"]),
    ],
)
def test_an_endpoint_answers_with_its_own_channels(path: str, channels: list[str]) -> None:
    talk = admitted(venue(), path)
    say(talk, action="subscribe")
    ((answer,),) = heard(talk)
    assert list(answer) == ["T", *channels]
    assert not talk.listening


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        ({"action": "listen"}, 400, "invalid syntax"),
        ({}, 400, "invalid syntax"),
        ({"action": "auth", "key": 1, "secret": "s"}, 400, "invalid syntax"),
        ({"action": "subscribe", "trades": "AAPL"}, 400, "invalid syntax"),
        ({"action": "subscribe", "trades": [1]}, 400, "invalid syntax"),
        ({"action": "subscribe", "trades": ["aapl"]}, 400, "invalid syntax"),
        ({"action": "subscribe", "trades": ["SPY", "A B"]}, 400, "invalid syntax"),
        ({"action": "subscribe", "orderbooks": ["BTC/USD"]}, 410, "invalid subscribe action for this feed"),
        ({"action": "subscribe", "corrections": ["AAPL"]}, 410, "invalid subscribe action for this feed"),
        ({"action": "unsubscribe", "nonsense": ["AAPL"]}, 410, "invalid subscribe action for this feed"),
    ],
)
def test_a_bad_request_changes_nothing(request_: dict[str, object], code: int, text: str) -> None:
    talk = admitted(venue())
    say(talk, **request_)
    assert talk.take() == error(code, text)
    assert not talk.listening


@pytest.mark.parametrize("payload", ["", "[]", "{", b"\xc1", b"\xff"])
def test_what_cannot_be_read_is_invalid_syntax(payload: str | bytes) -> None:
    talk = admitted(venue())
    talk.received(payload)
    assert talk.take() == error(400, "invalid syntax")


def test_an_empty_list_of_a_foreign_channel_does_no_harm() -> None:
    talk = admitted(venue())
    say(talk, action="subscribe", trades=["AAPL"], orderbooks=[])
    assert heard(talk)[0][0]["T"] == "subscription"


def test_nothing_is_served_before_authentication() -> None:
    talk = venue().connect("/v2/iex", {})
    talk.take()
    say(talk, action="subscribe", trades=["AAPL"])
    assert talk.take() == error(401, "not authenticated")


def test_too_many_symbols_are_refused_as_a_whole() -> None:
    talk = admitted(venue(symbol_limit=3))
    say(talk, action="subscribe", trades=["AAPL"], bars=["A", "B", "C", "D"])
    assert heard(talk)[0][0]["T"] == "subscription"
    for wish in ({"trades": ["SPY"], "quotes": ["SPY", "AAPL"]}, {"quotes": ["*"]}):
        say(talk, action="subscribe", **wish)
        assert talk.take() == error(405, "symbol limit exceeded")
    say(talk, action="unsubscribe", bars=["A"])
    assert heard(talk)[0][0]["trades"] == ["AAPL"]


# --- stocks -------------------------------------------------------------------------------------------------


def test_trades_and_quotes_say_what_the_market_did() -> None:
    alpaca = venue(rate=5.0)
    talk = admitted(alpaca)
    say(talk, action="subscribe", trades=["AAPL"], quotes=["*"])
    talk.take()
    moves = [each for each in watched(alpaca, 5) if each.symbol == "AAPL"]
    (message,) = heard(talk)
    assert {point["S"] for point in message} == {"AAPL", "SPY", "FAKEPACA"}, "coins are elsewhere"
    told = [point for point in message if point["S"] == "AAPL"]
    trades = [point for point in told if point["T"] == "t"]
    assert [list(each) for each in trades[:1]] == [["T", "S", "i", "x", "p", "s", "c", "z", "t"]]
    assert [(each["i"], each["p"], each["s"], parse(each["t"])) for each in trades] == [
        (fill.id, fill.price / 100, fill.size, fill.stamp) for move in moves for fill in move.trades
    ]
    quotes = [point for point in told if point["T"] == "q"]
    assert list(quotes[0]) == ["T", "S", "bx", "bp", "bs", "ax", "ap", "as", "c", "z", "t"]
    assert [(each["bp"], each["bs"], each["ap"], each["as"]) for each in quotes] == [
        (move.bid / 100, move.bid_size // 100, move.ask / 100, move.ask_size // 100)
        for move in moves
        if move.touched
    ]
    assert {(each["x"], each["z"]) for each in trades} == {("V", "C")}
    assert {tuple(each["c"]) for each in trades} == {("@",), ("@", "I"), ("@", "F")}
    assert all(("I" in each["c"]) == (each["s"] < 100) for each in trades)


def test_a_cta_stock_spells_a_regular_sale_as_a_space() -> None:
    alpaca = venue()
    talk = admitted(alpaca, "/v2/sip")
    say(talk, action="subscribe", trades=["SPY"])
    talk.take()
    alpaca.advance(START + 20 * SECOND)
    trades = points(talk)
    assert {each["c"][0] for each in trades} == {" "}
    assert {each["z"] for each in trades} == {"B"}
    assert len({each["x"] for each in trades}) > 3, "a consolidated feed has many exchanges"


def test_the_test_feed_has_one_symbol_of_placeholder_exchanges() -> None:
    alpaca = venue()
    talk = admitted(alpaca, "/v2/test")
    say(talk, action="subscribe", trades=["*"], quotes=["*"])
    talk.take()
    alpaca.advance(START + 10 * SECOND)
    told = points(talk)
    assert {each["S"] for each in told} == {"FAKEPACA"}
    assert {(each.get("x"), each.get("bx"), each.get("ax")) for each in told} == {
        ("O", None, None),
        (None, "O", "R"),
    }


def test_a_minute_makes_a_bar_of_its_prints() -> None:
    alpaca = venue("AAPL")
    talk = admitted(alpaca)
    say(talk, action="subscribe", trades=["AAPL"], bars=["AAPL"], updatedBars=["AAPL"], dailyBars=["AAPL"])
    talk.take()
    told: list[dict[str, Any]] = []
    for second in range(1, 281):
        alpaca.advance(START + second * SECOND)
        told += points(talk)
    bars = [each for each in told if each["T"] == "b"]
    assert [each["t"] for each in bars] == [f"2026-09-25T17:{minute}:00Z" for minute in range(48, 53)]
    assert list(bars[0]) == ["T", "S", "o", "h", "l", "c", "v", "t", "n", "vw"]
    for bar in bars:
        at = told.index(bar)
        assert bar == {"T": "b", "S": "AAPL", "t": bar["t"]} | fold(told[:at], bar["t"])
    days = [each for each in told if each["T"] == "d"]
    assert {each["t"] for each in days} == {"2026-09-25T04:00:00Z"}, "midnight in New York"
    assert [each["o"] for each in days] == [bars[0]["o"]] * 5
    assert [each["v"] for each in days] == sorted({each["v"] for each in days})
    assert days[0] == bars[0] | {"T": "d", "t": days[0]["t"], "vw": days[0]["vw"]}


def fold(told: list[dict[str, Any]], begin: str) -> dict[str, Any]:
    """The bar of what a client has been told of one minute, by the venue's published rules."""
    prints: dict[int, dict[str, Any]] = {}
    for each in told:
        if each["T"] == "t" and each["t"][:16] == begin[:16]:
            prints[each["i"]] = each
        elif each["T"] == "x":
            prints.pop(each["i"], None)
        elif each["T"] == "c" and each["oi"] in prints:
            old = prints.pop(each["oi"])
            prints[each["ci"]] = old | {"p": each["cp"], "s": each["cs"]}
    rows = sorted(prints.values(), key=lambda each: parse(each["t"]))
    priced = [each for each in rows if each["s"] >= 100]
    prices = [each["p"] for each in priced]
    value, volume = sum(each["p"] * each["s"] for each in priced), sum(each["s"] for each in priced)
    return {
        "o": prices[0],
        "h": max(prices),
        "l": min(prices),
        "c": prices[-1],
        "v": sum(each["s"] for each in rows),
        "n": len(rows),
        "vw": pytest.approx(value / volume),
    }


def test_late_prints_corrections_and_cancels_make_an_updated_bar() -> None:
    alpaca = venue("AAPL", rate=5.0)
    talk = admitted(alpaca)
    say(talk, action="subscribe", trades=["*"], bars=["*"], updatedBars=["*"])
    talk.take()
    told: list[dict[str, Any]] = []
    for second in range(1, 400):
        alpaca.advance(START + second * SECOND)
        told += points(talk)
    kinds = {kind: [each for each in told if each["T"] == kind] for kind in "tbucx"}
    assert all(kinds.values())
    for bar in kinds["u"]:
        at = told.index(bar)
        assert bar == {"T": "u", "S": "AAPL", "t": bar["t"]} | fold(told[:at], bar["t"])
        (first,) = [each for each in kinds["b"] if each["t"] == bar["t"]]
        assert first != bar | {"T": "b"}
    assert list(kinds["c"][0]) == ["T", "S", "x", "oi", "op", "os", "oc", "ci", "cp", "cs", "cc", "z", "t"]
    assert list(kinds["x"][0]) == ["T", "S", "i", "x", "p", "s", "a", "z", "t"]
    prints = {each["i"]: each for each in kinds["t"]}
    for each in kinds["c"]:
        old = prints[each["oi"]]
        assert (each["op"], each["os"], each["oc"], each["x"]) == (old["p"], old["s"], old["c"], old["x"])
        assert each["cp"] == pytest.approx(old["p"] + 0.01)
    for each in kinds["x"]:
        assert (each["p"], each["s"], each["a"]) == (prints[each["i"]]["p"], prints[each["i"]]["s"], "C")
    stamps = [parse(each["t"]) for each in kinds["t"]]
    assert stamps != sorted(stamps), "a late print is stamped with its own time"


def test_a_minute_without_qualifying_trades_has_no_bar() -> None:
    alpaca = venue(Listing("GME", 24_00, lot=100, rate=0.001, tape="A"))
    talk = admitted(alpaca)
    say(talk, action="subscribe", bars=["*"], dailyBars=["*"])
    talk.take()
    alpaca.advance(START + 200 * SECOND)
    assert points(talk) == []


def test_bands_and_imbalances_come_with_the_minute() -> None:
    alpaca = venue("AAPL")
    talk = admitted(alpaca)
    say(talk, action="subscribe", lulds=["AAPL"], imbalances=["AAPL"])
    talk.take()
    alpaca.advance(START + 40 * SECOND)
    bands, imbalance = points(talk)
    assert list(bands) == ["T", "S", "u", "d", "i", "t", "z"]
    assert bands["d"] < imbalance["p"] < bands["u"]
    assert list(imbalance) == ["T", "S", "p", "z", "t"]
    assert bands["t"] == imbalance["t"] == "2026-09-25T17:49:00Z"


@pytest.mark.parametrize(
    ("tape", "codes"),
    [
        ("C", [("H", "Trading Halt", "LUDP"), ("T", "Trading Resumption", "LUDP")]),
        ("A", [("2", "Trading Halt", "M"), ("3", "Resume", "M")]),
    ],
)
def test_a_halt_and_its_end_are_told(tape: str, codes: list[tuple[str, str, str]]) -> None:
    alpaca = venue(Listing("X", 100_00, lot=100, halts=5.0, tape=tape))
    talk = admitted(alpaca)
    say(talk, action="subscribe", statuses=["X"], trades=["X"])
    talk.take()
    alpaca.advance(START + 60 * SECOND)
    told = points(talk)
    marks = [index for index, each in enumerate(told) if each["T"] == "s"]
    assert [(told[at]["sc"], told[at]["sm"], told[at]["rc"]) for at in marks[:2]] == codes
    assert [each["T"] for each in told[marks[0] : marks[1] + 1] if each["T"] == "t"] == [], (
        "none while halted"
    )
    assert list(told[marks[0]]) == ["T", "S", "sc", "sm", "rc", "rm", "t", "z"]


# --- coins --------------------------------------------------------------------------------------------------


def test_an_order_book_comes_whole_and_then_in_changes() -> None:
    alpaca = venue()
    talk = admitted(alpaca, "/v1beta3/crypto/us")
    say(talk, action="subscribe", orderbooks=["BTC/USD"], quotes=["BTC/USD"])
    _, (snapshot,) = heard(talk)
    assert list(snapshot) == ["T", "S", "t", "b", "a", "r"]
    assert snapshot["r"] is True
    sides = {name: {level["p"]: level["s"] for level in snapshot[name]} for name in "ba"}
    assert [len(sides[name]) for name in "ba"] == [250, 250]
    assert [level["p"] for level in snapshot["b"]] == sorted(sides["b"], reverse=True)
    say(talk, action="subscribe", orderbooks=["BTC/USD", "SOL/USD"])
    _, (more,) = heard(talk)
    assert more["S"] == "SOL/USD", "one whole book per new symbol"
    alpaca.advance(START + 20 * SECOND)
    told = [each for each in points(talk) if each["S"] == "BTC/USD"]
    assert len(told) > 1000
    for each in told:
        if each["T"] == "o":
            assert "r" not in each
            for name, side in sides.items():
                for level in each[name]:
                    side[level["p"]] = level["s"]
                    if not level["s"]:
                        del side[level["p"]]
        else:
            assert list(each) == ["T", "S", "bp", "bs", "ap", "as", "t"]
            # a quote precedes the change that made it, as two messages of one instant
    bids, asks = alpaca.market.book("BTC/USD")
    assert sides["b"] == {price / 10: size / 10**8 for price, size in bids.levels()}
    assert sides["a"] == {price / 10: size / 10**8 for price, size in asks.levels()}
    say(talk, action="unsubscribe", orderbooks=["BTC/USD", "SOL/USD"], quotes=["BTC/USD"])
    talk.take()
    alpaca.advance(START + 30 * SECOND)
    assert talk.take() == []


def test_a_wildcard_brings_every_book() -> None:
    talk = admitted(venue(), "/v1beta3/crypto/eu-1")
    say(talk, action="subscribe", orderbooks=["*"])
    assert [each["S"] for each in points(talk)[1:]] == ["BTC/USD", "SOL/USD"]


def test_a_coins_trade_names_the_taker() -> None:
    alpaca = venue()
    talk = admitted(alpaca, "/v1beta3/crypto/us-1")
    say(talk, action="subscribe", trades=["SOL/USD"])
    talk.take()
    fills = [fill for move in watched(alpaca, 30) for fill in move.trades if fill.symbol == "SOL/USD"]
    trades = points(talk)
    assert list(trades[0]) == ["T", "S", "p", "s", "i", "tks", "t"]
    assert [(each["tks"], each["p"], each["s"]) for each in trades] == [
        ("B" if fill.side == 1 else "S", fill.price / 100, fill.size / 10**8) for fill in fills
    ]
    assert {len(str(each["i"])) for each in trades} == {19}
    assert {b["i"] - a["i"] for a, b in itertools.pairwise(trades)} == {1}


def test_a_coin_without_trades_has_a_bar_of_its_middle() -> None:
    alpaca = venue(Listing("XRP/USD", 100_0000, 4, 8, size=10**9, spacing=20, rate=0.001))
    talk = admitted(alpaca, "/v1beta3/crypto/us")
    say(talk, action="subscribe", bars=["XRP/USD"], dailyBars=["*"])
    talk.take()
    alpaca.advance(START + 40 * SECOND)
    bar, day = points(talk)
    assert bar["o"] == bar["h"] == bar["l"] == bar["c"] == pytest.approx(100, rel=0.01)
    assert (bar["v"], bar["n"], bar["vw"], day["v"], day["vw"]) == (0, 0, 0, 0, 0)


# --- options ------------------------------------------------------------------------------------------------


def packed(talk: Conversation) -> list[dict[str, Any]]:
    """What was said in MessagePack, with its stamps in nanoseconds."""
    messages = [each.payload for each in talk.take() if isinstance(each, Message)]
    assert all(isinstance(each, bytes) for each in messages)
    return [
        {key: unpacked(bytes(value)) for key, value in said.items()}
        for each in messages
        for said in msgspec.msgpack.decode(each, type=list[dict[str, msgspec.Raw]])  # type: ignore[arg-type]
    ]


def unpacked(value: bytes) -> Any:
    """A value; of a stamp all nine digits, where a datetime would keep six."""
    number = int.from_bytes(value[2:], "big")
    match value[:2]:
        case b"\xd7\xff":
            return (number & 0x3_FFFF_FFFF) * SECOND + (number >> 34)
        case b"\xd6\xff":
            return number * SECOND
    return msgspec.msgpack.decode(value)


def optioned(alpaca: AlpacaVenue, path: str = "/v1beta1/opra", **channels: list[str]) -> Conversation:
    talk = admitted(alpaca, path, content_type="application/msgpack")
    talk.received(msgspec.msgpack.encode({"action": "subscribe"} | channels))
    return talk


def test_a_stock_has_calls_and_puts_around_its_price() -> None:
    chain = contracts(Listing("AAPL", 230_00, lot=100, tape="C"), START)
    assert [each.symbol for each in chain[:4]] == [
        "AAPL261016C00200000",
        "AAPL261016P00200000",
        "AAPL261016C00210000",
        "AAPL261016P00210000",
    ]
    assert len(chain) == 14
    assert [each.number for each in chain] == list(range(14))
    cheap = contracts(Listing("X", 2_000, 3, lot=100, levels=4, tape="A"), START)
    assert [each.symbol for each in cheap[::2]] == [
        f"X261016C{strike:08}" for strike in (1000, 2000, 3000, 4000, 5000)
    ]
    assert [each.symbol[-8:] for each in contracts(Listing("Y", 100_00, tape="A"), START)[::2]] == [
        f"{strike:08}" for strike in range(85_000, 116_000, 5_000)
    ]


@pytest.mark.parametrize(
    ("opened", "expires"),
    [
        ("2026-09-25T17:48:20Z", "2026-10-16"),
        ("2026-10-09T00:00:00Z", "2026-10-16"),  # a week ahead
        ("2026-10-10T00:00:00Z", "2026-11-20"),  # no longer
        ("2026-12-31T00:00:00Z", "2027-01-15"),
    ],
)
def test_options_expire_on_a_third_friday(opened: str, expires: str) -> None:
    (expiry,) = {f"{each.expires}" for each in contracts(Listing("A", 100_00, tape="A"), parse(opened))}
    assert expiry == expires


def test_quotes_of_options_follow_the_touch_of_the_stock() -> None:
    alpaca = venue(rate=2.0)
    call, put = alpaca.ledger.contracts["AAPL"][:2]
    talk = optioned(alpaca, quotes=[call.symbol, put.symbol])
    (ack,) = packed(talk)[-1:]
    assert ack == {"T": "subscription", "trades": [], "quotes": sorted([call.symbol, put.symbol])}
    moves = [each for each in watched(alpaca, 20) if each.symbol == "AAPL" and each.touched]
    told = packed(talk)
    assert list(told[0]) == ["T", "S", "t", "bx", "bp", "bs", "ax", "ap", "as", "c"]
    for option in (call, put):
        expected = [(option.touch(move, 100), move.stamp) for move in moves]
        changes = [
            each
            for each, before in zip(expected, [None, *expected], strict=False)
            if not before or each[0] != before[0]
        ]
        assert [
            ((round(each["bp"] * 100), each["bs"], round(each["ap"] * 100), each["as"]), each["t"])
            for each in told
            if each["S"] == option.symbol
        ] == changes
    assert {each["S"] for each in told} == {call.symbol, put.symbol}
    assert all(0 < each["bp"] < each["ap"] for each in told if each["S"] == call.symbol)
    worthless = [each for each in told if each["S"] == put.symbol and not each["bp"]]
    assert worthless, "far below the stock a put is worth nothing"
    assert {(each["bx"], each["bs"], each["c"]) for each in worthless} == {("?", 0, " ")}


def test_trades_of_options_are_made_of_the_stocks_trades() -> None:
    alpaca = venue(rate=5.0)
    talk = optioned(alpaca, "/v1beta1/indicative", trades=["*"])
    talk.take()
    expected = []
    for move in watched(alpaca, 40):
        for fill in move.trades:
            chain = alpaca.ledger.contracts[fill.symbol]
            if chain and fill.id % 4 == 0:
                option = chain[fill.id // 4 % len(chain)]
                bid, _, ask, _ = option.touch(move, 100)
                if price := ask if fill.side == 1 else bid:
                    expected.append((option.symbol, price, 1 + fill.size // 100, fill.stamp))
    told = packed(talk)
    assert list(told[0]) == ["T", "S", "t", "p", "s", "x", "c"]
    assert [(each["S"], round(each["p"] * 100), each["s"], each["t"]) for each in told] == expected
    assert {each["S"][:4] for each in told} >= {"AAPL", "FAKE"}, "options have the stocks' own names"
    assert {each["c"] for each in told} == {"I", "S", "a"}


def test_options_come_in_msgpack_or_not_at_all() -> None:
    for headers in ({}, {"Content-Type": "application/json"}):
        talk = venue().connect("/v1beta1/opra", headers)
        text = "option messages are only available in MsgPack format"
        assert talk.take() == [*error(412, text), Hangup(1000, text)]


def test_the_quotes_of_options_have_no_star_and_limits_of_their_own() -> None:
    talk = optioned(venue(), "/v1beta1/indicative", quotes=["*"], trades=["*"])
    (refusal,) = packed(talk)
    assert refusal["code"] == 413
    assert not talk.listening
    many = [f"A{number}" for number in range(201)]
    talk.received(msgspec.msgpack.encode({"action": "subscribe", "quotes": many, "trades": many}))
    assert packed(talk)[0]["code"] == 405
    talk.received(msgspec.msgpack.encode({"action": "subscribe", "quotes": many[1:], "trades": many}))
    assert len(packed(talk)[0]["quotes"]) == 200
    talk.received(msgspec.msgpack.encode({"action": "unsubscribe", "quotes": ["*"]}))
    assert packed(talk)[0]["T"] == "subscription"
    few = optioned(venue(symbol_limit=1), quotes=many[:2])
    assert packed(few)[0]["code"] == 405


def test_a_page_lists_the_options_there_are() -> None:
    alpaca = venue()
    page = json.loads(alpaca.page("/v2/options/contracts?underlying_symbols=NOPE,SPY&status=active", {}).body)
    assert page["next_page_token"] is None
    assert [each["symbol"] for each in page["option_contracts"]] == [
        each.symbol for each in alpaca.ledger.contracts["SPY"]
    ]
    first = page["option_contracts"][0]
    assert first | {"id": "", "underlying_asset_id": ""} == {
        "id": "",
        "symbol": "SPY261016C00540000",
        "name": "SPY Oct 16 2026 540 Call",
        "status": "active",
        "tradable": True,
        "expiration_date": "2026-10-16",
        "root_symbol": "SPY",
        "underlying_symbol": "SPY",
        "underlying_asset_id": "",
        "type": "call",
        "style": "american",
        "strike_price": "540",
        "size": "100",
    }
    whole = json.loads(alpaca.page("/v2/options/contracts", {}).body)["option_contracts"]
    assert {each["underlying_symbol"] for each in whole} == {"AAPL", "SPY", "FAKEPACA"}
    assert alpaca.page("/v2/orders", {}).status == 404
    plain = AlpacaVenue(Market(1, [Listing("Y", 4_000, 0, lot=100, levels=4, tape="A")], start=START))
    (strike, *_) = json.loads(plain.page("/v2/options/contracts", {}).body)["option_contracts"]
    assert strike["strike_price"] == "3970"


# --- news ---------------------------------------------------------------------------------------------------


def readers(alpaca: AlpacaVenue, *symbols: str) -> Conversation:
    talk = admitted(alpaca, "/v1beta1/news")
    say(talk, action="subscribe", news=list(symbols))
    ((ack,),) = heard(talk)
    assert ack == {"T": "subscription", "news": sorted(symbols)}
    return talk


def test_news_are_rare_and_some_are_put_right() -> None:
    alpaca = venue(rate=0.01)
    talk = readers(alpaca, "*")
    alpaca.advance(START + 3 * 3600 * SECOND)
    told = points(talk)
    assert 20 < len(told) < 120
    assert list(told[0]) == [
        "T",
        "id",
        "headline",
        "summary",
        "author",
        "created_at",
        "updated_at",
        "url",
        "content",
        "symbols",
        "source",
    ]
    assert {symbol for each in told for symbol in each["symbols"]} == {
        "AAPL",
        "SPY",
        "FAKEPACA",
        "BTCUSD",
        "SOLUSD",
    }
    assert [each for each in told if not each["symbols"]], "some are about nobody"
    originals = {each["id"]: each for each in told if each["created_at"] == each["updated_at"]}
    updates = [each for each in told if each["created_at"] != each["updated_at"]]
    assert updates
    for each in updates:
        first = originals[each["id"]]
        assert each["created_at"] == first["created_at"] < each["updated_at"]
        assert each["headline"] == f"{first['headline']} (Updated)"
    assert len(originals) + len(updates) == len(told)


def test_an_article_is_told_once_to_whoever_wants_one_of_its_symbols() -> None:
    alpaca = venue()
    both, one, other = readers(alpaca, "*", "AAPL"), readers_of(alpaca, "SPY"), readers_of(alpaca, "TSLA")
    stocks = admitted(alpaca, "/v2/sip")
    say(stocks, action="subscribe", trades=["*"])
    stocks.take()
    alpaca.provoke_news("Apple And Spiders", ["SPY", "AAPL"])
    for talk in (both, one):
        (article,) = points(talk)
        assert (article["headline"], article["symbols"]) == ("Apple And Spiders", ["AAPL", "SPY"])
        assert article["created_at"] == article["updated_at"] == "2026-09-25T17:48:20Z"
    assert other.take() == stocks.take() == []
    alpaca.provoke_news(symbols=[])
    assert [each["symbols"] for each in points(both)] == [[]]
    assert one.take() == []
    alpaca.provoke_news()
    assert len(points(both)) == 1
    alpaca.advance(START + SECOND)
    assert points(both) == [], "nothing else moves a reader of news"


def readers_of(alpaca: AlpacaVenue, symbol: str) -> Conversation:
    """Another account's conversation: one key has one connection for each feed."""
    talk = alpaca.connect("/v1beta1/news", {})
    say(talk, action="auth", key=f"key of {symbol}", secret="s")
    say(talk, action="subscribe", news=[symbol])
    talk.take()
    return talk


def test_news_in_msgpack_have_stamps_of_their_own() -> None:
    alpaca = venue()
    talk = admitted(alpaca, "/v1beta1/news", content_type="application/msgpack")
    talk.received(msgspec.msgpack.encode({"action": "subscribe", "news": ["*"]}))
    talk.take()
    alpaca.provoke_news("Hello")
    (article,) = packed(talk)
    assert (article["created_at"], article["updated_at"]) == (START, START)


@pytest.mark.parametrize(
    ("code", "text", "over"),
    [
        (407, "slow client", True),
        (412, "option messages are only available in MsgPack format", True),
        (413, "star subscription is not allowed for option quotes", False),
        (500, "internal error", False),
    ],
)
def test_an_error_comes_on_request_and_some_are_the_end(code: int, text: str, over: bool) -> None:
    alpaca = venue()
    talk = admitted(alpaca)
    alpaca.provoke_error(code)
    assert talk.take() == [*error(code, text), *([Hangup(1000, text)] if over else [])]


# --- encodings ----------------------------------------------------------------------------------------------


def test_json_stamps_are_trimmed_and_whole_numbers_have_no_point() -> None:
    alpaca = venue(Listing("X", 100_00, lot=100, rate=50.0, tape="C"))
    talk = admitted(alpaca)
    say(talk, action="subscribe", trades=["X"], bars=["X"])
    talk.take()
    alpaca.advance(START + 40 * SECOND)
    raw = "".join(str(each.payload) for each in talk.take() if isinstance(each, Message))
    assert '"p":100,' in raw
    assert ".0," not in raw
    assert "0Z" not in raw.replace(":00Z", "")
    assert '"t":"2026-09-25T17:48:00Z"' in raw


def test_msgpack_is_chosen_by_the_upgrade_and_speaks_in_timestamps() -> None:
    alpaca = venue()
    talk = alpaca.connect("/v2/iex", {"Content-Type": "application/msgpack"})
    assert talk.take() == [Message(bytes.fromhex("9182a154a773756363657373a36d7367a9636f6e6e6563746564"))]
    talk.received(msgspec.msgpack.encode({"action": "auth", "key": "k", "secret": "s"}))
    say(talk, action="subscribe", trades=["AAPL"], quotes=["AAPL"], bars=["AAPL"])  # text is JSON everywhere
    assert len(talk.take()) == 2
    fills = [fill for move in watched(alpaca, 41) for fill in move.trades if fill.symbol == "AAPL"]
    said = [each.payload for each in talk.take() if isinstance(each, Message)]
    told = [point for each in said if isinstance(each, bytes) for point in msgspec.msgpack.decode(each)]
    trades = [each for each in told if each["T"] == "t"]
    assert all(next(iter(each)) == "T" for each in told)
    for fill, each in zip(fills[:20], trades, strict=False):
        assert type(each["p"]) is float
        assert type(each["s"]) is int
        assert each["t"].timestamp() == pytest.approx(fill.stamp / SECOND, abs=2e-6)
    raw = said[-1]
    assert isinstance(raw, bytes)
    (bar,) = [each for each in told if each["T"] == "b"]
    assert bytes.fromhex("d6ff") + (START // SECOND - 20).to_bytes(4, "big") in raw
    assert (
        bytes.fromhex("d7ff")
        + ((fills[0].stamp % SECOND) << 34 | fills[0].stamp // SECOND).to_bytes(8, "big")
        in raw
    )
    assert type(bar["v"]) is int


def test_a_coins_sizes_are_floats_in_msgpack() -> None:
    alpaca = venue()
    talk = admitted(alpaca, "/v1beta3/crypto/us", content_type="application/msgpack")
    say(talk, action="subscribe", trades=["BTC/USD"])
    talk.take()
    alpaca.advance(START + 5 * SECOND)
    (said,) = talk.take()
    assert isinstance(said, Message)
    assert isinstance(said.payload, bytes)
    assert {type(each["s"]) for each in msgspec.msgpack.decode(said.payload)} == {float}


def test_a_flush_is_one_array_and_control_messages_travel_alone() -> None:
    alpaca = venue(rate=10.0)
    talk = admitted(alpaca)
    say(talk, action="subscribe", trades=["*"], quotes=["*"])
    alpaca.advance(START + SECOND)
    alpaca.advance(START + 2 * SECOND)
    acknowledged, *flushed = talk.take()
    assert isinstance(acknowledged, Message)
    assert not acknowledged.data
    assert len(flushed) == 2
    for each in flushed:
        assert isinstance(each, Message)
        assert each.data
        assert len(json.loads(each.payload)) > 50


def test_a_slow_client_is_told_407() -> None:
    alpaca = venue()
    talk = admitted(alpaca)
    say(talk, action="subscribe", trades=["*"])
    talk.take()
    talk.lagging()
    assert talk.take() == [*error(407, "slow client"), Hangup(1000, "slow client")]


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        ("2026-09-26T03:59:50Z", "2026-09-25T04:00:00Z"),
        ("2026-01-15T12:00:50Z", "2026-01-15T05:00:00Z"),
        ("2026-03-08T12:00:50Z", "2026-03-08T05:00:00Z"),  # the clocks go forward after the midnight
        ("2026-11-01T12:00:50Z", "2026-11-01T04:00:00Z"),  # and back after this one
        ("2026-11-02T04:30:50Z", "2026-11-01T04:00:00Z"),
    ],
)
def test_a_day_begins_at_midnight_in_new_york_in_any_season(now: str, midnight: str) -> None:
    alpaca = venue("BTC/USD", start=parse(now))
    talk = admitted(alpaca, "/v1beta3/crypto/us")
    say(talk, action="subscribe", dailyBars=["*"])
    talk.take()
    alpaca.advance(parse(now) + 30 * SECOND)
    assert [each["t"] for each in points(talk)] == [midnight]


def test_the_same_script_gets_the_same_frames() -> None:
    def played() -> list[Message | Hangup]:
        alpaca = venue()
        talk = admitted(alpaca, "/v2/sip")
        say(talk, action="subscribe", trades=["*"], quotes=["*"], bars=["*"])
        for tick in range(100):
            alpaca.advance(START + tick * SECOND)
        return talk.take()

    assert played() == played()
    assert rfc3339(START, 0) == "2026-09-25T17:48:20Z"
