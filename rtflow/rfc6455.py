"""RFC 6455 without a socket: bytes in, messages out, and frames to send.

The client's side of https://www.rfc-editor.org/rfc/rfc6455: sections 5 (framing), 7.4 (close codes) and 8.1
(UTF-8 in text). No extension is negotiated, so the reserved bits must be 0.

    >>> splitter = Splitter()
    >>> splitter.feed(bytes.fromhex("8103 616263 8900 81"))
    [(<Opcode.TEXT: 1>, [b'abc']), (<Opcode.PING: 9>, [b''])]
    >>> splitter.feed(bytes.fromhex("02 6869"))
    [(<Opcode.TEXT: 1>, [b'hi'])]
"""

from __future__ import annotations

import enum
from struct import Struct
from typing import TypeAlias


class Opcode(enum.IntEnum):
    """What a frame holds: RFC 6455 section 5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


Run: TypeAlias = tuple[Opcode, list[bytes]]
"""Whole messages of one kind that came one after another; never empty, never ``CONTINUATION``."""

MAX_SIZE = 64 * 1024 * 1024  # bytes


class Violation(Exception):
    """The other side broke the protocol; ``code`` is the close code to leave with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Splitter:
    """Cuts what a server sends into messages, however the reads cut it.

    :meth:`feed` gives whole messages (fragments joined, control frames where they came) as runs. When the
    server breaks the protocol, :attr:`violation` says how; what came before it is still given. After a
    violation or a close frame the splitter hears nothing more.

    ``max_size`` bounds a message, in bytes. A length spelled with more bytes than it needs is let pass.
    """

    def __init__(self, *, max_size: int = MAX_SIZE) -> None:
        self.violation: Violation | None = None
        self._max_size = max_size
        self._over = False
        self._held: list[bytes] = []  # the beginning of a frame whose end has not come
        self._held_size = 0
        self._needed = 0  # bytes without which there is no going on
        self._fragments: list[bytes] = []
        self._fragments_size = 0
        self._fragments_of: Opcode | None = None

    def feed(self, chunk: bytes) -> list[Run]:
        """The messages that ``chunk`` completes, in order."""
        if self._over:
            return []
        self._held.append(chunk)
        self._held_size += len(chunk)
        if self._held_size < self._needed:
            return []  # and nothing was copied: a long message costs its length once, not once per read
        data = chunk if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        runs: list[Run] = []
        try:
            rest = data[self._split(data, runs) :]
        except Violation as violation:
            self.violation = violation
            self._over = True
        else:
            if rest:
                self._held.append(rest)
                self._held_size = len(rest)
        return runs

    def _split(self, data: bytes, runs: list[Run]) -> int:
        """Put the messages of ``data`` into ``runs``; where the first frame begins that is not all there."""
        end = len(data)
        last_head = end - 4
        max_size = self._max_size
        position = 0
        while True:
            # Any frame, carefully: it may begin a run of its like ...
            stop = self._frame(data, position, runs)
            if stop == position:
                return position
            position = stop
            if self._fragments_of is not None or not runs or runs[-1][0] > Opcode.BINARY:
                continue
            # ... and those of the same first byte, one whole message each, go through here, quickly.
            opcode, run = runs[-1]
            is_text = opcode is Opcode.TEXT
            whole = 0x80 | opcode
            while position <= last_head:
                first, second, length = _head(data, position)
                if first != whole or second > 126:
                    break
                if second < 126:
                    start = position + 2
                    length = second
                else:
                    start = position + 4
                stop = start + length
                if stop > end or length > max_size:
                    break
                payload = data[start:stop]
                if is_text and not payload.isascii():
                    _check_text(payload)
                run.append(payload)
                position = stop

    def _frame(self, data: bytes, position: int, runs: list[Run]) -> int:
        """Take the frame at ``position``; returns its end, or ``position`` if it is not all there."""
        available = len(data) - position
        if self._over or available < 2:
            self._needed = 2
            return position
        first, length = data[position], data[position + 1]
        opcode = self._opcode(first, length)
        start = position + 2
        if length > 125:
            start += 2 if length == 126 else 8
            if len(data) < start:
                self._needed = start - position
                return position
            length = int.from_bytes(data[position + 2 : start])
            if length >> 63:
                raise Violation(1002, "a length with its highest bit set")
        if self._fragments_size + length > self._max_size and opcode <= Opcode.BINARY:
            raise Violation(1009, f"a message of more than {self._max_size} bytes")
        stop = start + length
        if len(data) < stop:
            self._needed = stop - position
            return position
        self._take(opcode, bool(first & 0x80), data[start:stop], runs)
        return stop

    def _opcode(self, first: int, second: int) -> Opcode:
        """The opcode of a frame that begins with these two bytes, if it may come now."""
        if first & 0x70:
            raise Violation(1002, "a frame with reserved bits set")
        opcode = _OPCODES.get(first & 0x0F)
        if opcode is None:
            raise Violation(1002, f"a frame with the unknown opcode {first & 0x0F}")
        if second & 0x80:
            raise Violation(1002, "a masked frame from a server")
        if opcode >= Opcode.CLOSE:
            if not first & 0x80:
                raise Violation(1002, "a control frame in fragments")
            if second > 125:
                raise Violation(1002, "a control frame of more than 125 bytes")
        elif opcode is Opcode.CONTINUATION:
            if self._fragments_of is None:
                raise Violation(1002, "a continuation of nothing")
        elif self._fragments_of is not None:
            raise Violation(1002, "a new message inside a fragmented one")
        return opcode

    def _take(self, opcode: Opcode, final: bool, payload: bytes, runs: list[Run]) -> None:
        """Make of one frame a message, or a part of one."""
        if opcode <= Opcode.BINARY:
            if not final and opcode is not Opcode.CONTINUATION:
                self._fragments_of = opcode
            if self._fragments_of is not None:
                if payload:
                    self._fragments.append(payload)
                    self._fragments_size += len(payload)
                if not final:
                    return
                opcode, self._fragments_of = self._fragments_of, None
                payload = b"".join(self._fragments)
                self._fragments.clear()
                self._fragments_size = 0
            if opcode is Opcode.TEXT and not payload.isascii():
                _check_text(payload)
        elif opcode is Opcode.CLOSE:
            _check_close(payload)
            self._over = True
        if runs and runs[-1][0] is opcode:
            runs[-1][1].append(payload)
        else:
            runs.append((opcode, [payload]))


