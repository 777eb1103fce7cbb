"""The views' JavaScript: whole, run by node, and drawn by a browser with nothing clipped, empty or wrong."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget", reason="the extra notebook is not installed")

from rtflow.show import _png, _widget
from rtflow.show._view import View
from rtflow.show._widget import STATIC, script_of
from tests.show.page import page, views

SCRIPTS = ["candles", "depth", "health", "heatmap", "ladder", "marbles", "spread", "tape"]
NODE = shutil.which("node")
BROWSER = next(filter(None, map(shutil.which, _png.BROWSERS)), None)


@pytest.fixture(scope="module")
def shown() -> dict[str, View]:
    return views()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_needs_nothing_outside_itself(name: str) -> None:
    script = script_of(name)
    assert not re.search(
        r"^import |\bimport\(|<script|fetch\(", script.replace("importScripts", ""), re.MULTILINE
    )
    assert script.count("export default") == 1
    own = (STATIC / f"{name}.js").read_text("utf-8")
    assert set(re.findall(r"https?://[^\"' ]+", own)) <= {"https://www.tradingview.com/"}


def test_what_is_not_ours_is_unmodified_with_its_licence_and_visible() -> None:
    library = (STATIC / "lightweight-charts.standalone.production.js").read_text("utf-8")
    assert script_of("candles").startswith(library)
    assert "TradingView Lightweight Charts™ v5.2.1" in library
    assert "Apache License" in (STATIC / "lightweight-charts.LICENSE").read_text("utf-8")
    assert "https://www.tradingview.com/" in (STATIC / "lightweight-charts.NOTICE").read_text("utf-8")
    assert "attributionLogo: true" in script_of("candles")


@pytest.mark.skipif(NODE is None, reason="no node on this machine: the scripts are not run without a browser")
def test_scripts_make_of_messages_what_they_should(tmp_path: Path) -> None:
    for each in (*STATIC.glob("*.js"), Path(__file__).with_name("scripts.test.js")):
        shutil.copy(each, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}', "utf-8")
    for name in SCRIPTS:
        (tmp_path / f"{name}.whole.mjs").write_text(script_of(name), "utf-8")
        checked = subprocess.run(
            [str(NODE), "--check", f"{name}.whole.mjs"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert not checked.returncode, checked.stderr
    ran = subprocess.run(
        [str(NODE), "--test", "scripts.test.js"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert not ran.returncode, ran.stdout + ran.stderr


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine: nothing is drawn")
@pytest.mark.parametrize(("width", "theme"), [(400, "dark"), (1000, "light")])
def test_a_browser_draws_every_view_and_nothing_sticks_out(
    tmp_path: Path, shown: dict[str, View], width: int, theme: str
) -> None:
    (tmp_path / "page.html").write_text(page(shown, theme=theme, width=width), "utf-8")
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,3000",
        "--virtual-time-budget=15000",
        "--dump-dom",
        (tmp_path / "page.html").as_uri(),
    ]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
    told = re.search(r'<pre id="found"[^>]*>(.*?)</pre>', drawn, re.DOTALL)
    assert told is not None
    found = json.loads(html.unescape(told[1]))
    assert found["wrong"] == []
    assert found["views"].keys() == shown.keys()
    for name, view in found["views"].items():
        assert view["room"] == width
        assert view["wide"] <= width, f"{name} sticks out of its {view['room']} pixels"
        assert view["ink"] > 500 or name in ("tape", "empty"), f"{name} is empty"
        assert "waiting" not in view["words"] or name == "empty"
    assert found["views"]["tape"]["rows"] == 16
    assert "a book never came" in found["views"]["empty"]["words"]
    assert "syncing" in found["views"]["dead"]["words"]
    assert "TradingView" in found["views"]["candles"]["words"]


# -- the widget ------------------------------------------------------------------------------------------


def test_a_widget_sends_numbers_beside_its_words() -> None:
    asked: list[bool] = []
    made = _widget.widget("ladder", {"head": {}}, lambda: asked.append(True))
    sent: list[tuple[Any, Any]] = []
    made.send = lambda content, buffers: sent.append((content, buffers))
    made.tell({"a": 1, "sizes": b"123"})
    assert sent == [({"a": 1, "binary": ["sizes"]}, [b"123"])]
    made._handle_custom_msg("whole", [])
    made._handle_custom_msg("else", [])
    assert asked == [True]
    assert made.start == {"head": {}}
    assert made.bundle()["application/vnd.jupyter.widget-view+json"]["model_id"] == made.model_id


def test_without_the_extra_a_live_view_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from reactivex import Subject

    from rtflow import show

    async def notebook() -> None:
        show.tape(Subject[Any]())._alive()

    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "rtflow.show._widget")
    with pytest.raises(ImportError, match=r"rtflow\[notebook\]"):
        asyncio.run(notebook())
