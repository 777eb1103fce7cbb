"""What a host allows in so many seconds is never exceeded, however many feeds ask for it."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Iterable, Iterator
from email.message import Message
from typing import Any

import msgspec
import pytest
import websocket
from hypothesis import given
from hypothesis import strategies as st

from rtflow.budgets import Budget, Budgets
from rtflow.errors import Throttled
from rtflow.events import Frame, FrameKind, Status
from rtflow.provider import Answer, Fetch, Rate, Request, Session, Subscription
from rtflow.transport import Feed, Socket, connect
from tests.test_transport import Got, Talk, Venue, until_no_thread_is_left
from tests.watching import SOON

WITHIN = 10.0


@given(
    most=st.integers(1, 5),
    asked=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), min_size=1, max_size=60),
)
def test_no_stretch_of_time_holds_more_than_is_allowed_and_nobody_is_overtaken(
    most: int, asked: list[tuple[int, int]]
) -> None:
    budget, now, spent = Budget(Rate(most, WITHIN)), 0.0, list[tuple[float, int]]()
    for later, amount in asked:
        now += later
        wait = budget.reserve(amount, now)
        if wait <= WITHIN:
            spent.append((now + wait, min(amount, most)))
    assert [at for at, _ in spent] == sorted(at for at, _ in spent)
    for at, _ in spent:
        assert sum(amount for each, amount in spent if at <= each < at + WITHIN) <= most


def test_who_would_wait_too_long_has_taken_nothing_from_the_others() -> None:
    budget = Budget(Rate(1, WITHIN))
    assert [budget.reserve(1, 0.0) for _ in range(4)] == [0.0, 10.0, 20.0, 20.0]
    assert budget.reserve(1, 15.0) == 5.0


def test_after_it_was_too_much_nobody_is_served_for_as_long_as_the_host_said() -> None:
    budget = Budget(Rate(5, WITHIN))
    budget.rest(3.0, now=1.0)
    budget.rest(1.0, now=1.0)
    assert budget.reserve(1, 2.0) == 2.0
    assert budget.reserve(1, 5.0) == 0.0


def test_while_a_host_rests_not_even_a_reservation_counts() -> None:
    budget = Budget(Rate(1, WITHIN))
    assert [budget.reserve(1, 0.0) for _ in range(2)] == [0.0, 10.0]
    assert budget.resting(10.0) == 0.0, "that it is full is no rest"
    budget.rest(5.0, now=8.0)
    budget.rest(1.0, now=8.0)
    assert [budget.resting(now) for now in (10.0, 13.0, 14.0)] == [3.0, 0.0, 0.0]


def test_hosts_and_purposes_have_budgets_of_their_own() -> None:
    budgets, rate = Budgets(), Rate(1, WITHIN)
    assert budgets.of("a", "attempts", rate) is budgets.of("a", "attempts", Rate(1, WITHIN))
    others = [budgets.of("b", "attempts", rate), budgets.of("a", "documents", rate)]
    assert budgets.of("a", "attempts", rate) not in others


# ------------------------------------------------------------------------------------------ feeds that share


class Strict(Venue):
    """A venue whose host allows only so many connections, and so many documents, within a moment."""

    rate = Rate(2, 0.2)
    allowance: Rate | None = None

    def request(self, subscription: Subscription) -> Request:
        return msgspec.structs.replace(super().request(subscription), attempts=self.rate)


@pytest.fixture
def venue() -> Iterator[Strict]:
    venue = Strict()
    yield venue
    until_no_thread_is_left()
    for peer in venue.made:
        peer.close()


def told(got: Got) -> list[Status]:
    frames = [frame for frame in got.frames if frame.kind is FrameKind.STATUS]
    return [msgspec.json.decode(frame.payload, type=Status) for frame in frames]


def feeds(venue: Venue, count: int, **options: Any) -> list[Feed]:
    budgets = Budgets()
    return [
        connect(venue, trades=["A"], open_socket=venue.open, budgets=budgets, **options) for _ in range(count)
    ]


def test_the_attempts_of_several_feeds_at_one_host_are_spaced_and_the_wait_is_said(venue: Strict) -> None:
    venue.rate = Rate(2, 1.0)
    opened: list[float] = []
    everybody = [(feed, Got()) for feed in feeds(venue, 4)]
    subscriptions = [feed.subscribe(got) for feed, got in everybody]
    for _ in everybody:
        venue.peer()
        opened.append(time.monotonic())
    assert all(third - first > 0.6 for first, third in zip(opened, opened[2:], strict=False))
    for _, got in everybody:
        got.until(lambda: got.kinds[-1:] == ["open"])  # noqa: B023
    waits = [status for _, got in everybody for status in told(got)]
    assert {status.state for status in waits} == {"waiting"}
    assert [status.wait for status in waits] == [pytest.approx(1.0, abs=0.4)] * 2
    assert "ws://fake.example:9/v1" in waits[0].text
    for subscription in subscriptions:
        subscription.dispose()


def test_who_would_wait_for_longer_than_the_hosts_own_stretch_is_throttled(venue: Strict) -> None:
    venue.rate = Rate(1, 3600.0)
    everybody = [(feed, Got()) for feed in feeds(venue, 3)]
    subscriptions = [feed.subscribe(got) for feed, got in everybody]
    last = everybody[-1][1]
    last.until(lambda: any(got.errors for _, got in everybody))
    [error] = [error for _, got in everybody for error in got.errors]
    assert isinstance(error, Throttled)
    assert error.retry_after == pytest.approx(7200.0, abs=5)
    began = time.monotonic()
    for subscription in subscriptions:
        subscription.dispose()
    assert time.monotonic() - began < SOON, "one of them was waiting for its turn"


def test_a_host_that_has_had_too_much_is_left_alone_by_all(venue: Strict) -> None:
    venue.rate = Rate(100, 3600.0)
    refused = websocket.WebSocketBadStatusException("%s %s", 429, "Too Many", resp_body=b"")

    def refuse(request: Request, timeout: float) -> Socket:
        raise refused

    budgets, got, other = Budgets(), Got(), Got()
    connect(venue, trades=["A"], open_socket=refuse, budgets=budgets).subscribe(got)
    assert isinstance(got.error(), Throttled)
    subscription = connect(venue, trades=["A"], open_socket=venue.open, budgets=budgets).subscribe(other)
    other.until(lambda: other.frames)
    subscription.dispose()
    [status] = told(other)
    assert status.state == "waiting"
    assert 0 < status.wait <= 1.0


class Reading(Strict):
    """One whose sessions ask for documents that weigh something."""

    def session(self, subscription: Subscription) -> Session:
        return Weighing(self, subscription)


class Weighing(Talk):
    venue: Reading

    def received(self, frame: Frame) -> Iterable[Answer]:
        for answer in super().received(frame):
            if isinstance(answer, Fetch):
                answer = msgspec.structs.replace(answer, weight=2, allowance=self.venue.allowance)
            yield answer


def documents(venue: Reading, outcome: bytes | Exception = b"body") -> tuple[Feed, list[float]]:
    """A feed that gets its documents at once, and when it did."""
    got: list[float] = []

    def get(fetch: Fetch, request: Request, timeout: float) -> bytes:
        got.append(time.monotonic())
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return connect(venue, open_socket=venue.open, get_document=get, budgets=Budgets()), got


@pytest.fixture
def reading() -> Iterator[Reading]:
    venue = Reading()
    yield venue
    until_no_thread_is_left()
    for peer in venue.made:
        peer.close()


def test_documents_wait_their_turn_by_what_they_weigh(reading: Reading) -> None:
    reading.allowance = Rate(4, 1.0)
    feed, moments = documents(reading)
    got = Got()
    subscription = feed.subscribe(got)
    peer = reading.peer()
    peer.send("!fetch a", "!fetch b", "!fetch c")
    assert [peer.hears_text() for _ in range(3)] == [f"got {label}: body" for label in "abc"]
    subscription.dispose()
    assert moments[2] - moments[0] > 0.6
    [status] = told(got)
    assert (status.state, status.text.partition(":")[0]) == ("waiting", "c")
    assert status.wait == pytest.approx(1.0, abs=0.4)


def test_a_document_that_would_wait_too_long_is_not_fetched_and_the_session_hears_of_it(
    reading: Reading,
) -> None:
    reading.allowance = Rate(2, 3600.0)
    feed, moments = documents(reading)
    got = Got()
    subscription = feed.subscribe(got)
    peer = reading.peer()
    peer.send("!fetch a", "!fetch b", "!fetch c")
    assert sorted(peer.hears_text() for _ in range(2)) == ["got a: body", "no c: Throttled"]
    got.until(lambda: len(told(got)) == 2)
    subscription.dispose()
    assert len(moments) == 1
    assert {status.state: status.text.partition(":")[0] for status in told(got)} == {
        "waiting": "b",
        "unfetched": "c",
    }


def test_a_host_of_documents_that_has_had_too_much_is_left_alone(reading: Reading) -> None:
    reading.allowance = Rate(100, 3600.0)
    too_much = urllib.error.HTTPError("http://fake.example", 429, "no", Message(), None)
    feed, moments = documents(reading, too_much)
    got = Got()
    subscription = feed.subscribe(got)
    peer = reading.peer()
    peer.send("!fetch a")
    assert peer.hears_text() == "no a: Throttled"
    peer.send("!fetch b")
    got.until(lambda: [status for status in told(got) if status.state == "waiting"])
    subscription.dispose()
    assert len(moments) == 1


def test_after_too_much_what_had_its_turn_already_waits_too(reading: Reading) -> None:
    reading.allowance = Rate(100, 0.3)
    outcomes: list[bytes | Exception] = [
        urllib.error.HTTPError("http://fake.example", 429, "no", header("0"), None),
        b"1",
        b"2",
    ]
    moments: list[float] = []

    def get(fetch: Fetch, request: Request, timeout: float) -> bytes:
        moments.append(time.monotonic())
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    feed = connect(reading, open_socket=reading.open, get_document=get, budgets=Budgets())
    subscription = feed.subscribe(Got())
    peer = reading.peer()
    peer.send("!fetch a", "!fetch b", "!fetch c")
    assert [peer.hears_text() for _ in range(3)] == ["no a: Throttled", "got b: 1", "got c: 2"]
    subscription.dispose()
    assert moments[1] - moments[0] > 0.9, "a second is the least that a host can mean"


def header(seconds: str) -> Message:
    message = Message()
    message["Retry-After"] = seconds
    return message


def test_who_waits_for_a_connection_waits_on_while_the_host_rests(venue: Strict) -> None:
    venue.rate = Rate(1, 0.2)
    budgets, got = Budgets(), Got()
    subscriptions = [
        connect(venue, trades=["A"], open_socket=venue.open, budgets=budgets).subscribe(got) for _ in range(2)
    ]
    got.until(lambda: "status" in got.kinds)  # one of them waits
    budget = budgets.of("user:secret@fake.example:9", "attempts", venue.rate)
    began = time.monotonic()
    budget.rest(0.5, began)
    venue.peer()
    venue.peer()
    assert time.monotonic() - began > 0.4
    for subscription in subscriptions:
        subscription.dispose()
