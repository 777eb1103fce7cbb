"""A soak: one pipeline through one outage after another, as long as one likes, and what it weighs meanwhile.

``python -m tests.soak 600`` lets it run for ten minutes. The venue is Kraken's twin, in a process of its
own, so that what grows here is ours.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from rtflow import faults
from rtflow import operators as op
from rtflow.book import BookState
from rtflow.counters import Counters
from rtflow.events import Lost
from rtflow.providers import Kraken
from rtflow.testing import Proxy
from rtflow.transport import connect
from rtflow.twin import Twin
from tests.chaos import left_open, still_there

SYMBOLS = ["BTC/USD", "ETH/USD", "SOL/USD"]
PACE = 20  # how much faster the venue's clock goes, and ours with it
STATM = Path("/proc/self/statm")
HARMS = [
    "cut",
    "cut(50ms)",
    "refuse(50ms) cut",
    "flap(100ms)",
    "garble(50ms) cut",
    "drop(5)",
    "wrong_checksum",
]


@dataclass
class Soak:
    """What went through, and how many bytes this process held once warm, and in the end."""

    events: int
    states: int
    conflated: int
    shown: int
    lost: int
    connections: int
    warm: int
    ended: int
    complaints: list[str]

    @property
    def growth(self) -> int:
        return self.ended - self.warm

    def __str__(self) -> str:
        return (
            f"{self.events} events through {self.connections} connections, {self.states} book states "
            f"({self.shown} shown to a slow subscriber, {self.conflated} conflated, {self.lost} lost); "
            f"memory {self.warm / 2**20:.1f} MiB when warm, {self.growth / 2**20:+.1f} MiB in the end"
        )


def soaked(seconds: float, *, seed: int = 1, pause: float = 0.02) -> Soak:
    """Everything at once for so many seconds, a third of them to get warm."""
    counters, complaints = Counters(), list[str]()
    seen, lost, began = Counters(), 0, time.time_ns()

    def fast() -> int:
        return began + (time.time_ns() - began) * PACE

    with _venue(seconds + 30, seed) as url:
        before = left_open()
        kraken = Kraken(url=url)
        feed = connect(kraken, trades=SYMBOLS, books=SYMBOLS, clock=fast, keepalive=0.25, timeout=1.0)
        retried = feed.pipe(op.retry_with_backoff(base=0.02, cap=0.1, retries=None, seed=seed))
        events = retried.pipe(op.normalize(kraken), op.dedupe(), op.detect_gaps())
        shared = events.pipe(op.watchdog(resync=feed.resync, reconnect=feed.reconnect), op.broadcast())

        def complain(error: Exception) -> None:
            complaints.append(f"it ended: {error!r}")

        def slow(item: BookState | Lost) -> None:
            nonlocal lost
            if isinstance(item, Lost):
                lost += item.count
            seen.add("shown")
            threading.Event().wait(pause)

        states = shared.pipe(op.book_apply(resync=feed.resync), op.broadcast())
        readers = [
            shared.subscribe(lambda _: seen.add("events"), complain),
            shared.pipe(op.window_to_bar(every=0.1)).subscribe(lambda _: None, complain),
            shared.pipe(op.vwap(over=5)).subscribe(lambda _: None, complain),
            states.subscribe(lambda _: seen.add("states"), complain),
            states.pipe(op.handoff(capacity=64, overflow="conflate", counters=counters)).subscribe(
                slow, complain
            ),
        ]
        threading.Event().wait(seconds / 3)
        warm = _weight()
        threading.Event().wait(seconds * 2 / 3)
        ended = _weight()
        for reader in readers:
            reader.dispose()
        complaints += [f"left {each}" for each in still_there(before)]
    made = {each: counters[f"handoff.{each}"] for each in ("in", "out", "conflated", "dropped", "held")}
    if made["in"] != made["out"] + made["conflated"] + made["dropped"] + made["held"]:
        complaints.append(f"it does not add up: {made}")
    return Soak(
        seen["events"],
        seen["states"],
        made["conflated"],
        seen["shown"],
        lost,
        feed.epoch,
        warm,
        ended,
        complaints,
    )


def _weight() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@contextmanager
def _venue(lifetime: float, seed: int) -> Iterator[str]:
    """Kraken's twin behind a line that breaks all the time, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, lifetime, seed), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("enough")
        process.join(5)
        process.kill()
        process.join()
        process.close()
        ours.close()


def _serve(told: Connection, lifetime: float, seed: int) -> None:
    random, words, left = Random(seed), list[str](), lifetime
    while left > 0:
        pause = random.uniform(0.1, 0.6)
        left -= pause
        words.append(f"{round(pause * 1000)}ms {random.choice(HARMS)}")
    with (
        Twin(
            "kraken", seed=seed, symbols=SYMBOLS, rate=20, pace=PACE, steps=None, keep=100, lifetime=lifetime
        ) as twin,
        Proxy(twin) as line,
        faults.play(" ".join(words), twin, proxy=line),
    ):
        told.send(line.url)
        told.poll(lifetime)


if __name__ == "__main__":
    soak = soaked(float([*sys.argv, "60"][1]))
    sys.stdout.write(f"{soak}\n" + "".join(f"! {each}\n" for each in soak.complaints))
    sys.exit(1 if soak.complaints else 0)
