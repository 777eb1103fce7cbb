"""png: a page as pixels, by the browser that is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PATIENCE = 60.0  # seconds


def png(page: str, svg: str, *, scale: float) -> bytes:
    """``page``, as large as the ``svg`` in it, with ``scale`` pixels to each of CSS.

    Raises FileNotFoundError where no browser is found, RuntimeError where it draws nothing.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise FileNotFoundError(
            f"a PNG is drawn by a browser, and none is here: install one of {', '.join(BROWSERS)}"
        )
    size = re.search(r'width="(\d+)" height="(\d+)"', svg)
    assert size is not None, "our own SVG says how large it is"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "page.html").write_text(page, "utf-8")
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--hide-scrollbars",
            f"--user-data-dir={folder / 'profile'}",
            f"--force-device-scale-factor={scale:g}",
            f"--window-size={size[1]},{size[2]}",
            f"--screenshot={folder / 'shot.png'}",
            (folder / "page.html").as_uri(),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        shot = folder / "shot.png"
        if not shot.exists():
            raise RuntimeError(f"{browser} drew nothing: {ran.stderr.strip()[-500:]}")
        return shot.read_bytes()
