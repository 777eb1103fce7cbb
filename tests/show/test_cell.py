"""Who runs a cell again wants a new view: in IPython, in marimo, and where there is neither."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from reactivex import Observable, Subject

from rtflow import connect, show
from rtflow.providers import Kraken
from rtflow.show import _cell, _formatter


class Shell:
    """What of IPython's shell matters here."""

    def __init__(self) -> None:
        self.parent: dict[str, Any] = {}
        self.kernel = SimpleNamespace(get_parent=lambda: self.parent)
        self.hooks: list[Callable[[object], None]] = []
        self.events = SimpleNamespace(register=lambda name, hook: self.hooks.append(hook))
        self.formatters: dict[type, Callable[[Any], str]] = {}
        text = SimpleNamespace(for_type=self.formatters.__setitem__)
        self.display_formatter = SimpleNamespace(formatters={"text/html": text})

    def run(self, cell: str | None, code: str | None = None) -> None:
        self.parent = {
            "metadata": {} if cell is None else {"cellId": cell},
            "content": {} if code is None else {"code": code},
        }
        for hook in self.hooks:
            hook(object())


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = Shell()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: made))
    monkeypatch.setattr(_cell, "_waiting", [])
    monkeypatch.setattr(_cell, "_watched", [])
    return made


def test_a_cell_that_runs_again_stops_its_views(shell: Shell) -> None:
    shell.run("first")
    view, other = show.tape(Subject[Any]()), show.tape(Subject[Any]())
    shell.run("second")
    third = show.tape(Subject[Any]())
    assert view.live
    shell.run("first")
    assert [each.live for each in (view, other, third)] == [False, False, True]
    assert len(shell.hooks) == 1
    assert len(_cell._waiting) == 1


def test_a_cell_without_a_name_is_known_by_its_code(shell: Shell) -> None:
    shell.run(None, "show.tape(trades)")
    view = show.tape(Subject[Any]())
    shell.run(None, "1 + 1")
    assert view.live
    shell.run(None, "show.tape(trades)")
    assert not view.live


def test_a_request_without_either_stops_nothing(shell: Shell) -> None:
    view = show.tape(Subject[Any]())
    shell.run(None)
    assert view.live


def test_a_shell_in_a_terminal_has_no_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: object()))
    monkeypatch.delitem(sys.modules, "marimo", raising=False)
    assert show.tape(Subject[Any]()).live


def test_without_ipython_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.delitem(sys.modules, "marimo", raising=False)
    assert show.tape(Subject[Any]()).live
    _formatter.register()


@pytest.mark.parametrize("running", [True, False])
def test_marimo_stops_views_with_their_cell(monkeypatch: pytest.MonkeyPatch, running: bool) -> None:
    class NoContext(Exception):
        pass

    items: list[Any] = []

    def get_context() -> Any:
        if not running:
            raise NoContext
        return SimpleNamespace(cell_lifecycle_registry=SimpleNamespace(add=items.append))

    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setitem(sys.modules, "marimo", SimpleNamespace())
    monkeypatch.setitem(
        sys.modules, "marimo._runtime.cell_lifecycle_item", SimpleNamespace(CellLifecycleItem=object)
    )
    context = SimpleNamespace(get_context=get_context, ContextNotInitializedError=NoContext)
    monkeypatch.setitem(sys.modules, "marimo._runtime.context", context)
    view = show.tape(Subject[Any]())
    assert view.live
    for item in items:
        item.create(None)
        assert item.dispose(None, deletion=False)
    assert view.live is not running


def test_ipython_is_told_how_a_stream_looks(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    _formatter.register()
    look = shell.formatters[Observable]
    assert "<strong>Subject</strong>: nothing flows before somebody subscribes" in look(Subject[Any]())
    assert "Feed of Kraken" in look(connect(Kraken(), trades=["BTC/USD"]))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    _formatter.register()
