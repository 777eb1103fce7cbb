"""tape: frames recorded to a file, byte for byte, and read back.

    >>> import tempfile, reactivex
    >>> from rtflow.events import Frame, FrameKind
    >>> frames = [Frame(FrameKind.OPEN, b"wss://example.org", 1), Frame(FrameKind.TEXT, b"{}", 2)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "day.tape"
    ...     _ = reactivex.from_iterable(frames).pipe(record(path)).subscribe()
    ...     list(read(path)) == frames
    True

The file
--------
A tape is a sequence of blocks and nothing else. A block stands by itself: it can be skipped, found by time
and read in parallel with others. All numbers are little-endian. ::

    byte  size  header (60 bytes)
       0     8  magic: 93 72 74 66 6c 6f 77 0a
       8     4  version, unsigned: 1
      12     4  count of frames, unsigned, at least 1
      16     8  index of the first frame, unsigned; counts from 0 through the whole tape
      24     8  earliest ts_recv in the block, ns, signed
      32     8  latest ts_recv in the block, ns, signed
      40     4  epoch of the last frame, unsigned
      44     4  length of the columns and payloads before compression, unsigned
      48     4  length of the body, unsigned
      52     4  CRC-32 of the body
      56     4  CRC-32 of bytes 0 to 55
      60        body: one zstd frame (level 1) of, for ``count`` frames,
                  8 * count  ts_recv, signed: the first as it is, each other less the one before it
                  4 * count  epoch, unsigned
                  4 * count  length of the payload, unsigned
                  1 * count  kind: 0 OPEN, 1 TEXT, 2 BINARY, 3 CLOSE, 4 HTTP, 5 STATUS
                  the payloads, end to end

A block is written at once when it holds 256 KiB or is 100 ms old, so a process that is killed loses that much
and nothing that was flushed. What is cut or flipped is detected by the sums, and everything before it is
whole: a damaged *tail* is reported and the tape may be continued; damage with whole blocks behind it is a
missing index, and always an error.

What we send is not on a tape, and neither are headers: a tape holds no secret.
"""

from __future__ import annotations

import math
import os
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from io import FileIO
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec.structs import replace
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rtflow.errors import DamagedTape
from rtflow.events import Closing, Frame, FrameKind, Lost
from rtflow.kernel import Kernel, Operator, lift
from rtflow.time import Duration, nanoseconds

Damaged: TypeAlias = Literal["report", "raise"]
"""What a damaged tail does to a reader: a ``STATUS`` frame at the end, or :class:`DamagedTape`."""


