"""Lines are at fault on request, repeatably: on frames, as operators; at a twin, over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex.disposable import Disposable

from rtflow import faults
from rtflow.counters import Counters
from rtflow.errors import Unsupported
from rtflow.events import Closing, Frame, FrameKind, Status
from rtflow.faults import Fault, plan, scenario
from rtflow.kernel import Lifted
from rtflow.scheduler import Line
from rtflow.testing import Timed, resumes_anywhere, run, same_live_and_virtual
from rtflow.time import SECOND
from rtflow.twin import Twin
from rtflow.twin.proxy import Proxy
from rtflow.twin.venue import Message
from tests.watching import within

MS = SECOND // 1000


def text(at: int, payload: str = "", epoch: int = 1) -> Frame:
    return Frame(FrameKind.TEXT, (payload or str(at)).encode(), at, epoch)


def opened(at: int = 0, epoch: int = 1) -> Frame:
    return Frame(FrameKind.OPEN, b"wss://example.org/v2", at, epoch)


def closed(at: int, epoch: int = 1, reason: str = "cut by a fault") -> Frame:
    return Frame(FrameKind.CLOSE, msgspec.json.encode(Closing("Disconnected", reason)), at, epoch)


def status(at: int) -> Frame:
    return Frame(FrameKind.STATUS, msgspec.json.encode(Status("retrying", at)), at)


def seconds(frames: Sequence[Frame], second: int = SECOND) -> list[tuple[float, str]]:
    """What there is to see of frames: when they came, and what is in them."""
    return [(frame.ts_recv / second, frame.payload.decode(errors="replace")) for frame in frames]


def through(operator: Lifted[Frame, Frame], frames: Sequence[Frame]) -> list[Frame]:
    return run(operator.kernel(), frames)


def every_second(count: int) -> list[Frame]:
    """Messages "0", "1", …, one a second."""
    return [text(number * SECOND, str(number)) for number in range(count)]


def payloads(frames: Sequence[Frame]) -> str:
    return " ".join(frame.payload.decode(errors="replace") for frame in frames)


# -- the text --------------------------------------------------------------------------------------------


def test_a_scenario_says_what_goes_wrong_when_and_how_much_of_it() -> None:
    said = "--drop(3)----mute(BTC/USD, 2s)--cut 1.5s corrupt(2, trade) reorder delay(5ms) refuse(1s) cut(2s)|"
    assert plan(said, every=1) == (
        Fault("drop", 2 * SECOND, 3),
        Fault("mute", 6 * SECOND, 1, 2 * SECOND, "BTC/USD"),
        Fault("cut", 8 * SECOND),
        Fault("corrupt", 9_500 * MS, 2, 0, "trade"),
        Fault("reorder", 9_500 * MS, 2),
        Fault("delay", 9_500 * MS, 1, 5 * MS),
        Fault("refuse", 9_500 * MS, 1, SECOND),
        Fault("cut", 9_500 * MS, 1, 2 * SECOND),
    )


def test_a_number_is_a_text_where_nothing_is_counted() -> None:
    assert plan("mute(3045, 1s)") == (Fault("mute", 0, 1, SECOND, "3045"),)
    assert plan("drop(2s)") == (Fault("drop", 0, 1, 0, "2s"),), "nor is a time one where nothing lasts"


@pytest.mark.parametrize(
    ("said", "place", "why"),
    [
        ("--drip", 3, "no fault is named 'drip'; there are drop, duplicate, reorder"),
        ("--drop(0)", 3, "drop counts from 1"),
        ("drop(1, 2)", 1, "drop is told its count twice"),
        ("mute(A, B, 1s)", 1, "mute is told its text twice"),
        ("-mute", 2, "mute wants to know how long, as in mute"),
        ("-delay(0s)", 2, "delay wants to know how long"),
        ("-refuse", 2, "refuse wants to know how long"),
        ("-cut(soon)", 2, "cut has no use for 'soon'"),
        ("reorder(2s)", 1, "reorder has no use for '2s'"),
        ("--#", 3, "a scenario ends with | or not at all"),
        ("--?", 3, "this is neither a dash"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(said: str, place: int, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        scenario(said)
    assert f"at character {place}:\n    {said}\n" in str(caught.value)


@pytest.mark.parametrize("chance", [-0.1, 1.1, float("nan")])
def test_a_chance_is_a_number_from_0_to_1(chance: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        faults.drop(chance)


def test_a_fault_lasts_some_time() -> None:
    with pytest.raises(ValueError, match="lasts some time, not -1"):
        faults.mute(-1)


# -- what becomes of messages ----------------------------------------------------------------------------


def test_dropped_messages_never_come() -> None:
    assert payloads(through(scenario("1.5s drop(2)"), every_second(6))) == "0 1 4 5"


def test_only_those_with_the_text_in_them_are_meant() -> None:
    frames = [text(at * SECOND, each) for at, each in enumerate(["A1", "B1", "A2", "B2", "A3", "B3"])]
    assert payloads(through(scenario("0.5s drop(2, A)"), frames)) == "A1 B1 B2 B3"
    assert payloads(through(scenario("0.5s drop(2)", only="B"), frames)) == "A1 A2 A3 B3"
    assert payloads(through(scenario("0.5s drop(2)", only=b"B"), frames)) == "A1 A2 A3 B3"
    assert payloads(through(scenario("0.5s drop", only=lambda payload: payload > b"B2"), frames)) == (
        "A1 B1 A2 B2 A3"
    )


def test_duplicated_messages_come_twice() -> None:
    assert payloads(through(scenario("1.5s duplicate(2)"), every_second(5))) == "0 1 2 2 3 3 4"


def test_reordered_messages_come_in_the_opposite_order_and_are_stamped_when_they_come() -> None:
    made = through(scenario("1.5s reorder(3)"), every_second(6))
    assert seconds(made) == [(0, "0"), (1, "1"), (4, "4"), (4, "3"), (4, "2"), (5, "5")]


def test_what_is_to_change_places_does_not_outlive_its_connection_or_the_stream() -> None:
    frames = [*every_second(3), closed(5 * SECOND, reason="bye"), opened(6 * SECOND, 2)]
    made = through(scenario("0.5s reorder(9)"), frames)
    assert payloads(made[:3]) == "0 2 1"
    assert made[3:] == frames[3:]
    assert payloads(through(scenario("0.5s reorder(9)"), every_second(3))) == "0 2 1"


def test_while_some_change_places_no_others_begin_to() -> None:
    assert payloads(through(scenario("0.5s reorder(3) 1s reorder(2)"), every_second(7))) == "0 3 2 1 4 5 6"


def test_a_corrupted_message_has_one_wrong_bit() -> None:
    frames = every_second(4)
    made = through(scenario("1.5s corrupt"), frames)
    (harmed,) = [each for each, whole in zip(made, frames, strict=True) if each != whole]
    assert harmed.ts_recv == 2 * SECOND
    assert (harmed.payload[0] ^ ord("2")).bit_count() == 1


def test_a_truncated_message_has_lost_its_end() -> None:
    frames = [text(0), text(1, "abcdefgh"), text(2, "abcdefgh")]
    made = through(scenario("1ns truncate", seed=4), [text(0), *frames[1:]])
    assert made[1] == frames[1], "what stands at the moment itself goes first"
    assert frames[2].payload.startswith(made[2].payload)
    assert len(made[2].payload) < 8


def test_nothing_can_be_taken_from_nothing() -> None:
    empty = Frame(FrameKind.BINARY, b"", SECOND)
    assert through(scenario("0.5s truncate corrupt"), [text(0), empty]) == [text(0), empty]


def test_a_delay_holds_everything_up_and_stamps_it_when_it_comes() -> None:
    frames = [*every_second(4), closed(4 * SECOND), opened(5 * SECOND, 2), text(8 * SECOND, "8", 2)]
    made = through(scenario("0.5s delay(6.5s)"), frames)
    assert [frame.ts_recv / SECOND for frame in made] == [0, 7, 7, 7, 7, 7, 8]
    assert [frame.kind for frame in made] == [frame.kind for frame in frames]


def test_a_longer_delay_outlasts_a_shorter_one_within_it() -> None:
    made = through(scenario("0.5s delay(3s) 1s delay(0.5s)"), every_second(6))
    assert [frame.ts_recv / SECOND for frame in made] == [0, 3.5, 3.5, 3.5, 4, 5]


def test_a_stream_that_ends_while_held_up_gives_what_it_has() -> None:
    assert payloads(through(scenario("0.5s delay(9s)"), every_second(3))) == "0 1 2"


def test_a_muted_venue_says_nothing_and_a_muted_symbol_nothing_of_itself() -> None:
    frames = [text(at * SECOND, each) for at, each in enumerate(["A0", "B1", "A2", "B3", "A4", "B5"])]
    assert payloads(through(scenario("0.5s mute(3s)"), frames)) == "A0 A4 B5"
    assert payloads(through(scenario("0.5s mute(A, 9s)"), frames)) == "A0 B1 B3 B5"


def test_documents_and_what_is_said_of_the_line_are_never_struck() -> None:
    document = Frame(FrameKind.HTTP, b"depth\n{}", SECOND)
    frames = [opened(), status(0), document, status(SECOND), closed(2 * SECOND)]
    for harm in (faults.drop(1.0), faults.corrupt(1.0), faults.mute(9.0, chance=1.0)):
        assert through(harm, frames) == frames


# -- what becomes of connections -------------------------------------------------------------------------


def test_a_cut_is_a_close_and_then_nothing_until_the_source_opens_another() -> None:
    frames = [opened(), text(1), text(20), status(25), closed(30, reason="late"), text(31), opened(40, 2)]
    made = through(scenario("10ns cut", every=1e-9), [*frames, text(50, "", 2)])
    assert made == [opened(), text(1), closed(10), status(25), opened(40, 2), text(50, "", 2)]


def test_again_brings_the_line_back_with_what_the_venue_says_then() -> None:
    def again(now: int) -> list[str | bytes | Frame]:
        return [f"snapshot of {now}", b"\x00", text(3, "old")]

    frames = [opened(), text(1), text(12), text(20), closed(30), opened(40, 2), text(41, "", 2)]
    made = through(scenario("10ns cut(5ns) 5ns", again=again), frames)
    assert made == [
        opened(),
        text(1),
        closed(10),
        opened(15, 2),
        text(15, "snapshot of 15", 2),
        Frame(FrameKind.BINARY, b"\x00", 15, 2),
        text(15, "old", 2),
        text(20, "20", 2),
        Frame(FrameKind.CLOSE, frames[4].payload, 30, 2),
        Frame(FrameKind.OPEN, frames[5].payload, 40, 3),
        text(41, "", 3),
    ]


def test_a_cut_that_is_over_at_once_comes_back_at_the_same_moment() -> None:
    made = through(scenario("10ns cut", again=lambda now: []), [opened(), text(20)])
    assert made == [opened(), closed(10), opened(10, 2), text(20, "20", 2)]


def test_refused_is_a_line_until_the_refusal_is_over() -> None:
    frames = [opened(), text(1), text(90)]
    for said in ("5ns refuse(30ns) 5ns cut(2ns)", "10ns cut(4ns) 1ns refuse(24ns)"):
        made = through(scenario(said, again=lambda now: []), frames)
        assert [frame.ts_recv for frame in made] == [0, 1, 10, 35, 90]
    kernel = scenario("5ns refuse(30ns)").kernel()
    for frame in frames[:2]:
        kernel.push(frame)
    kernel.wake(5)
    assert isinstance(kernel, faults.Faults)
    assert (kernel.refuses(34), kernel.refuses(35)) == (True, False)


def test_a_source_that_ends_itself_while_cut_comes_back_by_itself() -> None:
    frames = [opened(), text(12), closed(13), opened(50, 2), text(51, "", 2)]
    made = through(scenario("10ns cut(20ns)", again=lambda now: ["never"]), frames)
    assert made == [opened(), closed(10), opened(50, 2), text(51, "", 2)]


def test_what_was_on_its_way_is_lost_with_the_line() -> None:
    frames = [opened(), text(5), text(6), text(30), text(40)]
    made = through(scenario("4ns reorder(9) 6ns cut", again=lambda now: []), frames)
    assert [frame.ts_recv for frame in made] == [0, 10, 10, 30, 40]
    made = through(scenario("4ns delay(99ns) 6ns cut", again=lambda now: []), frames)
    assert [frame.ts_recv for frame in made] == [0, 10, 10, 30, 40]


def test_only_what_is_open_can_be_cut() -> None:
    assert through(scenario("1ns cut"), [text(0), text(5)]) == [text(0), text(5)]
    made = through(scenario("1ns cut 1ns cut"), [opened(), text(5)])
    assert made == [opened(), closed(1)]


def test_a_live_feed_is_asked_to_make_a_new_connection_itself() -> None:
    asked: list[str] = []
    harm = scenario("1ns cut", reconnect=lambda: asked.append("reconnect"))
    frames = [opened(), text(5), closed(6, reason="reconnect asked for")]
    assert through(harm, frames) == frames
    assert asked == ["reconnect"]


# -- by chance -------------------------------------------------------------------------------------------

BY_CHANCE: dict[str, Callable[[float, int], Lifted[Frame, Frame]]] = {
    "drop": lambda chance, seed: faults.drop(chance, seed=seed),
    "duplicate": lambda chance, seed: faults.duplicate(chance, seed=seed),
    "reorder": lambda chance, seed: faults.reorder(chance, seed=seed),
    "corrupt": lambda chance, seed: faults.corrupt(chance, seed=seed),
    "truncate": lambda chance, seed: faults.truncate(chance, seed=seed),
    "delay": lambda chance, seed: faults.delay(0.3, chance=chance, seed=seed),
    "mute": lambda chance, seed: faults.mute(0.2, chance=chance, seed=seed),
    "disconnect": lambda chance, seed: faults.disconnect(
        0.2, chance=chance, seed=seed, again=lambda now: ["snapshot"]
    ),
}
KINDS = pytest.mark.parametrize("name", BY_CHANCE)


@KINDS
def test_by_chance_one_seed_is_one_outcome_and_no_chance_none(name: str) -> None:
    frames = [opened(), *(text(number * SECOND // 10, f"message {number}") for number in range(1, 60))]
    made = through(BY_CHANCE[name](0.2, 3), frames)
    assert made == through(BY_CHANCE[name](0.2, 3), frames)
    assert made != frames
    assert made != through(BY_CHANCE[name](0.2, 4), frames)
    assert through(BY_CHANCE[name](0.0, 3), frames) == frames


def test_each_message_has_its_chance_and_what_was_done_is_counted() -> None:
    counters, frames = Counters(), every_second(2000)
    made = through(faults.drop(0.25, seed=1, counters=counters), frames)
    assert counters["drop"] == len(frames) - len(made)
    assert 430 < counters["drop"] < 570


def test_only_what_is_meant_is_struck_by_chance() -> None:
    assert payloads(through(faults.drop(1.0, only="2"), every_second(5))) == "0 1 3 4"
    frames = [text(at * SECOND, each) for at, each in enumerate(["A0", "B1", "A2"])]
    assert payloads(through(faults.mute(99, only="A", chance=1.0), frames)) == "B1"


def test_whatever_is_done_is_counted_by_its_name() -> None:
    counters = Counters()
    said = "drop(2)-duplicate- corrupt- truncate -reorder(2)--delay(10ms)- mute(1s)----cut"
    frames = [opened(), *(text(number * SECOND // 10 + 1, f"message {number}") for number in range(30))]
    through(scenario(said, counters=counters), frames)
    assert counters == {
        "drop": 2,
        "duplicate": 1,
        "corrupt": 1,
        "truncate": 1,
        "reorder": 1,
        "delay": 1,
        "mute": 4,
        "cut": 1,
    }


# -- laws ------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        *("drop", "drop(2, A)", "duplicate(2)", "reorder(3)", "corrupt", "truncate", "delay(2s)"),
        *("mute(1s)", "mute(A, 3s)", "cut", "cut(2s)", "refuse(3s)"),
    ]
)
SCENARIOS = st.lists(st.tuples(st.integers(0, 4), WORDS), max_size=5).map(
    lambda steps: " ".join("-" * dashes + word for dashes, word in steps)
)


@st.composite
def lines(draw: st.DrawFn) -> list[Frame]:
    """Connections that come and go, and what is said on them and of them."""
    frames, now, epoch = [opened()], 0, 1
    for kind in draw(st.lists(st.sampled_from("mmmmmmsho"), max_size=25)):
        now += draw(st.sampled_from([0, 0, 1, 2, 5])) * SECOND // 4
        if kind == "o":
            frames.append(closed(now, epoch, "the source's own"))
            epoch += 1
            frames.append(opened(now, epoch))
        elif kind == "s":
            frames.append(msgspec.structs.replace(status(now), epoch=epoch))
        elif kind == "h":
            frames.append(Frame(FrameKind.HTTP, b"depth\n{}", now, epoch))
        else:
            frames.append(text(now, draw(st.sampled_from(["A1", "B2", "A3"])), epoch))
    return frames


def harmed(said: str, *, returns: bool) -> Lifted[Frame, Frame]:
    return scenario(said, every=0.25, again=(lambda now: [f"hello {now}"]) if returns else None)


@given(SCENARIOS, lines(), st.booleans())
def test_it_resumes_anywhere_and_is_the_same_live_and_virtual(
    said: str, frames: list[Frame], returns: bool
) -> None:
    resumes_anywhere(harmed(said, returns=returns), frames)
    same_live_and_virtual(harmed(said, returns=returns), frames)


@given(SCENARIOS, lines(), st.booleans())
def test_what_comes_out_is_a_stream_of_frames_like_any_other(
    said: str, frames: list[Frame], returns: bool
) -> None:
    made = through(harmed(said, returns=returns), frames)
    stamps = [frame.ts_recv for frame in made]
    assert stamps == sorted(stamps)
    epochs = [frame.epoch for frame in made if frame.kind is not FrameKind.STATUS]
    assert epochs == sorted(epochs)
    ends = [frame.kind for frame in made if frame.kind in (FrameKind.OPEN, FrameKind.CLOSE)]
    assert ends == [FrameKind.OPEN, FrameKind.CLOSE] * (len(ends) // 2) + [FrameKind.OPEN] * (len(ends) % 2)


def test_time_is_exact_where_something_can_wait() -> None:
    frames = Timed([(0, opened()), (1, text(1))], length=SECOND)
    made = frames.through(scenario("333ns cut(7us)", again=lambda now: ["hello"]), until=1)
    assert [(at, frame.kind) for at, frame in made.items] == [
        (0, FrameKind.OPEN),
        (1, FrameKind.TEXT),
        (333, FrameKind.CLOSE),
        (7333, FrameKind.OPEN),
        (7333, FrameKind.TEXT),
    ]


# -- at a twin -------------------------------------------------------------------------------------------


def test_a_twin_does_what_a_scenario_says() -> None:
    calls: list[tuple[str, object]] = []

    class Recorder(Twin):
        def gap(self, count: int = 1) -> None:
            calls.append(("gap", count))

        def corrupt(self) -> None:
            calls.append(("corrupt", None))

        def silence(self, seconds: float, about: str = "") -> None:
            calls.append(("silence", (seconds, about)))

        def refuse(self, seconds: float, status: int = 503) -> None:
            calls.append(("refuse", seconds))

        def disconnect(self, code: int = 1006, reason: str = "") -> None:
            calls.append(("disconnect", code))

        def provoke(self, fault: str, **details: object) -> None:
            calls.append((fault, details))

    said = (
        "drop(3)- mute(BTC/USD, 2s)- mute(1s)- corrupt(2) - truncate - refuse(3s) - cut- cut(4s)-"
        "wrong_checksum- exceeded_rate(requests=3)- announce(system=maintenance)|"
    )
    with faults.play(said, Recorder("kraken"), every=0.001) as played:
        assert played.join(5.0)
    assert played.done == 11
    assert calls == [
        ("gap", 3),
        ("silence", (2.0, "BTC/USD")),
        ("silence", (1.0, "")),
        ("corrupt", None),
        ("corrupt", None),
        ("corrupt", None),
        ("refuse", 3.0),
        ("disconnect", 1006),
        ("refuse", 4.0),
        ("disconnect", 1006),
        ("wrong_checksum", {}),
        ("exceeded_rate", {"requests": 3}),
        ("announce", {"system": "maintenance"}),
    ]


def test_a_line_does_what_only_lines_can() -> None:
    calls: list[tuple[str, float]] = []

    class Recorder(Proxy):
        def cut(self) -> None:
            calls.append(("cut", 0))

        def half_open(self) -> None:
            calls.append(("half_open", 0))

        def stall(self, seconds: float) -> None:
            calls.append(("stall", seconds))

        def trickle(self, rate: int, seconds: float) -> None:
            calls.append(("trickle", rate + seconds))

        def flap(self, seconds: float) -> None:
            calls.append(("flap", seconds))

        def garble(self, seconds: float) -> None:
            calls.append(("garble", seconds))

        def refuse(self, seconds: float) -> None:
            calls.append(("refuse", seconds))

    said = "cut cut(1s) refuse(2s) stall(3s) half_open trickle(1s) trickle(5, 2s) flap(4s) garble(5s)"
    twin = Twin("kraken")
    with faults.play(said, twin, proxy=Recorder(twin)) as played:
        assert played.join(5.0)
    assert calls == [
        ("cut", 0),
        ("refuse", 1.0),
        ("cut", 0),
        ("refuse", 2.0),
        ("stall", 3.0),
        ("half_open", 0),
        ("trickle", 101.0),
        ("trickle", 7.0),
        ("flap", 4.0),
        ("garble", 5.0),
    ]


def test_what_a_twin_cannot_do_is_said_before_anything_is_done() -> None:
    twin = Twin("kraken")
    with pytest.raises(Unsupported, match=r"nobody here can duplicate; there are drop, .*wrong_checksum"):
        faults.play("drop--duplicate", twin)
    with pytest.raises(Unsupported, match="nobody here can stall"):
        faults.play("stall(1s)", twin)
    with pytest.raises(ValueError, match="drop has no use for 'BTC/USD'"):
        faults.play("drop(BTC/USD)", twin)
    with pytest.raises(ValueError, match="details by name, as in requests=3"):
        faults.play("exceeded_rate(3)", twin)


def test_faults_that_are_closed_or_fail_stop_and_say_so() -> None:
    with Twin("kraken") as twin:
        played = faults.play("drop - drop 600s drop", twin, every=0.001)
        within(5.0, lambda: played.done >= 2)
        played.close()
        assert not played.join(5.0)
        assert played.done == 2
    played = faults.play("drop 600s drop", twin)
    with pytest.raises(RuntimeError, match="the twin has stopped"):
        played.join(5.0)
    assert played.done == 0


def test_what_fails_before_the_rest_is_there_ends_the_rest() -> None:
    class Hasty(Line):
        """Everything is due at once."""

        def at(self, due: int, action: Callable[[], object], *, first: bool = False) -> Disposable:
            action()
            return Disposable()

    played = faults.play("drop drop", Twin("kraken"), line=Hasty())
    with pytest.raises(RuntimeError, match="the twin has stopped"):
        played.join()
    assert played.done == 0


def test_nothing_to_play_is_played_at_once() -> None:
    assert faults.play("", Twin("kraken")).join()


@pytest.mark.parametrize("payload", ['{"channel":"status"}', b'{"channel":"status"}'])
def test_a_twin_can_be_silent_about_something(payload: str | bytes) -> None:
    with Twin("kraken") as twin:
        twin.silence(60.0, "status")
        assert twin._look(lambda: twin._server.faulty(Message(payload))) is None
        assert twin._look(lambda: twin._server.faulty(Message("other"))) == "other"
        twin.silence(0.0, "status")
        assert twin._look(lambda: twin._server.faulty(Message(payload))) == payload
