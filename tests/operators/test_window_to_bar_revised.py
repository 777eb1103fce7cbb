"""window_to_bar with care: what may set a price, and bars that are put right after they have left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rtflow.conditions import EVERYTHING, SALE_CONDITIONS, Eligibility
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, LateTrade, Quote, Side, Trade, TradeCancel, TradeCorrection
from rtflow.operators._window_to_bar import window_to_bar
from rtflow.time import SECOND
from tests.laws import event_streams, resumes_anywhere, run, same_live_and_virtual


def trade(
    second: float,
    price: float = 10.0,
    size: float = 1.0,
    *conditions: str,
    id: str = "",  # noqa: A002
    symbol: str = "A",
    delay: float = 0.0,
    side: Side = Side.UNKNOWN,
) -> Trade:
    stamp = round(second * SECOND)
    received = stamp + round(delay * SECOND)
    return Trade(symbol, stamp, received, price, size, side, id, "x", "", conditions, "A")


def quote(second: float) -> Quote:
    return Quote("Q", round(second * SECOND), round(second * SECOND), 1.0, 1.0, 2.0, 1.0, "x")


def cancel(second: float, id: str, symbol: str = "A") -> TradeCancel:  # noqa: A002
    stamp = round(second * SECOND)
    return TradeCancel(symbol, stamp, stamp, id, 1.0, 1.0, "x")


def correction(
    second: float,
    original: str,
    replacement: str,
    price: float,
    size: float,
    *conditions: str,
) -> TradeCorrection:
    stamp, fresh = round(second * SECOND), (replacement, price, size)
    return TradeCorrection(
        "A", stamp, stamp, original, 1.0, 1.0, *fresh, "x", conditions=conditions, tape="A"
    )


def push(kernel: Any, *events: Event) -> list[Any]:
    return [made for event in events for made in kernel.push(event)]


def prices(bar: Bar) -> tuple[float, float, float, float]:
    return bar.open, bar.high, bar.low, bar.close


# Eligibility


def test_an_odd_lot_adds_volume_and_sets_no_price() -> None:
    kernel = window_to_bar(60, eligibility=SALE_CONDITIONS).kernel()
    (bar,) = push(
        kernel,
        trade(1, 99.0, 2.0, "I", side=Side.BUY),
        trade(2, 10.0, 100.0),
        trade(3, 11.0, 100.0, side=Side.SELL),
        trade(4, 1.0, 3.0, "I", side=Side.SELL),
        quote(60),
    )
    assert prices(bar) == (10.0, 11.0, 10.0, 11.0)
    assert (bar.volume, bar.count, bar.value) == (205.0, 4, 198.0 + 1000.0 + 1100.0 + 3.0)
    assert (bar.buy_volume, bar.sell_volume, bar.ts_open, bar.ts_close) == (
        2.0,
        103.0,
        2 * SECOND,
        3 * SECOND,
    )


def test_a_minute_of_odd_lots_alone_has_no_bar_and_is_counted() -> None:
    counters = Counters()
    kernel = window_to_bar("1m", eligibility=SALE_CONDITIONS, counters=counters).kernel()
    assert push(kernel, trade(1, 10.0, 5.0, "I"), trade(2, 10.0, 5.0, "I"), quote(60)) == []
    assert counters == {"unpriced": 2}
    push(kernel, trade(61, 10.0, 5.0, "I"), trade(62, 1.0, 5.0, "M", symbol="B"))
    assert list(kernel.flush()) == []
    assert counters == {"unpriced": 3}, "the official close only repeats what was traded"


def test_between_two_bars_a_minute_of_odd_lots_is_flat() -> None:
    kernel = window_to_bar(60, empty="flat", eligibility=SALE_CONDITIONS).kernel()
    made = push(kernel, trade(1, 10.0), trade(61, 99.0, 1.0, "I"), quote(120))
    assert [(bar.close, bar.volume, bar.synthetic) for bar in made] == [(10.0, 1.0, False), (10.0, 0.0, True)]


def test_a_price_that_gives_way_is_the_close_only_while_there_is_no_other() -> None:
    late = partial(SALE_CONDITIONS.eligibility, daily=True)
    kernel = window_to_bar(60, eligibility=late).kernel()
    (first,) = push(kernel, trade(1, 10.0, 1.0, "Z"), trade(2, 9.0, 1.0, "Z"), quote(60))
    assert prices(first) == (10.0, 10.0, 9.0, 10.0)
    (second,) = push(kernel, trade(65, 10.0, 1.0, "Z"), trade(62, 11.0), trade(66, 8.0, 1.0, "Z"), quote(120))
    assert prices(second) == (11.0, 11.0, 8.0, 11.0)


def test_a_bar_of_a_day_asks_for_the_rules_of_a_day() -> None:
    events = trade(1, 10.0), trade(2, 12.0, 1.0, "Z"), quote(86_400)
    by_day, by_minute = (
        push(window_to_bar(every, eligibility=SALE_CONDITIONS).kernel(), *events)[0] for every in ("1d", "1m")
    )
    assert prices(by_day) == (10.0, 12.0, 10.0, 10.0)
    assert prices(by_minute) == (10.0, 10.0, 10.0, 10.0)


def test_a_feed_that_spells_conditions_by_numbers_is_judged_by_a_function() -> None:
    numbered = partial(SALE_CONDITIONS.eligibility, numbered=True)
    kernel = window_to_bar(60, eligibility=numbered).kernel()
    (bar,) = push(kernel, trade(1, 10.0), trade(2, 99.0, 1.0, "37"), trade(3, 11.0, 1.0, "14"), quote(60))
    assert prices(bar) == (10.0, 11.0, 10.0, 11.0)


def test_without_all_of_its_prices_a_bar_cannot_leave() -> None:
    rules = {
        "open": Eligibility(volume=True, high_low=False, open=True, close=False),
        "close": Eligibility(volume=True, high_low=False, open=False, close=True),
        "range": Eligibility(volume=True, high_low=True, open=False, close=False),
    }
    kernel = window_to_bar(60, emit="update", eligibility=lambda said, tape: rules[said[0]]).kernel()
    assert push(kernel, trade(1, 10.0, 1.0, "open"), trade(2, 11.0, 1.0, "range")) == []
    made = push(kernel, trade(3, 10.5, 1.0, "close"), trade(4, 9.0, 1.0, "range"))
    assert [prices(bar) for bar in made] == [(10.0, 11.0, 11.0, 10.5), (10.0, 11.0, 9.0, 10.5)]


# Revisions by late trades


def test_a_late_trade_revises_its_bar() -> None:
    counters = Counters()
    kernel = window_to_bar(60, revise_for=30, late="emit", counters=counters).kernel()
    (first,) = push(kernel, trade(10, 10.0), trade(30, 12.0), quote(60))
    (again,) = push(kernel, trade(5, 9.0, 2.0, delay=60))
    assert (first.revision, prices(first), first.volume) == (0, (10.0, 12.0, 10.0, 12.0), 2.0)
    assert again == replace(
        first,
        open=9.0,
        low=9.0,
        volume=4.0,
        count=3,
        value=40.0,
        ts_open=5 * SECOND,
        ts_recv=65 * SECOND,
        revision=1,
    )
    (third,) = push(kernel, trade(59, 13.0, delay=30))
    assert (third.revision, third.close, third.final) == (2, 13.0, True)
    (late,) = push(kernel, replace(trade(58, 14.0), ts_recv=90 * SECOND + 1))
    assert isinstance(late, LateTrade)
    assert counters == {"late": 1}
    assert list(kernel.flush()) == []


def test_a_late_trade_of_a_stretch_without_a_bar_makes_one() -> None:
    kernel = window_to_bar(60, revise_for=60).kernel()
    made = push(kernel, quote(10), quote(60), trade(50, 10.0, delay=20), trade(55, 11.0, delay=20))
    assert [(bar.start, bar.close, bar.count, bar.revision, bar.partial) for bar in made] == [
        (0, 10.0, 1, 0, "start"),
        (0, 11.0, 2, 1, "start"),
    ]


def test_odd_lots_wait_for_a_late_price() -> None:
    counters = Counters()
    kernel = window_to_bar(60, revise_for=60, eligibility=SALE_CONDITIONS, counters=counters).kernel()
    assert push(kernel, trade(10, 99.0, 5.0, "I"), quote(60)) == []
    (bar,) = push(kernel, trade(20, 10.0, delay=50))
    assert (bar.revision, bar.volume, prices(bar)) == (0, 6.0, (10.0,) * 4)
    push(kernel, quote(200))
    assert counters == {}


def test_a_revision_knows_what_has_become_of_a_gap() -> None:
    kernel = window_to_bar(60, revise_for=60).kernel()
    first = push(kernel, trade(10), Gap(20 * SECOND, None, 1, 30 * SECOND, venue="x"), quote(70))
    filled = Gap(20 * SECOND, 70 * SECOND, 1, 71 * SECOND, venue="x", filled=1)
    made = first + push(kernel, filled, trade(40, delay=32))
    assert [(bar.revision, bar.gap) for bar in made] == [(0, True), (1, False)]


def test_a_gap_is_remembered_for_as_long_as_a_bar_may_be_revised() -> None:
    kernel = window_to_bar(60, revise_for=120).kernel()
    gap = Gap(20 * SECOND, 30 * SECOND, 1, 30 * SECOND, venue="x")
    made = push(kernel, trade(10), gap, trade(65), quote(130), trade(40, delay=100))
    assert [(bar.revision, bar.gap) for bar in made] == [(0, True), (0, False), (1, True)]


def test_bars_that_nothing_can_change_any_more_are_forgotten() -> None:
    kernel = window_to_bar(1, revise_for=5).kernel()
    for second in range(100):
        push(kernel, trade(second))
        assert len(kernel.state()["x"]["kept"].get("A", ())) <= 6
    for second in range(100, 200):
        push(kernel, quote(second), trade(second - 3, delay=3, symbol="B"))
        assert sum(map(len, kernel.state()["x"]["kept"].values())) <= 6


# Cancels and corrections


def test_a_cancel_takes_its_trade_out_of_a_bar_that_has_left() -> None:
    kernel = window_to_bar(60, revise_for=60).kernel()
    (first,) = push(
        kernel,
        trade(1, 10.0, 1.0, id="1"),
        trade(2, 50.0, 7.0, id="2", side=Side.BUY),
        trade(3, 11.0, 1.0, id="3"),
        quote(60),
    )
    assert (first.high, first.volume) == (50.0, 9.0)
    (again,) = push(kernel, cancel(70, "2"))
    assert again == replace(
        first, high=11.0, volume=2.0, count=2, value=21.0, buy_volume=0.0, ts_recv=70 * SECOND, revision=1
    )


def test_a_cancel_in_time_is_no_revision() -> None:
    kernel = window_to_bar(60, revise_for=60, emit="update").kernel()
    made = push(kernel, trade(1, 10.0, id="1"), trade(2, 50.0, id="2"), cancel(3, "2"), cancel(4, "1"))
    assert [(bar.high, bar.count, bar.final) for bar in made] == [
        (10.0, 1, False),
        (50.0, 2, False),
        (10.0, 1, False),
    ]
    made = push(kernel, trade(5, 9.0), quote(60))
    assert [(prices(bar), bar.final, bar.revision) for bar in made] == [
        ((9.0,) * 4, False, 0),
        ((9.0,) * 4, True, 0),
    ]


def test_a_bar_that_has_lost_all_of_its_trades_says_so_and_may_come_back() -> None:
    counters = Counters()
    kernel = window_to_bar(60, revise_for=60, counters=counters).kernel()
    made = push(kernel, trade(1, 10.0, id="1"), trade(2, 11.0, id="2"), quote(60))
    made += push(kernel, cancel(70, "2"), cancel(71, "1"), trade(20, 12.0, delay=60))
    assert [(bar.revision, bar.close, bar.volume, bar.count, bar.synthetic) for bar in made] == [
        (0, 11.0, 2.0, 2, False),
        (1, 10.0, 1.0, 1, False),
        (2, 10.0, 0.0, 0, True),
        (3, 12.0, 1.0, 1, False),
    ]


def test_a_correction_stands_where_the_trade_stood() -> None:
    kernel = window_to_bar(60, revise_for=60, eligibility=SALE_CONDITIONS).kernel()
    (first,) = push(
        kernel,
        trade(1, 10.0, id="1", side=Side.SELL),
        trade(2, 11.0, id="2"),
        trade(3, 12.0, id="3"),
        quote(60),
    )
    second, third, fourth = push(
        kernel,
        correction(70, "1", "4", 9.0, 5.0),
        correction(71, "4", "", 8.0, 6.0),
        correction(72, "3", "5", 99.0, 1.0, "I"),
    )
    assert second == replace(
        first, open=9.0, low=9.0, volume=7.0, value=68.0, sell_volume=5.0, ts_recv=70 * SECOND, revision=1
    )
    assert (third.open, third.volume, third.ts_open) == (8.0, 8.0, SECOND)
    assert (prices(fourth), fourth.volume, fourth.revision) == ((8.0, 11.0, 8.0, 11.0), 8.0, 3)
    (fifth,) = push(kernel, cancel(73, "4"))
    assert (prices(fifth), fifth.count) == ((11.0,) * 4, 2)


def test_what_cannot_be_put_right_is_counted() -> None:
    counters = Counters()
    kernel = window_to_bar(60, revise_for=60, counters=counters).kernel()
    push(kernel, trade(1, id="1"), trade(1, id=""), quote(60))
    for event in (
        cancel(70, "9"),
        cancel(71, ""),
        cancel(72, "1", symbol="B"),
        correction(73, "", "2", 1.0, 1.0),
    ):
        assert push(kernel, event) == []
    assert counters == {"unapplied": 4}
    assert push(kernel, replace(cancel(120, "1"), ts_event=0, ts_recv=120 * SECOND + 1)) == []
    assert counters == {"unapplied": 5}, "its bar could be revised up to 120 s"


def test_with_a_table_alone_nothing_is_put_right() -> None:
    counters = Counters()
    kernel = window_to_bar(60, eligibility=SALE_CONDITIONS, counters=counters).kernel()
    (bar,) = push(kernel, trade(1, id="1"), cancel(2, "1"), quote(60))
    assert push(kernel, trade(59, delay=3)) == []
    assert (bar.count, counters) == (1, {"unapplied": 1, "late": 1})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"revise_for": -1}, "revise_for cannot be negative"),
        ({"revise_for": 1, "empty": "flat"}, "needs empty"),
    ],
)
def test_an_option_that_is_wrong_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        window_to_bar("1m", **options)


# Laws

VENUES = ("x", "y")


def everything(conditions: tuple[str, ...], tape: str) -> Eligibility:
    return EVERYTHING


@st.composite
def put_right(draw: st.DrawFn) -> list[Event]:
    """Trades have ids and conditions, and now and then one that has been is cancelled or corrected."""
    said = st.sampled_from([(), (), (), ("I",), ("Z",), ("M",)])
    events: list[Event] = []
    ids: dict[tuple[str, str], list[str]] = defaultdict(lambda: ["none"])
    for number, event in enumerate(draw(event_streams(venues=VENUES))):
        if not isinstance(event, Trade):
            events.append(event)
            continue
        known = ids[event.venue, event.symbol]
        original, id = draw(st.sampled_from(known)), str(number)  # noqa: A001
        stamps = event.symbol, event.ts_event, event.ts_recv
        match draw(st.sampled_from(("trade", "trade", "trade", "cancel", "correction"))):
            case "cancel":
                events.append(TradeCancel(*stamps, original, 1.0, 1.0, event.venue))
            case "correction":
                known.append(id)
                fresh = event.price, event.size
                events.append(
                    TradeCorrection(*stamps, original, 1.0, 1.0, id, *fresh, event.venue, "", draw(said), "A")
                )
            case _:
                known.append(id)
                events.append(replace(event, id=id, conditions=draw(said), tape="A"))
    return events


OPERATORS: tuple[Callable[[], Any], ...] = (
    lambda: window_to_bar(1, revise_for=2, late="emit"),
    lambda: window_to_bar(1, revise_for=2, eligibility=SALE_CONDITIONS),
    lambda: window_to_bar(2, grace=0.5, revise_for=100, emit="update", eligibility=SALE_CONDITIONS),
    lambda: window_to_bar(1, clock="recv", revise_for=3, origin=SECOND // 4),
    lambda: window_to_bar(1, empty="flat", eligibility=SALE_CONDITIONS),
)


@settings(max_examples=100, deadline=None)
@given(put_right(), st.sampled_from(OPERATORS))
def test_it_resumes_anywhere(events: list[Event], operator: Callable[[], Any]) -> None:
    resumes_anywhere(operator(), events)


@settings(max_examples=60, deadline=None)
@given(put_right(), st.sampled_from(OPERATORS))
def test_live_and_virtual_runs_agree(events: list[Event], operator: Callable[[], Any]) -> None:
    same_live_and_virtual(operator(), events)


@settings(max_examples=200)
@given(
    put_right(),
    st.sampled_from(({}, {"grace": 1.5}, {"emit": "update"}, {"empty": "flat"}, {"clock": "recv"})),
)
def test_where_everything_counts_the_careful_bars_are_the_plain_ones(
    events: list[Event], options: dict[str, Any]
) -> None:
    careful = window_to_bar(1, late="emit", eligibility=everything, **options)
    assert run(careful.kernel(), events) == run(window_to_bar(1, late="emit", **options).kernel(), events)


def last_of_each(made: Iterable[Any]) -> dict[tuple[str, str, int], Bar]:
    return {(bar.venue, bar.symbol, bar.start): bar for bar in made if isinstance(bar, Bar) and bar.final}


@settings(max_examples=200)
@given(put_right(), st.sampled_from(OPERATORS))
def test_nothing_leaves_twice_but_by_revision(events: list[Event], operator: Callable[[], Any]) -> None:
    seen: dict[tuple[str, str, int], int] = defaultdict(lambda: -1)
    for bar in run(operator().kernel(), events):
        if isinstance(bar, Bar) and bar.final:
            assert bar.revision == seen[bar.venue, bar.symbol, bar.start] + 1
            seen[bar.venue, bar.symbol, bar.start] += 1
        if isinstance(bar, Bar):
            assert bar.high >= max(bar.open, bar.close)
            assert bar.low <= min(bar.open, bar.close)


@settings(max_examples=300)
@given(put_right())
def test_the_last_revisions_are_what_a_count_of_what_was_true_in_the_end_gives(
    events: list[Event],
) -> None:
    counters = Counters()
    made = run(window_to_bar(1, revise_for=10_000, counters=counters).kernel(), events)
    true: dict[tuple[str, str], dict[str, Trade]] = defaultdict(dict)
    unapplied = 0
    for event in events:
        if isinstance(event, Trade):
            true[event.venue, event.symbol][event.id] = event
        elif isinstance(event, TradeCancel):
            unapplied += true[event.venue, event.symbol].pop(event.id, None) is None
        elif isinstance(event, TradeCorrection):
            trades = true[event.venue, event.symbol]
            unapplied += event.original_id not in trades
            true[event.venue, event.symbol] = dict(
                (event.id, replace(each, price=event.price, size=event.size))
                if known == event.original_id
                else (known, each)
                for known, each in trades.items()
            )
    groups: dict[tuple[str, str, int], list[Trade]] = defaultdict(list)
    for (venue, symbol), trades in true.items():
        for each in trades.values():
            groups[venue, symbol, each.ts_event // SECOND * SECOND].append(each)
    last = {key: bar for key, bar in last_of_each(made).items() if not bar.synthetic}
    assert counters == ({"unapplied": unapplied} if unapplied else {})
    assert last.keys() == groups.keys()
    for key, group in groups.items():
        bar, in_order = last[key], sorted(group, key=lambda each: each.ts_event)
        assert prices(bar) == (
            in_order[0].price,
            max(each.price for each in group),
            min(each.price for each in group),
            in_order[-1].price,
        )
        assert (bar.volume, bar.count) == (sum(each.size for each in group), len(group))
        assert bar.value == sum(each.price * each.size for each in group)
        assert bar.buy_volume == sum(each.size for each in group if each.side is Side.BUY)


@settings(max_examples=200)
@given(put_right(), st.sampled_from((0, 1, 5)))
def test_every_eligible_trade_is_in_a_bar_or_counted(events: list[Event], revise_for: int) -> None:
    traded = [each for each in events if not isinstance(each, TradeCancel | TradeCorrection)]
    counters = Counters()
    operator = window_to_bar(
        1, revise_for=revise_for, late="emit", eligibility=SALE_CONDITIONS, counters=counters
    )
    made = run(operator.kernel(), traded)
    eligible = sum(isinstance(each, Trade) and "M" not in each.conditions for each in traded)
    late = sum(isinstance(each, LateTrade) and "M" not in each.trade.conditions for each in made)
    told = sum(bar.count for bar in last_of_each(made).values())
    assert told + late + counters["unpriced"] == eligible
