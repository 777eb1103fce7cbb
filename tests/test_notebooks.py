"""Every notebook runs from a clean kernel, shows what it shows here, and grades right and wrong as such."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import notebooks
from tests.notebooks import NOTEBOOKS, read, run, said, shape, solved, tagged

LARGEST = 400 * 1024  # bytes of a notebook with its outputs
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@cache
def fresh(path: Path) -> Any:
    """The notebook as it runs today."""
    return run(read(path))


@each_notebook
def test_it_runs_and_shows_what_is_committed(path: Path) -> None:
    assert shape(fresh(path)) == shape(read(path)), "python -m tests.notebooks writes the outputs anew"


@each_notebook
def test_every_exercise_is_open_until_it_is_solved(path: Path) -> None:
    for grade in tagged(fresh(path), "grade"):
        assert said(grade).startswith("Not yet"), grade.source


@each_notebook
def test_the_solutions_solve_it(path: Path) -> None:
    notebook = read(path)
    if not tagged(notebook, "exercise"):
        pytest.skip("this notebook has no exercise")
    for grade in tagged(run(solved(notebook)), "grade"):
        assert said(grade).startswith("Right"), said(grade)


@each_notebook
def test_no_picture_is_empty(path: Path) -> None:
    for picture in notebooks.pictures(fresh(path)):
        shapes = re.findall(r"<(?:path|rect|circle|line|polyline|polygon|text)\b", picture)
        assert len(shapes) > 5, picture[:300]


@each_notebook
def test_it_is_small_and_says_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    text = path.read_text()
    assert len(text) < LARGEST
    assert str(Path.home()) not in text
    assert str(notebooks.FOLDER) not in text


@each_notebook
def test_it_begins_with_a_title_and_says_where_to_go_from_here(path: Path) -> None:
    first, *_, last = read(path).cells
    assert re.match(rf"# {int(path.name[:2])} · \S", first.source), first.source[:80]
    others = [each.name for each in NOTEBOOKS if each != path]
    assert any(name in last.source for name in (*others, "README.md")), last.source


def test_there_are_six_of_them() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "01-websocket-fundamentals",
        "02-realtime-pipelines",
        "03-order-books",
        "04-recovery",
        "05-test-your-pipeline",
        "06-record-replay-research",
    ]


def a_notebook(*cells: tuple[str, str, str]) -> Any:
    import nbformat

    made = nbformat.v4.new_notebook()
    for kind, tag, source in cells:
        make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
        made.cells.append(make(source, metadata={"tags": [tag] if tag else []}))
    return made


FOLD = "<details><summary>Solution</summary>\n\n```python\nanswer = {}\n```\n\n</details>"


@pytest.mark.parametrize(("answer", "verdict"), [("42", "Right"), ("41", "Not yet")])
def test_a_wrong_solution_is_found_out(answer: str, verdict: str) -> None:
    notebook = a_notebook(
        ("code", "exercise", "answer = None"),
        ("code", "grade", "print('Right' if answer == 42 else 'Not yet')"),
        ("markdown", "solution", FOLD.format(answer)),
    )
    assert said(tagged(run(solved(notebook)), "grade")[0]).startswith(verdict)


def test_a_cell_that_raises_fails_its_notebook() -> None:
    with pytest.raises(Exception, match="ZeroDivisionError"):
        run(a_notebook(("code", "", "1 / 0")))


@pytest.mark.parametrize("fold", [None, "no code here"])
def test_an_exercise_without_a_solution_is_a_mistake(fold: str | None) -> None:
    cells = [("code", "exercise", "answer = None")]
    if fold is not None:
        cells.append(("markdown", "solution", fold))
    with pytest.raises(ValueError, match=r"solutions|no Python"):
        solved(a_notebook(*cells))
