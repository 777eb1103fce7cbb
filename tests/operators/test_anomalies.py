"""anomalies: each wrong thing is said, by its name, and nothing else is."""

from __future__ import annotations

from math import inf, nan
from statistics import median
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow.counters import Counters
from rtflow.events import Anomaly, Event, Gap, Quote, Side, Trade
from rtflow.kernel import Kernel
from rtflow.operators import anomalies
from rtflow.operators._anomalies import _Prices
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def trade(at: float, price: float = 100.0, size: float = 1.0, **other: Any) -> Trade:
    fields = {"symbol": "A", "venue": "v", **other}
    return Trade(
        ts_event=round(at * SECOND), ts_recv=round(at * SECOND) + 1, price=price, size=size, **fields
    )


def quote(
    at: float,
    bid: float | None = 99.0,
    ask: float | None = 101.0,
    bid_size: float | None = 1.0,
    ask_size: float | None = 1.0,
    **other: Any,
) -> Quote:
    stamp = round(at * SECOND)
    return Quote("A", stamp, stamp + 1, bid, bid_size, ask, ask_size, venue="v", **other)


def found(kernel: Kernel[Event, Anomaly], *items: Event) -> list[Anomaly]:
    return [each for item in items for each in kernel.push(item)]


def reasons(kernel: Kernel[Event, Anomaly], *items: Event) -> list[str]:
    return [each.reason for each in found(kernel, *items)]


def test_all_that_is_said_of_an_anomaly() -> None:
    wrong = trade(5, -2.5)
    assert found(anomalies().kernel(), wrong) == [
        Anomaly("A", 5 * SECOND, 5 * SECOND + 1, "price", "price is -2.5", -2.5, 0.0, item=wrong, venue="v")
    ]


@pytest.mark.parametrize("price", [0.0, -1.0, nan, inf, -inf])
def test_a_price_that_is_none(price: float) -> None:
    assert reasons(anomalies().kernel(), trade(0, price)) == ["price"]
    assert [each.detail for each in found(anomalies().kernel(), quote(0, price, None))] == [f"bid is {price}"]
    assert "price" in reasons(anomalies().kernel(), quote(0, 1.0, price))


def test_where_prices_may_be_negative_they_are_none_the_less_numbers() -> None:
    kernel = anomalies(negative_prices=True).kernel()
    assert reasons(kernel, trade(0, -37.63), trade(1, 0.0), quote(2, -2.0, -1.0)) == []
    assert reasons(kernel, trade(3, -inf), trade(4, nan)) == ["price", "price"]


@pytest.mark.parametrize("size", [0.0, -1.0, nan, inf])
def test_a_size_that_is_none(size: float) -> None:
    assert reasons(anomalies().kernel(), trade(0, 1.0, size)) == ["size"]
    both = found(anomalies().kernel(), quote(0, bid_size=size, ask_size=size))
    assert [each.detail for each in both] == [f"bid_size is {size}", f"ask_size is {size}"]


def test_a_crossed_quote_but_no_locked_or_one_sided_one() -> None:
    kernel = anomalies().kernel()
    assert reasons(kernel, quote(0, 1.0, 1.0), quote(1, None, 1.0, None), quote(2, 1.0, None)) == []
    (crossed,) = found(kernel, quote(3, 2.0, 1.5))
    assert (crossed.reason, crossed.value, crossed.limit) == ("crossed", 0.5, 0.0)
    assert crossed.detail == "the bid is 0.5 above the ask"


def test_time_that_goes_backwards_is_measured_from_the_latest() -> None:
    kernel = anomalies().kernel()
    made = found(kernel, trade(5), trade(7, 2.0), trade(6.5), trade(6.75, 2.0), trade(7), quote(1))
    assert [(each.reason, each.value, each.limit) for each in made] == [
        ("backwards", 0.5, 0.0),
        ("backwards", 0.25, 0.0),
    ]
    assert made[0].detail == "stamped 0.5 s before the latest"
    assert reasons(anomalies(behind=0.5).kernel(), trade(7), trade(6.5, 2.0), trade(6.25)) == ["backwards"]


