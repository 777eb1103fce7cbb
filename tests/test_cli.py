"""The command opens with its extra, says what to install without it, and tells what it can do."""

from __future__ import annotations

import builtins
import sys
from importlib.metadata import version
from typing import Any

import pytest
from pytest_mock import MockerFixture
from typer.testing import CliRunner

from rtflow import cli, comparison, demo, settings
from rtflow.commands import __all__ as names
from rtflow.commands import app
from rtflow.commands._demo import Watched
from rtflow.commands._options import Venue
from rtflow.commands._twin import _DIALECTS
from rtflow.twin.dialects import DIALECTS

WIDE = {"COLUMNS": "120", "TERM": "dumb"}


@pytest.mark.parametrize("missing", ["typer", "rich.console", "websockets.sync", "dotenv"])
def test_without_the_extra_it_says_what_to_install(missing: str, mocker: MockerFixture) -> None:
    mocker.patch.dict(sys.modules, {"rtflow.commands": None})
    real = builtins.__import__

    def importer(name: str, *rest: Any, **named: Any) -> Any:
        if name == "rtflow.commands":
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *rest, **named)

    mocker.patch("builtins.__import__", importer)
    with pytest.raises(SystemExit, match=r"pip install 'rtflow\[cli\]'"):
        cli.main()


def test_a_module_of_our_own_that_is_missing_is_a_bug_and_not_an_extra(mocker: MockerFixture) -> None:
    mocker.patch.dict(sys.modules, {"rtflow.commands": None})
    with pytest.raises(ModuleNotFoundError, match=r"rtflow\.commands"):
        cli.main()


def test_with_the_extra_it_opens(mocker: MockerFixture) -> None:
    opened = mocker.patch("rtflow.commands.app")
    cli.main()
    opened.assert_called_once_with(prog_name="rtflow")


def test_it_says_which_one_it_is() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"rtflow {version('rtflow')}\n"


def test_help_lists_every_command_and_the_exit_codes() -> None:
    said = CliRunner().invoke(app, ["--help"], env=WIDE).output
    listed = [line.split()[1] for line in said.splitlines() if line.startswith("│ ") and "-" not in line[:5]]
    assert [name for name in listed if name in names] == [
        "demo",
        "stream",
        "book",
        "record",
        "replay",
        "bars",
        "providers",
        "doctor",
        "twin",
    ]
    assert {*names} - {"app"} <= {*listed}
    assert "0 done · 1 a file or this machine · 2 the command line · 3 a key is missing or refused" in said


@pytest.mark.parametrize("name", sorted({*names} - {"app"}))
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], env=WIDE)
    assert result.exit_code == 0
    assert f" {name} [OPTIONS]" in result.output


def test_every_command_that_talks_to_a_venue_takes_an_address() -> None:
    for name in ("stream", "book", "record", "doctor"):
        assert "--url" in CliRunner().invoke(app, [name, "--help"], env=WIDE).output


def test_the_shell_can_complete_it() -> None:
    environ = {"_RTFLOW_COMPLETE": "complete_bash", "COMP_WORDS": "rtflow stream kr", "COMP_CWORD": "2"}
    assert CliRunner().invoke(app, [], env=environ, prog_name="rtflow").output.split() == ["kraken"]


def test_help_names_the_demo_and_its_options() -> None:
    said = CliRunner().invoke(app, ["demo", "--help"], env=WIDE).output
    for option in ("--seconds", "--seed", "--venue", "--plain"):
        assert option in said


def test_the_demo_is_given_what_was_asked_for(mocker: MockerFixture) -> None:
    run = mocker.patch("rtflow.demo.run")
    options = ["--seconds", "3", "--seed", "7", "--venue", "alpaca", "--plain"]
    result = CliRunner().invoke(app, ["demo", *options])
    assert result.exit_code == 0
    assert run.call_args.args == ("alpaca",)
    assert {name: run.call_args.kwargs[name] for name in ("seconds", "seed", "plain")} == {
        "seconds": 3.0,
        "seed": 7,
        "plain": True,
    }


def test_a_pipe_gets_plain_lines_unasked(mocker: MockerFixture) -> None:
    run = mocker.patch("rtflow.demo.run")
    assert CliRunner().invoke(app, ["demo"]).exit_code == 0
    assert run.call_args.kwargs["plain"] is True


@pytest.mark.parametrize("arguments", [["demo", "--seconds", "1"], ["demo", "--venue", "nyse"], ["trade"]])
def test_what_it_cannot_do_is_refused_with_a_usage_error(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_every_venue_on_offer_can_be_set_up_and_has_a_twin() -> None:
    assert {venue.value for venue in Venue} == {*settings.VENUES} == {*_DIALECTS}
    assert {dialect.twin for dialect in _DIALECTS.values()} == {*DIALECTS}
    assert {venue.value for venue in Watched} == {*demo.VENUES} <= {*DIALECTS}


def test_the_providers_are_compared_for_people_and_for_the_readme() -> None:
    shown = CliRunner().invoke(app, ["providers"], env={"COLUMNS": "100", "TERM": "dumb"}).output
    table = CliRunner().invoke(app, ["providers", "--markdown"]).output
    assert table == comparison.markdown()
    for name, profile in comparison.profiles().items():
        assert f"{name} " in shown
        assert profile.documents in shown
        assert f"[`{name}`]({profile.documents})" in table
    assert len({line.count("|") for line in table.splitlines()}) == 1, "a row has as many cells as the next"
