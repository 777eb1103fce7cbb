"""The arrows of the house: who may import whom, read from the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"rtflow": ROOT / "rtflow", "rtflow.operators": ROOT / "operators"}

# module (or the package it lives in) -> the rooms of rtflow it may import
INNER: dict[str, set[str]] = {
    "rtflow.html": set(),
    "rtflow.events": {"html", "time"},
    "rtflow.errors": set(),
    "rtflow.time": set(),
    "rtflow.backoff": set(),
    "rtflow.counters": set(),
    "rtflow.rfc6455": set(),
    "rtflow.book": {"events", "errors", "time", "html"},
    "rtflow.columns": {"events", "errors", "time"},
    "rtflow.words": {"events"},
    "rtflow.bridge": {"book", "events"},
    "rtflow.budgets": {"provider"},
    "rtflow.farewells": {"events", "provider"},
    "rtflow.shards": {"errors", "provider"},
    "rtflow.scheduler": {"time"},
    "rtflow.sessions": {"time"},
    "rtflow.kernel": {"scheduler", "time"},
    "rtflow.provider": {"events", "errors", "time"},
    "rtflow.operators": {
        "events",
        "errors",
        "time",
        "backoff",
        "bridge",
        "counters",
        "book",
        "columns",
        "scheduler",
        "kernel",
        "provider",
        "operators",
        "sessions",
    },
    "rtflow.conditions": set(),
    "rtflow.instruments": {"errors", "events"},
    "rtflow.comparison": {"provider", "providers"},
    "rtflow.providers": {"events", "errors", "time", "provider", "providers", "streams"},
    "rtflow.streams": {"events", "operators", "provider", "transport"},
    "rtflow.transport": {
        "backoff",
        "budgets",
        "counters",
        "errors",
        "events",
        "farewells",
        "provider",
        "rfc6455",
        "scheduler",
        "shards",
        "time",
    },
    "rtflow.player": {"events", "errors", "scheduler", "tape"},
    "rtflow.tape": {"events", "errors", "time", "scheduler", "kernel"},
    "rtflow.twin": {"events", "errors", "time", "twin"},
}

# third-party and standard modules with a say in who uses them -> the only rooms that may
ONLY: dict[str, set[str]] = {
    "websocket": {"rtflow.transport"},
    "websockets": {"rtflow.twin"},
    "socket": {"rtflow.transport", "rtflow.twin"},
    "ssl": {"rtflow.transport", "rtflow.twin", "rtflow.commands._doctor"},
    "selectors": {"rtflow.transport"},
    "http": {"rtflow.transport"},
    "urllib.request": {"rtflow.transport", "rtflow.instruments", "rtflow.commands._doctor"},
    "asyncio": {"rtflow.twin", "rtflow.operators._to_async", "rtflow.show._view"},
    "threading": {
        "rtflow.scheduler",
        "rtflow.kernel",
        "rtflow.budgets",
        "rtflow.transport",
        "rtflow.operators._backfill",
        "rtflow.operators._handoff",
        "rtflow.operators._broadcast",
        "rtflow.engine",
        "rtflow.ticks",
        "rtflow.twin.server",
        "rtflow.demo",
        "rtflow.commands",
        "rtflow.show._view",
    },
    "time": {
        "rtflow.scheduler",
        "rtflow.transport",
        "rtflow.twin.server",
        "rtflow.settings",
        "rtflow.commands._doctor",
    },
    "reactivex": {
        "rtflow.scheduler",
        "rtflow.kernel",
        "rtflow.operators",
        "rtflow.transport",
        "rtflow.tape",
        "rtflow.player",
        "rtflow.streams",
        "rtflow.engine",
        "rtflow.ticks",
        "rtflow.demo",
        "rtflow.commands",
        "rtflow.testing",
        "rtflow.rehearsal",
        "rtflow.show",
    },
    "anywidget": {"rtflow.show._widget"},
    "typer": {"rtflow.commands"},
    "rich": {"rtflow.commands", "rtflow.demo", "rtflow.terminal"},
    "dotenv": {"rtflow.commands"},
}


def modules() -> Iterator[tuple[str, Path]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            if package == "rtflow" and "operators" in path.relative_to(folder).parts[:1]:
                continue  # the link: the same files again
            parts = [*path.relative_to(folder).with_suffix("").parts]
            yield ".".join([package, *(part for part in parts if part != "__init__")]), path


MODULES = dict(modules())


def imports(path: Path) -> set[str]:
    """Every module that ``path`` names in an import, wherever the import stands."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            named |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return named


def within(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def test_the_house_was_found() -> None:
    assert {"rtflow", "rtflow.events", "rtflow.operators", "rtflow.operators._normalize"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_one_way(module: str) -> None:
    allowed = next((rooms for room, rooms in INNER.items() if within(module, {room})), None)
    if allowed is None or module == "rtflow":
        return  # the front door and what stands on everything
    for name in imports(MODULES[module]):
        if name.startswith("rtflow."):
            room = name.split(".")[1]
            assert room in allowed, f"{module} may not lean on rtflow.{room}"


@pytest.mark.parametrize("module", MODULES)
def test_sockets_threads_and_clocks_stay_in_their_rooms(module: str) -> None:
    for name in imports(MODULES[module]):
        for only in [ONLY[part] for part in ONLY if within(name, {part})]:
            assert within(module, only), f"{module} may not import {name}"


@pytest.mark.parametrize("module", MODULES)
def test_the_operators_have_one_name(module: str) -> None:
    assert not any(name.split(".")[0] == "operators" for name in imports(MODULES[module]))


@pytest.mark.parametrize("module", [m for m, path in MODULES.items() if path.name == "__init__.py"])
def test_an_init_is_imports_and_all(module: str) -> None:
    for node in ast.parse(MODULES[module].read_text("utf-8")).body:
        assert (
            isinstance(node, ast.Import | ast.ImportFrom)
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "__version__"))
            or ast.unparse(node).startswith("logging.getLogger(")
        ), ast.unparse(node)
