"""What goes onto a tape comes back, byte for byte, or is said to be missing."""

from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rtflow import operators as op
from rtflow import tape
from rtflow.errors import DamagedTape, Disconnected
from rtflow.events import Bar, Frame, FrameKind, Lost
from rtflow.player import replay
from rtflow.providers import Kraken
from rtflow.rehearsal import Rehearsal, venue
from rtflow.scheduler import NanoScheduler
from rtflow.tape import Block, TapeWriter, blocks, read, record
from tests.recorded import (
    ALL,
    BLOCK,
    HEADER,
    SECOND,
    THREE,
    connection,
    flip,
    lost,
    recorded_by,
    text,
    write,
)

on_next, on_completed, on_error = ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.on_error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.tape"


# What is written is read.


frames = st.lists(
    st.builds(
        Frame,
        st.sampled_from(FrameKind),
        st.binary(max_size=40),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 2**32 - 1),
    )
)


@settings(max_examples=100, deadline=None)
@given(frames, st.floats(0, 1e9))
def test_any_frames_come_back_byte_for_byte(frames: list[Frame], flush_every: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tape"
        with TapeWriter(path, flush_every=flush_every) as writer:
            for frame in frames:
                writer.write(frame)
        assert list(read(path)) == frames
        assert recorded_by(replay(path)) == [*frames, "completed"]


def test_a_tape_is_laid_out_as_documented(path: Path) -> None:
    first = [Frame(FrameKind.OPEN, b"wss://x", 50, 3), Frame(FrameKind.CLOSE, b"", 40, 4)]
    write(path, first, [text(60, b"abc", 4)])
    data = path.read_bytes()
    head, own = data[:56], data[56:60]
    magic, version, count, index, earliest, latest, epoch, length, size, checksum = struct.unpack(
        "<8sIIQqqIIII", head
    )
    assert magic.hex(" ") == "93 72 74 66 6c 6f 77 0a"
    assert (version, count, index, earliest, latest, epoch) == (1, 2, 0, 40, 50, 4)
    assert own == struct.pack("<I", zlib.crc32(head))
    body = data[60 : 60 + size]
    assert checksum == zlib.crc32(body)
    raw = tape._zstd.decompress(body)
    assert len(raw) == length
    assert raw == struct.pack("<2q2I2I2B", 50, -10, 3, 4, 7, 0, 0, 3) + b"wss://x"
    assert struct.unpack("<8sIIQ", data[60 + size :][:24]) == (magic, 1, 1, 2)


def test_every_kind_has_the_documented_number() -> None:
    assert [kind.name for kind in tape._KINDS] == ["OPEN", "TEXT", "BINARY", "CLOSE", "HTTP", "STATUS"]
    assert set(tape._KINDS) == set(FrameKind)


def test_a_frame_may_be_empty_or_ten_mebibytes_wide(path: Path) -> None:
    wide = [text(1, b""), text(2, os.urandom(10 * 2**20)), text(3, b""), text(4, bytes(10 * 2**20)), text(5)]
    write(path, wide)
    assert list(read(path)) == wide


def test_a_hundred_thousand_frames_make_blocks_of_about_256_kib(path: Path) -> None:
    many = [text(stamp, b'{"price":%d}' % (stamp % 977), 1 + stamp // 60_000) for stamp in range(100_000)]
    write(path, many)
    assert list(read(path)) == many
    lengths = [block.length for block in blocks(path)]
    assert all(BLOCK <= length < BLOCK + 100 for length in lengths[:-1])
    assert len(lengths) > 10


def test_a_block_is_at_most_a_tenth_of_a_second_old(path: Path) -> None:
    write(path, [text(0), text(SECOND // 10 - 1), text(SECOND // 10), text(SECOND // 10 + 1), text(SECOND)])
    assert [block.count for block in blocks(path)] == [3, 2]


def test_a_block_is_full_at_exactly_256_kib(path: Path) -> None:
    row = 17
    write(path, [text(0, b""), text(1, bytes(BLOCK - 2 * row)), text(2)])
    assert [(block.count, block.length) for block in blocks(path)] == [(2, BLOCK), (1, row + 2)]


def test_stamps_may_go_back(path: Path) -> None:
    back = [text(10 * SECOND), text(9 * SECOND), text(11 * SECOND), text(-5)]
    write(path, back)
    assert list(read(path)) == back
    assert [(block.ts_first, block.ts_last) for block in blocks(path)] == [
        (9 * SECOND, 11 * SECOND),
        (-5, -5),
    ]


def test_an_empty_tape_has_no_frames(path: Path) -> None:
    write(path)
    assert path.read_bytes() == b""
    assert list(read(path)) == []
    assert recorded_by(replay(path)) == ["completed"]


def test_blocks_are_read_in_parallel(path: Path) -> None:
    write(path, *THREE)
    with ThreadPoolExecutor(2) as pool:
        assert [f for group in pool.map(partial(Block.read, path=path), blocks(path)) for f in group] == ALL


@pytest.mark.parametrize(
    ("since", "until"),
    [(None, None), (103, 302), (200, 206), (206, 300), (306, None), (205, 301), (None, 305), (None, 300)],
)
def test_only_the_frames_of_the_wanted_time_come(path: Path, since: int | None, until: int | None) -> None:
    write(path, *THREE)
    low, high = since or 0, until or 1000
    wanted = [frame for frame in ALL if low <= frame.ts_recv < high]
    assert list(read(path, since=since, until=until)) == wanted
    assert recorded_by(replay(path, since=since, until=until)) == [*wanted, "completed"]


def test_a_hole_in_the_wanted_time_ends_nothing(path: Path) -> None:
    write(path, [text(100), text(300)], [text(200), text(200)])
    assert recorded_by(replay(path, since=150, until=250)) == [text(200), text(200), "completed"]


def test_blocks_out_of_the_wanted_time_are_not_read(path: Path) -> None:
    write(path, *THREE)
    first, second, third = blocks(path)
    flip(path, first.offset + HEADER)
    flip(path, third.offset + HEADER)
    assert list(read(path, since=second.ts_first, until=second.ts_last + 1)) == THREE[1]


# What cannot be written.


@pytest.mark.parametrize(
    "frame",
    [text(2**63), text(-(2**63) - 1), text(1, epoch=2**32), text(1, epoch=-1)],
)
def test_a_frame_that_does_not_fit_is_refused_and_its_neighbours_stay(path: Path, frame: Frame) -> None:
    with TapeWriter(path) as writer:
        writer.write(text(1))
        with pytest.raises(ValueError, match="a tape holds"):
            writer.write(frame)
        writer.write(text(2))
    assert list(read(path)) == [text(1), text(2)]


def test_a_payload_has_a_largest_length(path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(tape, "_LONGEST", BLOCK)
    with TapeWriter(path) as writer:
        writer.write(text(1, bytes(BLOCK)))
        with pytest.raises(ValueError, match="payloads up to 262144 bytes, not 262145"):
            writer.write(text(2, bytes(BLOCK + 1)))
    assert [frame.ts_recv for frame in read(path)] == [1]


def test_a_closed_tape_takes_nothing(path: Path) -> None:
    writer = TapeWriter(path)
    writer.write(text(1))
    writer.close()
    writer.close()
    writer.flush()
    with pytest.raises(ValueError, match="is closed"):
        writer.write(text(2))
    assert list(read(path)) == [text(1)]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: the same partial write and OSError as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_an_error_that_says_what_is_missing(path: Path) -> None:
    write(path, ALL)
    size = path.stat().st_size
    writer = TapeWriter(path)
    writer.write(text(1_000))
    writer.write(text(1_001))
    with room_for(size + 20), pytest.raises(OSError, match="2 frames from index 18 on are not on it") as full:
        writer.flush()
    assert full.value.errno == errno.EFBIG
    assert full.value.filename == str(path)
    assert path.stat().st_size == size, "the part that fitted is taken back"
    assert writer.due is None
    with pytest.raises(ValueError, match="is closed"):
        writer.write(text(1_002))
    writer.close()
    assert list(read(path)) == ALL


def test_a_full_disk_ends_the_recording_with_its_error(path: Path) -> None:
    endless = [text(stamp * SECOND // 10) for stamp in range(100)]
    with room_for(200):
        *passed, failure = recorded_by(reactivex.from_iterable(endless).pipe(record(path)))
    assert isinstance(failure, OSError)
    assert "not on it" in str(failure)
    assert list(read(path)) == passed[: len(list(read(path)))]


def test_a_full_disk_at_the_completion_is_an_error(path: Path) -> None:
    with room_for(0):
        seen = recorded_by(reactivex.of(text(1)).pipe(record(path)))
    assert seen[0] == text(1)
    assert isinstance(seen[1], OSError)
    assert len(seen) == 2


def test_a_full_disk_when_the_source_fails_is_the_error_that_is_told(path: Path) -> None:
    broken = reactivex.concat(reactivex.of(text(1)), reactivex.throw(Disconnected("gone")))
    with room_for(0):
        seen = recorded_by(broken.pipe(record(path)))
    assert isinstance(seen[1], OSError)
    assert seen[1].__notes__ == ["the source had just failed with Disconnected('gone')"]


def test_a_full_disk_at_the_dispose_raises_there(path: Path) -> None:
    source: Subject[Frame] = Subject()
    subscription = source.pipe(record(path)).subscribe()
    source.on_next(text(1))
    with room_for(0), pytest.raises(OSError, match="not on it"):
        subscription.dispose()


def test_fsync_waits_for_the_disk_at_each_flush(path: Path, mocker: MockerFixture) -> None:
    fsync = mocker.spy(os, "fsync")
    write(path, *THREE)
    assert fsync.call_count == 0
    write(path, *THREE, overwrite=True, fsync=True)
    assert fsync.call_count == 3


def test_a_tape_has_one_writer_at_a_time(path: Path) -> None:
    pytest.importorskip("fcntl")
    with TapeWriter(path) as writer:
        writer.write(text(1))
        [refused] = recorded_by(reactivex.of(text(2)).pipe(record(path, overwrite=True)))
        assert isinstance(refused, BlockingIOError)
        assert "another recording" in str(refused)
    assert list(read(path)) == [text(1)]


def test_a_system_without_file_locks_records_as_well(path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(tape, "_fcntl", None)
    write(path, ALL)
    assert list(read(path)) == ALL


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    [failure] = recorded_by(reactivex.of(text(1)).pipe(record(tmp_path / "none" / "a.tape")))
    assert isinstance(failure, FileNotFoundError)


@pytest.mark.parametrize("ask", [TapeWriter.close, TapeWriter.flush])
def test_a_dispose_from_another_thread_leaves_the_closing_to_the_one_that_writes(
    path: Path, mocker: MockerFixture, ask: Callable[[TapeWriter], None]
) -> None:
    write_all = tape._write_all

    def interrupted(*arguments: Any) -> None:
        other = threading.Thread(target=ask, args=(writer,))
        other.start()
        other.join(10)
        assert not other.is_alive(), "it must not wait for us"
        writer._frames.append(text(5))  # a frame that came in while we write
        mocker.stop(patched)
        write_all(*arguments)

    patched = mocker.patch.object(tape, "_write_all", interrupted)
    writer = TapeWriter(path)
    writer.write(text(1))
    writer.flush()
    assert writer._file.closed == (ask is TapeWriter.close)
    writer.close()
    assert list(read(path)) == [text(1), text(5)]


# Damage.


def whole_before(path: Path, size: int) -> tuple[int, int]:
    """The bytes and frames of the blocks that end within the first ``size`` bytes."""
    offset = index = 0
    for block in blocks(path):
        if block.end.offset <= size:
            offset, index = block.end.offset, block.end.index
    return offset, index


def test_a_cut_at_any_byte_is_told_and_everything_before_it_is_whole(path: Path) -> None:
    write(path, *THREE)
    data, at = path.read_bytes(), path.with_name("cut.tape")
    for size in range(len(data)):
        at.write_bytes(data[:size])
        offset, index = whole_before(path, size)
        got = list(read(at))
        assert got[:index] == ALL[:index]
        if offset == size:
            assert len(got) == index, "a cut between blocks is a shorter tape"
        else:
            [status] = got[index:]
            assert lost(status).where == "tape"
            assert recorded_by(replay(at))[index:] == [status, "completed"]
            with pytest.raises(DamagedTape) as damaged:
                list(read(at, damaged="raise"))
            assert damaged.value.offset == offset
            *before, error = recorded_by(replay(at, damaged="raise"))
            assert before == ALL[:index]
            assert isinstance(error, DamagedTape)


def test_a_flip_of_any_byte_is_told_and_everything_before_it_is_whole(path: Path) -> None:
    write(path, *THREE)
    data, at = path.read_bytes(), path.with_name("flipped.tape")
    last = list(blocks(path))[-1].offset
    for offset in range(len(data)):
        at.write_bytes(data)
        flip(at, offset, bit=offset % 8)
        start, index = whole_before(path, offset)
        *before, end = recorded_by(replay(at, damaged="raise"))
        assert before == ALL[:index]
        assert isinstance(end, DamagedTape)
        assert end.offset == start
        *before, end = recorded_by(replay(at))
        if offset >= last:
            assert end == "completed"
            lost(before.pop())
        else:
            assert isinstance(end, DamagedTape), "whole blocks behind it: frames are missing in the middle"
        assert before == ALL[:index]


def test_a_tail_with_a_whole_header_says_how_much_is_lost(path: Path) -> None:
    write(path, *THREE)
    os.truncate(path, path.stat().st_size - 1)
    status = list(read(path))[-1]
    assert lost(status) == Lost("", "frames", 6, ts_first=300, ts_last=305, where="tape", ts_recv=305)
    assert (status.ts_recv, status.epoch) == (305, 3)
    assert list(read(path, until=0)) == [status], "also when those frames were not asked for"


def test_a_tail_without_a_header_is_lost_after_the_last_stamp(path: Path) -> None:
    write(path, *THREE)
    os.truncate(path, list(blocks(path))[-1].offset + 10)
    status = list(read(path))[-1]
    assert lost(status) == Lost("", "frames", 0, ts_first=205, ts_last=205, where="tape", ts_recv=205)
    assert (status.ts_recv, status.epoch) == (205, 2)


def test_damage_in_the_middle_says_which_frame_is_missing_and_where_whole_blocks_go_on(path: Path) -> None:
    write(path, *THREE)
    _, second, third = blocks(path)
    flip(path, second.offset + HEADER)
    with pytest.raises(DamagedTape) as damaged:
        list(read(path))
    assert damaged.value.reason == (
        f"frame 6 should be at byte {second.offset}; the next whole block there is, "
        f"at byte {third.offset}, begins with frame 12"
    )
    with pytest.raises(DamagedTape):
        TapeWriter(path)


@pytest.mark.parametrize("distance", [*range(-9, 3), 3 * BLOCK])  # the search goes by 256 KiB
def test_a_whole_block_far_behind_the_damage_is_found(path: Path, distance: int) -> None:
    write(path, *THREE)
    first, _, third = blocks(path)
    data = path.read_bytes()
    flipped = bytes([data[first.end.offset - 1] ^ 1])
    decoys = tape._MAGIC * 2 + data[: first.end.offset - 1] + flipped
    rubbish = b"?" + decoys + bytes(BLOCK + distance - len(decoys))
    path.write_bytes(data[: first.end.offset] + rubbish + data[third.offset :])
    with pytest.raises(DamagedTape, match="begins with frame 12"):
        list(read(path))


def test_a_block_that_was_taken_out_is_missed(path: Path) -> None:
    write(path, *THREE)
    first, second, _ = blocks(path)
    data = path.read_bytes()
    path.write_bytes(data[: first.end.offset] + data[second.end.offset :])
    assert isinstance(recorded_by(replay(path))[6], DamagedTape)
    path.write_bytes(data[second.offset :])
    with pytest.raises(DamagedTape, match="frame 0 should be at byte 0"):
        list(read(path))
    with pytest.raises(DamagedTape, match="begins with frame 6"):
        list(blocks(path))


def test_what_is_no_tape_is_neither_read_nor_continued(path: Path) -> None:
    path.write_text("dear diary")
    with pytest.raises(DamagedTape, match="no tape: it begins with b'dear dia'"):
        list(read(path))
    [error] = recorded_by(reactivex.of(text(1)).pipe(record(path)))
    assert isinstance(error, DamagedTape)
    assert path.read_text() == "dear diary"


def block_of(
    raw: bytes, *, count: int, version: int = 1, body: bytes | None = None, length: int = 0
) -> bytes:
    body = tape._zstd.compress(raw, 1) if body is None else body
    sizes = (length or len(raw), len(body), zlib.crc32(body))
    head = struct.pack("<8sIIQqqIIII", b"\x93rtflow\n", version, count, 0, 0, 0, 1, *sizes)
    return head + struct.pack("<I", zlib.crc32(head)) + body


def test_a_block_of_a_later_version_is_refused_and_not_cut_off(path: Path) -> None:
    data = block_of(b"", count=1, version=2)
    path.write_bytes(data)
    for attempt in (lambda: list(read(path)), lambda: TapeWriter(path)):
        with pytest.raises(DamagedTape, match="of version 2; this rtflow reads 1"):
            attempt()
    assert path.read_bytes() == data


ROW = struct.pack("<qIIB", 5, 1, 1, 1)


@pytest.mark.parametrize(
    "data",
    [
        block_of(struct.pack("<qIIB", 5, 1, 1, 6) + b"x", count=1),  # no such kind
        block_of(ROW + b"xy", count=1),  # a byte too many
        block_of(ROW, count=1),  # a byte too few
        block_of(ROW + b"x", count=2),  # a row too few
        block_of(b"", count=0),
        block_of(b"", count=1, body=b"not zstd"),
        block_of(ROW + b"x", count=1, length=17),  # more in it than promised
        block_of(ROW + b"xyz", count=1, length=18),
        block_of(ROW + b"x", count=1, length=19),
    ],
)
def test_a_block_with_right_sums_and_wrong_contents_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(DamagedTape, match="not written by rtflow"):
        list(read(path))


def test_a_good_block_made_by_hand_is_read(path: Path) -> None:
    path.write_bytes(block_of(ROW + b"x", count=1))
    assert list(read(path)) == [text(5, b"x")]


def test_a_magic_with_its_own_sum_is_no_header(path: Path) -> None:
    path.write_bytes(tape._MAGIC + struct.pack("<I", zlib.crc32(tape._MAGIC)))
    assert [frame.kind for frame in read(path)] == [FrameKind.STATUS]


# Continuing a tape.


def test_a_tape_is_continued(path: Path) -> None:
    for group in THREE:
        assert recorded_by(reactivex.from_iterable(group).pipe(record(path))) == [*group, "completed"]
    assert list(read(path)) == ALL
    assert [block.index for block in blocks(path)] == [0, 6, 12]


def test_a_tape_is_overwritten_when_asked(path: Path) -> None:
    write(path, ALL)
    write(path, [text(1)], overwrite=True)
    assert list(read(path)) == [text(1)]
    path.write_text("dear diary")
    write(path, [text(2)], overwrite=True)
    assert list(read(path)) == [text(2)]


def test_a_damaged_tail_is_cut_off_before_a_tape_is_continued_and_that_is_on_it(path: Path) -> None:
    write(path, *THREE)
    os.truncate(path, path.stat().st_size - 1)
    more = connection(4, 400)
    status, *passed = recorded_by(reactivex.from_iterable(more).pipe(record(path)))
    assert lost(status) == Lost("", "frames", 6, ts_first=300, ts_last=305, where="tape", ts_recv=305)
    assert passed == [*more, "completed"]
    assert list(read(path, damaged="raise")) == [*THREE[0], *THREE[1], status, *more]


def test_a_cut_off_tail_is_told_even_if_nothing_comes_after(path: Path) -> None:
    write(path, *THREE)
    os.truncate(path, path.stat().st_size - 1)
    status, end = recorded_by(reactivex.from_iterable(list[Frame]()).pipe(record(path)))
    assert (lost(status).count, end) == (6, "completed")
    assert list(read(path, damaged="raise"))[-1] == status


def test_a_run_whose_epochs_would_repeat_is_numbered_on(path: Path) -> None:
    write(path, connection(1, 100), connection(2, 200))
    passed = recorded_by(
        reactivex.from_iterable([*connection(1, 300), *connection(2, 400)]).pipe(record(path))
    )
    assert [frame.epoch for frame in passed[:-1]] == [1] * 6 + [2] * 6, "what is passed on is unchanged"
    assert [frame.epoch for frame in read(path)] == [1] * 6 + [2] * 6 + [3] * 6 + [4] * 6
    write(path, [text(500, epoch=1)])
    assert [frame.epoch for frame in read(path)][-1] == 5, "also without an OPEN"


def test_a_run_after_a_damaged_tail_is_numbered_on_from_what_was_lost(path: Path) -> None:
    write(path, connection(1, 100), connection(2, 200))
    os.truncate(path, path.stat().st_size - 1)
    writer = TapeWriter(path)
    assert writer.recovered is not None
    assert list(read(path)) == [*connection(1, 100), writer.recovered], "it is said at once"
    with writer:
        for frame in connection(1, 300):
            writer.write(frame)
    assert [frame.epoch for frame in read(path)] == [1] * 6 + [2] + [3] * 6


def test_the_same_connection_goes_on_in_the_same_epoch(path: Path) -> None:
    write(path, [text(1, epoch=3)])
    write(path, [text(2, epoch=3)])
    assert [frame.epoch for frame in read(path)] == [3, 3]


class Flaky:
    """A feed whose every connection is lost; each subscription is the next one."""

    def __init__(self) -> None:
        self.epoch = 0
        self.frames: list[Frame] = []

    def connect(self) -> Observable[Frame]:
        def subscribe(
            observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            self.epoch += 1
            for frame in connection(self.epoch, self.epoch * 100):
                self.frames.append(frame)
                observer.on_next(frame)
            observer.on_error(Disconnected("gone"))
            return Disposable()

        return Observable(subscribe)


@pytest.mark.parametrize("there", [False, True])
def test_a_retry_above_continues_the_tape(path: Path, there: bool, mocker: MockerFixture) -> None:
    if there:
        write(path, [text(1)])
    walk = mocker.spy(tape, "_walk")
    feed = Flaky()
    *passed, error = recorded_by(feed.connect().pipe(record(path, overwrite=True), ops.retry(4)))
    assert isinstance(error, Disconnected)
    assert passed == feed.frames
    assert walk.call_count == 0, "its own end it knows"
    assert list(read(path)) == feed.frames
    assert [block.index for block in blocks(path)] == [0, 6, 12, 18]


def test_a_tape_that_another_continued_meanwhile_is_read_again(path: Path) -> None:
    feed = Flaky()
    recorder = feed.connect().pipe(record(path))
    recorded_by(recorder)
    write(path, [text(150)])
    recorded_by(recorder)
    assert list(read(path)) == [*feed.frames[:6], text(150), stopped(150, 1), *feed.frames[6:]]


def opened(stamp: int, epoch: int) -> Frame:
    return Frame(FrameKind.OPEN, b"wss://example.org/v2", stamp, epoch)


def stopped(stamp: int, epoch: int) -> Frame:
    payload = b'{"error":"Disconnected","reason":"the recording stopped here"}'
    return Frame(FrameKind.CLOSE, payload, stamp, epoch)


def test_a_run_that_just_stopped_is_closed_where_it_stopped_by_the_next(path: Path) -> None:
    write(path, [opened(10, 1), text(20, epoch=1)])
    write(path, [opened(90, 1), text(95, epoch=1)])
    first, second = [opened(10, 1), text(20, epoch=1)], [opened(90, 2), text(95, epoch=2)]
    assert list(read(path)) == [*first, stopped(20, 1), *second]


def test_of_several_connections_those_that_stopped_are_closed(path: Path) -> None:
    closing = Frame(FrameKind.CLOSE, b"{}", 30, 1)
    write(path, [opened(10, 1), opened(15, 2), text(20, epoch=1), text(25, epoch=2), closing])
    write(path, [opened(90, 3)])
    assert [*read(path)][5:] == [stopped(30, 2), opened(90, 3)]


def test_a_run_that_ended_by_itself_is_left_as_it_is(path: Path) -> None:
    retrying = Frame(FrameKind.STATUS, b"{}", 40, 1)
    first = [opened(10, 1), text(20, epoch=1), Frame(FrameKind.CLOSE, b"{}", 30, 1), retrying]
    write(path, first)
    write(path, [opened(90, 2)])
    assert list(read(path)) == [*first, opened(90, 2)]


def test_a_bar_over_a_stopped_recording_says_that_it_has_a_hole(path: Path) -> None:
    kraken = Kraken()
    for start in 1_700_000_000, 1_700_000_028:
        listed = venue("kraken", seed=start, symbols="BTC/USD", start=start * SECOND)
        show = Rehearsal(kraken, listed, trades="BTC/USD")
        with show.pipe(record(path)).subscribe(scheduler=show.scheduler):
            show.advance(15)
    bars: list[Bar] = []
    replay(path).pipe(op.normalize(kraken), op.window_to_bar(every=10)).subscribe(bars.append)
    marks = [(bar.start // SECOND % 1_700_000_000, bar.gap, bar.partial) for bar in bars]
    assert marks == [
        (0, False, None),
        (10, True, None),
        (20, True, None),
        (30, False, None),
        (40, False, "end"),
    ]


# Recording.


def test_what_came_before_an_error_is_in_the_file_when_the_error_leaves(path: Path) -> None:
    there: list[Frame] = []
    source = reactivex.concat(reactivex.from_iterable(ALL), reactivex.throw(Disconnected("gone")))
    source.pipe(record(path)).subscribe(on_error=lambda _: there.extend(read(path)))
    assert there == ALL


def test_what_came_before_a_dispose_is_in_the_file_after_it(path: Path) -> None:
    seen = recorded_by(reactivex.from_iterable(ALL).pipe(record(path), ops.take(4)))
    assert seen == [*ALL[:4], "completed"]
    assert list(read(path)) == ALL[:4]
    with TapeWriter(path):
        pass  # it is nobody's any more


def test_what_waits_is_flushed_when_nothing_comes(path: Path) -> None:
    scheduler = NanoScheduler()
    source: Subject[Frame] = Subject()
    source.pipe(record(path, flush_every=0.25)).subscribe(scheduler=scheduler)
    for stamp in (SECOND, SECOND + 7):
        scheduler.advance_to(stamp)
        source.on_next(text(stamp))
    scheduler.advance_to(SECOND + SECOND // 4 - 1)
    assert list(read(path)) == []
    scheduler.advance_to(SECOND + SECOND // 4)
    assert list(read(path)) == [text(SECOND), text(SECOND + 7)]
    scheduler.advance_to(9 * SECOND)
    source.on_next(text(9 * SECOND))
    scheduler.run()
    assert [block.count for block in blocks(path)] == [2, 1]
    source.on_completed()


def test_a_full_disk_at_a_flush_by_time_is_an_error(path: Path) -> None:
    scheduler = NanoScheduler()
    source: Subject[Frame] = Subject()
    seen = recorded_by(source.pipe(record(path)), scheduler)
    source.on_next(text(0))
    with room_for(0):
        scheduler.run()
    assert [type(each) for each in seen] == [Frame, OSError]


def test_a_recording_is_transparent_under_the_stock_test_scheduler(path: Path) -> None:
    scheduler = TestScheduler()
    messages = [on_next(210, ALL[0]), on_next(230, ALL[1]), on_completed(250)]
    got = scheduler.start(lambda: scheduler.create_hot_observable(*messages).pipe(record(path)))
    assert got.messages == messages
    assert list(read(path)) == ALL[:2]


def test_a_recording_passes_the_error_on_when_it_comes(path: Path) -> None:
    scheduler = TestScheduler()
    messages = [on_next(210, ALL[0]), on_error(230, Disconnected("gone"))]
    got = scheduler.start(lambda: scheduler.create_hot_observable(*messages).pipe(record(path)))
    assert got.messages == messages
    assert isinstance(vars(got.messages[1].value)["exception"], Disconnected)


RECORDS = """
import sys
from rtflow.events import Frame, FrameKind
from rtflow.tape import TapeWriter

writer = TapeWriter(sys.argv[1])
for stamp in range(10**9):
    writer.write(Frame(FrameKind.TEXT, b"frame %d" % stamp, stamp * 1_000_000))
    if not stamp % 100:
        print(writer.end.index, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_a_killed_recording_has_lost_nothing_that_was_flushed(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", RECORDS, str(path)], stdout=subprocess.PIPE) as process:
        limit = threading.Timer(60, process.kill)
        limit.start()
        assert process.stdout is not None
        flushed = 0
        while flushed < 20_000:
            line = process.stdout.readline()
            assert line, "it should have gone on"
            flushed = int(line)
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read().split()
        process.wait(10)
        limit.cancel()
    flushed = max([flushed, *map(int, said[:-1])])  # the last line may be cut
    got = [frame for frame in read(path) if frame.kind is FrameKind.TEXT]
    assert len(got) >= flushed
    assert got == [text(i * 1_000_000, b"frame %d" % i) for i in range(len(got))]
    write(path, [text(0, epoch=2)])
    assert list(read(path, damaged="raise"))[: len(got)] == got
