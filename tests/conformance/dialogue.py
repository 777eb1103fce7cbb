"""What a provider and a venue's twin say to each other without a socket, and other people's clients.

A dialogue runs in virtual time: one seed, one dialogue, byte for byte, thousands of frames in a moment.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rtflow.errors import RtflowError
from rtflow.events import Event, Frame, FrameKind
from rtflow.provider import Answer, Fetch, Provider, Refused, Subscription, Traffic
from rtflow.time import SECOND
from rtflow.twin.venue import Hangup, Venue
from tests.watching import within

TICK = SECOND // 100
PATIENCE = 20.0  # seconds that anything may take before a test fails


def official(module: str, package: str) -> Any:
    """Another people's module, as it is; skips where its package is not installed."""
    reason = f"{package} is not installed: pip install 'rtflow[conformance]'"
    logging.disable()  # some complain of what loopback_only does to them
    try:
        with loopback_only():
            return pytest.importorskip(module, reason=reason, exc_type=ImportError)
    finally:
        logging.disable(logging.NOTSET)


COINBASE = os.environ.get("COINBASE_ADVANCED_PY", "") and str(
    Path(os.environ["COINBASE_ADVANCED_PY"]).resolve()
)
"""The folder of coinbase-advanced-py: it wants a websockets before 14, and so cannot live beside us."""


def coinbase_advanced(module: str) -> Any:
    """A module of coinbase-advanced-py, with our websockets; skips where nobody says where it is."""
    if not COINBASE:
        pytest.skip(
            "coinbase-advanced-py is not installed: pip install --target FOLDER coinbase-advanced-py, "
            "and say COINBASE_ADVANCED_PY=FOLDER",
            allow_module_level=True,
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, COINBASE])  # behind everything else
        return official(module, "coinbase-advanced-py")


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
    """No name but this machine's is found: some clients call home when they are imported."""
    found = socket.getaddrinfo

    def find(host: Any, *rest: Any, **options: Any) -> Any:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not this machine")
        return found(host, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", find)
        yield


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Some clients leave files where they run."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def until(happened: Callable[[], object], what: object = "") -> None:
    """Wait for something that another thread does, not for ever."""
    assert within(PATIENCE, happened), f"it did not happen within {PATIENCE} s: {what}"


def dialogue(
    provider: Provider, subscription: Subscription, venue: Venue, seconds: float, *, data: bool = True
) -> list[Frame]:
    """What ``venue`` says in so many ``seconds`` of its time to whom ``provider`` speaks for.

    ``data``: only what counts as data.
    """
    request = provider.request(subscription)
    session = provider.session(subscription)
    address = urlsplit(request.url)
    place = address.path or "/"
    path = f"{place}?{address.query}" if address.query else place
    headers = dict(request.headers) | ({"Cookie": request.cookie} if request.cookie else {})
    conversation = venue.connect(path, headers)
    frames: list[Frame] = []

    def say(answers: Iterator[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, str | bytes):
                conversation.received(answer)
            elif isinstance(answer, Fetch):
                where = urlsplit(answer.url)
                page = venue.page(f"{where.path}?{where.query}", dict(answer.headers))
                assert page.status == 200, page
                hear(FrameKind.HTTP, answer.label.encode() + b"\n" + page.body)
            else:
                assert not isinstance(answer, RtflowError | Refused), answer

    def hear(kind: FrameKind, payload: bytes) -> None:
        frame = Frame(kind, payload, venue.now)
        traffic = session.classify(payload) if kind is not FrameKind.HTTP else Traffic.CONTROL
        if not data or traffic is Traffic.DATA or kind is FrameKind.HTTP:
            frames.append(frame)
        if traffic is Traffic.CONTROL:
            say(iter(list(session.received(frame))))

    session.started(venue.now)
    say(iter(list(session.opened())))
    until_stamp = venue.now + round(seconds * SECOND)
    while venue.now < until_stamp:
        while said := conversation.take():
            for each in said:
                assert not isinstance(each, Hangup), each
                kind = FrameKind.TEXT if isinstance(each.payload, str) else FrameKind.BINARY
                payload = each.payload.encode() if isinstance(each.payload, str) else each.payload
                hear(kind, payload)
        due = session.due()
        if due is not None and due <= venue.now:
            say(iter(list(session.wake(venue.now))))
        venue.advance(venue.now + TICK)
    return frames


def decoded(provider: Provider, frames: list[Frame]) -> list[Event]:
    """Everything one decoder makes of ``frames``."""
    decoder = provider.decoder()
    return [event for frame in frames for event in decoder.decode(frame)]
