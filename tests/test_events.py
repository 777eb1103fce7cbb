"""The vocabulary is frozen, tagged, plain and invisible to the garbage collector."""

from __future__ import annotations

import gc
import typing

import msgspec
import pytest

from rtflow import events
from rtflow.events import Bar, Event, Frame, FrameKind, Market, Side, Trade

EVENTS: tuple[type[msgspec.Struct], ...] = typing.get_args(Event)


def test_side_times_size_is_signed_flow() -> None:
    assert [side * 2.0 for side in (Side.BUY, Side.SELL, Side.UNKNOWN)] == [2.0, -2.0, 0.0]


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_is_frozen_and_tagged_with_its_name(kind: type[msgspec.Struct]) -> None:
    config = kind.__struct_config__
    assert (config.frozen, config.gc, config.tag) == (True, False, kind.__name__)


def test_every_market_event_says_where_and_when_it_was_received() -> None:
    for kind in typing.get_args(Market):
        assert {"ts_recv", "venue"} <= set(kind.__struct_fields__), kind
        assert {"symbol", "symbols"} & set(kind.__struct_fields__), kind


def test_an_event_can_be_hashed_and_compared() -> None:
    trade = Trade("A", 1, 2, 3.0, 4.0, conditions=("@", "I"))
    assert {trade} == {Trade("A", 1, 2, 3.0, 4.0, conditions=("@", "I"))}
    assert trade != Trade("A", 1, 2, 3.0, 4.0)


def test_ten_thousand_events_cost_the_collector_nothing() -> None:
    before = len(gc.get_objects())
    frames = [Frame(FrameKind.TEXT, b"", stamp) for stamp in range(10_000)]
    assert len(gc.get_objects()) - before < 100
    assert len(frames) == 10_000


def test_a_frame_survives_msgpack_byte_for_byte() -> None:
    frame = Frame(FrameKind.BINARY, bytes(range(256)), 2**62, epoch=3)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(frame), type=Frame) == frame


def test_the_vwap_of_no_volume_is_the_close() -> None:
    assert Bar("A", 0, 60, 1.0, 1.0, 1.0, 1.5, volume=0.0, count=0, value=0.0).vwap == 1.5


def test_every_event_is_in_the_union_that_decodes_it() -> None:
    structs = {
        each
        for name, each in vars(events).items()
        if isinstance(each, type) and issubclass(each, msgspec.Struct) and not name.startswith("_")
    }
    parts = {Frame, events.Opening, events.Closing, events.Excluded}
    made_of_events = {events.BestQuote, events.Rolled, events.Vwap, events.Sample, events.Anomaly}
    assert structs - set(EVENTS) == parts | made_of_events
