"""A tape plays as the stream it was: at once, paced, or on a virtual clock."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import reactivex
from pytest_mock import MockerFixture
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow import tape
from rtflow.errors import DamagedTape
from rtflow.events import Frame
from rtflow.player import replay
from rtflow.scheduler import Line, NanoScheduler, running_line
from rtflow.tape import blocks, read, record
from tests.recorded import (
    ALL,
    SECOND,
    THREE,
    alarm,
    flip,
    recorded_by,
    text,
    write,
)

on_next, on_completed, on_error = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.on_error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.tape"


# Replay: as fast as possible.


def alarmed(source: Observable[Frame], after: int, scheduler: abc.SchedulerBase | None = None) -> list[Any]:
    return recorded_by(source.pipe(alarm(after)), scheduler)


def test_timers_due_before_a_frame_run_before_it_and_those_due_with_it_after(path: Path) -> None:
    write(path, [text(100), text(105), text(110)])
    assert alarmed(replay(path), 5) == [
        100,
        105,
        "alarm 105 at 105",
        110,
        "3 frames, 2 alarms left",
        "completed",
    ]


def test_a_live_run_and_its_replays_are_the_same(path: Path) -> None:
    scheduler = NanoScheduler()
    source: Subject[Frame] = Subject()
    live = recorded_by(source.pipe(record(path), alarm(7)), scheduler)
    for stamp in (100, 105, 107, 112, 112, 130):
        scheduler.advance_to(stamp, inclusive=False)
        source.on_next(text(stamp))
    source.on_completed()
    assert "alarm 112 at 112" in live
    assert alarmed(replay(path), 7) == live
    virtual, paced, stock = NanoScheduler(), NanoScheduler(), TestScheduler()
    runs = [
        alarmed(replay(path), 7, virtual),
        alarmed(replay(path, scheduler=paced, speed=0.5), 7),
        alarmed(replay(path, scheduler=stock, speed=1), 7),
    ]
    virtual.run()
    paced.run()
    stock.start()
    assert runs == [live, live, live]


def test_a_replay_has_its_own_running_line_and_leaves_none_behind(path: Path) -> None:
    write(path, [text(100), text(105)])
    clocks: list[Any] = []
    replay(path).subscribe(lambda _: clocks.append(running_line()), on_completed=lambda: None)
    assert clocks[0] is clocks[1]
    assert isinstance(clocks[0], NanoScheduler)
    assert clocks[0].now_ns == 105
    assert running_line() is None


def test_a_close_is_a_frame_like_any_other(path: Path) -> None:
    write(path, ALL)
    assert recorded_by(replay(path)) == [*ALL, "completed"]


def test_a_replay_is_cold(path: Path) -> None:
    write(path, ALL)
    source = replay(path)
    assert recorded_by(source) == recorded_by(source) == [*ALL, "completed"]


def test_a_replay_stops_when_nobody_wants_more(path: Path) -> None:
    write(path, *THREE)
    assert recorded_by(replay(path).pipe(ops.take(2))) == [*ALL[:2], "completed"]
    assert recorded_by(replay(path).pipe(ops.take(6))) == [*ALL[:6], "completed"]


def test_a_replay_that_nobody_wants_does_nothing_more(path: Path, mocker: MockerFixture) -> None:
    write(path, *THREE)
    readings = mocker.spy(tape, "_next_wanted")
    clocks: list[Any] = []
    replay(path).pipe(ops.take(2)).subscribe(lambda _: clocks.append(running_line()))
    assert clocks[0].now_ns <= ALL[2].ts_recv, "it goes no further than to the frame that was not taken"
    replay(path).pipe(ops.take(6)).subscribe()
    assert readings.call_count == 2


def test_a_timer_can_end_a_replay_before_the_next_frame(path: Path) -> None:
    write(path, [text(100), text(200)])
    assert recorded_by(replay(path).pipe(alarm(5), ops.take(2))) == [
        100,
        "alarm 105 at 105",
        "completed",
    ]


def test_a_tape_that_is_not_there_is_an_error(path: Path) -> None:
    for scheduler in (None, CurrentThreadScheduler.singleton()):
        [failure] = recorded_by(replay(path), scheduler)
        assert isinstance(failure, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        next(read(path))


def test_a_subscribers_exception_is_its_own(path: Path) -> None:
    write(path, ALL)
    errors: list[Exception] = []

    def fails(_: Frame) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        replay(path).subscribe(fails, errors.append)
    assert errors == []
    assert running_line() is None


def test_a_replay_on_a_line_runs_there(path: Path) -> None:
    write(path, ALL)
    line = Line(name="theirs")
    threads: set[str] = set()
    done = threading.Event()
    replay(path, scheduler=line).subscribe(
        lambda _: threads.add(threading.current_thread().name), on_completed=done.set
    )
    assert done.wait(10)
    assert line.join(10)
    assert threads == {"theirs"}


# Replay: on a virtual clock.


@pytest.mark.parametrize("given_to", ["replay", "subscribe"])
def test_on_a_virtual_clock_each_frame_comes_at_its_stamp(path: Path, given_to: str) -> None:
    write(path, [text(100), text(107)], [text(107), text(120), text(90), text(130)])
    scheduler = NanoScheduler()
    seen: list[tuple[int, int]] = []
    source = replay(path, scheduler=scheduler) if given_to == "replay" else replay(path)
    source.subscribe(
        lambda frame: seen.append((scheduler.now_ns, frame.ts_recv)),
        on_completed=lambda: seen.append((scheduler.now_ns, -1)),
        scheduler=scheduler if given_to == "subscribe" else None,
    )
    assert seen == []
    scheduler.advance_to(106)
    assert seen == [(100, 100)]
    scheduler.advance_to(119)
    assert seen[1:] == [(107, 107), (107, 107)]
    scheduler.run()
    assert seen[3:] == [(120, 120), (120, 90), (130, 130), (130, -1)]


def test_on_a_virtual_clock_data_goes_before_timers_of_the_same_instant(path: Path) -> None:
    write(path, [text(100), text(105), text(110)])
    scheduler = NanoScheduler()
    seen = alarmed(replay(path, scheduler=scheduler), 5)
    _ = scheduler.at(105, lambda: seen.append("a timer that was there before"))
    scheduler.run()
    assert seen[:4] == [100, 105, "a timer that was there before", "alarm 105 at 105"]
    assert seen[4:] == [110, "3 frames, 2 alarms left", "completed"]


def test_two_tapes_meet_on_one_virtual_clock(tmp_path: Path) -> None:
    one, two = tmp_path / "1.tape", tmp_path / "2.tape"
    write(one, [text(100, b"1"), text(300, b"1")])
    write(two, [text(200, b"2"), text(300, b"2"), text(400, b"2")])
    scheduler = NanoScheduler()
    seen = recorded_by(reactivex.merge(replay(one), replay(two)), scheduler)
    scheduler.run()
    assert seen == [
        text(100, b"1"),
        text(200, b"2"),
        text(300, b"1"),
        text(300, b"2"),
        text(400, b"2"),
        "completed",
    ]


def test_a_clock_that_is_later_than_the_tape_takes_all_at_once(path: Path) -> None:
    write(path, [text(100), text(105)])
    scheduler = NanoScheduler(1000)
    seen = recorded_by(replay(path, scheduler=scheduler))
    scheduler.advance_to(1000)
    assert seen == [text(100), text(105), "completed"]


def test_a_disposed_replay_on_a_virtual_clock_leaves_it_empty(path: Path) -> None:
    write(path, [text(100), text(105), text(105), text(110)])
    scheduler = NanoScheduler()
    seen: list[Frame] = []
    subscription = replay(path, scheduler=scheduler).subscribe(seen.append)
    scheduler.advance_to(101)
    subscription.dispose()
    scheduler.run()
    assert seen == [text(100)]
    assert scheduler.now_ns == 101
    few = recorded_by(replay(path, scheduler=scheduler).pipe(ops.take(2)))
    scheduler.run()
    assert few == [text(100), text(105), "completed"]


def test_damage_on_a_virtual_clock_comes_after_the_last_whole_frame(path: Path) -> None:
    write(path, *THREE)
    flip(path, list(blocks(path))[-1].offset)
    scheduler = NanoScheduler()
    seen = recorded_by(replay(path, scheduler=scheduler, damaged="raise"))
    scheduler.run()
    assert seen[:-1] == ALL[:12]
    assert isinstance(seen[-1], DamagedTape)
    assert scheduler.now_ns == 205


# Replay: paced.


@pytest.mark.parametrize(
    ("speed", "instants"),
    [
        (1, [1000, 1007, 1007, 1020, 1020, 1030]),
        (2.0, [1000, 1004, 1004, 1010, 1010, 1015]),
        (0.25, [1000, 1028, 1028, 1080, 1080, 1120]),
    ],
)
def test_a_paced_replay_keeps_the_instants(path: Path, speed: float, instants: list[int]) -> None:
    frames = [text(100), text(107), text(107), text(120), text(90), text(130)]
    write(path, frames)
    scheduler = NanoScheduler(1000)
    seen: list[tuple[int, Frame | None]] = []
    replay(path, speed=speed, scheduler=scheduler).subscribe(
        lambda frame: seen.append((scheduler.now_ns, frame)),
        on_completed=lambda: seen.append((scheduler.now_ns, None)),
    )
    scheduler.run()
    assert seen == [*zip(instants, frames, strict=True), (instants[-1], None)]


def test_instants_are_exact_however_long_the_tape(path: Path) -> None:
    year = 366 * 86_400 * SECOND
    write(path, [text(0), text(year + 1)])
    scheduler = NanoScheduler()
    recorded_by(replay(path, speed=1.0, scheduler=scheduler))
    scheduler.run()
    assert scheduler.now_ns == year + 1


def test_in_a_paced_replay_timers_come_in_the_tapes_time_at_the_paced_instant(path: Path) -> None:
    write(path, [text(100), text(200), text(250)])
    scheduler = NanoScheduler(5000)
    seen: list[tuple[int, Any]] = []
    replay(path, speed=2, scheduler=scheduler).pipe(alarm(50)).subscribe(
        lambda item: seen.append((scheduler.now_ns, item))
    )
    scheduler.run()
    assert seen == [
        (5000, 100),
        (5025, "alarm 150 at 150"),
        (5050, 200),
        (5075, 250),
        (5075, "3 frames, 2 alarms left"),
    ]


def test_in_a_paced_replay_the_running_line_shows_the_tapes_time(path: Path) -> None:
    write(path, [text(100), text(200)])
    scheduler = NanoScheduler(5000)
    shown: list[Any] = []
    replay(path, speed=2, scheduler=scheduler).subscribe(
        lambda _: shown.append(line.now_ns if (line := running_line()) else None)
    )
    scheduler.run()
    assert shown == [100, 200]


def test_a_replay_waits_on_its_own_scheduler_rather_than_on_the_subscribers(path: Path) -> None:
    write(path, [text(100), text(200)])
    own, other = NanoScheduler(), NanoScheduler()
    seen = recorded_by(replay(path, speed=1, scheduler=own), other)
    other.run()
    assert seen == []
    own.run()
    assert seen == [text(100), text(200), "completed"]


def test_a_wait_is_rounded_up_where_nanoseconds_are_not_known(path: Path) -> None:
    write(path, [text(0), text(1500)])
    scheduler = TestScheduler()
    seen = recorded_by(replay(path, speed=1, scheduler=scheduler))
    scheduler.advance_to(0.000_001)
    assert seen == [text(0)]
    scheduler.advance_to(0.000_003)
    assert seen == [text(0), text(1500), "completed"]


def test_a_paced_replay_waits_on_a_stock_scheduler_too(path: Path) -> None:
    write(path, [text(0), text(SECOND), text(3 * SECOND)])
    scheduler = TestScheduler()
    got = scheduler.start(lambda: replay(path, speed=0.01, scheduler=scheduler))
    assert [(round(message.time), vars(message.value)["kind"]) for message in got.messages] == [
        (200, "N"),
        (300, "N"),
        (500, "N"),
        (500, "C"),
    ]


@pytest.mark.parametrize("scheduler", [None, CurrentThreadScheduler.singleton()])
def test_a_paced_replay_without_a_scheduler_that_can_wait_has_a_line_of_its_own(
    path: Path, scheduler: abc.SchedulerBase | None
) -> None:
    write(path, [text(0), text(SECOND), text(2 * SECOND)])
    stamps: list[int] = []
    threads: set[str] = set()
    done = threading.Event()

    def see(frame: Frame) -> None:
        stamps.append(frame.ts_recv)
        threads.add(threading.current_thread().name)

    replay(path, speed=1000.0).subscribe(see, on_completed=done.set, scheduler=scheduler)
    assert done.wait(10)
    assert stamps == [0, SECOND, 2 * SECOND]
    assert threads == {"rtflow-replay"}


def test_a_paced_replay_is_disposed_at_once(path: Path) -> None:
    write(path, [text(0), text(3600 * SECOND)])
    line = Line()
    first = threading.Event()
    subscription = replay(path, speed=1, scheduler=line).subscribe(lambda _: first.set())
    assert first.wait(10)
    subscription.dispose()
    assert line.join(10), "nothing is left to wait for"


def test_a_paced_replay_disposed_from_inside_comes_to_rest(path: Path) -> None:
    write(path, [text(0), text(0), text(5)])
    scheduler = NanoScheduler()
    seen = recorded_by(replay(path, speed=1, scheduler=scheduler).pipe(ops.take(1)))
    scheduler.run()
    assert (seen, scheduler.now_ns) == ([text(0), "completed"], 0)


@pytest.mark.parametrize("speed", [None, 1.0])
def test_a_replay_that_waits_reads_no_further_when_nobody_wants_more(
    path: Path, mocker: MockerFixture, speed: float | None
) -> None:
    write(path, [text(7), text(7)], [text(7)], [text(7)])
    readings = mocker.spy(tape, "_next_wanted")
    scheduler = NanoScheduler()
    seen = recorded_by(replay(path, speed=speed, scheduler=scheduler).pipe(ops.take(1)))
    scheduler.run()
    assert (seen, readings.call_count) == ([text(7), "completed"], 1)


@pytest.mark.parametrize("speed", [0, -1.0, float("inf"), float("nan")])
def test_a_speed_is_positive_and_finite(path: Path, speed: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        replay(path, speed=speed)
