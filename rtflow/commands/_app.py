"""The command itself: its help, its version, its ``.env``, and where its errors become sentences."""

from __future__ import annotations

import os
import sys
from collections import ChainMap
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from dotenv import dotenv_values
from rich.text import Text
from typer.core import TyperGroup

from rtflow.commands._failures import Code, Failure, explained, leave_the_pipe, stopped_by_signals
from rtflow.terminal import Terminal

_ORDER = ("demo", "stream", "book", "record", "replay", "bars", "providers", "doctor", "twin")


class _Commands(TyperGroup):
    """A group whose commands never end in a traceback that is not a bug."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_ORDER.index)

    def invoke(self, ctx: Any) -> Any:
        try:
            with stopped_by_signals():
                return super().invoke(ctx)
        except BrokenPipeError:
            leave_the_pipe()  # who reads the first lines only has all they wanted
        except KeyboardInterrupt:
            raise typer.Exit(Code.INTERRUPTED) from None
        except Exception as error:
            failure = explained(error)
            if failure is None:
                raise
            say(str(failure))
            raise typer.Exit(failure.code) from None
        return None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done · 1 a file or this machine · 2 the command line · "
    "3 a key is missing or refused · 4 the line was lost · 130 stopped before it was done.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rtflow {version('rtflow')}")
        raise typer.Exit


@app.callback()
def rtflow(
    context: typer.Context,
    env_file: Annotated[
        Path,
        typer.Option("--env-file", metavar="FILE", help="Where keys may stand; the environment goes first."),
    ] = Path(".env"),
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which one this is.")
    ] = False,
) -> None:
    """Real-time market data as one typed stream that recovers by itself and says what it lost.

    Begin with `rtflow demo`, which needs no key and no internet; `rtflow twin` gives the other commands
    something to talk to. Keys come from the environment, from files that it names, or from `.env`; never
    from the command line, where everybody on this machine could read them.
    """
    context.obj = environment(env_file)


def environment(env_file: Path) -> Mapping[str, str]:
    """The environment, and below it what ``env_file`` says, where there is one.

    Raises Failure for one that is named and not there, or that cannot be read.
    """
    if not env_file.exists():
        if env_file == Path(".env"):
            return os.environ
        raise Failure(f"{env_file}: there is no such file; --env-file names one", Code.USAGE)
    try:
        values = dotenv_values(env_file, interpolate=False)  # a dollar in a key is a dollar
    except UnicodeDecodeError:
        raise Failure(f"{env_file} is not UTF-8 text, so no key can be read from it") from None
    return ChainMap(dict(os.environ), {name: value for name, value in values.items() if value is not None})


def say(text: str) -> None:
    """One line for the person, beside what the command prints."""
    line = Text(f"rtflow: {' '.join(text.split())}", style="bold red" if sys.stderr.isatty() else "")
    Terminal(stderr=True).print(line, soft_wrap=True)
