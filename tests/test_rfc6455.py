"""Frames in, messages out, however the reads cut them; and the close code that each violation deserves."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtflow.rfc6455 import Opcode, Splitter, Violation, closing, encode

TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG

Item = tuple[Opcode, bytes] | int
"""A message, or the close code that a violation ended it all with."""


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, mask: bool = False
) -> bytes:
    """A server's frame, and some that no server may send."""
    first = (0x80 if final else 0) | reserved | opcode
    size = len(payload)
    if size < 126:
        head = bytes([first, size | (0x80 if mask else 0)])
    elif size < 65536:
        head = bytes([first, 126 | (0x80 if mask else 0)]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 127 | (0x80 if mask else 0)]) + size.to_bytes(8, "big")
    return head + (b"\0\0\0\0" if mask else b"") + payload


def items(chunks: Iterable[bytes], max_size: int = 1000) -> list[Item]:
    splitter = Splitter(max_size=max_size)
    found: list[Item] = []
    for chunk in chunks:
        runs = splitter.feed(chunk)
        assert all(payloads for _, payloads in runs)
        found += [(opcode, payload) for opcode, payloads in runs for payload in payloads]
    if splitter.violation is not None:
        found.append(splitter.violation.code)
    return found


def read_slowly(data: bytes, max_size: int = 1000) -> list[Item]:
    """The same, read as the document is written: one frame after the other, out of the whole."""
    found: list[Item] = []
    message: tuple[int, bytes] | None = None
    while len(data) >= 2:
        final, reserved, opcode = data[0] >> 7, (data[0] >> 4) & 7, data[0] & 15
        masked, size, head = data[1] >> 7, data[1] & 127, 2
        if reserved or masked or opcode not in (0, 1, 2, 8, 9, 10):
            return [*found, 1002]
        if opcode >= 8 and (not final or size > 125):
            return [*found, 1002]
        if (opcode == 0 and message is None) or (opcode in (1, 2) and message is not None):
            return [*found, 1002]
        if size >= 126:
            head = 4 if size == 126 else 10
            if len(data) < head:
                break
            size = int.from_bytes(data[2:head], "big")
            if size >= 1 << 63:
                return [*found, 1002]
        if opcode < 8 and size + (len(message[1]) if message else 0) > max_size:
            return [*found, 1009]
        if len(data) < head + size:
            break
        payload, data = data[head : head + size], data[head + size :]
        if opcode >= 8:
            if opcode == 8:
                if len(payload) == 1:
                    return [*found, 1002]
                if payload:
                    code = payload[0] * 256 + payload[1]
                    if code not in (*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)):
                        return [*found, 1002]
                    if not is_utf8(payload[2:]):
                        return [*found, 1007]
                return [*found, (CLOSE, payload)]
            found.append((Opcode(opcode), payload))
            continue
        message = (opcode, payload) if message is None else (message[0], message[1] + payload)
        if final:
            if message[0] == 1 and not is_utf8(message[1]):
                return [*found, 1007]
            found.append((Opcode(message[0]), message[1]))
            message = None
    return found


def is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


PAYLOADS = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=8).map(str.encode),
    st.sampled_from([0, 125, 126, 127, 300, 999, 1000, 1001]).map(lambda size: b"x" * size),
)
GOOD = st.builds(frame, st.sampled_from([1, 1, 1, 2, 9, 10]), PAYLOADS)
FRAGMENTED = st.lists(PAYLOADS, min_size=2, max_size=4).map(
    lambda parts: b"".join(
        frame(TEXT if n == 0 else CONTINUATION, part, final=n == len(parts) - 1) + frame(PING, b"p" * (n % 2))
        for n, part in enumerate(parts)
    )
)
ODD = st.builds(
    frame,
    st.integers(0, 15),
    PAYLOADS,
    final=st.booleans(),
    reserved=st.sampled_from([0, 0, 0, 0x40, 0x20, 0x10]),
    mask=st.sampled_from([False, False, False, True]),
)
CLOSES = st.builds(
    lambda code, reason: frame(CLOSE, code.to_bytes(2, "big") + reason),
    st.one_of(
        st.integers(0, 65535), st.sampled_from([1000, 1004, 1005, 1006, 1011, 1015, 2999, 3000, 4999, 5000])
    ),
    st.binary(max_size=4),
)
STREAMS = st.lists(st.one_of(GOOD, GOOD, FRAGMENTED, ODD, CLOSES, st.binary(max_size=4)), max_size=8).map(
    b"".join
)


