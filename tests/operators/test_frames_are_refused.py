"""A forgotten op.normalize is an error in words at the first frame, and not silence for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import reactivex

from rtflow import operators as op
from rtflow.columns import Columns
from rtflow.events import Frame, FrameKind, Quote, Trade, Vwap
from rtflow.kernel import Operator

FRAME = Frame(FrameKind.TEXT, b"{}", 3)

EVENTS_WANTED: dict[str, list[Callable[[], Operator[Any, Any]]]] = {
    "anomalies": [lambda: op.anomalies()],
    "backfill": [lambda: op.backfill(lambda gap: ())],
    "book_apply": [lambda: op.book_apply(), lambda: op.book_apply(emit=1)],
    "by_symbol": [lambda: op.by_symbol(op.only(Trade)), lambda: op.by_symbol(op.window_to_bar(60))],
    "consolidate": [lambda: op.consolidate()],
    "dedupe": [lambda: op.dedupe()],
    "detect_gaps": [lambda: op.detect_gaps(), lambda: op.detect_gaps(books=True)],
    "imbalance_bars": [lambda: op.imbalance_bars(threshold=100)],
    "only": [lambda: op.only(Trade), lambda: op.only(Trade, Quote)],
    "quotes_from_book": [lambda: op.quotes_from_book()],
    "renko_bars": [lambda: op.renko_bars(brick=1.0)],
    "resample_last": [lambda: op.resample_last(1, of=Trade)],
    "rolling": [
        lambda: op.rolling(of=Trade, over=60, fold=len),
        lambda: op.rolling(of=Vwap, count=3, fold=len),
    ],
    "run_bars": [lambda: op.run_bars(threshold=100)],
    "spread_stats": [lambda: op.spread_stats(every=60)],
    "vwap": [lambda: op.vwap(over=60), lambda: op.vwap(count=3)],
    "watchdog": [lambda: op.watchdog()],
    "window_to_bar": [
        lambda: op.window_to_bar(60),
        lambda: op.window_to_bar(60, clock="recv"),
        lambda: op.window_to_bar(60, revise_for=60),
        lambda: op.window_to_bar(60, of="bars"),
        lambda: op.window_to_bar(60, of="mid"),
        lambda: op.window_to_bar(ticks=10),
        lambda: op.window_to_bar(volume=10),
        lambda: op.window_to_bar(value=10),
    ],
}

AT_HOME = {"normalize", "retry_with_backoff"}  # where frames belong
SILENT = {"reconnections"}  # it speaks of lost lines, and sees no cut in frames
ANYTHING_GOES = {"batch", "broadcast", "handoff", "rows", "to_async", "together"}


@pytest.mark.parametrize(
    ("name", "operator"),
    [(name, operator) for name, operators in EVENTS_WANTED.items() for operator in operators],
)
def test_a_frame_is_refused_with_one_and_the_same_sentence(
    name: str, operator: Callable[[], Operator[Any, Any]]
) -> None:
    made: list[object] = []
    failed: list[Exception] = []
    _ = reactivex.of(FRAME).pipe(operator()).subscribe(made.append, failed.append)
    (error,) = failed
    assert isinstance(error, TypeError)
    assert str(error) == f"{name}() takes events, and this is a frame: put op.normalize(provider) before it"
    assert made == []


@pytest.mark.parametrize(
    "name", ["anomalies", "backfill", "book_apply", "by_symbol", "consolidate", "dedupe", "quotes_from_book"]
)
def test_a_batch_is_refused_where_single_events_are_wanted(name: str) -> None:
    failed: list[Exception] = []
    batch = Columns.of([Quote("A", 1, 1, 1.0, 1.0, 2.0, 1.0)])
    _ = reactivex.of(batch).pipe(EVENTS_WANTED[name][0]()).subscribe(on_error=failed.append)
    (error,) = failed
    assert str(error).startswith("this takes single events, and was given a batch of Quote: put op.rows()")


def test_every_operator_has_made_up_its_mind_about_frames() -> None:
    assert {*op.__all__} == EVENTS_WANTED.keys() | AT_HOME | SILENT | ANYTHING_GOES


@pytest.mark.parametrize("wanted", [Frame, object])
def test_who_asks_for_frames_gets_them(wanted: type[Any]) -> None:
    assert op.only(wanted).kernel().push(FRAME) == (FRAME,)
    assert [each.item for each in _samples(wanted)] == [FRAME]


def _samples(wanted: type[Any]) -> list[Any]:
    kernel = op.resample_last(1, of=wanted).kernel()
    _ = kernel.push(FRAME)
    at = kernel.due()
    assert at is not None
    return [*kernel.wake(at)]
