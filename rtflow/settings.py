"""Credentials by the names that venues gave them: arguments, the environment, mounted files.

A provider takes its credentials as arguments and reads nothing; this room stands outside and reads what the
environment says. Each variable has a cousin with ``_FILE`` behind it that names a file to read instead, as
containers mount secrets. What is read is given to the provider and to nobody else: no error and no ``repr``
here has it in it.

=================  =====================================================  ==================================
venue              variables                                              which
=================  =====================================================  ==================================
alpaca             ``APCA_API_KEY_ID``, ``APCA_API_SECRET_KEY``           Alpaca's own
angelone           ``SMARTAPI_JWT``, ``SMARTAPI_API_KEY``,                or ``ANGELONE_…``: what the login
                   ``SMARTAPI_CLIENT_CODE``, ``SMARTAPI_FEED_TOKEN``      of the day returned
coinbase_exchange  ``COINBASE_EXCHANGE_API_KEY``, ``…_API_SECRET``,       optional: with them books come
                   ``…_PASSPHRASE``                                       change by change
ibkr               ``IBKR_GATEWAY_URL``, ``IBKR_SESSION``,                all optional, or ibind's names:
                   ``IBKR_OAUTH_TOKEN``, ``IBKR_CERTIFICATE``,            ``IBIND_WS_URL``, ``IBIND_CACERT``,
                   ``IBKR_ACCOUNT``                                       ``IBIND_ACCOUNT_ID``, …
polygon            ``MASSIVE_API_KEY`` or ``POLYGON_API_KEY``             the venue's own, new and old
=================  =====================================================  ==================================

Binance, Coinbase and Kraken need none. (Coinbase takes a signed token, which needs a library of yours: give
its provider ``jwt=``.)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rtflow.errors import RtflowError
from rtflow.provider import Provider
from rtflow.providers import (
    Alpaca,
    AngelOne,
    Binance,
    Coinbase,
    CoinbaseExchange,
    InteractiveBrokers,
    Kraken,
    Polygon,
)


class Unset(RtflowError, ValueError):
    """A setting is missing or cannot be read; the message names the variable, and never what it holds."""


class Setting(msgspec.Struct, frozen=True):
    """One argument of a provider, and the variables that it is read from: the first that is set counts.

    ``stand_in`` says whether a twin wants to be told something there, whatever it is.
    """

    argument: str
    variables: tuple[str, ...]
    required: bool = True
    stand_in: bool = True


class Venue(msgspec.Struct, frozen=True):
    """What is set up at one venue. ``choice`` is the argument that says which of its feeds is meant."""

    make: Callable[..., Provider]
    settings: tuple[Setting, ...] = ()
    choice: str = ""


def provider(
    venue: str, *, environ: Mapping[str, str] | None = None, keyless: bool = False, **options: Any
) -> Provider:
    """The provider of ``venue``, one of :data:`VENUES`, with credentials from the environment.

    ``options`` are the provider's own arguments, and what stands there is not looked for elsewhere.
    ``environ`` replaces ``os.environ``. With ``keyless`` no variable is read, and a placeholder stands where
    a key would: good for a tape, which nobody need be admitted to, and for a twin, which admits anybody.

    >>> provider("alpaca", environ={"APCA_API_KEY_ID": "PK1", "APCA_API_SECRET_KEY": "s"}, feed="sip")
    Alpaca(feed='sip')
    >>> provider("polygon", environ={})
    Traceback (most recent call last):
    rtflow.settings.Unset: polygon needs MASSIVE_API_KEY or POLYGON_API_KEY: set it, or its cousin with _FILE

    Raises Unset for another venue, for what is required and missing, and for a file that cannot be used; and
    what the provider raises for its arguments.
    """
    place = _place(venue)
    given = {setting.argument for setting in place.settings} & options.keys()
    asked = [setting for setting in place.settings if setting.argument not in given]
    if keyless:
        found = {setting.argument: "keyless" for setting in asked if setting.stand_in}
    else:
        variables = os.environ if environ is None else environ
        found = {
            setting.argument: text for setting in asked if (text := _read(setting, variables)) is not None
        }
        missing = [setting for setting in asked if setting.required and setting.argument not in found]
        if missing:
            names = ", ".join(" or ".join(setting.variables) for setting in missing)
            which = "it, or its cousin" if len(missing) == 1 else "them, or their cousins"
            raise Unset(f"{venue} needs {names}: set {which} with _FILE")
    return _made(place, found, options)


def _made(place: Venue, found: Mapping[str, str], options: Mapping[str, Any]) -> Provider:
    try:
        return place.make(**found, **options)
    except ValueError as error:
        said = str(error)
        for argument, text in found.items():
            if text in said or repr(text)[1:-1] in said:
                raise Unset(f"what the environment says of {argument} is not what one looks like") from None
        raise


def sources(venue: str, *, environ: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Where each argument of ``venue`` would come from: the name of a variable, None where nothing is set.

    >>> sources("polygon", environ={"POLYGON_API_KEY": "secret"})
    {'key': 'POLYGON_API_KEY'}

    Raises Unset for another venue, and for a file that cannot be used.
    """
    variables = os.environ if environ is None else environ
    return {
        setting.argument: None if (found := _find(setting, variables)) is None else found[0]
        for setting in _place(venue).settings
    }