def record(
    path: str | os.PathLike[str],
    *,
    flush_every: Duration = 0.1,
    fsync: bool = False,
    overwrite: bool = False,
) -> Operator[Frame, Frame]:
    """Every frame goes to the tape at ``path``, and on, unchanged.

    ::

        --f1--f2-----f3--X      a feed that breaks
        [ record("a.tape") ]
        --f1--f2-----f3--X      and f1, f2, f3 are on the tape before the X leaves

    Put it below the retry, ``feed.pipe(record(path), op.retry_with_backoff(), …)``: each subscription
    carries on where the tape ends. An existing tape is continued too, unless ``overwrite`` says to begin
    anew (at the first subscription only); if its tail is damaged, the tail is cut off and the first thing
    that is recorded, and emitted, is a ``STATUS`` frame with a ``Lost`` that says so. A run before it that
    just stopped, killed or disposed, is ended by a ``CLOSE`` where it stopped. A run whose epochs
    would repeat or go back, because another process counted them, is numbered on from the tape's last
    epoch; the frames passed on keep their own.

    Frames reach the file every ``flush_every`` (seconds or ``timedelta``, of ``ts_recv``; a timer on the
    subscription's scheduler or the running line sees to it when nothing comes), every 256 KiB, and before
    an error, the completion or a dispose is through; ``fsync`` waits each time until the disk has them.

    Ends with OSError when the tape cannot be opened or written (no space, no right, or another recording
    is writing it), with DamagedTape when the existing file is no tape or is damaged before its tail, and
    with ValueError for a frame that a tape cannot hold.
    """
    tape = Path(path)
    last: TapeWriter | None = None

    def recorded(source: Observable[Frame]) -> Observable[Frame]:
        def subscribe(
            observer: abc.ObserverBase[Frame], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            nonlocal last
            writer = last = TapeWriter(
                tape,
                flush_every=flush_every,
                fsync=fsync,
                overwrite=overwrite and last is None,
                after=None if last is None else last.end,
            )

            def on_error(error: Exception) -> None:
                try:
                    writer.close()
                except OSError as failure:
                    failure.add_note(f"the source had just failed with {error!r}")
                    error = failure  # a retry above must not go on without its tape
                observer.on_error(error)

            subscription = lift(lambda: _Recording(writer))(source).subscribe(
                observer.on_next, on_error, observer.on_completed, scheduler=scheduler
            )
            return CompositeDisposable(subscription, Disposable(writer.close))

        return Observable(subscribe)

    return recorded


def read(
    path: str | os.PathLike[str],
    *,
    since: int | None = None,
    until: int | None = None,
    damaged: Damaged = "report",
) -> Iterator[Frame]:
    """The frames of a tape, one by one, without Rx; options and errors are those of :func:`replay`."""
    return chain.from_iterable(chunks_of(Path(path), since, until, damaged))


def chunks_of(
    path: Path, since: int | None = None, until: int | None = None, damaged: Damaged = "report"
) -> Iterator[list[Frame]]:
    """What :func:`read` gives, in lists, none of them empty; the file is closed while they are looked at."""
    begin, stop = -math.inf if since is None else since, math.inf if until is None else until
    end: End | None = _START
    try:
        while end is not None:
            end, frames = _next_wanted(path, end, begin, stop)
            if frames:
                yield frames
    except _Torn as torn:
        if damaged == "raise":
            raise
        yield [torn.frame]


def blocks(path: str | os.PathLike[str]) -> Iterator[Block]:
    """The blocks of a tape in order, from their headers alone.

    To read a tape in parallel, give each worker a part:
    ``pool.imap(partial(Block.read, path=path), blocks(path))`` gives lists of frames in order.

    Raises, after the last whole block, DamagedTape where the tape is damaged, and OSError.
    """
    with Path(path).open("rb") as file:
        yield from _walk(file, _START)


class Block(msgspec.Struct, frozen=True):
    """What the header of one block says."""

    offset: int  # of its first byte in the file
    version: int
    count: int
    index: int  # of its first frame
    ts_first: int  # the earliest and the latest ts_recv
    ts_last: int
    epoch: int  # of its last frame
    length: int  # of the body, before and after compression
    compressed: int
    checksum: int

    def read(self, path: str | os.PathLike[str]) -> list[Frame]:
        """Its frames, out of the tape at ``path``. Raises DamagedTape if the body is not what was written."""
        with Path(path).open("rb") as file:
            return _decode(self, _body(file, self))

    @property
    def end(self) -> End:
        """Where the next block begins."""
        return End(self.offset + _HEAD + self.compressed, self.index + self.count, self.epoch, self.ts_last)


class End(msgspec.Struct, frozen=True):
    """How far a tape reaches: bytes, frames, its last epoch and stamp, and the epochs left open."""

    offset: int = 0
    index: int = 0
    epoch: int = 0
    ts_last: int = 0
    open: tuple[int, ...] = ()


class TapeWriter:
    """Writes frames to a tape; what :func:`record` is made of, for those who have no Observable.

    A context manager. Continues an existing tape unless ``overwrite``; ``after`` is the :attr:`end` of an
    earlier writer of the same tape, and saves reading it again. One thread writes; any may flush or close.
    For the rest, options, errors and the numbering of epochs are those of :func:`record`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with TapeWriter(Path(folder) / "one.tape") as tape:
    ...         tape.write(Frame(FrameKind.BINARY, b"\\x00", ts_recv=7, epoch=3))
    ...     next(read(Path(folder) / "one.tape")).epoch, tape.end.index
    (3, 1)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        flush_every: Duration = 0.1,
        fsync: bool = False,
        overwrite: bool = False,
        after: End | None = None,
    ) -> None:
        self._path = Path(path)
        self._flush_every = nanoseconds(flush_every)
        self._fsync = fsync
        self._file = _open(self._path)
        try:
            self._end, torn = (_START, None) if overwrite else _reach(self._file, after)
            self._file.truncate(self._end.offset)
        except BaseException:
            self._file.close()
            raise
        self._frames: list[Frame] = []
        self._held = 0  # bytes before compression
        self._first = self._due = 0  # stamps between which a frame needs no second look: none yet
        self._epoch = 0
        self._shift: int | None = None  # continues the epochs of the tape; None before the first frame
        self._closing = False
        self._turn = [None]  # who has popped it writes to the file: list.pop is one step for all threads
        self.recovered = None if torn is None else torn.frame
        """The ``STATUS`` frame that reports the damaged tail that was cut off; the first that was written."""
        if self.recovered is not None:
            self.write(self.recovered)
            self.flush()
            self._shift = None  # the run is yet to begin

    @property
    def end(self) -> End:
        """How far the tape reaches in the file; frames not yet flushed are beyond it."""
        return self._end

    @property
    def due(self) -> int | None:
        """The stamp at which what is held should be flushed; None when nothing is."""
        return self._due if self._frames else None

    def write(self, frame: Frame) -> None:
        """Put ``frame`` on the tape, and in the file when the block is full or old enough.

        Raises OSError when the file cannot take it, which closes the tape, and ValueError when ``ts_recv``
        is not a signed number of 64 bits, ``epoch`` not an unsigned one of 32, the payload (almost) 4 GiB or
        longer, or the tape closed.
        """
        held = self._held + len(frame.payload) + _ROW
        if self._first <= frame.ts_recv < self._due and held < _BLOCK and frame.epoch == self._epoch:
            self._frames.append(frame)
            self._held = held
        else:
            self._look(frame)

    def flush(self) -> None:
        """Write what is held to the file. Raises OSError, and closes the tape, when it cannot."""
        self._settle()

    def close(self) -> None:
        """Flush and close; a second time does nothing. Raises OSError when the flush does.

        If another thread is writing at this moment, that one closes when it has.
        """
        self._closing = True
        self._settle()

    def __enter__(self) -> TapeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look(self, frame: Frame) -> None:
        """The first frame of a block or of an epoch, the last of a block, or one that does not fit."""
        if self._closing:
            raise ValueError(f"the tape {self._path} is closed")
        if self._shift is None and self._end.open:
            self._close_what_was_left(frame)
        shift = self._continues(frame) if self._shift is None else self._shift
        if not -(2**63) <= frame.ts_recv < 2**63:
            raise ValueError(f"a tape holds stamps of 64 bits, not ts_recv={frame.ts_recv}")
        if not 0 <= frame.epoch <= _MOST - shift:
            raise ValueError(f"a tape holds epochs of 32 bits, not epoch={frame.epoch}")
        if len(frame.payload) > _LONGEST:
            raise ValueError(f"a tape holds payloads up to {_LONGEST} bytes, not {len(frame.payload)}")
        self._shift = shift
        if not self._frames:
            self._first, self._due = frame.ts_recv, frame.ts_recv + self._flush_every
        self._epoch = frame.epoch
        self._held += len(frame.payload) + _ROW
        self._frames.append(frame)
        if self._held >= _BLOCK or frame.ts_recv >= self._due:
            self._settle()

    def _close_what_was_left(self, first: Frame) -> None:
        """A run that just stopped (killed, disposed) has no CLOSE, unless ``first`` goes on with it.

        It gets one, where it stopped: a replay's timers run on from there to the next connection, and should
        know that there is none.
        """
        goes_on = None if first.kind is FrameKind.OPEN else first.epoch
        closing = msgspec.json.encode(Closing("Disconnected", "the recording stopped here"))
        stamp, left = self._end.ts_last, [epoch for epoch in self._end.open if epoch != goes_on]
        self._frames = [Frame(FrameKind.CLOSE, closing, stamp, epoch) for epoch in left]
        self.flush()

    def _continues(self, first: Frame) -> int:
        """What to add to the epochs of a run that begins with ``first``."""
        epoch = self._end.epoch
        repeats = first.epoch < epoch or (first.epoch == epoch and first.kind is FrameKind.OPEN)
        return epoch + 1 - first.epoch if repeats and self._end.index else 0

    def _settle(self) -> None:
        """Do what is wanted of the file, unless another thread is at it: then that one does it."""
        while not self._file.closed and (self._frames or self._closing):
            try:
                self._turn.pop()
            except IndexError:
                return
            try:
                if self._frames:
                    self._write_block()
                else:
                    self._file.close()
            finally:
                self._turn.append(None)

    def _write_block(self) -> None:
        frames = self._frames[:]  # the writing thread may add one meanwhile; it goes into the next block
        self._first = self._due = self._held = 0
        block, end = _encode(frames, self._end, self._shift or 0)
        try:
            _write_all(self._file, block)
            if self._fsync:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._closing = True
            with suppress(OSError):  # where even this fails, a torn tail stays, which readers recover from
                self._file.truncate(self._end.offset)
            self._file.close()
            self._frames.clear()
            raise OSError(
                error.errno,
                f"the tape cannot be written ({error.strerror}): {len(frames)} frames from index "
                f"{self._end.index} on are not on it",
                str(self._path),
            ) from error
        self._end = end
        del self._frames[: len(frames)]


class _Recording(Kernel[Frame, Frame]):
    """A writer as a kernel: its timer flushes what waits when nothing comes."""

    def __init__(self, writer: TapeWriter) -> None:
        self._writer = writer
        self._write = writer.write
        self._first: tuple[Frame, ...] = () if writer.recovered is None else (writer.recovered,)

    def push(self, item: Frame) -> tuple[Frame, ...]:
        self._write(item)
        if not self._first:
            return (item,)
        first, self._first = self._first, ()
        return (*first, item)

    def flush(self) -> tuple[Frame, ...]:
        self._writer.close()
        return self._first

    def due(self) -> int | None:
        return self._writer.due

    def wake(self, now: int) -> tuple[Frame, ...]:
        self._writer.flush()
        return ()


# The format. Everything below turns frames into blocks and blocks into frames.

_MAGIC = b"\x93rtflow\n"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQqqIIII")  # and its own CRC-32 behind it
_HEAD = _HEADER.size + 4
_ROW = 8 + 4 + 4 + 1  # bytes of columns per frame
_BLOCK = 256 * 1024
_MOST = 2**32 - 1
_LONGEST = _MOST - _BLOCK - _ROW  # a payload may come on top of an almost full block
_START = End()
_KINDS = (
    FrameKind.OPEN,
    FrameKind.TEXT,
    FrameKind.BINARY,
    FrameKind.CLOSE,
    FrameKind.HTTP,
    FrameKind.STATUS,
)
_CODES = {kind._value_: code for code, kind in enumerate(_KINDS)}  # hashing an enum's member is slow
_DATA = bytes(_CODES[kind._value_] for kind in (FrameKind.TEXT, FrameKind.BINARY, FrameKind.HTTP))

_zstd: Any = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
_fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None  # not on Windows


class _Torn(DamagedTape):
    """The tail is damaged and nothing whole stands behind it."""

    def __init__(self, reason: str, *, end: End, block: Block | None) -> None:
        super().__init__(reason, offset=end.offset)
        count, first, last, epoch = 0, end.ts_last, end.ts_last, end.epoch
        if block is not None:  # the header is whole, and knows what was in it
            count, first, last, epoch = block.count, block.ts_first, block.ts_last, block.epoch
        lost = Lost("", "frames", count, ts_first=first, ts_last=last, where="tape", ts_recv=last)
        self.frame = Frame(FrameKind.STATUS, msgspec.json.encode(lost), last, epoch)


def _encode(frames: list[Frame], end: End, shift: int) -> tuple[bytes, End]:
    """One block to stand at ``end``, and where the tape ends then."""
    count = len(frames)
    payloads = [frame.payload for frame in frames]
    kinds = bytes([_CODES[frame.kind._value_] for frame in frames])
    stamps = np.array([frame.ts_recv for frame in frames], "<i8")
    steps = stamps.copy()
    steps[1:] -= stamps[:-1]  # may wrap, and the sum then wraps back
    epochs = [frame.epoch + shift for frame in frames]
    whole_numbers = f"<{count}I"
    raw = b"".join(
        (
            steps.tobytes(),
            struct.pack(whole_numbers, *epochs),
            struct.pack(whole_numbers, *map(len, payloads)),
            kinds,
            *payloads,
        )
    )
    body: bytes = _zstd.compress(raw, 1)
    first, last, epoch = int(stamps.min()), int(stamps.max()), epochs[-1]
    sizes = (len(raw), len(body), zlib.crc32(body))
    head = _HEADER.pack(_MAGIC, _VERSION, count, end.index, first, last, epoch, *sizes)
    head += zlib.crc32(head).to_bytes(4, "little")
    lives = kinds.translate(None, _DATA)  # most blocks are of data alone, and change nothing
    left = _left_open(frames, shift, end.open) if lives or epoch not in end.open else end.open
    return head + body, End(end.offset + len(head) + len(body), end.index + count, epoch, last, left)


def _left_open(frames: Iterable[Frame], shift: int, before: Iterable[int] = ()) -> tuple[int, ...]:
    """The epochs that ``frames`` leave without a CLOSE."""
    left = dict.fromkeys(before)
    for frame in frames:
        if frame.kind is FrameKind.CLOSE:
            left.pop(frame.epoch + shift, None)
        elif frame.kind is not FrameKind.STATUS:  # which may stand behind a CLOSE
            left[frame.epoch + shift] = None
    return tuple(left)


def _decode(block: Block, body: bytes) -> list[Frame]:
    count, columns = block.count, block.count * _ROW
    try:
        decompressor = _zstd.ZstdDecompressor()
        raw: bytes = decompressor.decompress(body, max_length=block.length)
        stamps = np.frombuffer(raw, "<i8", count).cumsum()
        epochs = np.frombuffer(raw, "<u4", count, 8 * count)
        ends = np.frombuffer(raw, "<u4", count, 12 * count).cumsum(dtype=np.int64) + columns
        kinds = [_KINDS[code] for code in raw[16 * count : columns]]
        length = int(ends[-1])
    except (ValueError, IndexError, _zstd.ZstdError) as error:
        raise _broken(block, str(error)) from error
    if not decompressor.eof or not len(raw) == block.length == length:
        raise _broken(block, "its lengths do not add up")
    cuts: list[int] = ends.tolist()
    payloads = [raw[start:stop] for start, stop in zip([columns, *cuts], cuts, strict=False)]
    return list(map(Frame, kinds, payloads, stamps.tolist(), epochs.tolist()))


def _broken(block: Block, why: str) -> DamagedTape:
    return DamagedTape(
        f"the sums of the block at byte {block.offset} are right, but it was not written by rtflow: {why}",
        offset=block.offset,
    )


def _next_wanted(path: Path, end: End, begin: float, stop: float) -> tuple[End | None, list[Frame]]:
    with path.open("rb") as file:
        for block in _walk(file, end):
            if block.ts_last >= begin and block.ts_first < stop:
                frames = _decode(block, _body(file, block))
                if block.ts_first < begin or block.ts_last >= stop:
                    frames = [frame for frame in frames if begin <= frame.ts_recv < stop]
                return block.end, frames
    return None, []


def _walk(file: BinaryIO, end: End) -> Iterator[Block]:
    """The blocks from ``end`` on, by their headers."""
    while True:
        file.seek(end.offset)
        head = file.read(_HEAD)
        if not head:
            return
        block = _parse(head, end.offset)
        if block is None:
            raise _damage(file, end, None, "is cut or flipped in its header")
        if block.version != _VERSION:
            raise DamagedTape(
                f"the block at byte {end.offset} is of version {block.version}; this rtflow reads {_VERSION}",
                offset=end.offset,
            )
        if block.index != end.index:
            raise _missing(end, block)
        if block.end.offset > os.fstat(file.fileno()).st_size:
            raise _damage(file, end, block, "is cut")
        yield block
        end = block.end


def _parse(head: bytes, offset: int) -> Block | None:
    """The header at ``offset``, if that is what it is."""
    said, own = head[:-4], head[-4:]
    if len(head) < _HEAD or not said.startswith(_MAGIC) or zlib.crc32(said) != int.from_bytes(own, "little"):
        return None
    _, version, count, index, first, last, epoch, length, compressed, checksum = _HEADER.unpack(said)
    return Block(offset, version, count, index, first, last, epoch, length, compressed, checksum)


def _body(file: BinaryIO, block: Block) -> bytes:
    file.seek(block.offset + _HEAD)
    body = file.read(block.compressed)
    if zlib.crc32(body) != block.checksum:
        raise _damage(file, End(block.offset, block.index), block, "is flipped in its body")
    return body


def _damage(file: BinaryIO, end: End, block: Block | None, what: str) -> DamagedTape:
    """What it means that the block at ``end``, whose header is ``block`` if that is whole, is not."""
    file.seek(end.offset)
    begins = file.read(len(_MAGIC))
    if not end.offset and not _MAGIC.startswith(begins):
        return DamagedTape(f"this is no tape: it begins with {begins!r}", offset=0)
    later = _find_whole(file, end.offset + 1)
    if later is not None:
        return _missing(end, later)
    return _Torn(
        f"the last block, at byte {end.offset}, {what}; the {end.index} frames before it are whole",
        end=end,
        block=block,
    )


def _missing(end: End, later: Block) -> DamagedTape:
    return DamagedTape(
        f"frame {end.index} should be at byte {end.offset}; the next whole block there is, "
        f"at byte {later.offset}, begins with frame {later.index}",
        offset=end.offset,
    )


def _find_whole(file: BinaryIO, offset: int) -> Block | None:
    """The first whole block at or after ``offset``, wherever it stands."""
    window = b""
    while True:
        file.seek(offset + len(window))
        more = file.read(_BLOCK)
        if not more:
            return None
        window += more
        at = window.find(_MAGIC)
        while at >= 0:
            file.seek(offset + at)
            block = _parse(file.read(_HEAD), offset + at)
            if block is not None and zlib.crc32(file.read(block.compressed)) == block.checksum:
                return block
            at = window.find(_MAGIC, at + 1)
        kept = window[1 - len(_MAGIC) :]  # a magic may lie across two readings
        offset += len(window) - len(kept)
        window = kept


def _open(path: Path) -> FileIO:
    """The file, ours alone to append to: two writers would braid their blocks."""
    file = path.open("a+b", buffering=0)
    if _fcntl is not None:
        try:
            _fcntl.flock(file, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            why = f"another recording may be writing this tape ({error.strerror})"
            raise OSError(error.errno, why, str(path)) from error
    return file


def _reach(file: FileIO, after: End | None) -> tuple[End, _Torn | None]:
    """How far the tape is whole, and what is wrong with the rest if there is one."""
    if after is not None and after.offset == os.fstat(file.fileno()).st_size:
        return after, None
    end, last, torn = _START, None, None
    try:
        for block in _walk(file, end):
            last = block, _body(file, block)
            end = block.end
    except _Torn as damage:
        torn = damage
    if last is not None:  # of several connections, one that was silent all through the last block goes unseen
        end = replace(end, open=_left_open(_decode(*last), 0))
    return end, torn


def _write_all(file: FileIO, data: bytes) -> None:
    """A full disk takes a part, and fails at the next attempt."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
