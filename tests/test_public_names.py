"""What rtflow promises: its public names, each documented, each where it is looked for."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from types import ModuleType

import pytest

import rtflow
from rtflow import operators

EXPECTED = {
    "Alpaca",
    "Anomaly",
    "Bar",
    "BestQuote",
    "BookState",
    "Columns",
    "CallbackFailed",
    "Counters",
    "DamagedTape",
    "Disconnected",
    "Event",
    "Excluded",
    "Feed",
    "FeedError",
    "Frame",
    "FrameKind",
    "Gap",
    "Imbalance",
    "Instrument",
    "Kernel",
    "Kraken",
    "LateTrade",
    "Level",
    "Lifted",
    "Line",
    "Lost",
    "Malformed",
    "MalformedFrame",
    "Market",
    "NanoScheduler",
    "News",
    "Operator",
    "OrderBook",
    "OrderBookUpdate",
    "Overflow",
    "PriceBands",
    "Quote",
    "RealtimeEngine",
    "Reconnected",
    "ReferencePrice",
    "Rejected",
    "Rolled",
    "RtflowError",
    "Sample",
    "SequenceBroken",
    "Side",
    "SpreadStats",
    "Stale",
    "Status",
    "Subscription",
    "Throttled",
    "Ticker",
    "Trade",
    "TradeCancel",
    "TradeCorrection",
    "TradingStatus",
    "Unsupported",
    "Vwap",
    "WebSocketDataStream",
    "connect",
    "lift",
    "operators",
    "record",
    "replay",
} - {"Alpaca", "Kraken"}  # venues are asked for by name: from rtflow.providers import Kraken

OPERATORS = {
    "anomalies",
    "imbalance_bars",
    "renko_bars",
    "run_bars",
    "resample_last",
    "rolling",
    "vwap",
    "backfill",
    "batch",
    "rows",
    "dedupe",
    "detect_gaps",
    "watchdog",
    "book_apply",
    "broadcast",
    "by_symbol",
    "consolidate",
    "handoff",
    "normalize",
    "only",
    "quotes_from_book",
    "retry_with_backoff",
    "spread_stats",
    "reconnections",
    "to_async",
    "together",
    "window_to_bar",
}


def rooms() -> list[ModuleType]:
    """Every module of the package that needs no extra."""
    return [
        importlib.import_module(each.name)
        for each in pkgutil.walk_packages(rtflow.__path__, "rtflow.")
        if each.name != "rtflow.cli"
    ]


def test_the_public_names_are_these() -> None:
    assert set(rtflow.__all__) == EXPECTED
    assert set(operators.__all__) == OPERATORS
    assert list(rtflow.__all__) == sorted(rtflow.__all__)
    assert list(operators.__all__) == sorted(operators.__all__)


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.__name__)
def test_every_public_name_of_every_room_is_documented(room: ModuleType) -> None:
    assert room.__doc__, room.__name__
    for name, thing in vars(room).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != room.__name__:
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, f"{room.__name__}.{name}"
        if inspect.isclass(thing) and not getattr(thing, "_is_protocol", False):  # its own words say it all
            for member, value in vars(thing).items():
                if member.startswith("_") or not (inspect.isfunction(value) or isinstance(value, property)):
                    continue
                assert inspect.getdoc(getattr(thing, member)), f"{room.__name__}.{name}.{member}"


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_operator_draws_its_marble_and_shows_an_example(name: str) -> None:
    text = inspect.getdoc(getattr(operators, name)) or ""
    assert ">>> " in text, "an example that runs"
    assert re.search(rf"\[ *{name}", text), "a marble with the operator between its lanes"


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_options_of_an_operator_are_keyword_only(name: str) -> None:
    subject = {
        "every",
        "provider",
        "operator",
        "operators",
        "types",
        "fetch",
    }  # what it is about may stand first
    for parameter in inspect.signature(getattr(operators, name)).parameters.values():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY or parameter.name in subject, parameter


def test_forbidden_names_stay_out() -> None:
    for room in rooms():
        assert not {"utils", "helpers", "core", "common", "manager"} & set(room.__name__.split("."))
