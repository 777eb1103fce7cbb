"""Massive, once Polygon.io: what its frames mean, and how a conversation with it goes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtflow.errors import Disconnected, Rejected, RtflowError, Throttled, Unsupported
from rtflow.events import (
    Bar,
    Event,
    Frame,
    FrameKind,
    Imbalance,
    Malformed,
    OrderBookUpdate,
    PriceBands,
    Quote,
    ReferencePrice,
    Side,
    Status,
    Trade,
)
from rtflow.provider import Answer, Provider, Refused, Request, Session, Subscription, Traffic
from rtflow.providers.polygon import FEEDS, Polygon
from rtflow.time import SECOND
from tests.fuzz import broken, survives

NOW = 1_700_000_000_000_000_000
MS = 1_000_000

CONNECTED = '[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
AUTHENTICATED = '[{"ev":"status","status":"auth_success","message":"authenticated"}]'
AUTH = '{"action":"auth","params":"key"}'


def status(word: str, message: str) -> str:
    return json.dumps([{"ev": "status", "status": word, "message": message}], separators=(",", ":"))


def frame(text: str | bytes, ts_recv: int = NOW, epoch: int = 1) -> Frame:
    return Frame(FrameKind.TEXT, text.encode() if isinstance(text, str) else text, ts_recv, epoch)


def decoded(text: str | bytes, cluster: str = "stocks", **options: Any) -> list[Event]:
    return list(Polygon("key", cluster=cluster, **options).decoder().decode(frame(text)))


# ------------------------------------------------------------------------------------------ what it says

SAID: dict[str, tuple[str, str, Event]] = {
    "trade": (
        "stocks",
        '{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1536036818784,'
        '"q":3681328}',
        Trade(
            "MSFT",
            1_536_036_818_784 * MS,
            NOW,
            114.125,
            100.0,
            id="4:12345",
            venue="polygon",
            exchange="4",
            conditions=("0", "12"),
            tape="C",
        ),
    ),
    "regular trade": (
        "stocks",
        '{"ev":"T","sym":"BRK.A","x":12,"i":"799","z":1,"p":161.87,"s":100,"t":1651684192717,"q":4009434}',
        Trade(
            "BRK.A",
            1_651_684_192_717 * MS,
            NOW,
            161.87,
            100.0,
            id="12:799",
            venue="polygon",
            exchange="12",
            tape="A",
        ),
    ),
    "fractional trade off an exchange": (
        "stocks",
        '{"ev":"T","sym":"GME","x":4,"i":"71675577320245","z":1,"p":25.1,"s":0,"ds":"0.25","c":[37],'
        '"t":1714568400123,"trfi":202,"trft":1714568400120,"q":99}',
        Trade(
            "GME",
            1_714_568_400_123 * MS,
            NOW,
            25.1,
            0.25,
            id="4:71675577320245:202",
            venue="polygon",
            exchange="4",
            conditions=("37",),
            tape="A",
        ),
    ),
    "quote": (
        "stocks",
        '{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],'
        '"t":1536036818784,"q":50385480,"z":3}',
        Quote(
            "MSFT",
            1_536_036_818_784 * MS,
            NOW,
            114.125,
            10_000.0,
            114.128,
            16_000.0,
            venue="polygon",
            bid_exchange="4",
            ask_exchange="7",
            conditions=("0",),
            tape="C",
            lot=100.0,
        ),
    ),
    "quote without a bid": (
        "stocks",
        '{"ev":"Q","sym":"XYZ","bx":0,"bp":0,"bs":0,"ax":12,"ap":3.11,"as":4,"c":1,"t":1651684192463,"q":18,"z":2}',
        Quote(
            "XYZ",
            1_651_684_192_463 * MS,
            NOW,
            None,
            None,
            3.11,
            400.0,
            venue="polygon",
            ask_exchange="12",
            conditions=("1",),
            tape="B",
            lot=100.0,
        ),
    ),
    "quote of nothing": (
        "stocks",
        '{"ev":"Q","sym":"XYZ","t":1651684192463}',
        Quote("XYZ", 1_651_684_192_463 * MS, NOW, None, None, None, None, venue="polygon", lot=100.0),
    ),
    "second bar": (
        "stocks",
        '{"ev":"A","sym":"SPCE","v":200,"av":8642007,"op":25.66,"vw":25.3981,"o":25.39,"c":25.39,"h":25.39,'
        '"l":25.39,"a":25.3714,"z":50,"s":1610144868000,"e":1610144869000}',
        Bar(
            "SPCE",
            1_610_144_868 * SECOND,
            1_610_144_869 * SECOND,
            25.39,
            25.39,
            25.39,
            25.39,
            200.0,
            0,
            25.3981 * 200,
            ts_recv=NOW,
            venue="polygon",
            interval="1s",
        ),
    ),
    "minute bar": (
        "stocks",
        '{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,"c":0.4486,"h":0.4489,'
        '"l":0.4486,"a":0.4352,"z":685,"s":1610144640000,"e":1610144700000}',
        Bar(
            "GTE",
            1_610_144_640 * SECOND,
            1_610_144_700 * SECOND,
            0.4488,
            0.4489,
            0.4486,
            0.4486,
            4110.0,
            0,
            0.4488 * 4110,
            ts_recv=NOW,
            venue="polygon",
            interval="1m",
        ),
    ),
    "minute bar with fractions": (
        "stocks",
        '{"ev":"AM","sym":"ABCDF","v":10,"av":10,"dv":"10.5","dav":"10.5","o":1.0,"c":2.0,"h":2.0,"l":1.0,'
        '"z":10,"s":1610144640000,"e":1610144700000,"otc":true}',
        Bar(
            "ABCDF",
            1_610_144_640 * SECOND,
            1_610_144_700 * SECOND,
            1.0,
            2.0,
            1.0,
            2.0,
            10.5,
            0,
            21.0,
            ts_recv=NOW,
            venue="polygon",
            interval="1m",
        ),
    ),
    "bands in microseconds": (
        "stocks",
        '{"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"z":3,"t":1601316752683746,"q":290317}',
        PriceBands("MSFT", 1_601_316_752_683_746_000, NOW, 218.96, 198.11, "21", "polygon", "C"),
    ),
    "bands in milliseconds": (
        "stocks",
        '{"ev":"LULD","T":"AAPL","h":190.1,"l":171.9,"i":[17,18],"z":3,"t":1714568400123,"q":5}',
        PriceBands("AAPL", 1_714_568_400_123 * MS, NOW, 190.1, 171.9, "17,18", "polygon", "C"),
    ),
    "no bands, in nanoseconds": (
        "stocks",
        '{"ev":"LULD","T":"GME","h":0,"l":0,"z":1,"t":1714568400123456789,"q":6}',
        PriceBands("GME", 1_714_568_400_123_456_789, NOW, None, None, "", "polygon", "A"),
    ),
    "imbalance": (
        "stocks",
        '{"ev":"NOI","T":"NTEST.Q","t":1601318039223013600,"at":930,"a":"M","i":44,"x":10,"o":480,"p":440,"b":25.03}',
        Imbalance(
            "NTEST.Q",
            1_601_318_039_223_013_600,
            NOW,
            25.03,
            "polygon",
            size=480.0,
            paired=440.0,
            auction="M",
        ),
    ),
    "fair value": (
        "stocks",
        '{"ev":"FMV","fmv":189.22,"sym":"AAPL","t":1678220098130}',
        ReferencePrice("AAPL", 1_678_220_098_130 * MS, NOW, 189.22, "fair", "polygon"),
    ),
    "mark": (
        "stocks",
        '{"ev":"LV","val":189.22,"sym":"AAPL","t":1678220098130}',
        ReferencePrice("AAPL", 1_678_220_098_130 * MS, NOW, 189.22, "mark", "polygon"),
    ),
    "option's trade": (
        "options",
        '{"ev":"T","sym":"O:AMC210827C00037000","x":65,"p":1.54,"s":1,"c":[233],"t":1629820676333,"q":651921857}',
        Trade(
            "O:AMC210827C00037000",
            1_629_820_676_333 * MS,
            NOW,
            1.54,
            1.0,
            id="651921857",
            venue="polygon",
            exchange="65",
            conditions=("233",),
        ),
    ),
    "option's trade without conditions": (
        "options",
        '{"ev":"T","sym":"O:SPY241220P00720000","x":302,"p":9.75,"s":3,"t":1644506128401,"q":844090901}',
        Trade(
            "O:SPY241220P00720000",
            1_644_506_128_401 * MS,
            NOW,
            9.75,
            3.0,
            id="844090901",
            venue="polygon",
            exchange="302",
        ),
    ),
    "option's quote": (
        "options",
        '{"ev":"Q","sym":"O:SPY241220P00720000","bx":302,"ax":302,"bp":9.71,"ap":9.81,"bs":17,"as":24,'
        '"t":1644506128351,"q":844090872}',
        Quote(
            "O:SPY241220P00720000",
            1_644_506_128_351 * MS,
            NOW,
            9.71,
            17.0,
            9.81,
            24.0,
            venue="polygon",
            bid_exchange="302",
            ask_exchange="302",
        ),
    ),
    "option's minute": (
        "options",
        '{"ev":"AM","sym":"O:ONEM220121C00025000","v":2,"av":8,"op":2.2,"vw":2.05,"o":2.05,"c":2.05,"h":2.05,'
        '"l":2.05,"a":2.1312,"z":2,"s":1632419640000,"e":1632419700000}',
        Bar(
            "O:ONEM220121C00025000",
            1_632_419_640 * SECOND,
            1_632_419_700 * SECOND,
            2.05,
            2.05,
            2.05,
            2.05,
            2.0,
            0,
            4.1,
            ts_recv=NOW,
            venue="polygon",
            interval="1m",
        ),
    ),
    "option's fair value": (
        "options",
        '{"ev":"FMV","fmv":7.2,"sym":"O:TSLA210903C00700000","t":1401715883806000000}',
        ReferencePrice("O:TSLA210903C00700000", 1_401_715_883_806_000_000, NOW, 7.2, "fair", "polygon"),
    ),
    "currencies' quote": (
        "forex",
        '{"ev":"C","p":"USD/CNH","x":"44","a":6.83366,"b":6.83363,"t":1536036818784}',
        Quote(
            "USD/CNH",
            1_536_036_818_784 * MS,
            NOW,
            6.83363,
            None,
            6.83366,
            None,
            venue="polygon",
            bid_exchange="44",
            ask_exchange="44",
        ),
    ),
    "currencies' quote of one side": (
        "forex",
        '{"ev":"C","p":"EUR/USD","x":48,"a":0,"b":1.0631,"t":1678220098130}',
        Quote(
            "EUR/USD",
            1_678_220_098_130 * MS,
            NOW,
            1.0631,
            None,
            None,
            None,
            venue="polygon",
            bid_exchange="48",
            ask_exchange="48",
        ),
    ),
    "currencies' minute without its end": (
        "forex",
        '{"ev":"CA","pair":"USD/EUR","o":0.8687,"c":0.86889,"h":0.86889,"l":0.8686,"v":20,"s":1539145740000}',
        Bar(
            "USD/EUR",
            1_539_145_740 * SECOND,
            1_539_145_800 * SECOND,
            0.8687,
            0.86889,
            0.8686,
            0.86889,
            20.0,
            0,
            0.86889 * 20,
            ts_recv=NOW,
            venue="polygon",
            interval="1m",
        ),
    ),
    "currencies' second without its end": (
        "forex",
        '{"ev":"CAS","pair":"USD/EUR","o":0.8687,"c":0.86889,"h":0.86889,"l":0.8686,"v":20,"s":1539145740000}',
        Bar(
            "USD/EUR",
            1_539_145_740 * SECOND,
            1_539_145_741 * SECOND,
            0.8687,
            0.86889,
            0.8686,
            0.86889,
            20.0,
            0,
            0.86889 * 20,
            ts_recv=NOW,
            venue="polygon",
            interval="1s",
        ),
    ),
    "currencies' fair value": (
        "forex",
        '{"ev":"FMV","fmv":1.0631,"sym":"C:EURUSD","t":1678220098130}',
        ReferencePrice("EUR/USD", 1_678_220_098_130 * MS, NOW, 1.0631, "fair", "polygon"),
    ),
    "currencies' minute of the launchpad": (
        "forex",
        '{"ev":"AM","sym":"C:EUR-USD","v":4,"vw":1.5,"o":1.25,"c":1.5,"h":1.75,"l":1.25,"s":1610144640000,'
        '"e":1610144700000}',
        Bar(
            "EUR/USD",
            1_610_144_640 * SECOND,
            1_610_144_700 * SECOND,
            1.25,
            1.75,
            1.25,
            1.5,
            4.0,
            0,
            6.0,
            ts_recv=NOW,
            venue="polygon",
            interval="1m",
        ),
    ),
    "coin bought": (
        "crypto",
        '{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":1610462007425,"s":0.01616617,"c":[2],"i":14272084,"x":3,'
        '"r":1610462007576}',
        Trade(
            "BTC-USD",
            1_610_462_007_425 * MS,
            NOW,
            33021.9,
            0.01616617,
            Side.BUY,
            "3:14272084",
            "polygon",
            "3",
            ("2",),
        ),
    ),
    "coin sold": (
        "crypto",
        '{"ev":"XT","pair":"ETH-USD","p":1099.1,"t":1610462007500,"s":1.5,"c":[1],"i":"abc-1","x":1,'
        '"r":1610462007577}',
        Trade(
            "ETH-USD",
            1_610_462_007_500 * MS,
            NOW,
            1099.1,
            1.5,
            Side.SELL,
            "1:abc-1",
            "polygon",
            "1",
            ("1",),
        ),
    ),
    "coin traded": (
        "crypto",
        '{"ev":"XT","pair":"ETH-USD","p":1099.1,"t":1610462007501,"s":1.5,"x":1,"r":1610462007577}',
        Trade("ETH-USD", 1_610_462_007_501 * MS, NOW, 1099.1, 1.5, venue="polygon", exchange="1"),
    ),
    "coin's quote": (
        "crypto",
        '{"ev":"XQ","pair":"BTC-USD","bp":33052.79,"bs":0.48,"ap":33073.19,"as":0.601,"t":1610462411115,"x":1,'
        '"r":1610462411128}',
        Quote(
            "BTC-USD",
            1_610_462_411_115 * MS,
            NOW,
            33052.79,
            0.48,
            33073.19,
            0.601,
            venue="polygon",
            bid_exchange="1",
            ask_exchange="1",
        ),
    ),
    "coin's quote of one side": (
        "crypto",
        '{"ev":"XQ","pair":"BTC-USD","bp":33052.79,"bs":0,"ap":33050.0,"as":0.1,"t":1610462411116,"x":2}',
        Quote(
            "BTC-USD",
            1_610_462_411_116 * MS,
            NOW,
            None,
            None,
            33050.0,
            0.1,
            venue="polygon",
            bid_exchange="2",
            ask_exchange="2",
        ),
    ),
    "coin's book": (
        "crypto",
        '{"ev":"XL2","pair":"BTC-USD","t":1610462411115,"r":1610462411128,"x":1,"b":[[33712.71,0.18635],'
        '[33712.7,0.134]],"a":[[33718.23,3.5527483],[33718.24,0]]}',
        OrderBookUpdate(
            "BTC-USD",
            1_610_462_411_115 * MS,
            NOW,
            ((33712.71, 0.18635), (33712.7, 0.134)),
            ((33718.23, 3.5527483),),
            snapshot=True,
            venue="polygon",
            depth=100,
            exchange="1",
        ),
    ),
    "coin's book of one side": (
        "crypto",
        '{"ev":"XL2","pair":"BTC-USD","t":1610462411200,"r":1610462411210,"x":1,"b":[[33712.7,0.134]],"a":null}',
        OrderBookUpdate(
            "BTC-USD",
            1_610_462_411_200 * MS,
            NOW,
            ((33712.7, 0.134),),
            (),
            snapshot=True,
            venue="polygon",
            depth=100,
            exchange="1",
        ),
    ),
    "coin's minute": (
        "crypto",
        '{"ev":"XA","pair":"BCD-USD","v":951.6112,"vw":0.7756,"z":73,"o":0.772,"c":0.784,"h":0.784,"l":0.771,'
        '"s":1610463240000,"e":1610463300000}',
        Bar(
            "BCD-USD",
            1_610_463_240 * SECOND,
            1_610_463_300 * SECOND,
            0.772,
            0.784,
            0.771,
            0.784,
            951.6112,
            0,
            951.6112 * 0.7756,
            ts_recv=NOW,
            venue="polygon",
            interval="1m",
        ),
    ),
    "coin's second": (
        "crypto",
        '{"ev":"XAS","pair":"BCD-USD","v":951.6112,"vw":0.7756,"z":73,"o":0.772,"c":0.784,"h":0.784,"l":0.771,'
        '"s":1610463240000,"e":1610463241000}',
        Bar(
            "BCD-USD",
            1_610_463_240 * SECOND,
            1_610_463_241 * SECOND,
            0.772,
            0.784,
            0.771,
            0.784,
            951.6112,
            0,
            951.6112 * 0.7756,
            ts_recv=NOW,
            venue="polygon",
            interval="1s",
        ),
    ),
    "coin's fair value": (
        "crypto",
        '{"ev":"FMV","fmv":33021.9,"sym":"X:BTC-USD","t":1610462007425}',
        ReferencePrice("BTC-USD", 1_610_462_007_425 * MS, NOW, 33021.9, "fair", "polygon"),
    ),
    "coin's mark": (
        "crypto",
        '{"ev":"LV","val":33021.9,"sym":"X:BTC-USD","t":1610462007425}',
        ReferencePrice("BTC-USD", 1_610_462_007_425 * MS, NOW, 33021.9, "mark", "polygon"),
    ),
    "index's value": (
        "indices",
        '{"ev":"V","val":-3988.5,"T":"I:SPX","t":1678220098130}',
        ReferencePrice("I:SPX", 1_678_220_098_130 * MS, NOW, -3988.5, "index", "polygon"),
    ),
    "index's second of no length": (
        "indices",
        '{"ev":"A","sym":"I:SPX","op":3985.67,"o":3985.67,"c":3985.67,"h":3985.67,"l":3985.67,"s":1678220675805,'
        '"e":1678220675805}',
        Bar(
            "I:SPX",
            1_678_220_675_805 * MS,
            1_678_220_676_805 * MS,
            3985.67,
            3985.67,
            3985.67,
            3985.67,
            0.0,
            0,
            0.0,
            ts_recv=NOW,
            venue="polygon",
            interval="1s",
        ),
    ),
    "index's minute": (
        "indices",
        '{"ev":"AM","sym":"I:SPX","op":3985.67,"o":3985.67,"c":3985.69,"h":3985.7,"l":3985.6,"s":1678220640000,'
        '"e":1678220700000}',
        Bar(
            "I:SPX",
            1_678_220_640 * SECOND,
            1_678_220_700 * SECOND,
            3985.67,
            3985.7,
            3985.6,
            3985.69,
            0.0,
            0,
            0.0,
            ts_recv=NOW,
            venue="polygon",
            interval="1m",
        ),
    ),
    "future's trade": (
        "futures",
        '{"ev":"T","sym":"CLK0","p":-37.63,"s":2,"t":1587406200123,"q":991}',
        Trade("CLK0", 1_587_406_200_123 * MS, NOW, -37.63, 2.0, id="991", venue="polygon"),
    ),
    "future's quote": (
        "futures/nymex",
        '{"ev":"Q","sym":"CLK0","bp":-37.63,"bs":12,"bt":1587406200120,"ap":0,"as":8,"at":1587406200121,'
        '"t":1587406200123}',
        Quote("CLK0", 1_587_406_200_123 * MS, NOW, -37.63, 12.0, 0.0, 8.0, venue="polygon"),
    ),
    "future's quote of nothing": (
        "futures/cme",
        '{"ev":"Q","sym":"ESZ5","bp":6610,"bs":0,"t":1758900000123}',
        Quote("ESZ5", 1_758_900_000_123 * MS, NOW, None, None, None, None, venue="polygon"),
    ),
    "future's second": (
        "futures/cbot",
        '{"ev":"A","sym":"ESZ5","v":3,"dv":19830.5,"o":6610,"c":6610.25,"h":6610.25,"l":6610,"n":2,'
        '"s":1758900000000,"e":1758900001000}',
        Bar(
            "ESZ5",
            1_758_900_000 * SECOND,
            1_758_900_001 * SECOND,
            6610.0,
            6610.25,
            6610.0,
            6610.25,
            3.0,
            2,
            19830.5,
            ts_recv=NOW,
            venue="polygon",
            interval="1s",
        ),
    ),
    "future's minute with its value as text": (
        "futures/comex",
        '{"ev":"AM","sym":"ESZ5","v":3,"dv":"19830.5","o":6610,"c":6610.25,"h":6610.25,"l":6610,"n":2,'
        '"s":1758900000000,"e":1758900060000}',
        Bar(
            "ESZ5",
            1_758_900_000 * SECOND,
            1_758_900_060 * SECOND,
            6610.0,
            6610.25,
            6610.0,
            6610.25,
            3.0,
            2,
            19830.5,
            ts_recv=NOW,
            venue="polygon",
            interval="1m",
        ),
    ),
    "future's minute without a value": (
        "futures",
        '{"ev":"AM","sym":"ESZ5","v":3,"o":6610,"c":6610.25,"h":6610.25,"l":6610,"s":1758900000000}',
        Bar(
            "ESZ5",
            1_758_900_000 * SECOND,
            1_758_900_060 * SECOND,
            6610.0,
            6610.25,
            6610.0,
            6610.25,
            3.0,
            0,
            19830.75,
            ts_recv=NOW,
            venue="polygon",
            interval="1m",
        ),
    ),
}


def alone(name: str) -> str:
    """A message in a frame of its own."""
    return f"[{SAID[name][1]}]"


def of(cluster: str) -> list[tuple[str, Event]]:
    """What one cluster says, and what it means."""
    return [(text, event) for each, text, event in SAID.values() if each == cluster]


@pytest.mark.parametrize("name", SAID)
def test_what_the_venue_says(name: str) -> None:
    cluster, _, event = SAID[name]
    assert decoded(alone(name), cluster) == [event]


@pytest.mark.parametrize("cluster", ["stocks", "options", "forex", "crypto", "indices", "futures"])
def test_a_frame_holds_messages_of_all_kinds_in_their_order(cluster: str) -> None:
    texts, events = zip(*of(cluster), strict=True)
    assert decoded(f"[{','.join(texts)}]", cluster) == list(events)


def test_an_empty_frame_says_nothing() -> None:
    assert decoded("[]") == []


def test_keys_may_come_in_any_order_and_with_others_that_nobody_knows() -> None:
    text, event = of("stocks")[0]
    turned = dict(reversed(json.loads(text).items())) | {"new": {"of": [2027]}}
    assert decoded(json.dumps([turned])) == [event]


def test_lists_may_be_null() -> None:
    for cluster, place in (("stocks", "T"), ("stocks", "LULD"), ("options", "T"), ("crypto", "XT")):
        text = next(text for text, _ in of(cluster) if f'"ev":"{place}"' in text)
        key = "i" if place == "LULD" else "c"
        without = json.loads(text) | {key: None}
        [event] = decoded(json.dumps([without]), cluster)
        assert not isinstance(event, Malformed)
        assert not getattr(event, "conditions", ())


def test_an_unknown_tape_is_none() -> None:
    text, _ = of("stocks")[0]
    [trade] = decoded(json.dumps([json.loads(text) | {"z": 9}]))
    assert isinstance(trade, Trade)
    assert trade.tape == ""


def test_a_lot_is_what_the_user_says_and_a_contract_is_one() -> None:
    [stock] = decoded(alone("quote"), lot=1.0)
    assert isinstance(stock, Quote)
    assert (stock.bid_size, stock.lot) == (100.0, 1.0)
    [option] = decoded(alone("option's quote"), "options", lot=10.0)
    assert isinstance(option, Quote)
    assert (option.bid_size, option.lot) == (17.0, 1.0)


@pytest.mark.parametrize(
    ("stamp", "nanoseconds"),
    [
        (0, 0),
        (1_678_220_098, 1_678_220_098 * SECOND),
        (1_678_220_098_130, 1_678_220_098_130 * MS),
        (1_678_220_098_130_001, 1_678_220_098_130_001_000),
        (1_678_220_098_130_001_002, 1_678_220_098_130_001_002),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_the_size_of_a_stamp_tells_its_unit(stamp: int, nanoseconds: int) -> None:
    [value] = decoded(f'[{{"ev":"V","val":1,"T":"I:X","t":{stamp}}}]', "indices")
    assert isinstance(value, ReferencePrice)
    assert value.ts_event == nanoseconds


@pytest.mark.parametrize(
    "stamp", ["-1", str(2**63), "9999999999999", "99999999999", "1e400", '"1"', "1.5", "null"]
)
def test_a_stamp_that_64_bits_do_not_hold_is_malformed(stamp: str) -> None:
    assert malformed(f'[{{"ev":"V","val":1,"T":"I:X","t":{stamp}}}]', "indices") == 1


def test_a_bar_that_would_end_beyond_all_stamps_is_malformed() -> None:
    bar = json.loads(SAID["index's minute"][1]) | {"s": 2**63 - 1}
    assert malformed(json.dumps([bar]), "indices") == 1


@pytest.mark.parametrize("size", ["-1", "nan", "1e5", "", " 1", "1_0", "٣", "9" * 200, "0x1"])
def test_a_fraction_that_is_no_decimal_number_is_malformed(size: str) -> None:
    trade = json.loads(SAID["trade"][1]) | {"ds": size}
    assert malformed(json.dumps([trade])) == 1


# ------------------------------------------------------------------------------------------ bad input


def malformed(text: str | bytes, cluster: str = "stocks") -> int:
    """How many flaws there are in a frame, of which each is said, and nothing else."""
    events = decoded(text, cluster)
    for event in events:
        assert isinstance(event, Malformed)
        assert (event.frame, event.ts_recv) == (frame(text), NOW)
        assert event.reason
    return len(events)


def test_one_bad_element_leaves_its_neighbours_alone() -> None:
    (first, trade), (second, other) = of("stocks")[:2]
    bad = second.replace('"p":161.87', '"p":-161.87')
    text = f'[{first},{bad},{{"ev":"NEW"}},{status("success", "subscribed to: T.A")[1:-1]},17,{second}]'
    decoder = Polygon("key").decoder()
    events = list(decoder.decode(frame(text)))
    assert [event for event in events if not isinstance(event, Malformed)] == [
        trade,
        Status("subscribed", NOW, "subscribed to: T.A", "A", "trades", venue="polygon"),
        other,
    ]
    assert [event.reason.split(":")[0] for event in events if isinstance(event, Malformed)] == [
        "element 1",
        "element 4",
    ]
    assert decoder.skipped == 1


@pytest.mark.parametrize("payload", [b"", b"null", b"{}", b"[", b'"x"', b"\xff\xfe", b"[" * 100_000, b"[}"])
def test_a_frame_that_is_no_array_is_one_malformed(payload: bytes) -> None:
    assert malformed(payload) == 1


@pytest.mark.parametrize("number", ["-1", "NaN", "Infinity", "1e999", "1e200", '"1"', "null", "[]"])
@pytest.mark.parametrize("key", ["p", "s"])
def test_a_number_that_is_none_is_malformed(key: str, number: str) -> None:
    text = json.dumps([json.loads(SAID["trade"][1]) | {key: "?"}]).replace('"?"', number)
    assert malformed(text) == 1


@pytest.mark.parametrize(
    "levels", ["[[-1,1]]", "[[0,1]]", "[[1,-1]]", "[[1]]", "[[1,2,3]]", "[1]", '[["1",2]]']
)
def test_a_level_is_a_price_and_a_size(levels: str) -> None:
    assert malformed(f'[{{"ev":"XL2","pair":"BTC-USD","t":1,"x":1,"b":{levels}}}]', "crypto") == 1


NEEDED = {
    "T": "sym p s t",
    "XT": "pair p s t x",
    "Q": "sym t",
    "XQ": "pair t x",
    "C": "p t",
    "A": "sym s o h l c",
    "AM": "sym s o h l c",
    "CAS": "pair s o h l c v",
    "CA": "pair s o h l c v",
    "XAS": "pair s o h l c v",
    "XA": "pair s o h l c v",
    "LULD": "T h l t",
    "NOI": "T t b",
    "FMV": "sym fmv t",
    "LV": "sym val t",
    "V": "T val t",
    "XL2": "pair t x",
}
ALSO = {
    "trade": "x i",
    "option's trade": "x q",
    "future's trade": "q",
    "minute bar": "v",
    "future's second": "v",
}


@pytest.mark.parametrize(
    "name", [name for name, (_, text, _) in SAID.items() if '"ev":"A' not in text] + [*ALSO]
)
def test_a_field_that_is_needed_and_missing_is_malformed(name: str) -> None:
    cluster, text, _ = SAID[name]
    whole = json.loads(text)
    for key in f"{NEEDED[whole['ev']]} {ALSO.get(name, '')}".split():
        rest = {each: value for each, value in whole.items() if each != key}
        assert malformed(json.dumps([rest]), cluster) == 1, key


def test_a_type_of_another_cluster_is_nothing_we_know() -> None:
    decoder = Polygon("key", cluster="indices").decoder()
    assert list(decoder.decode(frame(f"[{SAID['trade'][1]}]"))) == []
    assert decoder.skipped == 1


def test_a_decoder_goes_on_where_another_left() -> None:
    decoder = Polygon("key").decoder()
    list(decoder.decode(frame('[{"ev":"NEW"}]')))
    other = Polygon("key").decoder()
    other.restore(msgspec.json.decode(msgspec.json.encode(decoder.state())))
    assert (other.skipped, other.state()) == (1, {"skipped": 1})


WHOLE = {
    cluster: [
        *[f"[{text}]".encode() for text, _ in of(cluster)],
        f"[{','.join(text for text, _ in of(cluster))}]".encode(),
        *[each.encode() for each in (CONNECTED, AUTHENTICATED, status("success", "subscribed to: T.AAPL"))],
        *[status(each, "why T.AAPL").encode() for each in ("error", "max_connections", "auth_failed")],
    ]
    for cluster in ("stocks", "options", "forex", "crypto", "indices", "futures")
}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_nothing_that_a_venue_sends_makes_anyone_raise(data: st.DataObject) -> None:
    cluster = data.draw(st.sampled_from(sorted(WHOLE)))
    payload = data.draw(broken(WHOLE[cluster]))
    kind = "values" if cluster == "indices" else "quotes"
    survives(Polygon("key", cluster=cluster), Subscription.of(**{kind: "AAPL"}), payload)


@settings(max_examples=200, deadline=None)
@given(st.data())
@example(None)
def test_a_frame_with_a_flaw_brings_no_event_that_was_not_in_it(data: st.DataObject | None) -> None:
    texts = [text for text, _ in of("crypto")]
    chosen = data.draw(st.lists(st.sampled_from(texts), min_size=1, max_size=4)) if data else texts
    where = data.draw(st.integers(0, len(chosen))) if data else 0
    flaw = data.draw(st.sampled_from(['{"ev":"XT","pair":5}', "5", '{"ev":5}', "null"])) if data else "[]"
    events = decoded(f"[{','.join([*chosen[:where], flaw, *chosen[where:]])}]", "crypto")
    meanings = dict(of("crypto"))
    assert [each for each in events if not isinstance(each, Malformed)] == [meanings[text] for text in chosen]
    assert isinstance(events[where], Malformed)


# ------------------------------------------------------------------------------------------ statuses


@pytest.mark.parametrize(
    ("word", "message", "expected"),
    [
        ("connected", "Connected Successfully", Status("venue", NOW, "connected: Connected Successfully")),
        ("success", "Connected Successfully", Status("venue", NOW, "Connected Successfully")),
        ("auth_success", "authenticated", Status("authenticated", NOW, "auth_success: authenticated")),
        ("success", "authenticated", Status("authenticated", NOW, "authenticated")),
        ("auth_failed", "no", Status("rejected", NOW, "auth_failed: no")),
        ("auth_required", "no", Status("rejected", NOW, "auth_required: no")),
        ("auth_timeout", "late", Status("venue", NOW, "auth_timeout: late")),
        ("error", "not entitled", Status("rejected", NOW, "not entitled")),
        ("max_connections", "full", Status("throttled", NOW, "max_connections: full")),
        ("slow_consumer", "slow", Status("venue", NOW, "slow_consumer: slow")),
        ("force_disconnect", "bye", Status("venue", NOW, "force_disconnect: bye")),
        ("maintenance", "soon", Status("venue", NOW, "maintenance: soon")),
        (
            "success",
            "subscribed to: T.BRK.A",
            Status("subscribed", NOW, "subscribed to: T.BRK.A", "BRK.A", "trades"),
        ),
        (
            "success",
            "unsubscribed to: AM.*",
            Status("unsubscribed", NOW, "unsubscribed to: AM.*", "*", "bars"),
        ),
        ("success", "subscribed to: ZZ.A", Status("subscribed", NOW, "subscribed to: ZZ.A")),
        (
            "error",
            "no such topic (LULD.X).",
            Status("rejected", NOW, "no such topic (LULD.X).", "X", "lulds"),
        ),
    ],
)
def test_a_status_is_said(word: str, message: str, expected: Status) -> None:
    assert decoded(status(word, message)) == [msgspec.structs.replace(expected, venue="polygon")]


def test_an_acknowledgement_of_several_topics_is_a_status_each() -> None:
    said = decoded(status("success", "subscribed to: T.A,Q.A"))
    assert [(each.kind, each.symbol) for each in said if isinstance(each, Status)] == [
        ("trades", "A"),
        ("quotes", "A"),
    ]


@pytest.mark.parametrize(
    ("cluster", "topic", "kind", "symbol"),
    [
        ("crypto", "FMV.X:BTC-USD", "fair_values", "BTC-USD"),
        ("forex", "FMV.C:EURUSD", "fair_values", "EUR/USD"),
        ("forex", "C.EUR/USD", "quotes", "EUR/USD"),
        ("forex", "C.EUR-USD", "quotes", "EUR/USD"),
        ("forex", "LV.C:ODD", "values", "C:ODD"),
        ("options", "Q.O:SPY241220P00720000", "quotes", "O:SPY241220P00720000"),
        ("indices", "V.I:SPX", "values", "I:SPX"),
    ],
)
def test_a_status_names_a_symbol_as_the_cluster_spells_it(
    cluster: str, topic: str, kind: str, symbol: str
) -> None:
    [said] = decoded(status("success", f"subscribed to: {topic}"), cluster)
    assert isinstance(said, Status)
    assert (said.kind, said.symbol) == (kind, symbol)


def test_a_status_without_a_message_is_one_and_without_a_status_is_none() -> None:
    assert decoded('[{"ev":"status","status":"connected"}]') == [
        Status("venue", NOW, "connected: ", venue="polygon")
    ]
    assert malformed('[{"ev":"status"}]') == 1


# ------------------------------------------------------------------------------------------ conversations


def talking(session: Session, *texts: str, at: int = NOW) -> list[Answer]:
    """What a session answers, in a row, to these frames."""
    return [answer for text in texts for answer in session.received(frame(text, at))]


def greeted(cluster: str = "stocks", **wanted: Iterable[str]) -> Session:
    session = Polygon("key", cluster=cluster).session(Subscription.of(**wanted))
    session.started(NOW)
    assert list(session.opened()) == []
    assert talking(session, CONNECTED) == [AUTH]
    return session


def admitted(cluster: str = "stocks", **wanted: Iterable[str]) -> tuple[Session, list[Answer]]:
    session = greeted(cluster, **wanted)
    return session, talking(session, AUTHENTICATED)


def ask(action: str, *topics: str) -> str:
    return json.dumps({"action": action, "params": ",".join(topics)}, separators=(",", ":"))


def served(*topics: str) -> list[str]:
    return [status("success", f"subscribed to: {topic}") for topic in topics]


def left(*topics: str) -> list[str]:
    return [status("success", f"unsubscribed to: {topic}") for topic in topics]


def wants(
    session: Session, added: dict[str, Any] | None = None, removed: dict[str, Any] | None = None
) -> list[Answer]:
    return list(session.wanted(Subscription.of(**(added or {})), Subscription.of(**(removed or {}))))


def reasons(answers: Iterable[Answer]) -> list[tuple[type, str]]:
    return [(type(answer), str(answer)) for answer in answers if isinstance(answer, RtflowError)]


def test_the_venue_is_heard_out_then_told_the_key_then_what_is_wanted() -> None:
    session, said = admitted(trades=["MSFT", "BRK.A"], quotes=["MSFT"], bars="*")
    assert said == [ask("subscribe", "AM.*", "Q.MSFT", "T.BRK.A", "T.MSFT")]
    assert talking(session, *served("AM.*", "Q.MSFT", "T.BRK.A", "T.MSFT")) == []
    assert session.due() is None


@pytest.mark.parametrize("greeting", ["success", "connected", "hello"])
def test_the_first_status_is_the_greeting_whatever_it_is_called(greeting: str) -> None:
    session = Polygon("key").session(Subscription())
    assert talking(session, status(greeting, "Connected Successfully")) == [AUTH]
    assert talking(session, status("hello", "again")) == []


@pytest.mark.parametrize("answer", [AUTHENTICATED, status("success", "authenticated")])
def test_being_admitted_once_is_enough(answer: str) -> None:
    session = greeted(trades="A")
    assert talking(session, answer) == [ask("subscribe", "T.A")]
    assert talking(session, AUTHENTICATED) == []


def test_the_answers_to_key_and_request_may_travel_together_and_among_data() -> None:
    session = greeted(trades="A")
    assert talking(session, AUTHENTICATED[:-1] + "," + SAID["trade"][1] + "]") == [ask("subscribe", "T.A")]
    together = f"[{served('T.A')[0][1:-1]},{SAID['quote'][1]},5]"
    assert session.classify(together.encode()) is Traffic.CONTROL
    assert talking(session, together) == []
    assert session.due() is None


def test_whoever_wants_nothing_asks_for_nothing() -> None:
    session, said = admitted()
    assert said == []
    assert session.due() is None
    assert wants(session, {"trades": "A"}) == [ask("subscribe", "T.A")]


def test_nothing_is_asked_before_the_venue_knows_us() -> None:
    session = greeted()
    assert wants(session, {"trades": "A"}) == []
    assert talking(session, AUTHENTICATED) == [ask("subscribe", "T.A")]


def test_one_request_is_in_flight_at_a_time_and_what_frees_places_goes_first() -> None:
    session, _ = admitted(trades="A")
    assert wants(session, {"trades": ["B", "C"]}) == []
    assert wants(session, {"quotes": "D"}, {"trades": ["A", "C"]}) == []
    assert talking(session, *served("T.A")) == [ask("unsubscribe", "T.A")]
    assert talking(session, *left("T.A")) == [ask("subscribe", "Q.D", "T.B")]


def test_a_request_names_five_hundred_topics_at_most() -> None:
    symbols = [f"S{number:04}" for number in range(1100)]
    session, said = admitted(trades=symbols)
    sizes = []
    while said:
        topics = json.loads(str(said[0]))["params"].split(",")
        sizes.append(len(topics))
        said = talking(session, *served(*topics))
    assert sizes == [500, 500, 100]


def test_a_wildcard_covers_its_symbols_while_it_is_wanted() -> None:
    session, said = admitted(trades=["*", "A"], quotes=["A"])
    assert said == [ask("subscribe", "Q.A", "T.*")]
    assert talking(session, *served("Q.A", "T.*")) == []
    assert wants(session, removed={"trades": "*"}) == [ask("unsubscribe", "T.*")]
    assert talking(session, *left("T.*")) == [ask("subscribe", "T.A")]
    assert talking(session, *served("T.A")) == []
    assert wants(session, {"trades": "*"}) == [ask("subscribe", "T.*")]
    assert talking(session, *served("T.*")) == []
    assert wants(session, removed={"trades": "A"}) == [], "nobody says whether * would go on without it"
    assert wants(session, {"trades": "A"}, {"trades": "*"}) == [ask("unsubscribe", "T.*")]
    assert talking(session, *left("T.*")) == [ask("subscribe", "T.A")], "nor whether it outlives *"


def test_an_acknowledgement_without_a_request_is_the_truth_all_the_same() -> None:
    session, _ = admitted(trades="A")
    talking(session, *served("T.A"))
    assert talking(session, *served("T.B")) == [ask("unsubscribe", "T.B")]
    assert talking(session, *left("T.B")) == []
    assert talking(session, *left("T.A")) == [ask("subscribe", "T.A")]


def test_a_refusal_that_names_its_topic_refuses_it_alone() -> None:
    session, _ = admitted(trades=["A", "B"])
    assert talking(session, status("error", "not entitled to T.A")) == [
        Refused((("trades", "A"),), "not entitled to T.A", told=True)
    ]
    assert talking(session, *served("T.B")) == []
    assert wants(session) == []


def test_a_refusal_of_everything_of_a_kind_refuses_what_was_asked_of_it() -> None:
    session, _ = admitted(trades=["A", "B"], quotes=["A"])
    reason = "not authorized for T.*"
    assert talking(session, status("error", reason)) == [
        Refused((("trades", "A"), ("trades", "B")), reason)
    ], "and the transport says so of each, as the frame does not"
    assert talking(session, *served("Q.A")) == []
    session, _ = admitted(trades=["*"], quotes=["A"])
    assert talking(session, status("error", reason)) == [Refused((("trades", "*"),), reason, told=True)]


@pytest.mark.parametrize(
    ("cluster", "text", "symbol"),
    [
        ("crypto", '{"ev":"XT","pair":"X:BTC-USD","p":1,"t":1610462007425,"s":1,"x":3}', "BTC-USD"),
        ("crypto", '{"ev":"XQ","pair":"X:BTC-USD","bp":1,"bs":1,"t":1610462007425,"x":3}', "BTC-USD"),
        ("crypto", '{"ev":"XL2","pair":"X:BTC-USD","t":1610462007425,"x":1,"b":[],"a":[]}', "BTC-USD"),
        (
            "crypto",
            '{"ev":"XA","pair":"X:BTC-USD","v":1,"o":1,"c":1,"h":1,"l":1,"s":1610463240000,"e":1610463300000}',
            "BTC-USD",
        ),
        ("forex", '{"ev":"C","p":"C:EURUSD","x":48,"a":1,"b":1,"t":1678220098130}', "EUR/USD"),
        (
            "forex",
            '{"ev":"CA","pair":"C:EUR-USD","v":1,"o":1,"c":1,"h":1,"l":1,"s":1610463240000,"e":1610463300000}',
            "EUR/USD",
        ),
    ],
)
def test_a_pair_has_one_spelling_however_it_comes(cluster: str, text: str, symbol: str) -> None:
    (event,) = Polygon("k", cluster=cluster).decoder().decode(frame(f"[{text}]"))
    assert getattr(event, "symbol", event) == symbol


def test_a_refusal_of_what_was_served_takes_it_away() -> None:
    session, _ = admitted(trades="A")
    talking(session, *served("T.A"))
    assert talking(session, status("error", "T.A was revoked")) == [
        Refused((("trades", "A"),), "T.A was revoked", told=True)
    ]
    assert wants(session) == []


def test_a_refusal_of_what_nobody_wants_changes_nothing() -> None:
    session, _ = admitted(trades="A")
    talking(session, *served("T.A"))
    assert talking(session, status("error", "what is T.B?"), status("error", "hm")) == []
    assert wants(session, removed={"trades": "A"}) == [ask("unsubscribe", "T.A")]
    assert talking(session, status("error", "T.A is not subscribed")) == []
    assert session.due() is None


def test_a_refusal_that_names_nothing_is_of_the_one_topic_asked_for() -> None:
    session, _ = admitted(books="BTC-USD", cluster="crypto")
    assert talking(session, status("error", "gone since 2024")) == [
        Refused((("books", "BTC-USD"),), "gone since 2024")
    ]


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_refusals_that_name_nothing_are_of_what_is_not_acknowledged(order: list[int]) -> None:
    session, _ = admitted(trades=["A", "B", "C"])
    answers = [status("error", "no"), *served("T.B"), status("error", "no")]
    assert talking(session, *[answers[index] for index in order]) == [
        Refused((("trades", "A"), ("trades", "C")), "no")
    ]
    assert session.due() is None


def test_where_it_stays_unclear_each_suspect_is_asked_for_alone() -> None:
    session, _ = admitted(trades=["A", "B", "C"])
    assert talking(session, status("error", "no"), at=NOW + SECOND) == []
    assert list(session.wake(NOW + 9 * SECOND)) == []
    assert wants(session, removed={"trades": "C"}) == []
    assert list(session.wake(NOW + 10 * SECOND)) == [ask("subscribe", "T.B")]
    assert talking(session, *served("T.B")) == [ask("subscribe", "T.A")]
    assert talking(session, status("error", "no")) == [Refused((("trades", "A"),), "no")]
    assert session.due() is None


def test_a_request_without_an_answer_is_repeated_once_and_then_taken_as_heard() -> None:
    session, _ = admitted(books=["BTC-USD"], trades=["BTC-USD"], cluster="crypto")
    talking(session, *served("XT.BTC-USD"))
    assert session.due() == NOW + 10 * SECOND
    assert list(session.wake(NOW + 10 * SECOND)) == [ask("subscribe", "XL2.BTC-USD")]
    assert session.due() == NOW + 20 * SECOND
    assert list(session.wake(NOW + 20 * SECOND)) == []
    assert session.due() is None
    assert wants(session, removed={"books": "BTC-USD"}) == [ask("unsubscribe", "XL2.BTC-USD")]


def test_silence_before_is_forgotten_once_there_was_an_answer_or_a_second_silence() -> None:
    for heard in (True, False):
        session, _ = admitted(trades="A")
        assert list(session.wake(NOW + 10 * SECOND)) == [ask("subscribe", "T.A")]
        answer = talking(session, *served("T.A")) if heard else list(session.wake(NOW + 20 * SECOND))
        assert answer == []
        wants(session, removed={"trades": "A"})
        talking(session, *left("T.A"))
        assert wants(session, {"trades": "A"}) == [ask("subscribe", "T.A")]
        assert list(session.wake(NOW + 30 * SECOND)) == []
        assert list(session.wake(NOW + 40 * SECOND)) == [ask("subscribe", "T.A")]


def test_an_unsubscription_without_an_answer_or_refused_is_not_repeated() -> None:
    for answer in (None, status("error", "what?")):
        session, _ = admitted(trades="A")
        talking(session, *served("T.A"))
        wants(session, removed={"trades": "A"})
        if answer:
            assert talking(session, answer) == []
        else:
            assert list(session.wake(NOW)) == []
            assert list(session.wake(NOW + 10 * SECOND)) == []
        assert session.due() is None


def test_of_a_request_in_between_the_first_wake_tells_when_it_left() -> None:
    session, _ = admitted()
    wants(session, {"trades": "A"})
    due = session.due()
    assert due is not None
    assert due <= NOW
    assert list(session.wake(NOW + 5 * SECOND)) == []
    assert session.due() == NOW + 15 * SECOND


def test_the_venue_has_ten_seconds_to_greet_us_and_as_long_to_let_us_in() -> None:
    session = Polygon("key").session(Subscription())
    assert session.due() is None
    assert list(session.wake(NOW)) == []
    session.started(NOW)
    assert reasons(session.wake(NOW + 10 * SECOND)) == [(Disconnected, "waited 10 s for a greeting")]
    assert reasons(greeted().wake(NOW + 10 * SECOND)) == [
        (Disconnected, "waited 10 s for an answer to the key")
    ]


@pytest.mark.parametrize(
    ("word", "kind", "text"),
    [
        ("auth_failed", Rejected, "auth_failed: why"),
        ("max_connections", Throttled, "max_connections: why"),
        ("slow_consumer", Disconnected, "slow_consumer: why (we read slower than the venue sends)"),
        ("force_disconnect", Disconnected, "force_disconnect: why"),
        ("auth_timeout", Disconnected, "auth_timeout: why"),
    ],
)
def test_what_ends_the_connection(word: str, kind: type, text: str) -> None:
    for session in (Polygon("key").session(Subscription()), greeted(trades="A"), admitted(trades="A")[0]):
        assert reasons(session.received(frame(status(word, "why")))) == [(kind, text)]


def test_a_place_that_is_taken_is_not_fought_for() -> None:
    [full] = greeted().received(frame(status("max_connections", "full")))
    assert isinstance(full, Throttled)
    closed = greeted().closed(1008, "")
    assert isinstance(closed, Throttled)
    assert full.retry_after == closed.retry_after == 30.0
    other = greeted().closed(1001, "bye")
    assert isinstance(other, Disconnected)
    assert other.announced
    assert isinstance(greeted().denied(404, "Not Found"), Rejected)


def test_an_error_in_answer_to_the_key_is_for_good_and_one_before_it_may_pass() -> None:
    assert reasons(talking(greeted(), status("error", "authentication failed"))) == [
        (Rejected, "authentication failed")
    ]
    session = Polygon("key").session(Subscription())
    assert reasons(talking(session, status("error", "busy"))) == [(Disconnected, "busy")]


def test_a_venue_that_forgot_us_is_told_again_once() -> None:
    session, _ = admitted(trades="A", quotes="A")
    talking(session, *served("T.A", "Q.A"))
    required = status("auth_required", "you are not")
    assert talking(session, required, required) == [AUTH]
    assert talking(session, AUTHENTICATED) == [ask("subscribe", "Q.A", "T.A")]
    assert reasons(talking(session, required)) == [(Disconnected, "auth_required: you are not")]


def test_an_unknown_status_says_nothing_to_us() -> None:
    session, _ = admitted(trades="A")
    assert talking(session, status("maintenance", "soon"), "[", "[5]") == []


def test_a_fresh_book_comes_by_itself() -> None:
    session, _ = admitted(books="BTC-USD", cluster="crypto")
    assert list(session.resync("BTC-USD")) == []


@pytest.mark.parametrize("name", SAID)
def test_data_is_data_however_it_is_written(name: str) -> None:
    cluster, text, _ = SAID[name]
    session = Polygon("key", cluster=cluster).session(Subscription())
    turned = json.dumps([dict(reversed(json.loads(text).items()))])
    assert [session.classify(each.encode()) for each in (f"[{text}]", turned)] == [Traffic.DATA] * 2


@pytest.mark.parametrize(
    "payload", [b"", b"[", b"[]", b"{}", b"[5]", b"\xff", b"[" * 9000, b'[{"a":1,"ev":"NEW"}]']
)
def test_what_nobody_can_read_delivers_nothing(payload: bytes) -> None:
    assert greeted().classify(payload) is Traffic.CONTROL


def test_statuses_are_control_however_they_are_written() -> None:
    for text in (
        CONNECTED,
        '[ {"status":"connected", "ev":"status"} ]',
        f"[{SAID['trade'][1]},{CONNECTED[1:]}",
    ):
        assert greeted().classify(text.encode()) is Traffic.CONTROL


# ------------------------------------------------------------------------------------------ the provider


def test_it_is_a_provider() -> None:
    polygon: Provider = Polygon("key")
    assert polygon.name == "polygon"
    assert polygon.request(Subscription.of(trades="AAPL")) == Request("wss://socket.massive.com/stocks")
    assert set(Polygon.profile.kinds) == {
        kind
        for cluster in ("stocks", "options", "forex", "crypto", "indices", "futures")
        for kind in Polygon("key", cluster=cluster).kinds
    }


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize(("host", "domain"), [("massive", "massive.com"), ("polygon", "polygon.io")])
def test_each_feed_has_its_host_in_both_families(feed: str, host: Any, domain: str) -> None:
    polygon = Polygon("key", cluster="options", feed=feed, host=host)
    assert polygon.request(Subscription()).url == f"wss://{feed}.{domain}/options"


def test_another_address_replaces_the_whole() -> None:
    assert Polygon("key", url="ws://127.0.0.1:9/x").request(Subscription()) == Request("ws://127.0.0.1:9/x")


@pytest.mark.parametrize(
    ("cluster", "feed", "topics"),
    [
        (
            "stocks",
            "socket",
            "trades=T quotes=Q second_bars=A bars=AM lulds=LULD imbalances=NOI fair_values=FMV",
        ),
        ("options", "delayed", "trades=T quotes=Q second_bars=A bars=AM fair_values=FMV"),
        ("forex", "socket", "quotes=C second_bars=CAS bars=CA fair_values=FMV"),
        ("crypto", "socket", "trades=XT quotes=XQ books=XL2 second_bars=XAS bars=XA fair_values=FMV"),
        ("indices", "socket", "values=V second_bars=A bars=AM"),
        ("futures/cme", "socket", "trades=T quotes=Q second_bars=A bars=AM"),
        ("stocks", "launchpad", "bars=AM values=LV"),
        ("crypto", "launchpad", "bars=AM values=LV"),
    ],
)
def test_every_kind_has_its_topic(cluster: str, feed: str, topics: str) -> None:
    polygon = Polygon("key", cluster=cluster, feed=feed)
    codes = dict(each.split("=") for each in topics.split())
    assert list(polygon.kinds) == list(codes)
    session = polygon.session(Subscription.of(**dict.fromkeys(codes, "S")))
    talking(session, CONNECTED)
    assert talking(session, AUTHENTICATED) == [
        ask("subscribe", *[f"{code}.S" for _, code in sorted(codes.items())])
    ]


@pytest.mark.parametrize(
    ("cluster", "kind"),
    [
        ("stocks", "books"),
        ("forex", "trades"),
        ("indices", "quotes"),
        ("futures", "lulds"),
        ("options", "news"),
    ],
)
def test_a_kind_that_a_cluster_does_not_have_is_unsupported(cluster: str, kind: str) -> None:
    with pytest.raises(
        Unsupported, match=f"polygon has no '{kind}'; it offers .*bars.* on its cluster {cluster}"
    ):
        Polygon("key", cluster=cluster).request(Subscription.of(**{kind: "A"}))


@pytest.mark.parametrize(
    ("cluster", "kind"), [("options", "quotes"), ("options", "fair_values"), ("indices", "values")]
)
def test_a_wildcard_that_the_venue_does_not_have_is_unsupported(cluster: str, kind: str) -> None:
    polygon = Polygon("key", cluster=cluster)
    with pytest.raises(Unsupported, match=f"no wildcard for {kind} of {cluster}"):
        polygon.request(Subscription.of(**{kind: "*"}))
    polygon.request(Subscription.of(bars="*", second_bars="*"))


def test_a_connection_takes_quotes_of_a_thousand_contracts() -> None:
    polygon = Polygon("key", cluster="options")
    contracts = [f"O:SPY241220P{number:08}" for number in range(1001)]
    polygon.request(Subscription.of(quotes=contracts[:1000], trades=contracts, fair_values=contracts[:9]))
    with pytest.raises(Unsupported, match="quotes and fair values of 1000 contracts, not of 1001"):
        polygon.request(Subscription.of(quotes=contracts))
    Polygon("key").request(Subscription.of(quotes=contracts))


@pytest.mark.parametrize("symbol", ["A,B", "A B", "A\n"])
def test_what_would_be_two_topics_is_no_symbol(symbol: str) -> None:
    with pytest.raises(Unsupported, match="no symbol of polygon is spelled"):
        Polygon("key").request(Subscription.of(trades=symbol))


@pytest.mark.parametrize(
    ("cluster", "symbol", "spelled"),
    [("crypto", "X:BTC-USD", "BTC-USD"), ("forex", "EURUSD", "EUR/USD"), ("forex", "C:EUR-USD", "EUR/USD")],
)
def test_a_pair_has_one_spelling(cluster: str, symbol: str, spelled: str) -> None:
    with pytest.raises(Unsupported, match=f"spells '{symbol}' '{spelled}'"):
        Polygon("key", cluster=cluster).request(Subscription.of(quotes=symbol))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cluster": "bonds"}, "no cluster 'bonds'; it offers stocks, options, forex"),
        ({"feed": "sip"}, "no feed 'sip'; it offers socket, delayed"),
        ({"feed": "launchpad", "cluster": "indices"}, "launchpad feed has no indices"),
    ],
)
def test_what_there_is_not_is_unsupported(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        Polygon("key", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"host": "alpaca"},
        {"key": ""},
        {"lot": 0.0},
        {"lot": -1.0},
        {"lot": float("nan")},
        {"lot": float("inf")},
    ],
)
def test_arguments_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Polygon(**{"key": "key"} | options)


def test_nobody_sees_the_key() -> None:
    polygon = Polygon("hidden", cluster="crypto", feed="delayed")
    assert repr(polygon) == "Polygon(cluster='crypto', feed='delayed')"
    session = polygon.session(Subscription())
    shown = (
        repr(session)
        + repr(polygon.request(Subscription()))
        + repr(talking(session, status("auth_failed", "x")))
    )
    assert "hidden" not in shown
