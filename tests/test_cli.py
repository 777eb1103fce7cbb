"""The command opens with its extra, and says what to install without it."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest
from pytest_mock import MockerFixture
from typer.testing import CliRunner

from rtflow import cli, commands, comparison, demo
from rtflow.commands import app
from rtflow.twin.dialects import DIALECTS


@pytest.mark.parametrize("missing", ["typer", "rich.console", "websockets.sync"])
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
    opened.assert_called_once_with()


def test_help_names_the_demo_and_its_options() -> None:
    said = CliRunner().invoke(app, ["demo", "--help"], env={"COLUMNS": "120", "TERM": "dumb"}).output
    for option in ("--seconds", "--seed", "--venue", "--plain"):
        assert option in said


def test_the_demo_is_given_what_was_asked_for(mocker: MockerFixture) -> None:
    run = mocker.patch("rtflow.commands.demonstration.run")
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
    run = mocker.patch("rtflow.commands.demonstration.run")
    assert CliRunner().invoke(app, ["demo"]).exit_code == 0
    assert run.call_args.kwargs["plain"] is True


@pytest.mark.parametrize("arguments", [["demo", "--seconds", "1"], ["demo", "--venue", "nyse"], ["trade"]])
def test_what_it_cannot_do_is_refused_with_a_usage_error(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_every_venue_on_offer_has_a_twin() -> None:
    assert {venue.value for venue in commands.Venue} == set(demo.VENUES) <= set(DIALECTS)


def test_the_providers_are_compared_for_people_and_for_the_readme() -> None:
    shown = CliRunner().invoke(app, ["providers"], env={"COLUMNS": "100", "TERM": "dumb"}).output
    table = CliRunner().invoke(app, ["providers", "--markdown"]).output
    assert table == comparison.markdown()
    for name, profile in comparison.profiles().items():
        assert f"{name} " in shown
        assert profile.documents in shown
        assert f"[`{name}`]({profile.documents})" in table
    assert len({line.count("|") for line in table.splitlines()}) == 1, "a row has as many cells as the next"
