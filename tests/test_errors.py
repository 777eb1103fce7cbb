"""An error says whose fault it is, and carries what a policy needs."""

from __future__ import annotations

import inspect

import pytest

from rtflow import errors
from rtflow.errors import (
    DamagedTape,
    Disconnected,
    FeedError,
    MalformedFrame,
    Rejected,
    RtflowError,
    SequenceBroken,
    Throttled,
    Unsupported,
)

ALL = [each for _, each in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_an_rtflow_error_and_in_the_drawn_tree(kind: type[Exception]) -> None:
    assert issubclass(kind, RtflowError)
    assert kind.__name__ in (errors.__doc__ or "")


def test_only_feed_errors_are_worth_another_connection() -> None:
    assert {kind for kind in ALL if issubclass(kind, FeedError)} == {
        FeedError,
        Disconnected,
        Throttled,
        SequenceBroken,
    }


def test_a_feed_error_says_how_long_market_data_flowed() -> None:
    assert Disconnected("gone", code=1001, announced=True, delivered_for=31.0).delivered_for == 31.0
    assert Throttled("slow down", retry_after=2.5).retry_after == 2.5
    assert SequenceBroken("7 after 5", symbol="BTC/USD").symbol == "BTC/USD"


def test_an_error_reads_as_the_sentence_it_was_given() -> None:
    for error in (
        Disconnected("gone"),
        Rejected("gone", code=402),
        MalformedFrame("gone", object()),
        DamagedTape("gone", offset=7),
    ):
        assert str(error) == error.reason == "gone"


def test_unsupported_is_the_clear_cousin_of_not_implemented() -> None:
    assert issubclass(Unsupported, NotImplementedError)
