"""Every view in a real kernel at 1,000 updates a second: it answers, and its memory stays.

Three seconds of it; RTFLOW_SHOW_SECONDS=60 for a minute, and ``python -m tests.show.hold`` for the figures.
"""

from __future__ import annotations

import asyncio
import os

import pytest

pytest.importorskip("anywidget", reason="the extra notebook is not installed")
pytest.importorskip("ipykernel", reason="no kernel to run in")

from tests.show.hold import VIEWS, Kernel, hold

SECONDS = float(os.environ.get("RTFLOW_SHOW_SECONDS", "3"))


def test_a_kernel_answers_while_every_view_is_held_and_its_memory_stays() -> None:
    held = asyncio.run(hold(SECONDS, views=list(VIEWS)))
    ranked = sorted(held.answers)
    assert held.fed > 700 * SECONDS, str(held)
    assert ranked[int(0.9 * (len(ranked) - 1))] < 0.2, str(held)
    assert held.memory[-1] - held.memory[0] < 20e6, str(held)
    assert 0 < held.messages < 90 * (SECONDS + 1), str(held)


def test_in_a_kernel_a_view_stops_with_its_cell_and_becomes_a_picture_with_its_stream() -> None:
    async def notebook() -> list[dict[str, str]]:
        async with Kernel() as kernel:
            await kernel.run(
                "from reactivex import Subject\nfrom rtflow import show\nviews, items = [], Subject()"
            )
            cell = "views.append(show.tape(items)); display(views[-1])"
            await kernel.run(cell)
            await kernel.run(cell)
            assert await kernel.value("[view.live for view in views]") == "[False, True]"
            await kernel.run("items.on_completed()")
            await kernel.run("import asyncio; await asyncio.sleep(0.2)")
            assert await kernel.value("repr(views[1])") == "'<show.tape ended>'"
            looks = "get_ipython().display_formatter.format(items)[0]['text/html']"
            assert "Subject" in await kernel.value(looks)
            return kernel.replaced

    replaced = asyncio.run(notebook())
    assert [sorted(bundle) for bundle in replaced] == [["text/html", "text/plain"]] * 2
    assert "trades never came" in replaced[-1]["text/html"]