def _place(venue: str) -> Venue:
    place = VENUES.get(venue)
    if place is None:
        raise Unset(f"there is no venue {venue!r}; there are {', '.join(VENUES)}")
    return place


def _read(setting: Setting, variables: Mapping[str, str]) -> str | None:
    found = _find(setting, variables)
    return None if found is None else found[1]


def _find(setting: Setting, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that counts, and what it says."""
    for name in setting.variables:
        cousin = f"{name}_FILE"
        text, path = variables.get(name, "").strip(), variables.get(cousin, "").strip()
        if text and path:
            raise Unset(f"{name} and {cousin} are both set: unset one, so that nobody need guess")
        if text:
            return name, text
        if path:
            return cousin, _content(cousin, Path(path))
    return None


def _content(variable: str, path: Path) -> str:
    """What a mounted file says, without the white space around it; errors do not quote it."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise Unset(f"{variable} names {path}, which cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig").strip()  # Notepad marks its files
    except UnicodeDecodeError:
        raise Unset(f"{variable} names {path}, which is not UTF-8 text") from None
    if not text or len(content) > _LONGEST:
        raise Unset(f"{variable} names {path}, which is {'too long for a credential' if text else 'empty'}")
    return text


_LONGEST = 65_536  # bytes


def _exchange(*, api_key: str = "", secret: str = "", passphrase: str = "", **options: Any) -> Provider:
    """Coinbase's Exchange feed, signed if there is all that it takes."""
    given = (api_key, secret, passphrase)
    if not any(given):
        return CoinbaseExchange(**options)
    if not all(given):
        raise Unset(
            "coinbase_exchange signs with a key, its secret and its passphrase: set all three, or none"
        )
    try:
        key = base64.b64decode(secret, validate=True)
    except binascii.Error:
        raise Unset("coinbase_exchange's secret is base64, as the venue shows it; this one is not") from None

    def sign() -> Mapping[str, str]:
        # https://docs.cdp.coinbase.com/exchange/websocket-feed/authentication
        stamp = str(int(time.time()))
        digest = hmac.digest(key, f"{stamp}GET/users/self/verify".encode(), hashlib.sha256)
        signature = base64.b64encode(digest).decode()
        return {"signature": signature, "key": api_key, "passphrase": passphrase, "timestamp": stamp}

    return CoinbaseExchange(sign=sign, **options)


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f"{vendor}_{name}" for name in names for vendor in ("SMARTAPI", "ANGELONE"))


VENUES: dict[str, Venue] = {
    "alpaca": Venue(
        Alpaca,
        (Setting("key", ("APCA_API_KEY_ID",)), Setting("secret", ("APCA_API_SECRET_KEY",))),
        choice="feed",
    ),
    "angelone": Venue(
        AngelOne,
        (
            Setting("jwt", _both("JWT")),
            Setting("api_key", _both("API_KEY")),
            Setting("client_code", _both("CLIENT_CODE")),
            Setting("feed_token", _both("FEED_TOKEN")),
        ),
    ),
    "binance": Venue(Binance, choice="market"),
    "coinbase": Venue(Coinbase),
    "coinbase_exchange": Venue(
        _exchange,
        (
            Setting("api_key", ("COINBASE_EXCHANGE_API_KEY",), required=False, stand_in=False),
            Setting("secret", ("COINBASE_EXCHANGE_API_SECRET",), required=False, stand_in=False),
            Setting("passphrase", ("COINBASE_EXCHANGE_PASSPHRASE",), required=False, stand_in=False),
        ),
    ),
    "ibkr": Venue(
        InteractiveBrokers,
        (
            Setting("url", ("IBKR_GATEWAY_URL", "IBIND_WS_URL"), required=False, stand_in=False),
            Setting("session", ("IBKR_SESSION",), required=False),
            Setting(
                "oauth_token",
                ("IBKR_OAUTH_TOKEN", "IBIND_OAUTH1A_ACCESS_TOKEN"),
                required=False,
                stand_in=False,
            ),
            Setting("certificate", ("IBKR_CERTIFICATE", "IBIND_CACERT"), required=False, stand_in=False),
            Setting("account", ("IBKR_ACCOUNT", "IBIND_ACCOUNT_ID"), required=False, stand_in=False),
        ),
    ),
    "kraken": Venue(Kraken),
    "polygon": Venue(Polygon, (Setting("key", ("MASSIVE_API_KEY", "POLYGON_API_KEY")),), choice="cluster"),
}
"""Every venue by its name, with what can be set there."""
