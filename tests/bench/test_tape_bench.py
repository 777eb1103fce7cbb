"""How many frames a second go onto a tape and come off it: ``pytest tests/bench --benchmark-only``.

Rounds are of 100,000 frames of about 190 bytes, as Kraken sends trades; divide.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import reactivex
from pytest_benchmark.fixture import BenchmarkFixture

from rtflow.events import Frame, FrameKind
from rtflow.player import replay
from rtflow.tape import TapeWriter, read, record

COUNT = 100_000


def trade(number: int) -> Frame:
    payload = (
        b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":%d.1,'
        b'"qty":0.%d,"ord_type":"limit","trade_id":%d,"timestamp":"2026-09-25T17:48:26.%06dZ"}]}'
        % (83_000 + number % 50, number * 7919 % 100_000, 4_665_906 + number, number * 7907 % 1_000_000)
    )
    return Frame(FrameKind.TEXT, payload, 1_790_358_506_844_359_566 + number * 1_000, 1)


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [trade(number) for number in range(COUNT)]


@pytest.fixture
def tape(tmp_path: Path, frames: list[Frame]) -> Path:
    write(tmp_path / "a.tape", frames)
    return tmp_path / "a.tape"


def write(path: Path, frames: list[Frame]) -> None:
    with TapeWriter(path, overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)


def figure(benchmark: BenchmarkFixture) -> None:
    assert benchmark.stats is not None
    benchmark.extra_info["frames/s"] = round(COUNT / benchmark.stats.stats.median)


def test_frames_written(benchmark: BenchmarkFixture, tmp_path: Path, frames: list[Frame]) -> None:
    benchmark(write, tmp_path / "a.tape", frames)
    figure(benchmark)


def test_frames_recorded_on_their_way(
    benchmark: BenchmarkFixture, tmp_path: Path, frames: list[Frame]
) -> None:
    source = reactivex.from_iterable(frames).pipe(record(tmp_path / "a.tape"))
    benchmark(lambda: source.subscribe(_nothing))
    figure(benchmark)


def test_frames_read(benchmark: BenchmarkFixture, tape: Path) -> None:
    assert benchmark(lambda: sum(1 for _ in read(tape))) == COUNT
    figure(benchmark)


def test_frames_replayed(benchmark: BenchmarkFixture, tape: Path) -> None:
    benchmark(lambda: replay(tape).subscribe(_nothing))
    figure(benchmark)


def _nothing(_: Frame) -> None:
    pass
