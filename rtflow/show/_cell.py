"""Rerun: who runs a cell again wants a new view, not two."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


class Rerun:
    """Calls ``stop`` when the cell in which this was made runs again, in IPython and in marimo.

    Jupyter's front ends name the cell in each request; where one does not, the cell is known by its code.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._cell: str | None = None
        if (shell := _ipython()) is not None:
            self._cell = _cell(shell)
            if shell not in _watched:
                _watched.append(shell)
                shell.events.register("pre_run_cell", _runs)
            _waiting.append(self)
        elif "marimo" in sys.modules:
            _in_marimo(stop)

    def forget(self) -> None:
        """It has stopped by itself."""
        if self in _waiting:
            _waiting.remove(self)

    def runs(self, cell: str | None) -> None:
        """The cell ``cell`` runs."""
        if cell is not None and cell == self._cell:
            self._stop()


_waiting: list[Rerun] = []
_watched: list[Any] = []


def _ipython() -> Any:
    """The shell, where there is one and it is a kernel's."""
    if "IPython" not in sys.modules:
        return None
    shell = sys.modules["IPython"].get_ipython()
    return shell if hasattr(shell, "kernel") else None


def _cell(shell: Any) -> str | None:
    """What names the cell that runs now."""
    request = shell.kernel.get_parent()
    named = request.get("metadata", {}).get("cellId") or request.get("content", {}).get("code")
    return None if named is None else str(named)


def _runs(_info: object) -> None:
    cell = _cell(_ipython())
    for each in tuple(_waiting):
        each.runs(cell)


def _in_marimo(stop: Callable[[], None]) -> None:
    """marimo disposes of a cell's items before it runs again."""
    try:
        items = import_module("marimo._runtime.cell_lifecycle_item")
        context = import_module("marimo._runtime.context")
    except ImportError:
        return  # a marimo that has them elsewhere: its views end with their streams, or by stop()
    try:
        running = context.get_context()
    except context.ContextNotInitializedError:
        return  # marimo is imported, and does not run us

    def create(_item: object, _context: object) -> None:
        """There is nothing to make."""

    def dispose(_item: object, _context: object, deletion: bool) -> bool:
        stop()
        return True

    members: dict[str, Any] = {"create": create, "dispose": dispose}
    running.cell_lifecycle_registry.add(type("Stop", (items.CellLifecycleItem,), members)())
