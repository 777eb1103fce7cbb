"""Interactive Brokers: what its frames mean, and how a conversation with it goes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

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
    Status,
    Ticker,
    Trade,
    TradingStatus,
)
from rtflow.provider import Answer, Fetch, Provider, Refused, Request, Subscription, Traffic
from rtflow.providers.ibkr import InteractiveBrokers, InteractiveBrokersDecoder
from rtflow.time import SECOND
from tests.fuzz import broken, survives

NOW = 1_702_334_860_000_000_000
SECRET = "aeccc9d7515398c50fa894d967d099b1"

LAST_ONLY = (
    '{"server_id":"q0","conid":265598,"_updated":1615299902126,"6119":"q0","31":"118.75","6509":"RpB",'
    '"topic":"smd+265598"}'
)
EXPONENT = (
    '{"server_id":"q0","conid":265598,"_updated":1615300714892,"6119":"q0","87":"12.2M","87_raw":1.22E7,'
    '"31":"119.46","6509":"RpB","topic":"smd+265598"}'
)
UNQUOTED = '{"topic":"smd+265598","conid":265598,"31":"420.50","84":420.49,"55":"AAPL","86":"C419.00"}'
FULL = (
    '{"topic":"smd+265598","conid":265598,"_updated":1702334859712,"55":"AAPL","70":"195.34","71":"193.67",'
    '"87":"24.2M","7295":"194.10","84":"195.25","86":"195.26","88":"3,500","85":"500",'
    '"6508":"&serviceID1=122&serviceID2=123"}'
)
EMPTY = '{"server_id":"q0","conid":265598,"_updated":1615300715000,"6119":"q0","topic":"smd+265598"}'
NOBODY = '{"server_id":"q0","6119":"q0","topic":"smd+265598"}'
HALTED = '{"conid":265598,"_updated":1615300715001,"31":"H119.46","6509":"RpB","topic":"smd+265598"}'
LADDER = (
    '{"topic":"sbd+DU1234567+265598+ARCA","data":[{"row":0,"focus":0,"price":"123.46","ask":"300"},'
    '{"row":1,"focus":1,"price":"123.45","ask":"200"},{"row":2,"focus":0,"price":"123.44","bid":"400"}]}'
)
OLD_LADDER = (
    '{"topic":"sbd","data":[{"row":0,"focus":1,"price":123.45},{"row":1,"focus":0,"price":123.44,"ask":200},'
    '{"row":2,"focus":0,"price":120.00,"bid":400}]}'
)
HISTORY = (
    '{"serverId":"341115","symbol":"AAPL","text":"AAPLE INC","priceFactor":100,"startTime":'
    '"20210317-18:00:00","high":"12586/14469/65","low":"12283/34103/0","timePeriod":"7200s","barLength":300,'
    '"mdAvailability":"S","mktDataDelay":0,"outsideRth":false,"volumeFactor":1,"priceDisplayRule":1,'
    '"priceDisplayValue":"2","negativeCapable":false,"messageVersion":2,"data":[{"o":366.79,"c":363.95,'
    '"h":368.38,"l":363.15,"v":25544,"t":1669645800000},{"o":363.93,"c":363.31,"h":365.18,"l":361.48,'
    '"v":18703,"t":1702334700000}],"points":23,"topic":"smh+265598"}'
)
GIVEN_BACK = '{"message":"Unsubscribed 341115"}'
SYSTEM = '{"topic":"system","success":"user123","isFT":true,"isPaper":true}'
BEAT = '{"topic":"system","hb":1702334859712}'
ALIVE = '{"topic":"tic","alive":true,"id":"x","lastAccessed":1702334859712}'
ACCOUNTS = '{"topic":"act","args":{"accounts":["DU1234567"],"selectedAccount":"DU1234567"}}'
AUTHENTICATED = '{"topic":"sts","args":{"authenticated":true}}'
LOGGED_OUT = '{"topic":"sts","args":{"authenticated":false}}'
COMPETING = '{"topic":"sts","args":{"competing":true}}'
NOTIFICATION = (
    '{"topic":"ntf","args":{"id":"INDICATIVE_DATA_SUGGESTION","text":"CFD quotes reference the trade",'
    '"title":"Warning","url":"https://interactivebrokers.com/"}}'
)
BULLETIN = '{"topic":"blt","args":{"id":"1","message":"The system will be down"}}'
WAITING = '{"message":"waiting for session"}'
UNKNOWN_TOPIC = '{"error":"Topic unknown xyz","code":1}'
EVERYTHING = [
    LAST_ONLY,
    EXPONENT,
    UNQUOTED,
    FULL,
    EMPTY,
    HALTED,
    LADDER,
    OLD_LADDER,
    HISTORY,
    GIVEN_BACK,
    SYSTEM,
    BEAT,
    ALIVE,
    ACCOUNTS,
    AUTHENTICATED,
    COMPETING,
    NOTIFICATION,
    BULLETIN,
    WAITING,
    UNKNOWN_TOPIC,
    "ech+hb",
]


def frame(text: str | bytes, ts_recv: int = NOW, epoch: int = 1) -> Frame:
    payload = text.encode() if isinstance(text, str) else text
    return Frame(FrameKind.BINARY, payload, ts_recv, epoch)


def decoder(**options: Any) -> InteractiveBrokersDecoder:
    return InteractiveBrokers(**options).decoder()


def decoded(*texts: str | bytes, **options: Any) -> list[Event]:
    reader = decoder(**options)
    return [event for text in texts for event in reader.decode(frame(text))]


def update(*parts: Mapping[str, object], at: int | None = 1702334859712, contract: str = "265598") -> str:
    """A frame of the top of the book with these fields."""
    said: dict[str, object] = {"conid": int(contract.partition("@")[0])}
    if at is not None:
        said["_updated"] = at
    for part in parts:
        said |= part
    return json.dumps(said | {"topic": f"smd+{contract}"}, separators=(",", ":"))


def market(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Status)]


def said(events: Iterable[Event]) -> list[tuple[str, str, str, str]]:
    return [(each.state, each.kind, each.symbol, each.text) for each in events if isinstance(each, Status)]


# ------------------------------------------------------------------------------------------ the provider


def test_a_gateway_is_asked_with_the_session_in_its_own_sort_of_cookie() -> None:
    ibkr: Provider = InteractiveBrokers(SECRET)
    assert ibkr.name == "ibkr"
    assert ibkr.request(Subscription.of(quotes="265598")) == Request(
        "wss://localhost:5000/v1/api/ws", cookie=f'api={{"session":"{SECRET}"}}'
    )
    assert InteractiveBrokers().request(Subscription()) == Request("wss://localhost:5000/v1/api/ws")


def test_ibkr_itself_is_asked_with_a_token_in_the_query_and_a_plain_cookie() -> None:
    ibkr = InteractiveBrokers(SECRET, oauth_token="to/ken+1")
    assert ibkr.request(Subscription()) == Request(
        "wss://api.ibkr.com/v1/api/ws?oauth_token=to%2Fken%2B1",
        {"User-Agent": "ClientPortalGW/1"},
        f"api={SECRET}",
    )
    other = InteractiveBrokers(oauth_token="t", url="wss://h/v1/api/ws?a=b")
    assert other.request(Subscription()).url == "wss://h/v1/api/ws?a=b&oauth_token=t"


def test_a_session_may_be_known_by_a_function_and_go_by_message() -> None:
    sessions = iter(["one", "two"])
    ibkr = InteractiveBrokers(lambda: next(sessions))
    assert ibkr.request(Subscription()).cookie == 'api={"session":"one"}'
    assert ibkr.request(Subscription()).cookie == 'api={"session":"two"}'
    by_message = InteractiveBrokers(lambda: "three", auth="message")
    assert by_message.request(Subscription()).cookie == ""
    assert list(by_message.session(Subscription()).opened()) == ['{"session":"three"}']


def test_a_certificate_is_trusted_only_where_the_user_says_so() -> None:
    assert InteractiveBrokers().request(Subscription()).verified
    named = InteractiveBrokers(certificate="gateway.pem").request(Subscription())
    assert (named.certificate, named.verified) == ("gateway.pem", True)
    assert not InteractiveBrokers(verified=False).request(Subscription()).verified


def test_no_secret_is_ever_shown() -> None:
    ibkr = InteractiveBrokers(SECRET, oauth_token="hush", url="wss://h/ws?key=hidden")
    shown = repr(ibkr) + repr(ibkr.request(Subscription())) + repr(ibkr.session(Subscription()))
    assert "InteractiveBrokers(url='wss://h/ws')" in shown
    with pytest.raises(ValueError, match="letters, digits") as error:
        InteractiveBrokers('bad";secret')
    assert not {SECRET, "hush", "hidden", "secret"} & set(
        (shown + str(error.value)).replace("'", " ").split()
    )
    for word in (SECRET, "hush", "hidden", "bad"):
        assert word not in shown + str(error.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"auth": "header"}, "auth is cookie or message, not 'header'"),
        ({"auth": "message"}, "auth='message' needs a session to send"),
        ({"account": "DU 1"}, "an account is letters and digits, as DU1234567, not 'DU 1'"),
        ({"lines": 0}, "lines is a number of streams, not 0"),
        ({"lot": 0.0}, "a lot is a number of shares, not 0.0"),
        ({"lot": float("nan")}, "a lot is a number of shares, not nan"),
        (
            {"names": {"A": "1", "B": "1"}},
            "two names for one contract: its events could have only one of them",
        ),
        ({"names": {"A": "AAPL"}}, "'A' names a contract as 265598 or 265598@ISLAND, not 'AAPL'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError) as error:
        InteractiveBrokers(**options)
    assert str(error.value) == reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"bar": "1m"}, r"^ibkr makes bars of 1min, 2min, .*, 1d, 1w, not '1m'$"),
        ({"period": "31min"}, r"^ibkr tells histories of 1min to 30min, .*, 1y to 15y, not '31min'$"),
        ({"period": "soon"}, r"not 'soon'$"),
        ({"ladder": "AAPL"}, r"or names of them; not 'AAPL'$"),
    ],
)
def test_what_the_venue_does_not_have_is_refused_at_once(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        InteractiveBrokers(**options)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"lulds": ["1"]}, "ibkr has no 'lulds'"),
        ({"quotes": ["TSLA"]}, "ibkr's symbols are contracts, .*; not 'TSLA'"),
        ({"quotes": ["1@arca"]}, "not '1@arca'"),
        ({"trades": ["0"]}, "not '0'"),
        ({"quotes": ["265598"]}, "contract 265598 goes by its name here; ask for 'AAPL'"),
        (
            {"quotes": ["1", "2"], "trades": ["2", "3"], "tickers": ["4"]},
            "streams 3 contracts at a time, not 4",
        ),
        ({"books": ["1", "2"]}, "one ladder per account, not 2 books at a time"),
        ({"bars": ["1@ARCA"]}, "history does not say its exchange; ask without, not '1@ARCA'"),
    ],
)
def test_limits_are_enforced_before_the_venue_would(wanted: dict[str, list[str]], reason: str) -> None:
    ibkr = InteractiveBrokers(names={"AAPL": "265598"}, lines=3)
    with pytest.raises(Unsupported, match=reason):
        ibkr.request(Subscription.of(**wanted))


@pytest.mark.parametrize(
    "text",
    [
        '{"error":"Topic unknown {\\"session\\":\\"5ec7e7\\"}","code":1}',
        '{"topic":"error","args":{"request":"{\\"session\\": \\"5ec7e7\\"}","message":"no"}}',
        '{"topic":"error","args":{"session":"5ec7e7"}}',
    ],
)
def test_a_session_that_is_quoted_back_is_not_said(text: str) -> None:
    (status,) = decoded(text)
    assert isinstance(status, Status)
    assert "5ec7e7" not in status.text
    assert "session" in status.text
    session = InteractiveBrokers("5ec7e7", auth="message").session(Subscription.of(quotes=["1"]))
    assert "5ec7e7" not in repr(list(session.received(frame(text))))


def test_one_contract_is_one_stream_however_much_is_wanted_of_it() -> None:
    wanted = Subscription.of(
        quotes=["1", "2"], trades=["1", "2"], tickers=["1"], books=["3"], bars=["4", "5", "6"]
    )
    assert InteractiveBrokers(lines=2).request(wanted).url


# ------------------------------------------------------------------------------------------ quotes


def test_a_quote_is_merged_of_all_that_was_ever_said() -> None:
    first, second, third = (
        update({"84": "195.25", "86": "195.26"}, at=1000),
        update({"88": "3,500", "85": "500"}, at=1250),
        update({"85": "600"}, at=1500),
    )
    assert decoded(first, second, third) == [
        Status("subscribed", NOW, "", "265598", "quotes", 1, "ibkr"),
        Quote("265598", 1_000_000_000, NOW, 195.25, None, 195.26, None, "ibkr", sampled=True),
        Quote("265598", 1_250_000_000, NOW, 195.25, 3500.0, 195.26, 500.0, "ibkr", sampled=True),
        Quote("265598", 1_500_000_000, NOW, 195.25, 3500.0, 195.26, 600.0, "ibkr", sampled=True),
    ]


def test_what_is_said_again_and_what_says_nothing_is_no_news() -> None:
    assert market(decoded(FULL, FULL, EMPTY.replace("1615300715000", "1702334859999"), NOBODY)) == market(
        decoded(FULL)
    )
    assert decoded(NOBODY) == decoded(EMPTY) == []


def test_exchanges_lots_and_names_go_into_a_quote() -> None:
    text = update(
        {"84": "1.5", "88": "2", "86": "1.6", "85": "3", "7068": "NP", "7057": "Q"}, contract="8314@ARCA"
    )
    assert market(decoded(text, lot=100.0, names={"IBM": "8314@ARCA"})) == [
        Quote(
            "IBM",
            1702334859712_000_000,
            NOW,
            1.5,
            200.0,
            1.6,
            300.0,
            "ibkr",
            "NP",
            "Q",
            lot=100.0,
            sampled=True,
        )
    ]


@pytest.mark.parametrize(
    ("fields", "side"),
    [
        ({"84": "1.5", "88": "2"}, (1.5, 2.0)),
        ({"84": "1.5"}, (1.5, None)),
        ({"84": "C1.5", "88": 2}, (1.5, 2.0)),
        ({"84": " 1.5 ", "88": "1.2K"}, (1.5, 1200.0)),
        ({"84": 1.5, "88": None}, (1.5, None)),
        ({"84": "1.5", "88": "0"}, (None, None)),
        ({"84": "-1", "88": ""}, (None, None)),
        ({"84": "-1", "88": "5"}, (-1.0, 5.0)),
        ({"84": "-0.35", "88": "5"}, (-0.35, 5.0)),
        ({"84": "", "88": "5"}, (None, None)),
        ({"84": None, "88": "5"}, (None, None)),
    ],
)
def test_a_side_without_a_quote_is_none_and_prices_may_be_negative(
    fields: dict[str, object], side: tuple[float | None, float | None]
) -> None:
    [quote] = market(decoded(update({"86": "2", "85": "1"}, fields)))
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (*side, 2.0, 1.0)


def test_a_side_that_goes_is_none_again() -> None:
    *_, quote = decoded(update({"84": "1", "88": "1", "86": "2", "85": "1"}), update({"84": "", "88": ""}))
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.bid_size, quote.ask) == (None, None, 2.0)


def test_frames_that_overtake_each_other_end_as_if_they_had_not() -> None:
    frames = [
        update({"84": "1.0", "88": "1"}, at=1000),
        update({"84": "1.1"}, at=2000),
        update({"86": "1.2", "85": "5"}, at=3000),
        update({"84": "1.05", "88": "7"}, at=1500),  # late: its bid is told anew already, its size is not
    ]
    *_, quote = decoded(*frames)
    assert quote == Quote("265598", 1_500_000_000, NOW, 1.1, 7.0, 1.2, 5.0, "ibkr", sampled=True)
    assert market(decoded(frames[1], frames[0])) == [
        *market(decoded(frames[1])),
        Quote("265598", 1_000_000_000, NOW, 1.1, 1.0, None, None, "ibkr", sampled=True),
    ]


def test_a_clock_that_was_put_right_is_believed_after_a_few_frames() -> None:
    reader = decoder()
    later = [
        update({"84": f"{price}", "88": "1"}, at=at)
        for price, at in ((1, 9_000_000), (2, 10), (3, 20), (4, 30), (5, 40))
    ]
    quotes = [
        event for text in [*later, update({"84": "6"}, at=50)] for event in market(reader.decode(frame(text)))
    ]
    assert [quote.bid for quote in quotes if isinstance(quote, Quote)] == [1.0, 6.0]


def test_a_frame_without_a_stamp_is_stamped_when_it_came() -> None:
    [quote] = market(decoded(UNQUOTED))
    assert quote == Quote("265598", NOW, NOW, 420.49, None, 419.0, None, "ibkr", sampled=True)


# ------------------------------------------------------------------------------------------ trades

PRIMED = update({"31": "100.5", "7058": "Q", "7059": "10", "7762": "1,000"}, at=1000)


def trades(*texts: str) -> list[tuple[float, float]]:
    return [(each.price, each.size) for each in decoded(*texts) if isinstance(each, Trade)]


def test_a_trade_is_a_sample_without_an_id_or_a_side() -> None:
    more = update({"31": "100.6", "7059": "1,200", "7762": "2,200"}, at=1250)
    assert decoded(PRIMED, more) == [
        Status("subscribed", NOW, "", "265598", "trades", 1, "ibkr"),
        Trade(
            "265598",
            1_250_000_000,
            NOW,
            100.6,
            1200.0,
            id="",
            venue="ibkr",
            exchange="Q",
            sampled=True,
        ),
    ]


@pytest.mark.parametrize(
    ("after", "seen"),
    [
        ([], []),
        ([{"31": "101", "7059": "5", "7762": "1005"}], [(101.0, 5.0)]),
        ([{"7059": "5", "7762": "1005"}], [(100.5, 5.0)]),
        ([{"7762": "1010"}], [(100.5, 10.0)]),  # the same price and size once more
        ([{"31": "100.5", "7059": "10", "7762": "1000"}], []),  # asked for again
        ([{"31": "101"}], []),  # a price alone
        ([{"31": "101"}, {"7059": "5", "7762": "1005"}], [(101.0, 5.0)]),
        ([{"31": "101", "7059": "5"}], [(101.0, 5.0)]),
        ([{"31": "101", "7059": "10"}], [(101.0, 10.0)]),
        ([{"31": "101", "7059": "5"}, {"7762": "1005"}], [(101.0, 5.0)]),  # its own volume
        ([{"31": "101", "7059": "5"}, {"84": "1"}, {"7762": "1005"}], [(101.0, 5.0)]),
        ([{"31": "101", "7059": "5"}, {"31": "102"}, {"7762": "1005"}], [(101.0, 5.0)]),
        ([{"31": "101", "7059": "5"}, {"7762": "1005"}, {"7762": "1010"}], [(101.0, 5.0), (101.0, 5.0)]),
        ([{"31": "101", "7059": "5"}, {"31": "102", "7762": "1010"}], [(101.0, 5.0), (102.0, 5.0)]),
        ([{"7762": "5"}], []),  # another day
        ([{"7762": "5"}, {"7762": "6"}], [(100.5, 10.0)]),
        ([{"7762": ""}, {"7762": "6"}], []),
        ([{"31": "C99", "7762": "2000"}], []),  # the day before's close
        ([{"7059": "", "7762": "2000"}], []),
    ],
)
def test_a_trade_is_seen_where_the_volume_or_the_last_size_says_so(
    after: list[dict[str, object]], seen: list[tuple[float, float]]
) -> None:
    later = [update(fields, at=2000 + index) for index, fields in enumerate(after)]
    assert trades(PRIMED, *later) == seen


def test_what_is_known_first_is_old_and_no_trade() -> None:
    assert trades(PRIMED) == []
    assert trades(update({"31": "100.5"}), update({"7059": "10"}), update({"7762": "1000"})) == []
    assert trades(update({"7762": "1"}), update({"7762": "2"}), update({"7059": "3"})) == []


def test_the_first_trade_of_a_day_is_known_by_the_price_that_is_no_longer_the_close() -> None:
    close = update({"31": "C118.75"})
    assert trades(close, update({"31": "119", "7059": "100", "7762": "100"})) == [(119.0, 100.0)]
    assert trades(close, update({"31": "118.75", "7059": "100"})) == [(118.75, 100.0)]
    assert trades(close, update({"31": "H118.75", "7059": "100"})) == []
    assert trades(close, update({"31": "119"}), update({"7059": "100"}), update({"7059": "5"})) == [
        (119.0, 5.0)
    ]


def test_a_contract_that_tells_no_volume_trades_by_its_last_size() -> None:
    first = update({"31": "1.10", "7059": "5"})
    assert trades(
        first, update({"31": "1.11", "7059": "5"}), update({"31": "1.12"}), update({"7059": "6"})
    ) == [
        (1.11, 5.0),
        (1.12, 6.0),
    ]


def test_a_halt_is_said_once_and_so_is_its_end() -> None:
    events = market(
        decoded(
            update({"31": "119.46"}, at=1000),
            update({"31": "H119.46"}, at=2000),
            update({"31": "H119.46"}, at=3000),
            update({"84": "119.40"}, at=3500),
            update({"31": "119.46"}, at=4000),
        )
    )
    halts = [event for event in events if isinstance(event, TradingStatus)]
    assert halts == [
        TradingStatus("265598", 2_000_000_000, NOW, "H", "halted", venue="ibkr"),
        TradingStatus("265598", 4_000_000_000, NOW, "", "resumed", venue="ibkr"),
    ]


def test_a_trade_in_a_halt_carries_the_condition() -> None:
    *_, trade = decoded(PRIMED, update({"31": "H100.5"}, at=1100), update({"7762": "1010"}, at=1200))
    assert isinstance(trade, Trade)
    assert trade.conditions == ("H",)
    at_once = decoded(PRIMED, update({"31": "H101", "7059": "5", "7762": "1010"}, at=1100))
    after = decoded(
        PRIMED,
        update({"31": "H100.5"}, at=1100),
        update({"31": "102", "7059": "6", "7762": "1020"}, at=1200),
    )
    told = [[each.conditions for each in events if isinstance(each, Trade)] for events in (at_once, after)]
    assert told == [[("H",)], [()]], "the one in the halt, and not the one that ends it"


def test_a_close_with_a_blank_before_its_letter_is_a_close_all_the_same() -> None:
    assert trades(PRIMED, update({"31": " C118.75", "7762": "1600"}, at=1100)) == []


# ------------------------------------------------------------------------------------------ tickers


def test_a_ticker_is_the_day_so_far() -> None:
    later = update(
        {"31": "195.30", "7741": "193.42", "87": "24.3M", "87_raw": 24_312_345.0}, at=1702334860000
    )
    assert [event for event in decoded(FULL, later) if isinstance(event, Ticker)] == [
        Ticker(
            "265598",
            1702334859712_000_000,
            NOW,
            open=194.1,
            high=195.34,
            low=193.67,
            volume=24_200_000.0,
            window="day",
            venue="ibkr",
        ),
        Ticker(
            "265598",
            1702334860000_000_000,
            NOW,
            last=195.3,
            open=194.1,
            high=195.34,
            low=193.67,
            close=193.42,
            volume=24_312_345.0,
            window="day",
            venue="ibkr",
        ),
    ]


def test_the_close_of_the_day_before_is_no_last_price() -> None:
    [ticker] = market(decoded(update({"31": "C118.75", "7741": "118.75"})))
    assert isinstance(ticker, Ticker)
    assert (ticker.last, ticker.close) == (None, 118.75)


def test_a_price_alone_is_nobodys_and_waits_for_the_frame_that_tells_whose_it_is() -> None:
    assert decoded(LAST_ONLY) == []
    assert [type(event) for event in decoded(EXPONENT)] == [Status, Ticker]


# ------------------------------------------------------------------------------------------ acknowledgements


def test_the_first_data_of_a_topic_is_its_acknowledgement() -> None:
    frames = [
        update({"31": "1"}, at=1),
        update({"84": "1"}, at=2),
        update({"86": "1"}, at=3),
        update({"7059": "1"}, at=4),
        update({"7762": "1"}, at=5),
        update({"70": "1"}, at=6),
        update({"84": "1"}, at=7, contract="8314"),
    ]
    assert said(decoded(*frames, names={"AAPL": "265598"})) == [
        ("subscribed", "quotes", "AAPL", ""),
        ("subscribed", "trades", "AAPL", ""),
        ("subscribed", "tickers", "AAPL", ""),
        ("subscribed", "quotes", "8314", ""),
    ]


def test_data_that_is_not_real_time_says_so_and_so_does_a_change() -> None:
    quality = [
        update({"6509": code}, at=at) for at, code in enumerate(["RpB", "RB", "DPB", "ZB", "Y", "RpB", "xx"])
    ]
    assert [text for *_, text in said(decoded(*quality, update({"6509": None}, at=9)))] == [
        "market data is delayed (6509 is DPB)",
        "market data is frozen (6509 is ZB)",
        "market data is frozen and delayed (6509 is Y)",
        "market data is real time (6509 is RpB)",
        "market data is of unknown quality (6509 is xx)",
        "market data is of unknown quality (6509 is )",
    ]
    assert said(decoded(update({"6509": "N"}))) == [
        ("venue", "", "265598", "market data is not subscribed (6509 is N)")
    ]


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        (SYSTEM, [("venue", "", "", "")]),
        (BEAT, [("heartbeat", "", "", "")]),
        (ALIVE, [("heartbeat", "", "", "")]),
        ("ech+hb", [("heartbeat", "", "", "")]),
        ('{"topic":"ech+hb"}', [("heartbeat", "", "", "")]),
        (ACCOUNTS, []),
        (AUTHENTICATED, [("authenticated", "", "", "")]),
        (AUTHENTICATED.replace("true", '"true"'), [("authenticated", "", "", "")]),
        (LOGGED_OUT, [("venue", "", "", "not authenticated")]),
        (LOGGED_OUT.replace("false", '"false"'), [("venue", "", "", "not authenticated")]),
        (COMPETING, [("rejected", "", "", "competing: the user name is in use by another session")]),
        ('{"topic":"sts","args":{"competing":false}}', []),
        ('{"topic":"sts","args":{"message":""}}', []),
        (
            '{"topic":"sts","args":{"message":"late","fail":"no"}}',
            [("venue", "", "", "late"), ("venue", "", "", "no")],
        ),
        ('{"topic":"sts","args":{"serverName":"x","connected":true}}', []),
        ('{"topic":"sts"}', []),
        (NOTIFICATION, [("venue", "", "", "Warning: CFD quotes reference the trade")]),
        (
            '{"topic":"ntf","args":[{"title":"A"},{"text":"b"}]}',
            [("venue", "", "", "A"), ("venue", "", "", "b")],
        ),
        (BULLETIN, [("venue", "", "", "The system will be down")]),
        ('{"topic":"blt","args":{"id":"","message":""}}', []),
        (WAITING, [("venue", "", "", "waiting for session")]),
        ('{"result":"unsubscribed from summary"}', []),
        (UNKNOWN_TOPIC, [("rejected", "", "", "Topic unknown xyz")]),
        ('{"topic":"error","args":{"a":1}}', [("rejected", "", "", '{"a":1}')]),
        ('{"topic":"smd+265598","error":"no such contract"}', [("rejected", "", "", "no such contract")]),
        ('{"topic":"sbd+DU1+265598","error":"no depth"}', [("rejected", "", "", "no depth")]),
    ],
)
def test_what_is_said_of_the_connection_is_a_status(
    text: str, statuses: list[tuple[str, str, str, str]]
) -> None:
    events = decoded(text)
    assert said(events) == statuses
    assert market(events) == []


def test_what_nobody_knows_is_passed_over_and_counted() -> None:
    reader = decoder()
    for text in ('{"topic":"spl","args":{}}', '{"topic":"sor","args":[{}]}', '{"code":1}', "{}"):
        assert list(reader.decode(frame(text))) == []
    assert reader.skipped == 4


# ------------------------------------------------------------------------------------------ books


def book(
    symbol: str, bids: Iterable[tuple[float, float]], asks: Iterable[tuple[float, float]]
) -> OrderBookUpdate:
    return OrderBookUpdate(symbol, NOW, NOW, tuple(bids), tuple(asks), snapshot=True, epoch=1, venue="ibkr")


def ladder(*rows: Mapping[str, object], target: str = "+DU1+265598") -> str:
    return json.dumps({"topic": f"sbd{target}", "data": rows}, separators=(",", ":"))


def test_a_ladder_is_a_whole_book_whose_rows_are_positions() -> None:
    assert decoded(LADDER) == [
        Status("subscribed", NOW, "", "265598@ARCA", "books", 1, "ibkr"),
        book("265598@ARCA", [(123.44, 400.0)], [(123.45, 200.0), (123.46, 300.0)]),
    ]


def test_a_ladder_that_names_no_contract_is_whose_the_user_says_it_is() -> None:
    [malformed] = decoded(OLD_LADDER)
    assert isinstance(malformed, Malformed)
    assert "say whose by ladder=" in malformed.reason
    _, known = decoded(OLD_LADDER, names={"AAPL": "265598"}, ladder="AAPL")
    assert known == book("AAPL", [(120.0, 400.0)], [(123.44, 200.0)])


START = ladder(
    {"row": 0, "price": "10.3", "ask": "3"},
    {"row": 1, "price": "10.2", "ask": "1,200"},
    {"row": 2, "price": "10.1 x 200", "bid": "1"},
    {"row": 3, "price": "10.0", "bid": "2"},
)


@pytest.mark.parametrize(
    ("then", "bids", "asks"),
    [
        (
            [{"row": 2, "price": "10.1", "bid": "9"}],
            [(10.1, 9.0), (10.0, 2.0)],
            [(10.2, 1200.0), (10.3, 3.0)],
        ),
        ([{"row": 2, "price": "10.1"}], [(10.0, 2.0)], [(10.2, 1200.0), (10.3, 3.0)]),
        ([{"row": 3, "focus": 1}], [(10.1, 1.0)], [(10.2, 1200.0), (10.3, 3.0)]),
        ([{"row": 0, "price": "11", "ask": "1"}], [(10.1, 1.0), (10.0, 2.0)], [(10.2, 1200.0), (11.0, 1.0)]),
        (
            [
                {"row": 0, "price": 9.3, "ask": 1},
                {"row": 1, "price": 9.2, "bid": 1},
                {"row": 2, "price": 9.1, "bid": 2},
            ],
            [(9.2, 1.0), (9.1, 2.0)],
            [(9.3, 1.0)],
        ),
    ],
)
def test_rows_replace_those_of_their_number_and_most_of_them_replace_all(
    then: list[dict[str, object]], bids: list[tuple[float, float]], asks: list[tuple[float, float]]
) -> None:
    *_, last = decoded(START, ladder(*then))
    assert last == book("265598", bids, asks)


def test_ladders_of_several_contracts_are_apart_and_an_empty_one_says_nothing() -> None:
    other = ladder({"row": 0, "price": 1, "ask": 1}, target="+DU1+8314+NYSE")
    *_, last = decoded(START, other, ladder())
    assert last == book("8314@NYSE", [], [(1.0, 1.0)])


@pytest.mark.parametrize(
    ("bad", "bids"),
    [
        ({"row": 3, "price": "ten", "bid": "1"}, [(10.1, 5.0)]),  # what it was about is unknown now
        ({"row": 3, "price": "10.0", "bid": "-1"}, [(10.1, 5.0)]),
        ({"row": 9, "price": True}, [(10.1, 5.0), (10.0, 2.0)]),
        ({"row": -1, "price": "10.0", "bid": "1"}, [(10.1, 5.0)]),  # it may have been about any
        ({"price": "10.0", "bid": "1"}, [(10.1, 5.0)]),
    ],
)
def test_a_bad_row_is_malformed_and_leaves_no_stale_level(
    bad: dict[str, object], bids: list[tuple[float, float]]
) -> None:
    *_, malformed, last = decoded(START, ladder({"row": 2, "price": "10.1", "bid": "5"}, bad))
    assert isinstance(malformed, Malformed)
    assert isinstance(last, OrderBookUpdate)
    assert list(last.bids) == bids
    [only] = decoded(ladder(bad))
    assert isinstance(only, Malformed)


# ------------------------------------------------------------------------------------------ bars


def test_a_history_is_bars_of_which_the_last_may_be_forming() -> None:
    assert decoded(HISTORY.replace('"volumeFactor":1', '"volumeFactor":100'), names={"VOO": "265598"}) == [
        Status("subscribed", NOW, "", "VOO", "bars", 1, "ibkr"),
        Bar(
            "VOO",
            1669645800 * SECOND,
            1669646100 * SECOND,
            366.79,
            368.38,
            363.15,
            363.95,
            2554400.0,
            0,
            2554400.0 * 363.95,
            ts_recv=NOW,
            venue="ibkr",
            interval="5m",
        ),
        Bar(
            "VOO",
            1702334700 * SECOND,
            1702335000 * SECOND,
            363.93,
            365.18,
            361.48,
            363.31,
            1870300.0,
            0,
            1870300.0 * 363.31,
            ts_recv=NOW,
            venue="ibkr",
            final=False,
            interval="5m",
        ),
    ]


def test_a_place_that_is_given_back_is_an_unsubscription_of_its_history() -> None:
    assert said(decoded(HISTORY, GIVEN_BACK, GIVEN_BACK)) == [
        ("subscribed", "bars", "265598", ""),
        ("unsubscribed", "bars", "265598", ""),
        ("venue", "", "", "Unsubscribed 341115"),
    ]


def test_a_bar_of_a_length_that_has_no_word_is_told_in_seconds() -> None:
    *_, bar = decoded(HISTORY.replace('"barLength":300', '"barLength":7'))
    assert isinstance(bar, Bar)
    assert bar.interval == "7s"


@pytest.mark.parametrize(
    "change",
    [
        ('"o":366.79', '"o":"x"'),
        ('"v":25544', '"v":-1'),
        ('"h":368.38', '"h":1e200'),
        ('"t":1669645800000', '"t":-5'),
        ('"t":1669645800000', '"t":9223372036854'),
        ('"v":25544', '"v":1e150,"x":1'),
    ],
)
def test_a_bad_bar_is_malformed_and_its_neighbour_is_intact(change: tuple[str, str]) -> None:
    text = HISTORY.replace(*change).replace('"volumeFactor":1', '"volumeFactor":1e20')
    _, malformed, bar = (
        decoded(text) if "1e150" not in change[1] else decoded(text.replace("363.95", "1e149"))
    )
    assert isinstance(malformed, Malformed)
    assert isinstance(bar, Bar)
    assert bar.close == 363.31


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "7",
        "null",
        '{"topic":5}',
        '{"topic":"smd+265598"',
        '{"topic":"smd+","31":"1"}',
        '{"topic":"smd+AAPL","31":"1"}',
        '{"topic":"smd+265598@","31":"1"}',
        '{"topic":"smd+265598","conid":1,"31":"1"}',
        '{"topic":"smd+265598","_updated":-1}',
        '{"topic":"smd+265598","_updated":1.5}',
        '{"topic":"smd+265598","_updated":"soon"}',
        '{"topic":"smd+265598","_updated":9223372036855}',
        '{"topic":"smd+265598","31":{"a":1}}',
        '{"topic":"smd+265598","31":true}',
        '{"topic":"smd+265598","31":1e999}',
        '{"topic":"smd+265598","31":"1","deep":' + "[" * 100_000,
        '{"topic":"sbd+DU1+265598","data":{}}',
        '{"topic":"sbd+DU1+AAPL","data":[]}',
        '{"topic":"sbd+DU1+265598","data":[' + "[" * 100_000,
        '{ "topic": "sbd" , "data": [] }',
        '{"topic":"smh+265598","data":[]}',
        '{"topic":"smh+AAPL","serverId":"1","barLength":60}',
        '{"topic":"smh+265598","serverId":"1","barLength":0}',
        '{"topic":"sts","args":5}',
        '{"topic":"sts","args":{"authenticated":"maybe"}}',
        '{"topic":"ntf","args":"x"}',
        b'{"topic":"smd+265598","31":"\xff"}',
        b"\xff\xfe",
    ],
)
def test_a_broken_frame_is_one_malformed(text: str | bytes) -> None:
    [malformed] = decoded(text)
    assert isinstance(malformed, Malformed)
    assert malformed.frame == frame(text)
    assert malformed.reason


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("84", "abc"),
        ("84", "1.2.3"),
        ("84", "NaN"),
        ("84", "Infinity"),
        ("84", "1e5"),
        ("84", "1_0"),
        ("84", "٣"),
        ("84", "9" * 400),
        ("84", 10**400),
        ("84", 1e200),
        ("88", "-5"),
        ("88", -5),
        ("7057", 5),
        ("6509", 5.5),
        ("31", "CC1"),
    ],
)
def test_a_field_that_cannot_be_read_is_unknown_and_its_neighbours_are_not_lost(
    key: str, value: object
) -> None:
    good = update({"84": "1.5", "88": "2", "86": "1.6", "85": "3", "7057": "Q"}, at=1000)
    bad = update({"86": "1.7", key: value}, at=2000)
    next_one = update({"85": "4"}, at=3000)
    *before, malformed, quote = decoded(good, bad, next_one)
    assert len(market(before)) == 1
    assert isinstance(malformed, Malformed)
    assert malformed.reason.startswith(f"field {key}: ")
    assert isinstance(quote, Quote)
    assert (quote.ask, quote.ask_size) == (1.7, 4.0)
    assert quote.bid == (None if key == "84" else 1.5)
    assert quote.bid_size == (2.0 if key not in ("84", "88") else None)


def test_a_frame_that_was_malformed_leaves_its_news_to_the_next() -> None:
    bad = update({"31": "H5", "84": "x", "7059": "1"}, at=1)
    first, *rest = decoded(bad, update({"31": "H5", "84": "5", "88": "1", "7059": "1"}, at=2))
    assert isinstance(first, Malformed)
    assert [type(event) for event in rest] == [Status, Status, Quote, TradingStatus]


def test_what_a_malformed_frame_changed_is_told_with_the_next() -> None:
    bad = update({"86": "1.7", "6509": "DPB", "70": "9", "84": "x"}, at=1000)
    malformed, *rest = decoded(bad, update({"7741": None}, at=2000))
    assert isinstance(malformed, Malformed)
    assert market(rest) == [
        Quote("265598", 2_000_000_000, NOW, None, None, 1.7, None, "ibkr", sampled=True),
        Ticker("265598", 2_000_000_000, NOW, high=9.0, window="day", venue="ibkr"),
    ]
    assert said(rest)[-1][3] == "market data is delayed (6509 is DPB)"


def test_a_decoder_goes_on_where_another_stopped() -> None:
    frames = [PRIMED, FULL, START, HISTORY, HALTED, '{"topic":"spl"}']
    after = [
        update({"31": "7", "7059": "3"}, at=1702334869712),
        update({"7762": "999999"}, at=1702334879712),
        update({"84": "5"}, at=1000),
        ladder({"row": 1, "price": 10.25, "ask": 1}),
        GIVEN_BACK,
    ]
    for cut in range(len(frames)):
        one, two = decoder(), decoder()
        for text in frames[:cut]:
            list(one.decode(frame(text)))
        two.restore(msgspec.json.decode(msgspec.json.encode(one.state())))
        for text in frames[cut:] + after:
            assert list(one.decode(frame(text))) == list(two.decode(frame(text)))
        assert one.skipped == two.skipped == 1


@settings(max_examples=300, deadline=None)
@given(broken([text.encode() for text in EVERYTHING if text.startswith("{")]))
def test_whatever_comes_is_events_or_malformed(payload: bytes) -> None:
    ibkr = InteractiveBrokers(SECRET, names={"AAPL": "265598"}, ladder="AAPL", account="DU1")
    survives(ibkr, Subscription.of(quotes="AAPL", books="AAPL", bars="AAPL"), payload, FrameKind.BINARY)


@settings(max_examples=300, deadline=None)
@given(st.lists(broken([PRIMED.encode(), FULL.encode(), HALTED.encode(), START.encode()]), max_size=4))
def test_a_frame_that_fails_its_own_checks_says_nothing_else(payloads: list[bytes]) -> None:
    reader = decoder()
    for payload in [PRIMED.encode(), START.encode(), *payloads]:
        events = list(reader.decode(frame(payload)))
        bad = [event for event in events if isinstance(event, Malformed)]
        books = [event for event in events if isinstance(event, OrderBookUpdate)]
        assert not bad or len(bad) == len(events) or books
        for each in books:
            assert [price for price, _ in each.bids] == sorted(
                {price for price, _ in each.bids}, reverse=True
            )
            assert all(size > 0 for _, size in each.bids + each.asks)


# ------------------------------------------------------------------------------------------ talking


class Venue:
    """A conversation in virtual time, one side of which is written by the test."""

    def __init__(self, ibkr: InteractiveBrokers, greeted: bool = True, **wanted: Iterable[str]) -> None:
        self.session = ibkr.session(Subscription.of(**wanted))
        self.now = NOW
        self.session.started(NOW)
        self.sent: list[str] = []
        self.refused: list[Refused] = []
        self.errors: list[RtflowError] = []
        self.hear(self.session.opened())
        if greeted:
            for text in (SYSTEM, ACCOUNTS, AUTHENTICATED):
                self.say(text)

    def hear(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, Refused):
                self.refused.append(answer)
            elif isinstance(answer, RtflowError):
                self.errors.append(answer)
            else:
                assert isinstance(answer, str)
                self.sent.append(answer)

    def said(self) -> list[str]:
        """What the session has sent since we last asked, without the keep-alive."""
        sent, self.sent = self.sent, []
        return [each for each in sent if each not in ("tic", "ech+hb")]

    def say(self, text: str) -> None:
        one = frame(text, self.now)
        if self.session.classify(one.payload) is Traffic.CONTROL:
            self.hear(self.session.received(one))

    def want(self, **kinds: Iterable[str]) -> None:
        self.hear(self.session.wanted(Subscription.of(**kinds), Subscription()))

    def drop(self, **kinds: Iterable[str]) -> None:
        self.hear(self.session.wanted(Subscription(), Subscription.of(**kinds)))

    def wait(self, seconds: float, *, beating: bool = True) -> None:
        """Let time pass; the venue beats every ten seconds unless it is told not to."""
        until = self.now + round(seconds * SECOND)
        beat = self.now + 10 * SECOND
        while True:
            due = self.session.due()
            assert due is not None
            if beating and beat <= min(due, until):
                self.now, beat = beat, beat + 10 * SECOND
                self.say(BEAT)
            elif due <= until:
                self.now = max(self.now, due)
                self.hear(self.session.wake(self.now))
                again = self.session.due()
                assert again is not None
                assert again > self.now or self.errors, "due must move on"
                if self.errors:
                    return
            else:
                self.now = until
                return


QUOTES = '{"fields":["84","85","86","88","7057","7068"]}'
TRADES = '{"fields":["31","7058","7059","7762"]}'
BOTH = '{"fields":["31","84","85","86","88","7057","7058","7059","7068","7762"]}'
TICKERS = '{"fields":["31","70","71","87","7295","7741"]}'
HISTORIES = '{"period":"1d","bar":"1min","outsideRth":false,"source":"trades"}'


def test_nothing_is_asked_before_the_session_is_authenticated() -> None:
    venue = Venue(InteractiveBrokers(), greeted=False, quotes=["1"], books=["2@ARCA"], bars=["3"])
    venue.say(SYSTEM)
    venue.say(ACCOUNTS)
    venue.wait(5)
    venue.want(trades=["1"])
    assert venue.said() == []
    venue.say(AUTHENTICATED.replace("true", '"true"'))
    assert venue.said() == [f"smd+1+{BOTH}", "sbd+DU1234567+2+ARCA", f"smh+3+{HISTORIES}"]
    venue.say('{"topic":"sts","args":{"competing":false}}')
    venue.say('{"topic":"sts","args":{"message":""}}')
    venue.say(AUTHENTICATED)
    assert (venue.said(), venue.errors) == ([], [])


def test_what_is_wanted_of_one_contract_is_asked_for_at_once() -> None:
    names = {"AAPL": "265598", "IBM": "8314@ISLAND"}
    venue = Venue(InteractiveBrokers(names=names), quotes=["AAPL"], trades=["AAPL"], tickers=["IBM"])
    assert venue.said() == [f"smd+265598+{BOTH}", f"smd+8314@ISLAND+{TICKERS}"]


def test_a_stream_grows_by_asking_again_and_shrinks_by_beginning_anew() -> None:
    venue = Venue(InteractiveBrokers(), quotes=["1"])
    assert venue.said() == [f"smd+1+{QUOTES}"]
    venue.want(trades=["1"])
    assert venue.said() == [f"smd+1+{BOTH}"]
    venue.want(trades=["1"])
    assert venue.said() == []
    venue.drop(quotes=["1"])
    assert venue.said() == ["umd+1+{}", f"smd+1+{TRADES}"]
    venue.drop(trades=["1"])
    assert venue.said() == ["umd+1+{}"]


def test_a_change_of_mind_before_we_may_speak_is_no_request() -> None:
    venue = Venue(InteractiveBrokers(), greeted=False, quotes=["1", "2"])
    venue.drop(quotes=["1"])
    venue.say(AUTHENTICATED)
    assert venue.said() == [f"smd+2+{QUOTES}"]


def test_requests_keep_the_pace_of_ten_a_second() -> None:
    venue = Venue(InteractiveBrokers(), quotes=[str(number) for number in range(100, 125)])
    assert len(venue.said()) == 10
    venue.wait(0.05)
    assert venue.said() == []
    venue.wait(0.05)
    assert venue.said() == [f"smd+110+{QUOTES}"]
    venue.wait(1.0)
    assert len(venue.said()) == 10
    venue.wait(10)
    assert venue.said() == [f"smd+{number}+{QUOTES}" for number in range(121, 125)]


def test_streams_are_asked_for_again_within_nine_minutes_each() -> None:
    venue = Venue(InteractiveBrokers(), quotes=[str(number) for number in range(100, 120)])
    venue.wait(5)
    asked = venue.said()
    for contract in range(100, 120):
        venue.say(update({"84": "1"}, contract=str(contract)))
    venue.wait(9 * 60 - 6)
    assert venue.said() == []
    venue.wait(5)
    assert venue.said() == asked
    venue.wait(9 * 60)
    assert venue.said() == asked
    assert venue.errors == []


def test_what_brings_nothing_is_asked_for_again_after_half_a_minute() -> None:
    venue = Venue(InteractiveBrokers(), quotes=["1", "2@ARCA"])
    first = venue.said()
    venue.say(update({"84": "1"}, contract="2@ARCA"))
    venue.wait(29.9)
    assert venue.said() == []
    venue.wait(0.1)
    assert venue.said() == first[:1]
    venue.say(update({"84": "1"}, contract="1"))
    venue.wait(31)
    assert venue.said() == []


def test_a_ladder_that_does_not_come_is_asked_for_again_too() -> None:
    venue = Venue(InteractiveBrokers(), books=["1"], quotes=["2"])
    venue.say(update({"84": "1"}, contract="2"))
    assert "sbd+DU1234567+1" in venue.said()
    venue.wait(29.9)
    assert venue.said() == []
    venue.wait(0.1)
    assert venue.said() == ["sbd+DU1234567+1"]
    venue.say(ladder({"row": 0, "focus": 1, "price": 123.45}, target="+DU1234567+1"))
    venue.wait(100)
    assert venue.said() == []
    venue.drop(books=["1"])
    assert venue.said() == ["ubd+DU1234567"]


def test_a_ladder_waits_to_know_the_account_and_makes_room_for_the_next() -> None:
    venue = Venue(InteractiveBrokers(), greeted=False, books=["1"])
    venue.say(AUTHENTICATED)
    venue.say('{"topic":"act","args":{"accounts":[]}}')
    assert venue.said() == []
    venue.say('{"topic":"act","args":{"accounts":["U7","U8"]}}')
    assert venue.said() == ["sbd+U7+1"]
    venue.say(ACCOUNTS)
    venue.drop(books=["1"])
    venue.want(books=["2"])
    assert venue.said() == ["ubd+U7", "sbd+U7+2"]


def test_an_account_that_we_were_told_stays_ours() -> None:
    assert Venue(InteractiveBrokers(account="DU99"), books=["1"]).said() == ["sbd+DU99+1"]


def test_a_resync_asks_for_the_ladder_anew() -> None:
    venue = Venue(InteractiveBrokers(names={"AAPL": "1"}), books=["AAPL"])
    venue.said()
    venue.hear(venue.session.resync("AAPL"))
    assert venue.said() == ["ubd+DU1234567", "sbd+DU1234567+1"]
    venue.hear(venue.session.resync("2"))
    assert venue.said() == []


def test_five_histories_are_asked_for_at_a_time_and_each_gives_its_place_back() -> None:
    ibkr = InteractiveBrokers(period="2h", bar="5min", outside_hours=True)
    venue = Venue(ibkr, bars=[str(number) for number in range(1, 8)])
    options = '{"period":"2h","bar":"5min","outsideRth":true,"source":"trades"}'
    assert venue.said() == [f"smh+{number}+{options}" for number in range(1, 6)]
    venue.say(HISTORY.replace("smh+265598", "smh+3"))
    assert venue.said() == ["umh+341115", f"smh+6+{options}"]
    venue.say(GIVEN_BACK)
    venue.say(HISTORY.replace("smh+265598", "smh+1").replace('"341115"', "5"))
    assert venue.said() == [f"smh+7+{options}"]
    venue.wait(29)
    assert venue.said() == []
    venue.wait(2)
    assert venue.said() == [f"smh+{number}+{options}" for number in (2, 4, 5, 6, 7)]


def test_a_history_that_is_wanted_again_is_asked_for_again() -> None:
    venue = Venue(InteractiveBrokers(), bars=["1"])
    asked = venue.said()
    venue.drop(bars=["1"])
    venue.say(HISTORY.replace("smh+265598", "smh+1"))
    assert venue.said() == ["umh+341115"]
    venue.want(bars=["1"])
    assert venue.said() == asked
    venue.say(HISTORY.replace("smh+265598", "smh+1"))
    venue.want(bars=["1"])
    assert venue.said() == ["umh+341115"]


@pytest.mark.parametrize(
    ("error", "topics"),
    [
        ({"topic": "smd+1", "error": "no"}, (("quotes", "A"), ("trades", "A"))),
        ({"error": f"Topic unknown smd+1+{BOTH}"}, (("quotes", "A"), ("trades", "A"))),
        ({"error": "Topic unknown smh+1+{}"}, (("bars", "A"),)),
        ({"error": "Topic unknown sbd+DU1234567+1"}, (("books", "A"),)),
    ],
)
def test_an_error_refuses_what_it_names_and_nothing_else(
    error: dict[str, object], topics: tuple[tuple[str, str], ...]
) -> None:
    venue = Venue(
        InteractiveBrokers(names={"A": "1"}), quotes=["A", "2"], trades=["A"], bars=["A"], books=["A"]
    )
    assert len(venue.said()) == 4
    venue.say(json.dumps(error, separators=(",", ":")))
    [refused] = venue.refused
    assert refused == Refused(topics, str(error["error"]))
    venue.say(json.dumps(error, separators=(",", ":")))
    assert (len(venue.refused), venue.errors) == (1, [])
    assert venue.said() == (["ubd+DU1234567"] if topics[0][0] == "books" else [])


def test_an_error_at_an_exchange_is_that_contracts() -> None:
    venue = Venue(InteractiveBrokers(), books=["1@ARCA"], quotes=["1@ARCA", "1"])
    venue.say('{"topic":"sbd+DU1234567+1+ARCA","error":"no depth"}')
    venue.say('{"topic":"smd+1@ARCA","error":"no such exchange"}')
    assert venue.refused == [
        Refused((("books", "1@ARCA"),), "no depth"),
        Refused((("quotes", "1@ARCA"),), "no such exchange"),
    ]


def test_an_error_that_names_nothing_refuses_nothing() -> None:
    venue = Venue(InteractiveBrokers(), quotes=["1"])
    venue.say(UNKNOWN_TOPIC)
    venue.say('{"topic":"error","args":{"a":1}}')
    assert (venue.refused, venue.errors) == ([], [])


def test_market_data_that_is_not_subscribed_is_a_refusal_and_frees_its_stream() -> None:
    venue = Venue(InteractiveBrokers(), quotes=["1", "2"])
    venue.said()
    for text in (update({"6509": "N"}, contract="1"), '{ "topic": "smd+2", "6509": "N" }'):
        venue.say(text)
    assert venue.refused == [
        Refused((("quotes", "1"),), "market data is not subscribed (6509 is N)"),
        Refused((("quotes", "2"),), "market data is not subscribed (6509 is N)"),
    ]
    assert venue.said() == ["umd+1+{}", "umd+2+{}"]


# ------------------------------------------------------------------------------------------ the session


def test_a_session_by_message_is_the_first_thing_said() -> None:
    venue = Venue(InteractiveBrokers(SECRET, auth="message"), greeted=False)
    assert venue.said() == [f'{{"session":"{SECRET}"}}']
    venue.say(WAITING)
    venue.wait(5)
    assert venue.said() == []


def test_a_cookie_that_is_not_enough_is_followed_by_the_message() -> None:
    venue = Venue(InteractiveBrokers(SECRET), greeted=False, quotes=["1"])
    venue.say(WAITING)
    venue.say(WAITING)
    venue.wait(1.9)
    assert venue.said() == []
    venue.wait(0.2)
    assert venue.said() == [f'{{"session":"{SECRET}"}}']
    venue.say(AUTHENTICATED)
    assert venue.said() == [f"smd+1+{QUOTES}"]


def test_a_cookie_that_is_enough_is_followed_by_none() -> None:
    venue = Venue(InteractiveBrokers(SECRET), greeted=False)
    venue.say(WAITING)
    venue.say(AUTHENTICATED)
    venue.wait(60)
    assert (venue.said(), venue.errors) == ([], [])


@pytest.mark.parametrize(
    ("greeting", "seconds", "kind", "reason"),
    [
        (SYSTEM, 30, Disconnected, "no word of our session within 30 s"),
        (WAITING, 30, Rejected, "the venue waits for a session, and did not take ours in 30 s"),
        (LOGGED_OUT, 600, Disconnected, "nobody has logged in within 600 s"),
    ],
)
def test_a_session_that_does_not_come_is_an_end(
    greeting: str, seconds: float, kind: type[RtflowError], reason: str
) -> None:
    venue = Venue(InteractiveBrokers(), greeted=False)
    venue.say(greeting)
    venue.say(greeting)
    venue.wait(seconds - 0.1)
    assert venue.errors == []
    venue.wait(0.2)
    [error] = venue.errors
    assert type(error) is kind
    assert str(error) == reason


def test_a_login_while_we_wait_is_soon_enough() -> None:
    venue = Venue(InteractiveBrokers(), greeted=False, quotes=["1"])
    venue.say(LOGGED_OUT)
    venue.wait(300)
    venue.say(AUTHENTICATED)
    assert venue.said() == [f"smd+1+{QUOTES}"]
    venue.say(update({"84": "1"}, contract="1"))
    venue.wait(500)
    assert venue.errors == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LOGGED_OUT, "the venue logged us out"),
        ('{"topic":"sts","args":{"authenticated":"false","fail":"reset"}}', "the venue logged us out: reset"),
    ],
)
def test_a_logout_is_the_end_of_the_connection_and_may_pass(text: str, reason: str) -> None:
    venue = Venue(InteractiveBrokers(), quotes=["1"])
    venue.say(text)
    [error] = venue.errors
    assert type(error) is Disconnected
    assert str(error) == reason


def test_a_competing_session_is_the_end_for_good() -> None:
    venue = Venue(InteractiveBrokers(), quotes=["1"])
    venue.say(COMPETING)
    [error] = venue.errors
    assert type(error) is Rejected
    assert (error.code, str(error)) == ("competing", "competing: the user name is in use by another session")


def test_session_and_socket_are_kept_alive_each_minute() -> None:
    venue = Venue(InteractiveBrokers())
    venue.wait(200)
    assert venue.sent == ["tic", "ech+hb"] * 4
    assert venue.errors == []


def test_silence_is_asked_about_after_twenty_seconds_and_the_end_after_thirty() -> None:
    venue = Venue(InteractiveBrokers())
    venue.wait(1.0)
    venue.wait(19.9, beating=False)
    assert venue.sent == []
    venue.wait(0.2, beating=False)
    assert venue.sent == ["ech+hb"]
    venue.wait(9, beating=False)
    assert venue.errors == []
    venue.wait(2, beating=False)
    [error] = venue.errors
    assert type(error) is Disconnected
    assert str(error) == "silent for 30 s, and no echo"


def test_any_frame_is_a_sign_of_life() -> None:
    venue = Venue(InteractiveBrokers())
    for text in ("ech+hb", LAST_ONLY, ALIVE, LADDER, "noise", SYSTEM):
        venue.wait(25, beating=False)
        venue.say(text)
    assert venue.errors == []


def test_time_that_passed_while_we_slept_is_asked_about_before_it_is_an_end() -> None:
    venue = Venue(InteractiveBrokers())
    venue.wait(1.0)
    venue.hear(venue.session.wake(NOW + 3600 * SECOND))
    assert (venue.sent, venue.errors) == (["tic", "ech+hb", "ech+hb"], [])
    venue.hear(venue.session.wake(NOW + 3605 * SECOND))
    assert venue.errors == []


def test_what_an_upgrade_may_be_answered_with() -> None:
    session = InteractiveBrokers().session(Subscription())
    penalty = session.denied(429, "Too Many Requests")
    assert isinstance(penalty, Throttled)
    assert (penalty.retry_after, str(penalty)) == (900.0, "HTTP 429 Too Many Requests")
    assert type(session.denied(401, "Unauthorized")) is Rejected
    assert type(session.denied(503, "")) is Disconnected
    closed = session.closed(1000, "")
    assert isinstance(closed, Disconnected)
    assert closed.announced


@pytest.mark.parametrize(
    ("text", "traffic"),
    [
        *(
            (text, Traffic.DATA)
            for text in (LAST_ONLY, EXPONENT, UNQUOTED, FULL, EMPTY, HALTED, LADDER, OLD_LADDER)
        ),
        *((text, Traffic.HEARTBEAT) for text in (BEAT, ALIVE, "ech+hb", '{"topic":"ech+hb"}')),
        *((text, Traffic.CONTROL) for text in (SYSTEM, ACCOUNTS, AUTHENTICATED, COMPETING, WAITING, HISTORY)),
        *((text, Traffic.CONTROL) for text in (NOTIFICATION, UNKNOWN_TOPIC, "noise", "[" * 100_000)),
        ('{"topic": "smd+265598", "31": "1"}', Traffic.DATA),
        ('{"data":[],"topic":"sbd+DU1+1"}', Traffic.DATA),
        ('{"topic": "smd+265598", "error": "no"}', Traffic.CONTROL),
        ('{"topic":"smd+265598","6509":"N"}', Traffic.CONTROL),
    ],
)
def test_traffic_is_told_by_its_first_bytes_and_else_by_reading(text: str, traffic: Traffic) -> None:
    assert InteractiveBrokers().session(Subscription()).classify(text.encode()) is traffic


def test_a_control_frame_that_cannot_be_read_is_the_decoders_to_report() -> None:
    session = InteractiveBrokers().session(Subscription())
    for text in ("noise", "[" * 100_000, '{"topic":"sts","args":{"authenticated":"maybe"}}'):
        assert list(session.received(frame(text))) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(broken([text.encode() for text in EVERYTHING if text.startswith("{")]), max_size=5))
def test_a_session_survives_whatever_comes(payloads: list[bytes]) -> None:
    session = InteractiveBrokers(SECRET).session(
        Subscription.of(quotes=["265598"], books=["265598"], bars=["1"])
    )
    session.started(NOW)
    for payload in [AUTHENTICATED.encode(), *payloads]:
        assert isinstance(session.classify(payload), Traffic)
        for answer in session.received(frame(payload)):
            assert isinstance(answer, str | bytes | Fetch | Refused | RtflowError)
    assert session.due() is not None
