"""rtflow providers: the venues side by side."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from rtflow import comparison
from rtflow.commands._app import app
from rtflow.terminal import Terminal


@app.command()
def providers(
    markdown: Annotated[bool, typer.Option("--markdown", help="As README shows it.")] = False,
) -> None:
    """Compare the venues.

    What each speaks, offers, numbers, checks and limits.
    """
    if markdown:
        typer.echo(comparison.markdown(), nl=False)
        return
    console = Terminal()
    for name, profile in comparison.profiles().items():
        console.print(f"[bold]{name}[/]  {profile.title}", soft_wrap=True)
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for column, cell in zip(comparison.COLUMNS, comparison.cells(profile), strict=True):
            table.add_row(column, cell)
        console.print(table)
        console.print(f"  {profile.documents}\n", style="dim", soft_wrap=True)
