"""A view between a pipeline's thread and a notebook's loop: what it sends, how often, and when it stops."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from reactivex import Subject

from rtflow import OrderBook, Trade, show
from rtflow.show import _view

pytest.importorskip("anywidget", reason="the extra notebook is not installed")


def trade(n: int) -> Trade:
    return Trade("BTC/USD", n, n, 100.0 + n, 1.0)


class Widget:
    """What stands for the browser: it keeps what it is told."""

    def __init__(self, script: str, start: dict[str, Any], asked: Any) -> None:
        self.script, self.start, self.asked = script, start, asked
        self.told: list[dict[str, Any]] = []
        self.threads: set[int] = set()
        self.closed = False

    def tell(self, message: dict[str, Any]) -> None:
        self.told.append(message)
        self.threads.add(threading.get_ident())

    def bundle(self) -> dict[str, Any]:
        return {"widget": self.script}

    def close(self) -> None:
        self.closed = True


class Place:
    """Where IPython put an output."""

    def __init__(self, bundle: dict[str, Any]) -> None:
        self.bundles = [bundle]

    def update(self, bundle: dict[str, Any], *, raw: bool) -> None:
        self.bundles.append(bundle)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """Every output, its widgets being ours."""
    shown: list[Place] = []

    class Display:
        @staticmethod
        def display(bundle: dict[str, Any], *, raw: bool, display_id: bool) -> Place:
            shown.append(Place(bundle))
            return shown[-1]

    monkeypatch.setitem(sys.modules, "IPython.display", Display)
    monkeypatch.setattr("rtflow.show._widget.widget", Widget)
    return shown


def test_a_view_sends_from_the_loop_what_a_thread_brings_and_not_more_often_than_said(
    places: list[Place],
) -> None:
    async def notebook() -> Widget:
        items = Subject[Trade]()
        view = show.tape(items, rate=20.0)
        view._ipython_display_()

        def feed() -> None:
            for n in range(500):
                items.on_next(trade(n))

        thread = threading.Thread(target=feed)
        for _ in range(3):
            await asyncio.to_thread(feed)
        thread.start()
        thread.join()
        await asyncio.sleep(0.12)
        widget: Widget = view._widget
        assert widget.told[-1]["head"]["note"] == "2,000 trades"
        view.stop()
        return widget

    widget = asyncio.run(notebook())
    assert widget.threads == {threading.get_ident()}
    assert len(widget.told) <= 8
    assert sum(len(message["rows"]) for message in widget.told) <= 15 * len(widget.told)


def test_nothing_is_sent_where_nothing_changes(places: list[Place]) -> None:
    async def notebook() -> int:
        items = Subject[Trade]()
        view = show.tape(items, rate=20.0)
        view._ipython_display_()
        items.on_next(trade(1))
        await asyncio.sleep(0.2)
        return len(view._widget.told)

    assert asyncio.run(notebook()) == 1


def test_a_browser_that_asks_is_told_everything_and_no_second_rhythm_begins(places: list[Place]) -> None:
    async def notebook() -> list[dict[str, Any]]:
        items = Subject[Trade]()
        view = show.tape(items, rate=20.0)
        items.on_next(trade(1))
        view._ipython_display_()
        items.on_next(trade(2))
        await asyncio.sleep(0)
        view._widget.asked()
        items.on_next(trade(3))
        await asyncio.sleep(0.12)
        return list(view._widget.told)

    told = asyncio.run(notebook())
    assert [(message["whole"], [row[0] for row in message["rows"]]) for message in told] == [
        (True, [1, 2]),
        (False, [3]),
    ]


def test_a_view_that_is_stopped_becomes_a_picture_within_its_cell(places: list[Place]) -> None:
    async def notebook() -> tuple[Any, Any]:
        items = Subject[Trade]()
        view = show.tape(items)
        view._ipython_display_()
        view._ipython_display_()
        assert "widget" in places[0].bundles[0]
        items.on_next(trade(5))
        view.stop()
        view._came(view._picture.take, trade(6))  # which was on its way
        view.stop()
        return view, view._widget

    view, widget = asyncio.run(notebook())
    assert [sorted(bundle) for bundle in places[0].bundles] == [
        ["text/html", "text/plain", "widget"],
        ["text/html", "text/plain"],
    ]
    assert places[1].bundles == places[0].bundles
    assert "105" in places[0].bundles[1]["text/html"]
    assert "106" not in view.svg()
    assert widget.closed
    assert repr(view) == "<show.tape stopped>"
    assert view._picture.head().state == ""


def test_a_view_ends_with_its_streams(places: list[Place]) -> None:
    async def notebook(end: str) -> str:
        books, trades = Subject[Any](), Subject[Any]()
        view = show.heatmap(books, trades, rate=20.0)
        view._ipython_display_()
        if end == "|":
            await asyncio.to_thread(books.on_completed)
            assert view.live
            await asyncio.to_thread(trades.on_completed)
        else:
            await asyncio.to_thread(trades.on_error, ValueError(end))
        await asyncio.sleep(0.12)
        assert not books.observers
        return f"{view._widget.told[-1]['head']['state']} {view._widget.told[-1]['head']['tone']}"

    assert asyncio.run(notebook("|")) == "ended quiet"
    assert asyncio.run(notebook("no line")) == "failed: ValueError: no line bad"
    assert asyncio.run(notebook("")) == "failed: ValueError bad"


def test_a_view_watches_for_some_seconds_and_stops(places: list[Place]) -> None:
    async def notebook() -> None:
        items = Subject[Trade]()
        view = show.tape(items, rate=20.0)
        await view.watch(0.06)
        assert not view.live
        other = show.tape(items, rate=20.0)
        items.on_completed()
        await asyncio.wait_for(other.watch(60), 5)

    asyncio.run(notebook())


def test_a_view_of_finished_items_is_a_picture_from_the_beginning(places: list[Place]) -> None:
    async def notebook() -> None:
        view = show.ladder(OrderBook.of([(99.0, 1.0)]))
        view._ipython_display_()
        view.stop()
        assert repr(view) == "<show.ladder finished>"

    asyncio.run(notebook())
    assert [sorted(each.bundles[0]) for each in places] == [["text/html", "text/plain"]]


def test_without_a_loop_a_live_view_is_a_picture_too(places: list[Place]) -> None:
    items = Subject[Trade]()
    view = show.tape(items)
    view._ipython_display_()
    items.on_next(trade(1))
    assert sorted(places[0].bundles[0]) == ["text/html", "text/plain"]
    assert "101" in view._repr_html_()


def test_a_stream_that_ends_at_once_leaves_nothing_subscribed(places: list[Place]) -> None:
    from reactivex import concat, just, never

    view = show.tape(concat(just(trade(1)), just(trade(2))))
    assert repr(view) == "<show.tape ended>"
    other = show.heatmap(never(), concat(just(trade(1))))
    assert other.live
    other.stop()


def test_a_loop_that_is_closed_stops_the_view(places: list[Place]) -> None:
    items = Subject[Trade]()

    async def notebook() -> Any:
        view = show.tape(items)
        view._ipython_display_()
        return view

    view = asyncio.run(notebook())
    items.on_next(trade(1))
    items.on_next(trade(2))
    assert not view.live
    assert not items.observers


def test_a_plan_that_outlives_its_loop_does_nothing(places: list[Place]) -> None:
    view = show.tape(Subject[Trade]())
    view._plan()
    assert view._timer is None


def test_its_cell_that_runs_again_stops_it_and_takes_the_widget_away(places: list[Place]) -> None:
    async def notebook() -> Any:
        view = show.tape(Subject[Trade]())
        view._leave()
        assert not view.live
        other = show.tape(Subject[Trade]())
        other._alive()
        other._leave()
        return other._widget

    assert asyncio.run(notebook()).closed


def test_marimo_is_given_the_widget_or_the_picture(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Marimo:
        Html = staticmethod(lambda text: ("html", text))

    monkeypatch.setitem(sys.modules, "marimo", Marimo)
    view = show.tape([trade(1)])  # this marimo has no cells to belong to
    assert view._display_()[0] == "html"

    async def notebook() -> Any:
        monkeypatch.delitem(sys.modules, "marimo")
        return show.tape(Subject[Trade]())._display_()

    assert asyncio.run(notebook()).script == "tape"


# -- files -----------------------------------------------------------------------------------------------


def test_a_picture_is_written_as_its_ending_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = show.ladder(OrderBook.of([(99.0, 1.0)]))
    assert view.save(tmp_path / "a.svg").read_text("utf-8").startswith("<svg ")
    page = view.save(tmp_path / "a.html", theme="dark").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "<figure" in page
    monkeypatch.setattr(_view, "png", lambda page, svg, *, scale: f"{scale} {'<svg' in page}".encode())
    assert view.save(str(tmp_path / "a.png"), theme="auto").read_bytes() == b"2.0 True"
    for wrong in ("a.gif", "a"):
        with pytest.raises(ValueError, match=r"saved as \.svg, \.html or \.png"):
            view.save(tmp_path / wrong)


def test_a_picture_has_a_theme_and_a_width() -> None:
    view = show.ladder(OrderBook.of([(99.0, 1.0)]))
    with pytest.raises(ValueError, match="a theme is one of auto, light, dark"):
        view.svg(theme="blue")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="200 pixels wide or more"):
        view.svg(width=100)
