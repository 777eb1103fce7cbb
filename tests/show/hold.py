"""Views held at 1,000 updates a second in a real kernel: does it answer, and does its memory stay?

::

    python -m tests.show.hold --seconds 60

starts a kernel, shows every view in it, feeds them from another thread, and meanwhile runs a cell four times
a second. What comes out: how long such a cell took, what the kernel's memory did, what browsers were sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from contextlib import suppress
from typing import Any, NamedTuple, Self

from jupyter_client.manager import AsyncKernelManager

FEED = """
import threading, time
from reactivex import Subject
from rtflow import Bar, OrderBook, Side, Status, Trade, show

items, over, fed = Subject(), threading.Event(), [0]
BTC, SECOND = "BTC/USD", 10**9


def item(n, now, book):
    if n % 4 == 3:
        side = Side.BUY if n % 8 == 3 else Side.SELL
        return Trade(BTC, now - 2_000_000, now, 100 + n % 3 / 10, 0.1 + n % 7, side)
    if n % 40 == 0:
        start, close = now // SECOND * SECOND, 100 + n % 9 / 10
        return Bar(BTC, start, start + SECOND, 100.0, 101.0, 99.0, close, 5.0, 9, 50.0, final=False)
    book.add("bid", 100 - (n % 25 + 1) / 10, 1.0 + n % 97)
    return book.view(BTC, now, now, venue="twin", depth=25)


def feed(rate):
    bids = [(100 - n / 10, 1.0 + n) for n in range(1, 26)]
    book = OrderBook.of(bids, [(100 + n / 10, 1.0 + n) for n in range(1, 26)])
    items.on_next(Status("open", time.time_ns()))
    begun = time.perf_counter()
    while not over.is_set():
        for _ in range(int((time.perf_counter() - begun) * rate) - fed[0]):
            items.on_next(item(fed[0], time.time_ns(), book))
            fed[0] += 1
        time.sleep(0.001)
"""

VIEWS = {
    "ladder": "show.ladder(items)",
    "depth": "show.depth(items)",
    "heatmap": "show.heatmap(items)",
    "spread": "show.spread(items)",
    "tape": "show.tape(items)",
    "candles": "show.candles(items)",
    "health": "show.health(items)",
    "marbles": "show.marbles(items=items)",
}


class Held(NamedTuple):
    """What was measured."""

    fed: int  # items
    answers: list[float]  # seconds from a cell's request to its reply
    memory: list[int]  # bytes of the kernel, once a second
    messages: int  # to browsers
    sent: int  # bytes of them

    def __str__(self) -> str:
        ranked = sorted(self.answers)
        first, last = self.memory[0] / 1e6, self.memory[-1] / 1e6
        return (
            f"{self.fed} items fed; {len(ranked)} cells answered in {1e3 * ranked[len(ranked) // 2]:.1f} ms"
            f" (median), {1e3 * ranked[-1]:.1f} ms at most; memory {first:.1f} MB at first, {last:.1f} MB at"
            f" last; {self.messages} messages, {self.sent / 1e3:.0f} kB to browsers"
        )


async def hold(seconds: float, *, views: list[str], rate: int = 1000, settle: float = 1.0) -> Held:
    """Show ``views`` for ``seconds`` after ``settle``, in which the first of everything is made."""
    async with Kernel() as kernel:
        await kernel.run(FEED)
        made = ", ".join(VIEWS[name] for name in views)
        await kernel.run(f"views = [{made}]\nfor view in views: display(view)")
        await kernel.run(f"threading.Thread(target=feed, args=({rate},), daemon=True).start()")
        kernel.ask_for_everything()
        await asyncio.sleep(settle)
        answers: list[float] = []
        memory: list[int] = []
        kernel.counted()
        before = int(await kernel.value("fed[0]"))
        begun = time.perf_counter()
        while (passed := time.perf_counter() - begun) < seconds:
            answers.append(await kernel.run("1 + 1"))
            if passed >= len(memory):
                memory.append(int(await kernel.value("__import__('psutil').Process().memory_info().rss")))
            await asyncio.sleep(0.25)
        messages, sent = kernel.counted()
        fed = int(await kernel.value("fed[0]")) - before
        ended = await kernel.value("[view for view in views if not view.live]")
        assert ended == "[]", f"ended by themselves: {ended}"
        await kernel.run("over.set()")
        return Held(fed, answers, memory, messages, sent)


class Kernel:
    """A kernel of its own, and what it tells its browsers."""

    def __init__(self) -> None:
        self.replaced: list[dict[str, Any]] = []
        """Outputs that took the place of earlier ones."""
        self._manager: Any = AsyncKernelManager()
        self._models: list[str] = []
        self._messages = self._bytes = 0

    async def __aenter__(self) -> Self:
        await self._manager.start_kernel(extra_arguments=["--log-level=ERROR"])
        self._client: Any = self._manager.client()
        self._client.start_channels()
        try:
            await self._client.wait_for_ready(timeout=60)
        except BaseException:
            await self._stop()
            raise
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader
        await self._stop()

    async def _stop(self) -> None:
        self._client.stop_channels()
        await self._manager.shutdown_kernel(now=True)

    async def run(self, code: str) -> float:
        """Seconds until the cell ``code`` has been answered."""
        begun = time.perf_counter()
        reply = await self._client.execute(code, reply=True, timeout=30)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"].get("traceback", []))
        return time.perf_counter() - begun

    async def value(self, expression: str) -> str:
        """What ``expression`` is in there, as text."""
        reply = await self._client.execute("", user_expressions={"it": expression}, reply=True, timeout=30)
        return str(reply["content"]["user_expressions"]["it"]["data"]["text/plain"])

    def ask_for_everything(self) -> None:
        """As a browser does that begins to show the views."""
        for model in self._models:
            content = {"comm_id": model, "data": {"method": "custom", "content": "whole"}}
            self._client.shell_channel.send(self._client.session.msg("comm_msg", content))

    def counted(self) -> tuple[int, int]:
        """Messages of the views, and their bytes, since this was last asked."""
        counted, (self._messages, self._bytes) = (self._messages, self._bytes), (0, 0)
        return counted

    async def _read(self) -> None:
        while True:
            message = await self._client.get_iopub_msg()
            content = message["content"]
            match message["msg_type"]:
                case "comm_open" if "start" in content["data"]["state"]:
                    self._models.append(content["comm_id"])
                case "comm_msg":
                    self._messages += 1
                    self._bytes += len(json.dumps(content)) + sum(len(each) for each in message["buffers"])
                case "update_display_data":
                    self.replaced.append(content["data"])


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--views", nargs="+", default=list(VIEWS), choices=VIEWS)
    options = parser.parse_args()
    print(asyncio.run(hold(options.seconds, views=options.views, rate=options.rate)))  # noqa: T201 - it is a command


if __name__ == "__main__":
    main()