def encode(opcode: Opcode, payload: bytes, mask: bytes) -> bytes:
    """One whole client frame: RFC 6455 section 5.3 wants a fresh, unpredictable ``mask`` of 4 bytes each.

    >>> encode(Opcode.TEXT, b"Hello", bytes.fromhex("37fa213d")).hex(" ")
    '81 85 37 fa 21 3d 7f 9f 4d 51 58'
    """
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2)
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8)
    key = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload) ^ int.from_bytes(key)  # all of it in one stroke
    return head + mask + masked.to_bytes(size)


def closing(payload: bytes) -> tuple[int, str]:
    """The code and the reason that a close frame's payload says; 1005 where it says nothing.

    >>> closing(b"\\x03\\xe8bye"), closing(b"")
    ((1000, 'bye'), (1005, ''))
    """
    return (int.from_bytes(payload[:2]), payload[2:].decode()) if payload else (1005, "")


_OPCODES = {opcode.value: opcode for opcode in Opcode}

_head = Struct(">BBH").unpack_from


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise Violation(1007, "a text message that is not UTF-8") from None


def _check_close(payload: bytes) -> None:
    """Section 7.4: which codes may be on the wire."""
    if not payload:
        return
    code = int.from_bytes(payload[:2])
    if len(payload) == 1:
        raise Violation(1002, "a close frame with half a code")
    if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise Violation(1002, f"a close frame with the code {code}, which may not be sent")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise Violation(1007, "a close reason that is not UTF-8") from None
