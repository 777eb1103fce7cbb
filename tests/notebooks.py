"""The notebooks, run from a clean kernel: by the tests, and to write into them what comes out.

``python -m tests.notebooks`` runs them all and keeps their outputs; with names (``01 04``) only those.

An exercise is a code cell tagged ``exercise``; its solution, a cell of prose tagged ``solution`` further down
whose fold (``<details>``) holds one block of Python, takes that cell's place when the tests ask for it; and
the code cell tagged ``grade`` behind it says ``Right`` or ``Not yet`` and why. What a cell tagged ``live``
prints depends on how fast a machine is, so any text of it will do.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]-*.ipynb"))
PATIENCE = 120  # seconds for one cell
SOLUTION = re.compile(r"<details>.*?```python\n(.*?)```.*?</details>", re.DOTALL)
CHANGING = re.compile(r"[ \t]*(?:0x[0-9a-f]+|[+-]?\d[\d.]*)")  # addresses, ports, stamps, prices


def read(path: Path) -> Any:
    """A notebook as it is committed."""
    return nbformat.read(path, as_version=4)


def tagged(notebook: Any, tag: str) -> list[Any]:
    """The cells that carry ``tag``, in order."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def solved(notebook: Any) -> Any:
    """The notebook with every exercise replaced by its solution."""
    exercises, solutions = tagged(notebook, "exercise"), tagged(notebook, "solution")
    if len(exercises) != len(solutions):
        raise ValueError(f"{len(exercises)} exercises have {len(solutions)} solutions")
    for exercise, solution in zip(exercises, solutions, strict=True):
        code = SOLUTION.search(solution.source)
        if code is None:
            raise ValueError(f"no Python in a fold: {solution.source[:60]!r}")
        exercise.source = code[1].rstrip()
    return notebook


def run(notebook: Any) -> Any:
    """The notebook with what its cells said, from a kernel of its own; raises what a cell raised."""
    client = NotebookClient(
        notebook, timeout=PATIENCE, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()
    return notebook


def said(cell: Any) -> str:
    """What a cell printed."""
    return "".join(each.text for each in cell.get("outputs", ()) if each.output_type == "stream")


def pictures(notebook: Any) -> Iterator[str]:
    """Every drawing that came out, as its text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            yield from (data[kind] for kind in ("image/svg+xml", "text/html") if "<svg" in data.get(kind, ""))


def shape(notebook: Any) -> list[list[str]]:
    """What came out of each cell: its kinds, and its text without numbers, which differ from run to run."""
    return [[*_shapes(cell)] for cell in notebook.cells if cell.cell_type == "code"]


def _shapes(cell: Any) -> Iterator[str]:
    lines = CHANGING.sub(" 0", said(cell)).splitlines()
    yield from ["something"] * bool(lines) if "live" in cell.metadata.get("tags", ()) else lines
    for output in cell.outputs:
        if output.output_type != "stream":
            yield " ".join([output.output_type, *sorted(output.data)])


def main(names: list[str]) -> None:
    """Run the notebooks whose names begin so, or all, and keep what came out."""
    for path in NOTEBOOKS:
        if not names or path.name.startswith(tuple(names)):
            notebook = run(read(path))
            for cell in notebook.cells:
                cell.metadata.pop("execution", None)  # when it ran says nothing to a reader
            notebook.metadata = {
                "kernelspec": notebook.metadata.kernelspec,
                "language_info": {"name": "python"},
            }
            nbformat.write(notebook, path)
            sys.stdout.write(f"{path.name}: {path.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main(sys.argv[1:])
