"""View: a picture that is fed by a pipeline's thread and shown by the notebook's loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

from reactivex import Observable, abc

from rtflow.book import BookState, OrderBook
from rtflow.show._cell import Rerun
from rtflow.show._picture import Picture
from rtflow.show._png import png
from rtflow.show._theme import THEMES, Theme

Take: TypeAlias = Callable[[Any], None]
FASTEST = 20.0


class View:
    """What ``show.ladder`` and its siblings give: name it in a cell to see it, or write it to a file.

    It takes items on whichever thread brings them and keeps what is to be seen, no more. While it is shown,
    the notebook's own loop tells the browser what changed, ``rate`` times a second at most: nothing is sent
    from another thread, and nothing waits for the browser. A cell that keeps the loop busy holds the view up
    for as long; ``await asyncio.sleep(10)`` lets it go on where ``time.sleep(10)`` does not.

    It stops by :meth:`stop`, when its cell runs again, and when its streams have ended; then it is a picture,
    which is what the document keeps. A view of finished items is one from the beginning, and needs no extra.
    """

    def __init__(
        self, picture: Picture, feeds: Iterable[tuple[Observable[Any] | Iterable[Any], Take]], *, rate: float
    ) -> None:
        if not 0 < rate <= FASTEST:
            raise ValueError(f"a view changes up to {FASTEST:g} times a second, not {rate!r}")
        self._picture = picture
        self._every = 1 / rate
        self._lock = threading.RLock()
        self._subscriptions: list[abc.DisposableBase] = []
        self._open = 0  # streams that have not ended
        self._stopped = False
        self._due = False  # a message is on its way already, or nobody looks
        self._last = 0.0  # when the loop told the browser something
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._widget: Any = None
        self._shown: list[Any] = []  # the places in the document where it can be replaced
        self._rerun = Rerun(self._leave)
        self._begin(list(feeds))

    @classmethod
    def of(cls, picture: Picture, source: Any, *, rate: float) -> View:
        """A view of one source, or of one item."""
        return cls(picture, [(stream(source), picture.take)], rate=rate)

    @property
    def live(self) -> bool:
        """Whether more may come."""
        return self._open > 0 and not self._stopped

    def stop(self) -> None:
        """Take no more; the picture stays as it is."""
        self._end("stopped")

    async def watch(self, seconds: float) -> None:
        """Let it run so long, or until its streams end; then stop, so that the document keeps the picture.

        For a notebook that is run from end to end: ``await view.watch(5)``.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.live and (left := end - loop.time()) > 0:
            await asyncio.sleep(min(left, self._every))
        self.stop()

    def svg(self, *, width: int = 640, theme: Theme = "auto") -> str:
        """The picture as it stands, ``width`` CSS pixels wide: SVG with nothing outside itself.

        ``theme`` is ``"light"``, ``"dark"``, or ``"auto"``, which follows the page and needs a browser: name
        one for other readers of SVG.
        """
        if theme not in THEMES:
            raise ValueError(f"a theme is one of {', '.join(THEMES)}, not {theme!r}")
        if width < 200:
            raise ValueError(f"a picture is 200 pixels wide or more, not {width}")
        with self._lock:
            return self._picture.svg(width, theme)

    def html(self, *, width: int = 640, theme: Theme = "auto") -> str:
        """The picture as a ``<figure>`` to put into a page."""
        return f'<figure style="margin:0">{self.svg(width=width, theme=theme)}</figure>'

    def save(self, path: str | Path, *, width: int = 640, theme: Theme = "light", scale: float = 2.0) -> Path:
        """Write the picture to ``path``, as its ending says: ``.svg``, ``.html`` or ``.png``.

        A PNG has ``scale`` pixels to each of CSS, and is made by a Chromium or Chrome on this machine.
        Raises ValueError for another ending, FileNotFoundError where a PNG is wanted and there is no browser.
        """
        target = Path(path)
        match target.suffix:
            case ".svg":
                target.write_text(self.svg(width=width, theme=theme), "utf-8")
            case ".html":
                target.write_text(_page(self.html(width=width, theme=theme), theme), "utf-8")
            case ".png":
                svg = self.svg(width=width, theme=theme)
                target.write_bytes(png(_page(svg, theme), svg, scale=scale))
            case other:
                raise ValueError(
                    f"a picture is saved as .svg, .html or .png, not as {other or target.name!r}"
                )
        return target

    def _begin(self, feeds: list[tuple[Observable[Any] | Iterable[Any], Take]]) -> None:
        streams = [(source, take) for source, take in feeds if is_stream(source)]
        self._open = len(streams)
        self._picture.over = not streams
        for source, take in feeds:
            if is_list(source):
                for item in source:
                    take(item)
        for source, take in streams:
            self._subscriptions.append(
                source.subscribe(partial(self._came, take), self._failed, self._completed)
            )
        if self._stopped:
            self._dispose()

    def _came(self, take: Take, item: Any) -> None:
        with self._lock:
            if self._stopped:
                return
            take(item)
        if not self._due:
            self._changed()

    def _completed(self) -> None:
        with self._lock:
            self._open -= 1
            last = not self._open
        if last:
            self._end("ended")

    def _failed(self, error: Exception) -> None:
        self._end(
            f"failed: {type(error).__name__}: {error}" if str(error) else f"failed: {type(error).__name__}",
            True,
        )

    def _end(self, words: str, failed: bool = False) -> None:
        with self._lock:
            if self._stopped or (words == "stopped" and not self._open):
                return
            self._stopped = self._picture.over = True
            self._picture.ending, self._picture.failed = words, failed
        self._dispose()
        self._rerun.forget()
        if self._loop is not None and self._loop is _running_loop():
            self._tell()  # at once: within the cell that stops it
        else:
            self._changed()

    def _leave(self) -> None:
        """Its cell runs again, and will show another."""
        self.stop()
        if self._widget is not None:
            self._widget.close()

    def _dispose(self) -> None:
        for each in self._subscriptions:
            each.dispose()

    # -- the notebook's side -----------------------------------------------------------------------------

    def _changed(self) -> None:
        """From any thread: let the loop tell the browser before long."""
        loop = self._loop
        with self._lock:
            if self._due or loop is None:
                return
            self._due = True
        try:
            loop.call_soon_threadsafe(self._plan)
        except RuntimeError:  # the loop is closed: the kernel shuts down
            self._loop = None
            self.stop()

    def _plan(self) -> None:
        loop = self._loop
        if loop is not None:
            self._unplan()
            self._timer = loop.call_later(max(0.0, self._last + self._every - loop.time()), self._tell)

    def _unplan(self) -> None:
        """There is one message on its way at most, whoever asked for it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, whole: bool = False) -> None:
        """On the loop: tell the browser what changed."""
        assert self._loop is not None
        self._unplan()
        self._last = self._loop.time()
        with self._lock:
            self._due = False
            message = self._picture.message(whole=whole)
            over = self._stopped
        self._widget.tell(message)
        if over and self._shown:
            for place in self._shown:
                place.update(self._bundle(), raw=True)
            self._shown.clear()
            self._widget.close()

    def _asked(self) -> None:
        """A browser that knows nothing asks for everything."""
        self._tell(whole=True)

    def _alive(self) -> bool:
        """Whether more may come and there is a loop to tell a browser by; then there is a widget too."""
        loop = _running_loop()
        if not self.live or loop is None:
            return False
        if self._widget is None:
            from rtflow.show._widget import widget

            with self._lock:
                start = self._picture.message(whole=True)
            self._widget = widget(self._picture.script, start, self._asked)
            self._loop = loop
        return True

    def _bundle(self) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.html()}
        if self.live and self._widget is not None:
            bundle.update(self._widget.bundle())
        return bundle

    def _ipython_display_(self) -> None:
        """IPython: a live view where there is a kernel, with the picture beside it for documents."""
        alive = self._alive()
        handle = import_module("IPython.display").display(self._bundle(), raw=True, display_id=True)
        if alive:
            self._shown.append(handle)

    def _display_(self) -> Any:
        """marimo: the widget itself."""
        return self._widget if self._alive() else import_module("marimo").Html(self.html())

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        state = "live" if self.live else self._picture.ending or "finished"
        return f"<show.{self._picture.script} {state}>"


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def stream(source: Any) -> Observable[Any] | Iterable[Any]:
    """``source`` as a stream or a list; TypeError for what is neither, nor a book."""
    if isinstance(source, BookState | OrderBook):
        return [source]
    if is_stream(source) or is_list(source):
        return source
    raise TypeError(f"a view shows an Observable, a list of items or one book, not {source!r:.80}")


def is_stream(source: object) -> TypeGuard[Observable[Any]]:
    """Whether it can be subscribed to."""
    return isinstance(source, Observable)


def is_list(source: object) -> TypeGuard[Iterable[Any]]:
    """Whether it is many items, as opposed to one, or to text."""
    return isinstance(source, Iterable) and not isinstance(source, str | bytes | dict)


def _page(body: str, theme: Theme) -> str:
    paper = {"light": "#ffffff", "dark": "#15191f", "auto": "light-dark(#ffffff,#15191f)"}[theme]
    scheme = "light dark" if theme == "auto" else theme
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>rtflow</title>'
        f"<style>html{{color-scheme:{scheme};background:{paper}}}body{{margin:0}}svg{{display:block}}</style>"
        f"</head><body>{body}</body></html>"
    )
