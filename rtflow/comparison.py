"""The venues side by side, from what their providers declare."""

from __future__ import annotations

from rtflow import providers
from rtflow.provider import Profile

COLUMNS = (
    "markets",
    "transport",
    "encoding",
    "auth",
    "kinds",
    "depth",
    "sequence",
    "checksum",
    "heartbeat",
    "limits",
)
"""What is compared: fields of :class:`rtflow.provider.Profile`."""


def profiles() -> dict[str, Profile]:
    """The profile of every provider, by the name of its class.

    >>> profiles()["Kraken"].checksum
    'CRC-32 of the best ten levels, on every book message'
    """
    return {name: getattr(providers, name).profile for name in sorted(providers.__all__)}


def cells(profile: Profile) -> list[str]:
    """What a row says, in the order of :data:`COLUMNS`."""
    return [", ".join(profile.kinds) if column == "kinds" else getattr(profile, column) for column in COLUMNS]


def markdown() -> str:
    """The whole table in Markdown; each class links to its venue's documents."""
    rows = [["provider", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    rows += [[f"[`{name}`]({each.documents})", *cells(each)] for name, each in profiles().items()]
    return "".join(f"| {' | '.join(cell.replace('|', '·') for cell in row)} |\n" for row in rows)
