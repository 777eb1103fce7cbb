"""The ``rtflow`` command's front door: opens it, or says which extra is missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; exits with 1 and one sentence when the ``cli`` extra is not installed."""
    try:
        from rtflow.commands import app
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] not in ("typer", "rich", "websockets", "dotenv"):
            raise
        sys.exit(
            f"The rtflow command needs {missing.name}, which is not installed: pip install 'rtflow[cli]'"
        )
    app(prog_name="rtflow")
