"""Interactive Brokers' dialect, as conversations without a socket."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest

from rtflow.time import SECOND
from rtflow.twin.ibkr import IbkrConversation, IbkrVenue, _java, _short, conid
from rtflow.twin.market import Listing, Market, Move
from rtflow.twin.venue import Conversation, Denied, Hangup, Message

START = 1_790_358_500 * SECOND
AAPL = str(conid("AAPL"))
GME = str(conid("GME"))
EVERY = [
    "31",
    "55",
    "70",
    "71",
    "84",
    "85",
    "86",
    "87",
    "88",
    "7057",
    "7058",
    "7059",
    "7068",
    "7295",
    "7741",
    "7762",
]


def venue(*symbols: str | Listing, warmup: float = 30.0, rate: float = 1.0, **options: Any) -> IbkrVenue:
    market = Market(3, symbols or ["AAPL", "GME", "BTC/USD"], start=START - round(warmup * SECOND), rate=rate)
    opened = IbkrVenue(market, **options)
    opened.advance(START)
    return opened


def greeted(ibkr: IbkrVenue) -> Conversation:
    talk = ibkr.connect("/v1/api/ws", {"Cookie": 'api={"session":"s"}'})
    talk.take()
    return talk


def messages(talk: Conversation) -> list[dict[str, Any]]:
    said = talk.take()
    for each in said:
        assert isinstance(each, Message)
        assert isinstance(each.payload, bytes), "JSON comes in binary frames"
    return [json.loads(each.payload) for each in said if isinstance(each, Message)]


def ask(talk: Conversation, text: str) -> list[dict[str, Any]]:
    talk.received(text)
    return messages(talk)


def stream(talk: Conversation, target: str, fields: Iterable[str] = EVERY) -> list[dict[str, Any]]:
    return ask(talk, f"smd+{target}+{json.dumps({'fields': list(fields)})}")


def passed(ibkr: IbkrVenue, talk: Conversation, seconds: float) -> list[dict[str, Any]]:
    ibkr.advance(ibkr.now + round(seconds * SECOND))
    return messages(talk)


def updates(said: Iterable[dict[str, Any]], target: str = AAPL) -> list[dict[str, Any]]:
    return [each for each in said if each.get("topic") == f"smd+{target}"]


def merged(said: Iterable[dict[str, Any]]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for each in said:
        known |= each
    return known


# ------------------------------------------------------------------------------------------ the session


@pytest.mark.parametrize("cookie", ['api={"session":"s"}', 'api={"session": "s"}', "x=1; api=s"])
def test_whoever_comes_with_a_cookie_is_greeted(cookie: str) -> None:
    talk = venue(session="s").connect("/v1/api/ws", {"Cookie": cookie})
    assert messages(talk) == [
        {"topic": "system", "success": "twin", "isFT": False, "isPaper": True},
        {"topic": "act", "args": {"accounts": ["DU1234567"], "selectedAccount": "DU1234567"}},
        {"topic": "sts", "args": {"authenticated": True}},
    ]
    assert not talk.listening


def test_whoever_comes_without_is_waited_for() -> None:
    ibkr = venue(session="s")
    talk = ibkr.connect("/v1/api/ws", {})
    assert messages(talk) == [{"message": "waiting for session"}]
    assert ask(talk, "smd+1+{}") == ask(talk, '{"session":"other"}') == []
    ibkr.provoke("compete")
    assert messages(talk) == []
    assert [each["topic"] for each in ask(talk, '{"session":"s"}')] == ["system", "act", "sts"]
    assert [each["topic"] for each in passed(ibkr, talk, 31)] == ["system"] * 3


def test_whoever_never_says_is_left() -> None:
    ibkr = venue()
    talk = ibkr.connect("/v1/api/ws", {})
    ibkr.advance(START + 60 * SECOND)
    assert talk.take()[1:] == [Hangup(1008, "no session")]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/ws", {}, 404),
        ("/v1/api/ws", {}, 401),
        ("/v1/api/ws?oauth_token=t", {"Cookie": "api=wrong"}, 401),
        ("/v1/api/ws?oauth_token=x", {"Cookie": "api=s"}, 401),
    ],
)
def test_another_path_and_a_wrong_secret_are_denied(path: str, headers: dict[str, str], status: int) -> None:
    ibkr = venue(session="s", oauth_token="t")
    with pytest.raises(Denied) as denied:
        ibkr.connect(path, headers)
    assert denied.value.status == status
    assert len(messages(ibkr.connect("/v1/api/ws?oauth_token=t", {"Cookie": "api=s"}))) == 3


def test_the_pages_tell_the_session_and_the_accounts() -> None:
    ibkr = venue(session="s", authenticated=False)
    told = json.loads(ibkr.page("/v1/api/tickle", {}).body)
    assert (told["session"], told["iserver"]["authStatus"]["authenticated"]) == ("s", False)
    assert json.loads(ibkr.page("/v1/api/iserver/accounts", {}).body)["accounts"] == ["DU1234567"]
    assert ibkr.page("/v1/api/orders", {}).status == 404


def test_heartbeats_and_the_answers_to_ours() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    assert ask(talk, "ech+hb") == [{"topic": "ech+hb"}]
    assert ask(talk, "tic") == [
        {"topic": "tic", "alive": True, "id": "twin", "lastAccessed": START // 1_000_000}
    ]
    assert [each["hb"] for each in passed(ibkr, talk, 25)] == [
        START // 10**6 + 10_000,
        START // 10**6 + 20_000,
    ]
    ibkr.provoke("mute", seconds=20)
    assert ask(talk, "tic") + ask(talk, "ech+hb") == []
    assert [each["hb"] for each in passed(ibkr, talk, 25)] == [START // 10**6 + 50_000]
    assert ask(talk, "tic")


@pytest.mark.parametrize(
    "text", ["xyz", "smd+1", "smd+1+{'fields':['31']}", "smh+1+{}", 'smh+1+{"period":"x","bar":"1d"}']
)
def test_what_is_not_understood_is_an_unknown_topic(text: str) -> None:
    assert ask(greeted(venue()), text) == [{"error": f"Topic unknown {text}", "code": 1}]


def test_a_request_may_come_in_a_binary_frame() -> None:
    talk = greeted(venue())
    talk.received(b"ech+hb")
    assert messages(talk) == [{"topic": "ech+hb"}]


# ------------------------------------------------------------------------------------------ top of the book


def test_the_first_frame_has_some_of_the_fields_and_the_second_the_rest() -> None:
    ibkr = venue()
    first, second = stream(greeted(ibkr), AAPL)
    assert (first["conid"], first["server_id"], first["6119"]) == (conid("AAPL"), "q0", "q0")
    assert first["_updated"] == START // 1_000_000
    assert "31" in first
    assert not (first.keys() & second.keys()) - {"conid", "server_id", "6119", "_updated", "topic"}
    known = first | second
    bids, asks = ibkr.market.book("AAPL")
    assert [known[each] for each in ("84", "86")] == [
        f"{price / 100:.2f}" for price in (bids.levels(1)[0][0], asks.levels(1)[0][0])
    ]
    assert [known[each] for each in ("88", "85")] == [f"{side.levels(1)[0][1]:,}" for side in (bids, asks)]
    assert known["7741"] == "230.00"
    assert set(EVERY) | {"6509", "87_raw"} <= known.keys()
    assert float(known["87_raw"]) == float(known["7762"])
    assert known["87"][-1] == "K"


def test_only_what_was_asked_for_is_told_and_the_quality_always() -> None:
    [first, second] = stream(greeted(venue()), AAPL, ["84", "9999"])
    assert (first | second).keys() == {"server_id", "conid", "_updated", "6119", "6509", "84", "topic"}


def test_a_sample_has_what_changed_since_the_one_before() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    known = merged(stream(talk, AAPL))
    said = updates(passed(ibkr, talk, 10))
    assert 20 <= len(said) <= 40
    for each in said:
        fresh = {key: value for key, value in each.items() if known.get(key) != value}
        assert fresh.keys() >= each.keys() - {"server_id", "conid", "6119", "topic", "_updated"}
        assert each["_updated"] % 250 == 0
        known |= each


def test_without_an_interval_each_move_is_told_and_each_trade_is_in_the_volume() -> None:
    ibkr = venue(interval=0.0)
    talk = greeted(ibkr)
    known = merged(stream(talk, AAPL, ["31", "7059", "7762"]))
    moves: list[Move] = []
    ibkr.watch = moves.append
    told = []
    for each in updates(passed(ibkr, talk, 20)):
        known |= each
        told.append((known["31"], known["7059"], known["7762"]))
    fills = [move.trades for move in moves if move.symbol == "AAPL" and move.trades]
    assert [(price, size) for price, size, _ in told] == [
        (f"{trades[-1].price / 100:.2f}", f"{trades[-1].size:,}") for trades in fills
    ]
    assert int(told[-1][2]) - int(told[0][2]) == sum(fill.size for trades in fills[1:] for fill in trades)


def test_before_the_first_trade_the_price_is_the_close_of_the_day_before() -> None:
    ibkr = venue(warmup=0.0, interval=0.0)
    talk = greeted(ibkr)
    known = merged(stream(talk, GME))
    assert (known["31"], known["7762"], known["87"], known["87_raw"]) == ("C24.00", "0", "0", 0.0)
    assert not known.keys() & {"70", "71", "7058", "7059", "7295"}
    while not any("7059" in each for each in updates(passed(ibkr, talk, 1), GME)):
        pass
    assert merged(stream(talk, GME))["31"][0].isdigit()


@pytest.mark.parametrize(
    ("number", "short", "raw"),
    [
        (0, "0", "0.0"),
        (999, "999", "999.0"),
        (1_250, "1.2K", "1250.0"),
        (9_999_999, "9.9M", "9999999.0"),
        (12_200_000, "12.2M", "1.22E7"),
        (30_000_000, "30.0M", "3.0E7"),
    ],
)
def test_a_volume_is_told_shortly_and_as_java_prints_it(number: int, short: str, raw: str) -> None:
    assert (_short(number), _java(str(number))) == (short, raw)


def test_a_contract_may_be_of_an_exchange() -> None:
    first, second = stream(greeted(venue()), f"{AAPL}@ISLAND")
    assert first["topic"] == second["topic"] == f"smd+{AAPL}@ISLAND"
    assert (first["conid"], first["conidEx"]) == (conid("AAPL"), f"{AAPL}@ISLAND")


def test_a_coin_is_told_in_its_own_decimals() -> None:
    known = merged(stream(greeted(venue()), str(conid("BTC/USD"))))
    assert len(known["84"].partition(".")[2]) == 1
    assert len(known["88"].partition(".")[2]) == 8


def test_asking_again_changes_the_fields_and_keeps_the_mark() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    stream(talk, AAPL, ["84"])
    assert stream(talk, AAPL, ["86"])[0]["server_id"] == "q0"
    assert all("84" not in each for each in updates(passed(ibkr, talk, 5)))


def test_what_is_unsubscribed_falls_silent_without_a_word() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    stream(talk, AAPL)
    assert (talk.listening, ask(talk, f"umd+{AAPL}+{{}}"), talk.listening) == (True, [], False)
    assert updates(passed(ibkr, talk, 5)) == []


def test_a_stream_ends_silently_after_its_time_unless_it_is_asked_for_again() -> None:
    ibkr = venue(expiry=10.0)
    talk = greeted(ibkr)
    stream(talk, AAPL)
    assert updates(passed(ibkr, talk, 9))
    stream(talk, AAPL)
    assert updates(passed(ibkr, talk, 9))
    passed(ibkr, talk, 2)
    assert updates(passed(ibkr, talk, 10)) == []
    assert stream(talk, AAPL)


def test_a_stream_too_many_says_nothing() -> None:
    ibkr = venue(lines=1)
    talk = greeted(ibkr)
    assert stream(talk, AAPL)
    assert stream(talk, GME) == []
    assert stream(talk, AAPL)
    ask(talk, f"umd+{AAPL}+{{}}")
    assert stream(talk, GME)


def test_a_stream_that_has_ended_is_no_longer_one_too_many() -> None:
    ibkr = venue(lines=1, expiry=5.0)
    talk = greeted(ibkr)
    stream(talk, AAPL)
    ibkr.market.steps = ibkr.market.moved  # nothing moves, so nobody has looked
    passed(ibkr, talk, 6)
    assert stream(talk, GME)


def test_a_contract_that_is_not_listed_is_an_error() -> None:
    assert stream(greeted(venue()), "7") == [{"topic": "smd+7", "error": "no such contract", "code": 2}]


# ------------------------------------------------------------------------------------------ the ladder


def rows(ibkr: IbkrVenue, count: int) -> list[tuple[str, str, str]]:
    bids, asks = ibkr.market.book("AAPL")
    return [("ask", f"{price / 100:.2f}", f"{size:,}") for price, size in reversed(asks.levels(count))] + [
        ("bid", f"{price / 100:.2f}", f"{size:,}") for price, size in bids.levels(count)
    ]


def test_a_ladder_is_told_whole_from_the_highest_price_down() -> None:
    ibkr = venue(rows=4)
    talk = greeted(ibkr)
    [told] = ask(talk, f"sbd+DU1234567+{AAPL}+ARCA")
    assert told["topic"] == f"sbd+DU1234567+{AAPL}+ARCA"
    assert [each["row"] for each in told["data"]] == list(range(8))
    for _ in range(2):
        sides = [
            (side, each["price"], each[side])
            for each in told["data"]
            for side in ("ask", "bid")
            if side in each
        ]
        assert sides == rows(ibkr, 4)
        assert sum(each["focus"] for each in told["data"]) <= 1
        *_, told = [each for each in passed(ibkr, talk, 5) if each["topic"].startswith("sbd")]
    assert talk.listening
    assert ask(talk, "ubd+DU1234567") == []
    assert passed(ibkr, talk, 5) == []
    assert not talk.listening


def test_an_account_has_one_ladder() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    ask(talk, f"sbd+DU1234567+{AAPL}")
    ask(talk, f"sbd+DU1234567+{GME}")
    topics = {each["topic"] for each in passed(ibkr, talk, 60) if each["topic"] != "system"}
    assert topics == {f"sbd+DU1234567+{GME}"}


@pytest.mark.parametrize("target", [f"DU1+{AAPL}", "DU1234567+7"])
def test_another_account_and_another_contract_have_none(target: str) -> None:
    [error] = ask(greeted(venue()), f"sbd+{target}")
    assert error == {"topic": f"sbd+{target}", "error": "no such ladder", "code": 2}


def test_a_ladder_before_the_first_trade_has_no_focus() -> None:
    [told] = ask(greeted(venue(warmup=0.0)), f"sbd+DU1234567+{GME}")
    assert {each["focus"] for each in told["data"]} == {0}


def test_a_ladder_that_did_not_change_within_sight_is_not_told_again() -> None:
    ibkr = venue(rows=1)
    talk = greeted(ibkr)
    ask(talk, f"sbd+DU1234567+{AAPL}")
    told = [each["data"] for each in passed(ibkr, talk, 20) if each["topic"].startswith("sbd")]
    assert 1 < len(told) < 80
    assert all(one != two for one, two in itertools.pairwise(told))


# ------------------------------------------------------------------------------------------ histories

LOOK = '{"period":"1h","bar":"1min","outsideRth":true,"source":"trades"}'


def test_a_history_is_the_trades_of_each_stretch() -> None:
    ibkr = venue(warmup=600.0)
    talk = greeted(ibkr)
    [told] = ask(talk, f"smh+{AAPL}+{LOOK}")
    assert (told["topic"], told["barLength"], told["points"]) == (f"smh+{AAPL}", 60, len(told["data"]))
    assert told["startTime"] == "20260925-17:38:00"
    assert len(told["data"]) == 11
    known = merged(stream(talk, AAPL))
    assert sum(each["v"] for each in told["data"]) == int(known["7762"])
    assert max(each["h"] for each in told["data"]) == float(known["70"])
    assert min(each["l"] for each in told["data"]) == float(known["71"])
    assert (told["data"][0]["o"], told["data"][-1]["c"]) == (float(known["7295"]), float(known["31"]))
    [coarse] = ask(talk, f"smh+{AAPL}+{LOOK.replace('1min', '5min')}")
    assert [each["t"] // 1000 % 300 for each in coarse["data"]] == [0, 0, 0]
    assert sum(each["v"] for each in coarse["data"]) == int(known["7762"])
    [recent] = ask(talk, f"smh+{AAPL}+{LOOK.replace('1h', '2min')}")
    assert recent["points"] == 2


def test_a_history_without_trades_is_empty() -> None:
    [told] = ask(greeted(venue(warmup=0.0)), f"smh+{GME}+{LOOK}")
    assert (told["data"], told["startTime"]) == ([], "20260925-17:48:20")


def test_old_minutes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtflow.twin.ibkr._KEPT", 2)
    [told] = ask(greeted(venue(warmup=600.0)), f"smh+{AAPL}+{LOOK}")
    assert told["points"] == 2


def test_places_are_few_and_are_given_back() -> None:
    talk = greeted(venue(histories=2))
    [first] = ask(talk, f"smh+{AAPL}+{LOOK}")
    ask(talk, f"smh+{GME}+{LOOK}")
    [refused] = ask(talk, f"smh+{AAPL}+{LOOK}")
    assert refused == {"topic": f"smh+{AAPL}", "error": "too many histories", "code": 3}
    assert ask(talk, f"umh+{first['serverId']}") == [{"message": f"Unsubscribed {first['serverId']}"}]
    assert ask(talk, f"smh+{AAPL}+{LOOK}")[0]["data"]
    assert ask(talk, f"smh+7+{LOOK}")[0]["error"] == "no such contract"


# ------------------------------------------------------------------------------------------ what goes wrong


def test_a_logout_ends_all_streams_until_somebody_logs_in_again() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    stream(talk, AAPL)
    ask(talk, f"sbd+DU1234567+{AAPL}")
    ibkr.provoke("logout", seconds=30)
    assert messages(talk) == [{"topic": "sts", "args": {"authenticated": False}}]
    assert stream(talk, AAPL) == []
    said = passed(ibkr, talk, 31)
    assert {"topic": "sts", "args": {"authenticated": True}} in said
    assert not talk.listening
    assert stream(talk, AAPL)


def test_a_gateway_where_nobody_has_logged_in_says_so() -> None:
    talk = venue(authenticated=False).connect("/v1/api/ws", {"Cookie": "api=x"})
    assert messages(talk)[-1] == {"topic": "sts", "args": {"authenticated": False}}


def test_a_competing_session_is_said() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    ibkr.provoke("compete")
    assert messages(talk) == [{"topic": "sts", "args": {"competing": True}}]


def test_a_halt_is_a_letter_before_the_price() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    stream(talk, AAPL)
    ibkr.provoke("halt", symbol="AAPL")
    assert any(each.get("31", "").startswith("H") for each in updates(passed(ibkr, talk, 1)))
    ibkr.provoke("resume", symbol="AAPL")
    assert any(each.get("31", "H")[0] != "H" for each in updates(passed(ibkr, talk, 1)))


def test_the_markets_own_halts_are_shown() -> None:
    ibkr = venue("TSLA", warmup=0.0)
    talk = greeted(ibkr)
    target = str(conid("TSLA"))
    stream(talk, target)
    shown = [each["31"][0] == "H" for each in updates(passed(ibkr, talk, 300), target) if "31" in each]
    assert {True, False} == set(shown)


def test_a_quality_is_shown_and_without_a_subscription_nothing_else() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    stream(talk, AAPL)
    ibkr.provoke("quality", symbol="AAPL")
    assert any(each.get("6509") == "DPB" for each in updates(passed(ibkr, talk, 1)))
    ibkr.provoke("quality", symbol="AAPL", code="N")
    assert updates(passed(ibkr, talk, 1))[-1]["6509"] == "N"
    assert updates(passed(ibkr, talk, 5)) == []


def test_streams_may_stop_without_a_word() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    stream(talk, AAPL)
    ibkr.provoke("expire")
    assert updates(passed(ibkr, talk, 5)) == []


def test_two_updates_may_overtake_each_other() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    stream(talk, AAPL)
    ibkr.provoke("reorder")
    stamps = [each["_updated"] for each in updates(passed(ibkr, talk, 5))]
    assert stamps[1] < stamps[0] < stamps[2]
    assert stamps[2:] == sorted(stamps[2:])


def test_a_field_may_be_unreadable_once() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    stream(talk, AAPL)
    ibkr.provoke("garble", symbol="AAPL")
    said = updates(passed(ibkr, talk, 5))
    assert [each.get("84") == "n/a" for each in said[:3]] == [True, False, False]


def test_notifications_and_bulletins() -> None:
    ibkr = venue()
    talk = greeted(ibkr)
    ibkr.provoke("notify", text="careful")
    ibkr.provoke("announce", text="goodbye")
    assert messages(talk) == [
        {"topic": "ntf", "args": {"id": "TWIN", "text": "careful", "title": "Warning", "url": ""}},
        {"topic": "blt", "args": {"id": "1", "message": "goodbye"}},
    ]


def test_one_seed_and_one_script_are_one_answer_byte_for_byte() -> None:
    def script() -> list[Message | Hangup]:
        ibkr = venue()
        talk = ibkr.connect("/v1/api/ws", {"Cookie": "api=x"})
        assert isinstance(talk, IbkrConversation)
        for request in (f'smd+{AAPL}+{{"fields":["31","84"]}}', f"sbd+DU1234567+{GME}", f"smh+{AAPL}+{LOOK}"):
            talk.received(request)
        ibkr.advance(START + 20 * SECOND)
        return talk.take()

    assert script() == script()