@settings(max_examples=200, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 4000), max_size=12))
def test_any_cut_gives_what_reading_slowly_gives(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:stop] for start, stop in pairwise(edges)]
    assert items(chunks) == read_slowly(stream)


@settings(max_examples=50, deadline=None)
@given(STREAMS)
def test_even_byte_by_byte(stream: bytes) -> None:
    assert items(bytes([byte]) for byte in stream) == read_slowly(stream)


def test_messages_of_one_kind_come_as_one_run_and_control_frames_where_they_came() -> None:
    stream = (
        frame(TEXT, b"a") + frame(TEXT, b"b") + frame(PING, b"p") + frame(TEXT, b"c") + frame(BINARY, b"d")
    )
    runs = [(TEXT, [b"a", b"b"]), (PING, [b"p"]), (TEXT, [b"c"]), (BINARY, [b"d"])]
    assert Splitter().feed(stream) == runs


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
def test_each_way_to_spell_a_length(size: int) -> None:
    payload = b"x" * size
    assert items([frame(BINARY, payload) * 2], max_size=200_000) == [(BINARY, payload)] * 2


def test_a_length_spelled_longer_than_it_need_be_is_let_pass() -> None:
    assert items([bytes([0x81, 126, 0, 1]) + b"a", bytes([0x81, 127]) + bytes(7) + b"\x01b"]) == [
        (TEXT, b"a"),
        (TEXT, b"b"),
    ]


def test_a_long_message_in_many_reads_waits_without_being_copied() -> None:
    splitter = Splitter()
    stream = frame(BINARY, b"x" * 1_000_000)
    pieces = [stream[at : at + 1000] for at in range(0, len(stream), 1000)]
    for piece in pieces[:-1]:
        assert splitter.feed(piece) == []
    assert len(splitter._held) > 990
    assert splitter.feed(pieces[-1]) == [(BINARY, [b"x" * 1_000_000])]


def test_fragments_are_joined_around_the_control_frames_between_them() -> None:
    stream = (
        frame(TEXT, "€".encode()[:1], final=False)
        + frame(PING, b"1")
        + frame(CONTINUATION, "€".encode()[1:], final=False)
        + frame(PONG, b"2")
        + frame(CONTINUATION)
        + frame(TEXT, b"next")
    )
    assert items([stream]) == [(PING, b"1"), (PONG, b"2"), (TEXT, "€".encode()), (TEXT, b"next")]