def test_a_tick_that_says_the_same_again_and_again() -> None:
    kernel = anomalies(repeats=2).kernel()
    made = found(kernel, *(trade(at) for at in range(4)), trade(4, side=Side.BUY), trade(5))
    assert [(each.reason, each.value, each.limit, each.item.ts_event // SECOND) for each in made] == [
        ("stale", 2.0, 2.0, 2),
        ("stale", 3.0, 2.0, 3),
    ]
    assert made[0].detail == "says the same as the one before, 2 times in a row"
    assert reasons(kernel, quote(0), quote(1), quote(2), quote(3, bid_size=2.0)) == ["stale"]


def test_sampled_states_repeat_by_nature_and_wrong_ticks_are_said_once() -> None:
    assert reasons(anomalies(repeats=1).kernel(), trade(0, sampled=True), trade(1, sampled=True)) == []
    assert reasons(anomalies(repeats=1).kernel(), trade(0, 0.0), trade(1, 0.0)) == ["price", "price"]
    between = reasons(anomalies(repeats=1).kernel(), trade(0), trade(1, 0.0), trade(2))
    assert between == ["price"], "a wrong one ends the row"
    assert reasons(anomalies(repeats=None).kernel(), *(trade(at) for at in range(50))) == []


def test_the_modified_z_score_is_that_of_the_book() -> None:
    """Median 3, distances 2 1 0 1 97, MAD 1: the score of 10 is 0.6745 * 7."""
    kernel = anomalies(warmup=5, threshold=1000).kernel()
    assert reasons(kernel, *(trade(at, price) for at, price in enumerate([1.0, 2.0, 3.0, 4.0, 100.0]))) == []
    kernel = anomalies(warmup=5).kernel()
    _ = found(kernel, *(trade(at, price) for at, price in enumerate([1.0, 2.0, 3.0, 4.0, 100.0])))
    (outlier,) = found(kernel, trade(9, 10.0))
    assert (outlier.reason, outlier.limit) == ("outlier", 3.5)
    assert outlier.value == pytest.approx(0.6745 * 7)
    assert outlier.detail == "10.0 is 4.7 robust deviations from the median 3.0 of 5"
    (below,) = found(anomalies_of([1.0, 2.0, 3.0, 4.0, 100.0]), trade(9, -4.0))
    assert below.value == pytest.approx(-0.6745 * 7)


def anomalies_of(prices: list[float]) -> Kernel[Event, Anomaly]:
    kernel = anomalies(warmup=1, negative_prices=True).kernel()
    _ = found(kernel, *(trade(at, price) for at, price in enumerate(prices)))
    return kernel


def test_where_all_prices_are_one_a_small_step_is_none() -> None:
    assert reasons(anomalies_of([100.0] * 4), trade(9, 100.25)) == []
    assert reasons(anomalies_of([100.0] * 4), trade(9, 100.27)) == ["outlier"]
    assert reasons(anomalies_of([0.0] * 4), trade(9, 1.0)) == [], "of nothing, nothing is known"


def test_nothing_is_judged_before_enough_is_known() -> None:
    steady = [trade(at, 100.0 + at % 3) for at in range(19)]
    assert reasons(anomalies().kernel(), *steady, trade(20, 500.0)) == []
    assert reasons(anomalies().kernel(), *steady, trade(19.5, 101.0), trade(20, 500.0)) == ["outlier"]
    assert reasons(anomalies(threshold=None).kernel(), *steady, trade(19.5, 101.0), trade(20, 500.0)) == []


def test_a_new_level_is_accepted_once_half_of_the_prices_are_of_it() -> None:
    kernel = anomalies(count=10, warmup=10, repeats=None).kernel()
    _ = found(kernel, *(trade(at, 100.0) for at in range(10)))
    assert reasons(kernel, *(trade(10 + at, 200.0) for at in range(10))) == ["outlier"] * 5


def test_a_quote_is_judged_by_its_mid_and_apart_from_trades() -> None:
    kernel = anomalies(warmup=3).kernel()
    _ = found(kernel, *(quote(at, 99.0 - at, 101.0 + at) for at in range(3)))
    assert reasons(kernel, trade(3, 1000.0), quote(3, 199.0, 201.0), quote(4, 300.0, None)) == ["outlier"]
    assert reasons(kernel, quote(5, 300.0, 299.0)) == ["crossed"], "its mid is no price"


@pytest.mark.parametrize(
    ("hole", "new"),
    [
        (Gap(0, None, 1, 0, venue="v"), True),
        (Gap(0, 1, 1, 0, venue="v", symbols=("A",), kind="trades"), True),
        (Gap(0, 1, 1, 0, venue="v", symbols=("B",)), False),
        (Gap(0, 1, 1, 0, venue="v", kind="books"), False),
        (Gap(0, 1, 1, 0, venue="w"), False),
    ],
)
def test_after_a_gap_its_symbols_start_anew(hole: Gap, new: bool) -> None:
    kernel = anomalies(warmup=3, repeats=1).kernel()
    _ = found(kernel, *(trade(at, 100.0 + at) for at in range(4)))
    assert reasons(kernel, hole, trade(1, 103.0)) == ([] if new else ["backwards", "stale"])
    assert reasons(kernel, trade(4, 500.0)) == ([] if new else ["outlier"])


def test_each_venue_and_symbol_is_compared_with_itself() -> None:
    kernel = anomalies(warmup=1).kernel()
    items = trade(9, 1.0), trade(1, 99.0, symbol="B"), trade(1, 50.0, venue="w")
    assert reasons(kernel, *items) == []


def test_what_is_found_is_counted() -> None:
    counters = Counters()
    _ = found(anomalies(counters=counters).kernel(), trade(0, 0.0, 0.0), trade(1, 0.0))
    assert counters == {"anomalies": 3, "anomalies.price": 2, "anomalies.size": 1}


@given(st.lists(st.sampled_from([1.0, 2.0, 2.5, 3.0, 10.0, 0.1, 0.3]) | st.floats(-1e6, 1e6), min_size=1))
def test_median_and_deviation_are_exact(values: list[float]) -> None:
    prices = _Prices()
    for at, value in enumerate(values):
        prices.add(value, 7)
        last = values[max(0, at - 6) : at + 1]
        middle = median(last)
        assert prices.median() == middle
        assert prices.deviation(middle) == median(abs(each - middle) for each in last)
        assert (list(prices.recent), prices.ordered) == (last, sorted(last))


RULES: dict[str, Any] = {"count": 6, "warmup": 2, "repeats": 2}


@given(event_streams(venues=("x", "y"), max_size=60))
def test_it_is_held_to_the_laws(events: list[Event]) -> None:
    resumes_anywhere(anomalies(**RULES), events)
    same_live_and_virtual(anomalies(**RULES), events)


@given(event_streams(max_size=60), st.lists(st.integers(0, 59), max_size=10))
def test_it_finds_what_a_look_at_the_whole_past_finds(events: list[Event], spoilt: list[int]) -> None:
    for at in spoilt:
        if at < len(events):
            event = events[at]
            if isinstance(event, Trade):
                events[at] = msgspec.structs.replace(event, price=-event.price)
            elif isinstance(event, Quote):
                events[at] = msgspec.structs.replace(event, bid=event.ask, ask=event.bid)
    expected: list[tuple[int, str]] = []
    for at, event in enumerate(events):
        if isinstance(event, Trade | Quote):
            expected += [(at, reason) for reason in naive(event, past(events, at))]
    kernel = anomalies(**RULES).kernel()
    assert [(at, each.reason) for at, item in enumerate(events) for each in kernel.push(item)] == expected


def past(events: list[Event], at: int) -> list[Trade | Quote]:
    """The ticks before of the same kind and symbol, since the last gap."""
    tick = events[at]
    assert isinstance(tick, Trade | Quote)
    gaps = [number for number, each in enumerate(events[:at]) if isinstance(each, Gap)]
    return [
        each
        for each in events[max(gaps, default=0) : at]
        if isinstance(each, Trade | Quote) and (type(each), each.symbol) == (type(tick), tick.symbol)
    ]


def sound(tick: Trade | Quote) -> bool:
    return tick.price > 0 if isinstance(tick, Trade) else True


def level(tick: Trade | Quote) -> float | None:
    if isinstance(tick, Trade):
        return tick.price if tick.price > 0 else None
    assert tick.bid is not None
    assert tick.ask is not None
    return None if tick.bid > tick.ask else (tick.bid + tick.ask) / 2


def content(tick: Trade | Quote) -> Any:
    if isinstance(tick, Trade):
        return tick.price, tick.size, tick.side
    return tick.bid, tick.bid_size, tick.ask, tick.ask_size


def naive(tick: Trade | Quote, before: list[Trade | Quote]) -> list[str]:
    made: list[str] = []
    price = level(tick)
    if price is None:
        made.append("price" if isinstance(tick, Trade) else "crossed")
    if before and tick.ts_event < max(each.ts_event for each in before):
        made.append("backwards")
    last = [*before, tick][-3:]
    if len(last) == 3 and all(sound(each) and content(each) == content(tick) for each in last):
        made.append("stale")
    prices = [known for each in before if (known := level(each)) is not None][-6:]
    if price is not None and len(prices) >= 2:
        middle = median(prices)
        spread = max(median(abs(each - middle) for each in prices), 0.0005 * abs(middle))
        if abs(0.6745 * (price - middle) / spread) > 3.5:
            made.append("outlier")
    return made


def test_marble_under_the_stock_scheduler() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        ReactiveTest.on_next(210, trade(1)),
        ReactiveTest.on_next(220, trade(2, 0.0)),
        ReactiveTest.on_completed(230),
    )
    got = scheduler.start(lambda: source.pipe(anomalies(), ops.map(_reason)))
    assert got.messages == [ReactiveTest.on_next(220, "price"), ReactiveTest.on_completed(230)]


def _reason(anomaly: Anomaly) -> str:
    return anomaly.reason


def test_an_anomaly_survives_msgspec() -> None:
    (made,) = run(anomalies().kernel(), [quote(1, 2.0, 1.0)])
    assert msgspec.json.decode(msgspec.json.encode(made), type=Anomaly) == made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": 0}, "threshold must be more than nothing, or None for no outliers, not 0"),
        ({"least": 0}, "least must be more than nothing, not 0"),
        ({"warmup": 0}, "warmup must be from 1 to count, not 0 of 100"),
        ({"warmup": 11, "count": 10}, "warmup must be from 1 to count, not 11 of 10"),
        ({"repeats": 0}, "repeats must be 1 or more, or None for any number, not 0"),
        ({"behind": -1}, "behind cannot be negative: -1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        anomalies(**options)
