"""One client's socket: RFC 6455 by the sans-IO half of websockets, the rest by the venue's dialect."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Protocol

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from rtflow.twin.venue import Conversation, Denied, Hangup, Message, Page, Venue

_FAREWELL = 0.3  # seconds that a client has to answer a close frame
_KERNEL = 1 << 17  # bytes on their way in the kernel


class Host(Protocol):
    """What a wire needs of the server that it belongs to."""

    deflate: bool
    venue: Venue
    clients: set[Wire]

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation: ...
    def page(self, path: str, headers: Mapping[str, str]) -> Page: ...
    def heard(self) -> None: ...
    def faulty(self, message: Message) -> str | bytes | None: ...


class Wire(asyncio.Protocol):
    """What carries one :class:`~rtflow.twin.venue.Conversation`; asyncio calls the first five methods."""

    def __init__(self, server: Host) -> None:
        self.choked = False
        self._server = server
        self._protocol = ServerProtocol(
            extensions=[ServerPerMessageDeflateFactory()] if server.deflate else None
        )
        self._conversation: Conversation | None = None
        self._fragments: list[bytes] = []
        self._text = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket was accepted."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # what waits for a slow reader is to wait here, where it is counted, and not unseen in the kernel
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL)
        self._server.clients.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._upgrade(event)
            else:
                assert isinstance(event, Frame)
                self._frame(event)
        self.speak()
        self.write()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self.choked = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.choked = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._server.clients.discard(self)
        if self._conversation is not None:
            self._server.venue.leave(self._conversation)

    @property
    def waiting(self) -> int:
        """Bytes that the socket would not take yet."""
        return self._transport.get_write_buffer_size()

    def speak(self) -> None:
        """Frame what the conversation has said; it leaves with the next :meth:`write`."""
        for said in self._conversation.take() if self._conversation is not None else ():
            if self._protocol.state is not OPEN:
                break
            if isinstance(said, Hangup):
                self.hang_up(said.code, said.reason)
                break
            payload = self._server.faulty(said)
            if isinstance(payload, str):
                self._protocol.send_text(payload.encode())
            elif payload is not None:
                self._protocol.send_binary(payload)

    def hang_up(self, code: int, reason: str) -> None:
        """Send a close frame, and cut whoever does not answer it."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self.write()
        asyncio.get_running_loop().call_later(_FAREWELL, self.abort)

    def cut_off(self) -> None:
        """The client is too slow: the venue's last words, if they still arrive."""
        assert self._conversation is not None, "nothing waits for who never upgraded"
        self._conversation.lagging()
        self.speak()
        self.write()

    def abort(self) -> None:
        """Cut the connection, and lose what was waiting."""
        self._transport.abort()

    def write(self) -> None:
        """Hand all that has been framed to the socket, at once."""
        parts = self._protocol.data_to_send()
        data = b"".join(parts)
        if data:
            self._transport.write(data)
        if b"" in parts:  # the end of what there is to say
            self._transport.close()

    def _upgrade(self, request: Request) -> None:
        if "Upgrade" not in request.headers:
            self._show(self._server.page(request.path, dict(request.headers.raw_items())))
            return
        try:
            self._conversation = self._server.connect(request.path, dict(request.headers.raw_items()))
        except Denied as denied:
            response = self._protocol.reject(denied.status, denied.text)
            response.headers.update(denied.headers)
            self._protocol.send_response(response)
        else:
            self._protocol.send_response(self._protocol.accept(request))

    def _show(self, page: Page) -> None:
        """Answer a plain GET; the connection ends with it."""
        response = self._protocol.reject(page.status, "")
        response.body = page.body
        del response.headers["Content-Length"], response.headers["Content-Type"]
        response.headers.update(
            {"Content-Length": str(len(page.body)), "Content-Type": page.content_type, **page.headers}
        )
        self._protocol.send_response(response)

    def _frame(self, frame: Frame) -> None:
        if self._conversation is None or frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return  # pings and close frames are the protocol's own business
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return
        message, self._fragments = b"".join(self._fragments), []
        self._server.heard()
        try:
            self._conversation.received(message.decode() if self._text else message)
        except UnicodeDecodeError:
            self._protocol.fail(1007, "text that is not UTF-8")
