"""window_to_bar in columns: however trades are cut into batches, the bars are the same to the last bit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rtflow import operators as op
from rtflow.columns import DTYPES, Columns
from rtflow.conditions import SALE_CONDITIONS
from rtflow.counters import Counters
from rtflow.events import Bar, Event, Gap, LateTrade, Quote, Side, Status, Trade
from rtflow.operators import _amounts_in_columns, _bars_in_columns, _through_rows
from rtflow.operators._through_rows import BY_LOOP, BY_NUMPY, Folds, Tools
from rtflow.sessions import Hours
from rtflow.time import SECOND
from tests.laws import TICK, event_streams, resumes_anywhere, run, same_live_and_virtual

Mixed: TypeAlias = list[Event | Columns[Any]]


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """Even a batch of one is folded, and one of eight is large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_bars_in_columns, "_FEW", 1)
        patch.setattr(_amounts_in_columns, "_FEW", 1)
        patch.setattr(_amounts_in_columns, "_SHORT", 0)
        patch.setattr(_bars_in_columns, "_MANY", 7)
        yield


@pytest.fixture(scope="module", autouse=True, params=[BY_NUMPY, BY_LOOP], ids=["numpy", "loop"])
def _tools(request: pytest.FixtureRequest) -> Iterator[None]:
    """The loop as it stands: numba compiles it, and changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_bars_in_columns, "tools", lambda: request.param)
        yield


def trade(second: float, price: float = 10.0, symbol: str = "A", *, delay: float = 0.0) -> Trade:
    stamp = round(second * SECOND)
    return Trade(symbol, stamp, stamp + round(delay * SECOND), price, 1.0, venue="x")


def arrived(item: Any) -> int:
    return int(item["ts_recv"][0]) if isinstance(item, Columns) else int(item.ts_recv)


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[list[Event], Mixed]:
    """Events whose sums depend on the order of adding, and the same in batches and alone, at random."""
    events = [
        replace(each, price=each.price * 0.1, size=each.size * 0.3) if type(each) is Trade else each
        for each in draw(event_streams(venues=draw(st.sampled_from((("x",), ("x", "y")))), max_size=60))
    ]
    if draw(st.booleans()):
        events = [each for each in events if type(each) is Trade or not isinstance(each, Quote)]
    mixed: Mixed = []
    at = 0
    while at < len(events):
        kind = type(events[at])
        end = at
        longest = draw(st.sampled_from((1, 2, 5, 60)))
        while end < len(events) and type(events[end]) is kind and end - at < longest:
            end += 1
        alone = kind not in DTYPES or (end == at + 1 and draw(st.booleans()))
        mixed.append(events[at] if alone else Columns.of(events[at:end]))
        at = at + 1 if alone else end
    return events, mixed


BY_TIME: list[dict[str, Any]] = [
    {"every": 1},
    {"every": 1, "grace": 0.5},
    {"every": 0.25, "clock": "recv"},
    {"every": 3, "origin": TICK, "tolerance": 0},
    {"every": 1, "tolerance": 30},
    {"every": 1, "late": "emit"},
    {"every": 1, "empty": "flat"},
    {"every": 1, "emit": "update"},
    {"every": 1, "revise_for": 1},
    {"every": "1h", "session": Hours("00:00-00:20", zone="UTC")},
    {"every": 1e10},
]
BY_AMOUNT: list[dict[str, Any]] = [
    {"ticks": 3},
    {"volume": 0.7},
    {"volume": 0.7, "overshoot": "keep"},
    {"value": 1.9},
    {"value": 1.9, "emit": "update"},
]


@settings(max_examples=150, deadline=None)
@given(mixtures(), st.sampled_from(BY_TIME + BY_AMOUNT))
def test_any_chunking_and_any_mix_gives_the_same_bars(
    mixture: tuple[list[Event], Mixed], options: dict[str, Any]
) -> None:
    events, mixed = mixture
    counts = Counters(), Counters()
    expected = run(op.window_to_bar(counters=counts[0], **options).kernel(), events)
    assert run(op.window_to_bar(counters=counts[1], **options).kernel(), mixed, at=arrived) == expected
    assert dict(counts[1]) == dict(counts[0])


@settings(max_examples=60, deadline=None)
@given(mixtures(), st.sampled_from(BY_TIME + BY_AMOUNT))
def test_without_timers_too(mixture: tuple[list[Event], Mixed], options: dict[str, Any]) -> None:
    events, mixed = mixture
    made = []
    for items in (events, mixed):
        kernel = op.window_to_bar(**options).kernel()
        made.append([*(bar for item in items for bar in kernel.push(item)), *kernel.flush()])
    assert made[1] == made[0]


@settings(max_examples=40, deadline=None)
@given(mixtures(), st.sampled_from(BY_TIME[:4] + BY_AMOUNT[:2]))
def test_it_resumes_anywhere_and_live_and_virtual_runs_agree(
    mixture: tuple[list[Event], Mixed], options: dict[str, Any]
) -> None:
    resumes_anywhere(op.window_to_bar(**options), mixture[1], at=arrived)
    same_live_and_virtual(op.window_to_bar(**options), mixture[1], at=arrived)


@settings(max_examples=60, deadline=None)
@given(
    mixtures(), st.sampled_from(({"every": 1, "late": "emit"}, {"ticks": 3}, {"volume": 0.7}, {"value": 2}))
)
def test_volume_value_and_count_are_conserved(
    mixture: tuple[list[Event], Mixed], options: dict[str, Any]
) -> None:
    events, mixed = mixture
    trades = [each for each in events if isinstance(each, Trade)]
    made: list[Any] = run(op.window_to_bar(**options).kernel(), mixed, at=arrived)
    late = [each.trade for each in made if isinstance(each, LateTrade)]
    bars = [each for each in made if isinstance(each, Bar)]
    assert sum(bar.count for bar in bars) + len(late) == len(trades)
    sizes, values = sum(each.size for each in late), sum(each.price * each.size for each in late)
    assert sum(bar.volume for bar in bars) + sizes == pytest.approx(sum(each.size for each in trades))
    worth = sum(each.price * each.size for each in trades)
    assert sum(bar.value for bar in bars) + values == pytest.approx(worth)
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)


# -- corners that a batch cuts ---------------------------------------------------------------------------


def both(events: Sequence[Event], *before: Event, **options: Any) -> list[Any]:
    """What a batch makes after some single events, which is what the same events make alone."""
    made: list[list[Any]] = []
    for items in ([*before, *events], [*before, Columns.of(events)]):
        kernel = op.window_to_bar(**options).kernel()
        made.append([*(bar for item in items for bar in kernel.push(item)), *kernel.flush()])
    assert repr(made[1]) == repr(made[0])  # where a value is no number, too
    return made[0]


def test_several_venues_in_one_batch_close_in_their_order() -> None:
    events = [replace(trade(second / 4), venue="xy"[second % 2]) for second in range(40)]
    assert len(both(events, every=1)) == 20


def test_another_venues_bars_leave_in_between() -> None:
    slower = replace(trade(10.2, delay=0.5), venue="y")  # due at 11.5, and not at 11
    bars = both([trade(10.8), trade(13), trade(14)], slower, every=1)
    assert [(bar.venue, bar.start // SECOND) for bar in bars] == [("x", 10), ("y", 10), ("x", 13), ("x", 14)]


def test_a_stamp_far_away_makes_no_giant_table() -> None:
    bars = both([trade(10), trade(11), replace(trade(10**9), ts_recv=12 * SECOND)], every=1)
    assert [bar.start // SECOND for bar in bars] == [10, 11, 10**9]


@pytest.mark.parametrize(
    "odd",
    [
        replace(trade(12), ts_event=2**62),
        replace(trade(12), ts_event=-(2**62)),
        replace(trade(12), price=float("inf")),
        trade(12, delay=-3),
        trade(9),
    ],
)
def test_what_is_odd_is_taken_as_single_events_are(odd: Trade) -> None:
    both([trade(10), odd, trade(11), trade(13)], trade(10), every=1)


def test_a_price_that_is_no_number_is_taken_as_single_events_are() -> None:
    (bar,) = both([trade(10), trade(10.5, float("nan")), trade(10.7, 12.0)], every=60)
    assert (bar.high, bar.close) == (12.0, 12.0)


def test_lengths_that_64_bits_cannot_add_are_taken_as_single_events_are() -> None:
    assert len(both([trade(10), trade(11)], every=2e9)) == 1


def test_a_clock_that_went_back_is_taken_as_single_events_are() -> None:
    both([replace(trade(20), ts_recv=11 * SECOND), trade(12), trade(13)], trade(15), every=1)


def test_a_batch_of_quotes_tells_the_time() -> None:
    quotes = [Quote("Q", second * SECOND, second * SECOND, 1.0, 1.0, 2.0, 1.0, "x") for second in (11, 12)]
    (bar,) = both(quotes, trade(10), every=1)
    assert (bar.start, bar.partial) == (10 * SECOND, None)


def test_a_batch_all_of_whose_trades_are_late_makes_nothing() -> None:
    made = both([trade(10), trade(10.5)], trade(10.1), trade(30), every=1)
    assert [bar.count for bar in made] == [1, 1]


def test_a_gap_marks_the_bars_of_a_batch_too() -> None:
    hole = Gap(round(10.5 * SECOND), None, 1, round(10.6 * SECOND), "", "x")
    bars = both([trade(12), trade(13), trade(14), trade(15)], trade(10), hole, every=1)
    assert [bar.gap for bar in bars] == [True] * 5


def test_a_symbol_that_was_subscribed_later_begins_later() -> None:
    said = Status("subscribed", round(12.5 * SECOND), "", "A", "trades", venue="x")
    bars = both([trade(12.6), trade(13.1)], trade(10, symbol="B"), said, every=1)
    assert [bar.partial for bar in bars] == [None, "start", "end"]


def test_of_the_bars_of_one_batch_only_the_first_began_late() -> None:
    said = Status("subscribed", round(10.4 * SECOND), "", "A", "trades", venue="x")
    bars = both([trade(10.6), trade(11.6), trade(12.6)], trade(10, symbol="B"), said, every=1)
    marks = [(bar.symbol, bar.start // SECOND, bar.partial) for bar in bars]
    assert marks == [("A", 10, "start"), ("B", 10, None), ("A", 11, None), ("A", 12, "end")]


def test_grace_keeps_several_bars_of_a_symbol_open_from_batch_to_batch() -> None:
    kernel = op.window_to_bar(1, grace=3).kernel()
    first = Columns.of([trade(10), trade(11), trade(12)])
    assert kernel.push(first) == ()
    second = Columns.of([trade(10.5, 20.0), trade(11.5, 30.0), trade(15.5)])
    assert [(bar.close, bar.count) for bar in kernel.push(second)] == [(20.0, 2), (30.0, 2)]


# -- by amount -------------------------------------------------------------------------------------------


def sized(size: float, price: float = 10.0, second: float = 10.0, **more: Any) -> Trade:
    return replace(trade(second, price), size=size, **more)


def test_the_trades_between_two_that_fill_a_bar_are_added_up() -> None:
    stamps = [12.0, 11.0, 13.0, 10.0, 14.0, 11.5]
    trades = [sized(0.1, 10 + at / 10, stamp, side=Side(at % 3 - 1)) for at, stamp in enumerate(stamps * 20)]
    assert len(both(trades, sized(0.25), volume=2.5)) == 5
    assert len(both(trades, sized(0.25), ticks=50)) == 3
    assert len(both(trades, value=31)) == 7


@pytest.mark.parametrize(
    "odd",
    [
        sized(1.0, 1 / 3),
        sized(1 / 3),
        sized(1.0, 1e-17),
        sized(4e9 + 0.1, 4e9 + 0.1),
        sized(-1.0),
    ],
)
def test_what_whole_numbers_do_not_hold_is_added_up_one_by_one(odd: Trade) -> None:
    trades = [sized(1.0), sized(0.5), odd, sized(0.25)]
    assert len(both([sized(1.0, 1e-17)] * 3, ticks=2)) == 2  # sixteen places are not enough
    for options in ({"volume": 2.5, "overshoot": "keep"}, {"value": 25, "overshoot": "keep"}, {"ticks": 3}):
        both(trades, **options)


def test_bars_of_trades_whose_stamps_run_backwards() -> None:
    trades = [sized(1.0, 10.0 + at, 20.0 - at) for at in range(9)]
    assert [(bar.open, bar.close) for bar in both(trades, ticks=4)] == [
        (13.0, 10.0),
        (17.0, 14.0),
        (18.0, 18.0),
    ]
    assert len(both(trades, ticks=2)) == 5


def test_a_size_that_no_sum_can_hold_is_refused() -> None:
    kernel: Any = op.window_to_bar(volume=5).kernel()
    with pytest.raises(ValueError, match="no bar adds up"):
        kernel.push(Columns.of([sized(1.0), sized(float("inf"))]))


def test_odd_lots_go_through_one_by_one() -> None:
    regular, lot = sized(1.0, tape="C", conditions=("@",)), sized(1.0, 99.0, tape="C", conditions=("@", "I"))
    for trades in ([regular] * 5, [regular, lot, regular, regular]):
        (first, *_) = both(trades, ticks=3, eligibility=SALE_CONDITIONS)
        assert first.high == 10.0


def test_bars_of_few_trades_are_made_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_amounts_in_columns, "_SHORT", 30)
    assert len(both([sized(0.5)] * 10, volume=1)) == 5


def test_a_batch_of_quotes_fills_nothing() -> None:
    assert both([Quote("Q", 1, 1, 1.0, 1.0, 2.0, 1.0, "x")] * 3, sized(1.0), ticks=5)[0].count == 1


# -- the two ways through the rows -----------------------------------------------------------------------

ROWS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(-30, 30),
        st.integers(-30, 30),
        st.sampled_from(Side),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=40,
)


@given(ROWS)
def test_the_loop_folds_as_numpy_does(rows: list[tuple[int, int, int, Side, int]]) -> None:
    key, price, size, side, stamp = (np.array(column) for column in zip(*rows, strict=True))
    folded: list[Folds] = []
    for tools in (BY_NUMPY, BY_LOOP):
        folds = Folds.of(5)
        folds.volume[1] = folds.value[1] = folds.flow[3] = 0.1
        folds.take(tools, key, price * 0.1, size * 0.3, side.astype(np.int8), stamp)
        folded.append(folds)
    used = np.unique(key)
    for name in ("volume", "value", "flow", "high", "low", "first", "last", "came_first", "came_last"):
        places: Any = slice(None) if name == "flow" else used
        assert getattr(folded[0], name)[places].tolist() == getattr(folded[1], name)[places].tolist(), name


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-20, 20)), min_size=1, max_size=30),
    st.integers(0, 5),
    st.sampled_from((-(2**63) + 1, 0, 10)),
    st.sampled_from((2**63 - 1, 0, 3)),
)
def test_the_loop_tells_the_time_as_numpy_does(
    rows: list[tuple[int, int]], tolerance: int, closed: int, lag: int
) -> None:
    recv = 20 + np.cumsum([elapsed for elapsed, _ in rows])
    stamp = recv - np.array([delay for _, delay in rows])
    newest = closed if lag == 2**63 - 1 else 20 + tolerance
    (lags, reached, last), other = (
        tools.watermarks(stamp, recv, tolerance, newest, lag, closed) for tools in (BY_NUMPY, BY_LOOP)
    )
    assert (lags.tolist(), reached.tolist(), last) == (other[0].tolist(), other[1].tolist(), other[2])


def test_numba_compiles_the_loop_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def njit(**options: bool) -> Callable[[Any], Any]:
        assert options == {"cache": True, "nogil": True}
        return lambda function: ("compiled", function)

    make: Callable[[], Tools] = _through_rows.tools.__wrapped__
    monkeypatch.setitem(sys.modules, "numba", SimpleNamespace(njit=njit))
    compiled: Any = make()
    assert compiled == tuple(("compiled", each) for each in BY_LOOP)
    monkeypatch.setitem(sys.modules, "numba", None)
    assert make() is BY_NUMPY
