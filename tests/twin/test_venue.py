"""What every dialect leans on: moves and timers reach everybody in their order."""

from __future__ import annotations

from collections.abc import Mapping

from rtflow.twin.market import NEVER, Market, Move
from rtflow.twin.venue import Conversation, Hangup, Message, Venue


class Diary(Conversation):
    """Says what happens to it, and when."""

    def __init__(self, venue: Clockwork) -> None:
        super().__init__()
        self.venue = venue
        self.next = venue.now + 7
        self.gone = False

    @property
    def listening(self) -> bool:
        return True

    def opened(self) -> None:
        self.say("opened")

    def received(self, payload: str | bytes) -> None:
        self.say(payload)

    def moved(self, move: Move) -> None:
        self.say(f"move {move.stamp}", data=True)

    def due(self) -> int:
        return self.next

    def wake(self, now: int) -> None:
        self.say(f"wake {now} at {self.venue.now}")
        self.next += 7


class Quiet(Diary):
    """Has no timers."""

    def due(self) -> int:
        return NEVER


class Clockwork(Venue):
    """A venue with nothing to it."""

    path = "/"
    alarm = NEVER

    def due(self) -> int:
        return min(self.alarm, super().due())

    def wake(self, now: int) -> None:
        super().wake(now)
        self.alarm = NEVER
        for each in self.conversations:
            each.say(f"alarm {now}")

    def moved(self, move: Move) -> None:
        super().moved(move)

    def converse(self, path: str, headers: Mapping[str, str]) -> Conversation:
        assert all(name == name.lower() for name in headers)
        return Quiet(self) if path == "/quiet" else Diary(self)


def said(talk: Conversation) -> list[str]:
    return [str(each.payload) for each in talk.take() if isinstance(each, Message)]


def test_moves_and_timers_come_in_the_order_of_their_stamps() -> None:
    market = Market(1, ["BTC/USD"], rate=10_000_000.0)
    clock = Clockwork(market)
    watched: list[int] = []
    clock.watch = lambda move: watched.append(move.stamp)
    talk, quiet = clock.connect("/", {"User-Agent": "x"}), clock.connect("/quiet", {})
    clock.advance(20_000)
    lines = said(talk)
    assert lines[0] == "opened"
    stamps = [int(line.split()[1]) for line in lines[1:]]
    assert stamps == sorted(stamps)
    assert [line for line in lines if "wake" in line][:2] == ["wake 7 at 7", "wake 14 at 14"]
    assert said(quiet)[1:] == [line for line in lines if line.startswith("move")]
    assert watched == [int(line.split()[1]) for line in lines if line.startswith("move")]
    assert clock.now == 20_000


def test_a_move_comes_before_a_timer_of_the_same_instant() -> None:
    market = Market(1, ["BTC/USD"])
    clock = Clockwork(market)
    talk = Diary(clock)
    clock.conversations.append(talk)
    talk.next = stamp = market.due
    clock.advance(stamp)
    assert said(talk) == [f"move {stamp}", f"wake {stamp} at {stamp}"]


def test_the_venues_own_timer_comes_before_those_of_its_conversations() -> None:
    clock = Clockwork(Market(1, ["DOGE/USD"]))
    talk, _ = clock.connect("/", {}), clock.connect("/quiet", {})
    talk.take()
    clock.alarm = 14
    clock.advance(20)
    assert said(talk) == ["wake 7 at 7", "alarm 14", "wake 14 at 14"]


def test_who_has_left_hears_no_more() -> None:
    clock = Clockwork(Market(1, ["BTC/USD"]))
    talk = clock.connect("/", {})
    clock.leave(talk)
    clock.leave(talk)
    talk.take()
    clock.advance(1_000_000_000)
    assert talk.take() == []


def test_what_is_said_stays_in_order_and_ends_with_the_hangup() -> None:
    talk = Clockwork(Market(1, ["BTC/USD"])).connect("/", {})
    talk.received(b"x")
    talk.lagging()
    assert talk.take() == [Message("opened"), Message(b"x"), Hangup(1008, "slow client")]
