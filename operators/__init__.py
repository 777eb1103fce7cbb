"""The operators, by ``from rtflow import operators as op``; they mix with reactivex's own in one pipe."""

from rtflow.operators._anomalies import anomalies
from rtflow.operators._backfill import backfill
from rtflow.operators._batch import batch, rows
from rtflow.operators._book_apply import book_apply
from rtflow.operators._broadcast import broadcast
from rtflow.operators._by_symbol import by_symbol
from rtflow.operators._consolidate import consolidate
from rtflow.operators._dedupe import dedupe
from rtflow.operators._detect_gaps import detect_gaps
from rtflow.operators._handoff import handoff
from rtflow.operators._imbalance_bars import imbalance_bars
from rtflow.operators._normalize import normalize
from rtflow.operators._only import only
from rtflow.operators._quotes_from_book import quotes_from_book
from rtflow.operators._reconnections import reconnections
from rtflow.operators._renko_bars import renko_bars
from rtflow.operators._resample_last import resample_last
from rtflow.operators._retry_with_backoff import retry_with_backoff
from rtflow.operators._rolling import rolling
from rtflow.operators._run_bars import run_bars
from rtflow.operators._spread_stats import spread_stats
from rtflow.operators._to_async import to_async
from rtflow.operators._together import together
from rtflow.operators._vwap import vwap
from rtflow.operators._watchdog import watchdog
from rtflow.operators._window_to_bar import window_to_bar

__all__ = [
    "anomalies",
    "backfill",
    "batch",
    "book_apply",
    "broadcast",
    "by_symbol",
    "consolidate",
    "dedupe",
    "detect_gaps",
    "handoff",
    "imbalance_bars",
    "normalize",
    "only",
    "quotes_from_book",
    "reconnections",
    "renko_bars",
    "resample_last",
    "retry_with_backoff",
    "rolling",
    "rows",
    "run_bars",
    "spread_stats",
    "to_async",
    "together",
    "vwap",
    "watchdog",
    "window_to_bar",
]
