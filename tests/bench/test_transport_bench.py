"""Frames per second over loopback: rtflow's reader beside websocket-client's own, in the same run.

pytest tests/bench/test_transport_bench.py --benchmark-only
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket
from pytest_benchmark.fixture import BenchmarkFixture

from rtflow.errors import RtflowError
from rtflow.events import Frame, FrameKind
from rtflow.provider import Decoder, Refused, Request, Send, Session, Subscription, Traffic
from rtflow.transport import connect

SIZE = 200
FRAMES = {"rtflow": 200_000, "websocket-client WebSocketApp": 20_000}


class Listener(Session):
    """Says nothing and takes everything for data."""

    def opened(self) -> Iterable[Send]:
        return ()

    def classify(self, payload: bytes) -> Traffic:
        return Traffic.DATA

    def received(self, frame: Frame) -> Iterable[Send | Refused | RtflowError]:
        return ()

    def wanted(self, added: Subscription, removed: Subscription) -> Iterable[Send]:
        return ()


class Anywhere:
    """A venue at an address, that only floods."""

    name = "flood"
    kinds = ("trades",)

    def __init__(self, url: str) -> None:
        self.url = url

    def request(self, subscription: Subscription) -> Request:
        return Request(self.url)

    def session(self, subscription: Subscription) -> Session:
        return Listener()

    def decoder(self) -> Decoder:
        raise AssertionError("frames are counted, not decoded")


@pytest.fixture
def flood(request: pytest.FixtureRequest) -> Iterator[str]:
    script = Path(__file__).with_name("flood.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(request.param), str(SIZE)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"ws://127.0.0.1:{int(process.stdout.readline())}/"
        process.kill()


def by_rtflow(url: str) -> int:
    count, over = [0], threading.Event()

    def on_next(frame: Frame) -> None:
        if frame.kind is FrameKind.TEXT:
            count[0] += 1

    # The ring holds everything: what is measured is the reader and the line, not who waits for whom.
    connect(Anywhere(url), capacity=1_000_000).subscribe(on_next, lambda _: over.set())
    assert over.wait(60)
    return count[0]


def by_websocket_app(url: str) -> int:
    count = [0]

    def on_message(_: Any, __: str) -> None:
        count[0] += 1

    app = websocket.WebSocketApp(url, on_message=on_message)
    app.run_forever()
    app.close()
    return count[0]


# WebSocketApp leaves its socket to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.benchmark(group=f"{SIZE}-byte frames over loopback (figures are for frames, see extra_info)")
@pytest.mark.parametrize(("reader", "flood"), list(FRAMES.items()), indirect=["flood"])
def test_a_flood_of_small_frames(benchmark: BenchmarkFixture, reader: str, flood: str) -> None:
    read = by_rtflow if reader == "rtflow" else by_websocket_app
    counted = benchmark.pedantic(read, args=(flood,), rounds=5, warmup_rounds=1)
    assert counted == FRAMES[reader]
    assert benchmark.stats is not None
    seconds = benchmark.stats.stats.median
    benchmark.extra_info["frames/s"] = round(FRAMES[reader] / seconds)
    each = seconds / FRAMES[reader] * 1e9
    print(f"\n{reader}: {1e9 / each:,.0f} frames/s, {each:,.0f} ns a frame")