VIOLATIONS: dict[str, tuple[bytes, int]] = {
    "masked": (frame(TEXT, b"a", mask=True), 1002),
    "reserved bit 1": (frame(TEXT, b"a", reserved=0x40), 1002),
    "reserved bit 2": (frame(TEXT, b"a", reserved=0x20), 1002),
    "reserved bit 3": (frame(TEXT, b"a", reserved=0x10), 1002),
    "opcode 3": (frame(3), 1002),
    "opcode 7": (frame(7), 1002),
    "opcode 11": (frame(11), 1002),
    "opcode 15": (frame(15), 1002),
    "a ping in fragments": (frame(PING, final=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"a"), 1002),
    "text inside fragments": (frame(TEXT, b"a", final=False) + frame(TEXT, b"b"), 1002),
    "binary fragment inside fragments": (frame(TEXT, final=False) + frame(BINARY, final=False), 1002),
    "a length with its highest bit set": (bytes([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]), 1002),
    "half a close code": (frame(CLOSE, b"\x03"), 1002),
    "close code 999": (frame(CLOSE, (999).to_bytes(2, "big")), 1002),
    "close code 1004": (frame(CLOSE, (1004).to_bytes(2, "big")), 1002),
    "close code 1005": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "close code 1006": (frame(CLOSE, (1006).to_bytes(2, "big")), 1002),
    "close code 1015": (frame(CLOSE, (1015).to_bytes(2, "big")), 1002),
    "close code 2999": (frame(CLOSE, (2999).to_bytes(2, "big")), 1002),
    "close code 5000": (frame(CLOSE, (5000).to_bytes(2, "big")), 1002),
    "a close reason that is not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "text that is not UTF-8": (frame(TEXT, b"\xc3\x28"), 1007),
    "text cut within a character": (frame(TEXT, "€".encode()[:2]), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "fragmented text that is not UTF-8": (
        frame(TEXT, b"\xe2", final=False) + frame(CONTINUATION, b"a"),
        1007,
    ),
    "a message that is too long": (frame(BINARY, b"x" * 1001), 1009),
    "fragments that are too long together": (
        frame(BINARY, b"x" * 600, final=False) + frame(CONTINUATION, b"x" * 401),
        1009,
    ),
    "the mere announcement of too much": (bytes([0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]), 1009),
}


@pytest.mark.parametrize(("stream", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
@pytest.mark.parametrize(
    "before", [b"", frame(TEXT, b"good"), frame(BINARY, b"good")], ids=["", "text", "binary"]
)
def test_a_violation_has_its_code_and_what_came_before_is_kept(
    before: bytes, stream: bytes, code: int
) -> None:
    *kept, end = items([before + stream + frame(TEXT, b"after"), frame(TEXT, b"after")])
    assert end == code
    assert kept == items([before])


def test_a_violation_says_what_it_was() -> None:
    splitter = Splitter()
    splitter.feed(frame(5))
    assert isinstance(splitter.violation, Violation)
    assert splitter.violation.reason == str(splitter.violation) == "a frame with the unknown opcode 5"


def test_the_longest_message_that_may_be_may_be() -> None:
    whole, ping = frame(BINARY, b"x" * 1000), frame(PING, b"y" * 125)
    parts = frame(BINARY, b"x" * 900, final=False) + ping + frame(CONTINUATION, b"x" * 100)
    message = (BINARY, b"x" * 1000)
    assert items([whole + parts, whole]) == [message, (PING, b"y" * 125), message, message]


def test_sixty_four_mebibytes_unless_told_otherwise() -> None:
    splitter = Splitter()
    splitter.feed(bytes([0x82, 127]) + (64 * 1024 * 1024).to_bytes(8, "big"))
    assert splitter.violation is None
    splitter = Splitter()
    splitter.feed(bytes([0x82, 127]) + (64 * 1024 * 1024 + 1).to_bytes(8, "big"))
    assert splitter.violation is not None


def test_nothing_is_heard_after_a_close_frame() -> None:
    close = frame(CLOSE, (1000).to_bytes(2, "big") + b"bye")
    assert items([frame(TEXT, b"a") + close + frame(TEXT, b"b"), frame(TEXT, b"c")]) == [
        (TEXT, b"a"),
        (CLOSE, b"\x03\xe8bye"),
    ]


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 1014, 3000, 4999])
def test_a_close_frame_says_its_code_and_reason(code: int) -> None:
    payload = code.to_bytes(2, "big") + "gute Nacht ☾".encode()
    assert items([frame(CLOSE, payload)]) == [(CLOSE, payload)]
    assert closing(payload) == (code, "gute Nacht ☾")


def test_a_close_frame_may_say_nothing() -> None:
    assert items([frame(CLOSE)]) == [(CLOSE, b"")]
    assert closing(b"") == (1005, "")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([TEXT, BINARY, CLOSE, PING, PONG]),
    st.one_of(
        st.binary(max_size=300), st.sampled_from([125, 126, 65_535, 65_536]).map(lambda n: b"\0a" * (n // 2))
    ),
    st.binary(min_size=4, max_size=4),
)
def test_what_we_send_is_masked_and_unmasks_to_what_was_said(
    opcode: Opcode, payload: bytes, mask: bytes
) -> None:
    sent = encode(opcode, payload, mask)
    plain = frame(opcode, payload)
    head = plain[: len(plain) - len(payload)]
    assert sent[: len(head)] == bytes([head[0], head[1] | 0x80]) + head[2:]
    assert sent[len(head) : len(head) + 4] == mask
    assert bytes(byte ^ mask[n % 4] for n, byte in enumerate(sent[len(head) + 4 :])) == payload
