"""A WebSocket server in a process of its own that greets one client and floods it with ready-made frames.

python flood.py COUNT SIZE  → prints its port, serves clients one after the other for at most two minutes
"""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def frame(payload: bytes) -> bytes:
    """One unmasked text frame."""
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    return struct.pack(">BBH", 0x81, 126, len(payload)) + payload


def serve(count: int, size: int) -> None:
    """Answer the upgrade, send ``count`` text frames of ``size`` bytes in bulk, then a close frame."""
    payload = (b'{"channel":"trade","n":"' + b"x" * size)[: size - 2] + b'"}'
    block = frame(payload) * 1000
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(120)
    print(server.getsockname()[1], flush=True)
    while True:
        client, _ = server.accept()
        with client:
            client.settimeout(120)
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4096)
            key = next(
                line.split(b":", 1)[1].strip()
                for line in request.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key")
            )
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            client.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            try:
                for _ in range(count // 1000):
                    client.sendall(block)
                client.sendall(b"\x88\x02\x03\xe8")
                client.recv(4096)  # its close frame; the server closes first, RFC 6455 section 7.1.1
            except OSError:
                continue  # the client had enough; the next one comes


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
