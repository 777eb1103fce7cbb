"""book_apply on what Kraken really sent: every checksum verifies, and no wrong digit is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rtflow.book import BookState
from rtflow.events import Frame, FrameKind, Malformed
from rtflow.kernel import Kernel
from rtflow.operators._book_apply import book_apply
from rtflow.operators._normalize import normalize
from rtflow.providers.kraken import Kraken

RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings" / "kraken_v2"
DEPTH_10 = RECORDINGS / "derived-wire-BTCUSD-depth10-20230730.jsonl"
DEPTH_25 = RECORDINGS / "k2-kraken-BTCUSD-depth25-first50.jsonl"

pytestmark = pytest.mark.skipif(
    not (DEPTH_10.exists() and DEPTH_25.exists()),
    reason=f"the recorded Kraken frames are not at {RECORDINGS}",
)


def frames(path: Path) -> list[Frame]:
    """The recorded frames, in order, with the stamps of the recording where it has any."""
    recorded = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        wrapped = json.loads(line)
        text = wrapped.get("payload", line)
        recorded.append(Frame(FrameKind.TEXT, text.encode(), wrapped.get("recv_ts_ns", number)))
    return recorded


class Line:
    """normalize and book_apply in a row, as a pipe would have them, that can be taken back to a frame."""

    def __init__(self, depth: int) -> None:
        kraken = Kraken(depth=depth)
        self.events: Kernel[Frame, Any] = normalize(kraken).kernel()
        self.books: Kernel[Any, BookState] = book_apply(verify="always").kernel()

    def push(self, frame: Frame) -> tuple[list[Malformed], list[BookState]]:
        events = list(self.events.push(frame))
        states = [state for event in events for state in self.books.push(event)]
        return [event for event in events if isinstance(event, Malformed)], states

    def state(self) -> tuple[Any, Any]:
        return self.events.state(), self.books.state()

    @classmethod
    def at(cls, depth: int, state: tuple[Any, Any]) -> Line:
        line = cls(depth)
        line.events.restore(state[0])
        line.books.restore(state[1])
        return line


@pytest.mark.parametrize(("path", "depth", "books"), [(DEPTH_10, 10, 510), (DEPTH_25, 25, 43)])
def test_every_recorded_checksum_verifies(path: Path, depth: int, books: int) -> None:
    line = Line(depth)
    states = [state for frame in frames(path) for state in line.push(frame)[1]]
    assert [state.status for state in states] == ["live"] * books
    assert all(len(state.bids) == len(state.asks) == depth for state in states)
    assert not any(state.crossed for state in states)


def flips(frame: Frame, random: Random) -> Iterator[Frame]:
    """The frame with one digit of a price, a quantity or the checksum changed: one frame for each of them."""
    text = frame.payload.decode()
    for number in re.finditer(r'"(?:price|qty|checksum)":([0-9.]+)', text):
        for at in range(*number.span(1)):
            if text[at].isdigit():
                other = random.choice([digit for digit in "0123456789" if digit != text[at]])
                yield Frame(frame.kind, f"{text[:at]}{other}{text[at + 1 :]}".encode(), frame.ts_recv)


def test_at_depth_10_any_flipped_digit_is_caught_at_its_own_frame_or_leaves_the_book_exactly_right() -> None:
    """Every digit of every price, quantity and checksum of every frame, each changed once to another digit.

    Caught: the frame is malformed, or the book is suspect, at once. The rest (290 of 15,414 where this was
    written) are in levels that the same frame says again or pushes out of the window: they count for
    nothing, and the book, which is no deeper than the sum, is equal to the right one in all it shows.
    """
    random = Random(10)
    line = Line(10)
    caught = harmless = 0
    for frame in frames(DEPTH_10):
        before = line.state()
        _, (right,) = line.push(frame)
        for flipped in flips(frame, random):
            malformed, states = Line.at(10, before).push(flipped)
            if malformed or [state.status for state in states] == ["suspect"]:
                caught += 1
            else:
                assert states == [right], flipped.payload
                harmless += 1
    assert caught > 15_000
    assert harmless < 400


def test_at_depth_25_a_flipped_digit_is_caught_before_the_best_ten_levels_are_wrong() -> None:
    """The venue's sum covers the best ten levels a side; what lies deeper cannot be told until it rises.

    So, for every digit of every frame: the frame is malformed, or the book is suspect, at that frame or a
    later one, and until then (or to the end of the recording) its best ten levels are exactly the right ones.
    """
    random = Random(25)
    recorded = frames(DEPTH_25)
    line = Line(25)
    befores, rights = [], []
    for frame in recorded:
        befores.append(line.state())
        states = line.push(frame)[1]
        rights.append([(state.levels("bid", 10), state.levels("ask", 10)) for state in states])
    caught = deeper = 0
    for number, frame in enumerate(recorded):
        for flipped in flips(frame, random):
            broken = Line.at(25, befores[number])
            for each, right in zip([flipped, *recorded[number + 1 :]], rights[number:], strict=True):
                malformed, states = broken.push(each)
                if malformed or any(state.status != "live" for state in states):
                    caught += 1
                    break
                assert [(state.levels("bid", 10), state.levels("ask", 10)) for state in states] == right
            else:
                deeper += 1
    assert caught > 500
    assert deeper > 500  # the limit of the venue's sum is real
