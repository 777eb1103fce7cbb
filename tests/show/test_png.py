"""A PNG is what a browser makes of the page, and nothing where there is none."""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path

import pytest

from rtflow import OrderBook, show
from rtflow.show import _png

VIEW = show.ladder(OrderBook.of([(99.0, 1.0)], [(100.0, 2.0)]), depth=2)


def test_without_a_browser_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="install one of chromium"):
        VIEW.save(tmp_path / "a.png")


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_a_browser_that_draws_nothing_is_told_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho no display >&2\n")
    browser.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(browser))
    with pytest.raises(RuntimeError, match="drew nothing: no display"):
        VIEW.save(tmp_path / "a.png")


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_a_browser_is_asked_for_the_size_and_the_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(
        '#!/bin/sh\nfor each in "$@"; do case $each in'
        ' --screenshot=*) echo "$@" > "${each#*=}";; esac; done\n'
    )
    browser.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(browser))
    said = VIEW.save(tmp_path / "a.png", width=300, scale=3.0).read_text()
    assert "--force-device-scale-factor=3" in said
    assert "--window-size=300," in said


@pytest.mark.skipif(not any(map(shutil.which, _png.BROWSERS)), reason="no Chromium or Chrome on this machine")
def test_a_real_browser_draws_it(tmp_path: Path) -> None:
    image = VIEW.save(tmp_path / "a.png", width=300, scale=2.0).read_bytes()
    assert struct.unpack(">II", image[16:24])[0] == 600
