"""What was removed while nothing was connected is said once, and by nobody else."""

from __future__ import annotations

import msgspec

from rtflow.events import FrameKind, Status
from rtflow.farewells import Farewells
from rtflow.provider import Topic

A, B, C = (("trades", symbol) for symbol in "ABC")


def said(farewells: Farewells, wanted: set[Topic], asked: set[Topic]) -> list[Topic]:
    frames = farewells.opening(wanted, asked, ts_recv=7, epoch=3, venue="fake")
    told = [msgspec.json.decode(frame.payload, type=Status) for frame in frames]
    assert {(frame.kind, frame.ts_recv, frame.epoch) for frame in frames} <= {(FrameKind.STATUS, 7, 3)}
    assert {(each.state, each.ts_recv, each.epoch, each.venue) for each in told} <= {
        ("unsubscribed", 7, 3, "fake")
    }
    return [(each.kind, each.symbol) for each in told]


def test_before_any_connection_has_ended_there_is_nothing_to_say() -> None:
    assert said(Farewells(), {A}, {A}) == []


def test_what_several_connections_served_is_said_in_order_and_once() -> None:
    farewells = Farewells()
    farewells.ended({B, C})
    farewells.ended({A})
    assert said(farewells, {C}, {C}) == [A, B]
    assert said(farewells, {C}, {C}) == []


def test_what_is_still_wanted_may_be_removed_before_a_later_opening() -> None:
    farewells = Farewells()
    farewells.ended({A})
    assert said(farewells, {A}, set()) == []
    assert said(farewells, set(), set()) == [A]


def test_what_a_connection_has_been_asked_for_that_one_tells_itself() -> None:
    farewells = Farewells()
    farewells.ended({A, B})
    assert said(farewells, set(), {A}) == [B]
    assert said(farewells, set(), set()) == [], "and it is nobody's business any more"
