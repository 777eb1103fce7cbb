"""rtflow doctor: is everything here that a feed needs, and if not, what to do."""

from __future__ import annotations

import platform
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rtflow import operators as op
from rtflow import settings
from rtflow.commands import _options as options
from rtflow.commands._app import app
from rtflow.commands._failures import Code, Failure, arguments, explained
from rtflow.commands._pipeline import feed_of, follow
from rtflow.errors import RtflowError
from rtflow.events import Event, Status
from rtflow.provider import Provider, Subscription
from rtflow.terminal import Terminal
from rtflow.time import SECOND


class Finding(NamedTuple):
    """One line: ``optional`` and ``missing`` are what you may want, ``failed`` is what must be mended."""

    mark: Literal["ok", "optional", "missing", "failed"]
    about: str
    text: str


@app.command()
def doctor(
    context: typer.Context,
    venue: Annotated[
        options.Venue | None,
        typer.Argument(
            parser=options.venue_of,
            metavar="VENUE",
            help=f"Ask this venue, too. {options.VENUES}",
            show_default=False,
            show_choices=False,
        ),
    ] = None,
    symbols: Annotated[
        list[str] | None,
        typer.Option("--symbols", "-s", metavar="SYMBOLS", help="And for these of its symbols."),
    ] = None,
    url: options.Url = None,
    feed: options.Choice = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Seconds that anything may take.")
    ] = 10.0,
) -> None:
    """Find out what is missing or wrong, and what to do.

    Looks at what is installed, at TLS and at keys; with a VENUE, at the way there, its clock and its data.
    Each line says ok, optional (with what to do, if you want it), missing or failed (with what to do); no
    line shows a key. Ends with 1 if anything failed, with 3 if the VENUE needs a key and has none. Only a
    VENUE that is named is contacted.

    Example: rtflow doctor kraken -s BTC/USD
    """
    console = Terminal()
    failed = keyless = False
    for finding in _findings(context.obj, venue, options.listed(symbols or []), url, feed, timeout):
        _print(console, finding)
        failed = failed or finding.mark == "failed"
        keyless = keyless or (finding.mark == "missing" and finding.about == venue)
    if failed:
        raise typer.Exit(Code.FAILED)
    if keyless:
        raise typer.Exit(Code.REFUSED)


def _first_kind(provider: Provider) -> str:
    """Trades; of a feed without them, what it has."""
    return "trades" if "trades" in provider.kinds else next(iter(provider.kinds))


def _print(console: Console, finding: Finding) -> None:
    style = {"ok": "green", "optional": "dim", "missing": "yellow", "failed": "bold red"}[finding.mark]
    if not console.is_terminal:
        typer.echo(f"{finding.mark:<8} {finding.about:<18} {finding.text}")
        return
    table = Table.grid(padding=(0, 1))
    table.add_column(width=8, no_wrap=True)
    table.add_column(width=18, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(finding.mark, style), Text(finding.about), Text(finding.text))
    console.print(table)


def _findings(
    environ: Mapping[str, str],
    venue: options.Venue | None,
    symbols: list[str],
    url: str | None,
    choice: str | None,
    timeout: float,
) -> Iterator[Finding]:
    yield Finding("ok", "rtflow", f"{version('rtflow')}, Python {platform.python_version()}, {sys.platform}")
    yield from _packages()
    yield _authorities()
    yield from _proxies(environ)
    if venue is None:
        for each in options.Venue:
            yield _keys(each, environ)
        return
    keys = _keys(venue, environ)
    yield keys
    try:
        provider = options.provider_of(venue, environ, url=url, choice=choice)
        with arguments():
            asked = {_first_kind(provider): symbols} if symbols else {}
            address = provider.request(Subscription.of(**asked)).url
    except (Failure, RtflowError) as error:
        if keys.mark == "ok":
            yield Finding("failed", venue.value, _told(error))
        return
    yield from _clock(venue, address, timeout, environ)
    yield from _feed(provider, asked, timeout)


_NEEDED = (
    "reactivex",
    "websocket-client",
    "numpy",
    "msgspec",
    "typer",
    "rich",
    "websockets",
    "python-dotenv",
)
_WANTED = {
    "pyarrow": ("cache", "Parquet"),
    "exchange-calendars": ("calendars", "exchanges' holidays"),
    "anywidget": ("notebook", "live views in notebooks"),
    "numba": ("fast", "compiled folds over columns"),
}


def _packages() -> Iterator[Finding]:
    here = {name: _version(name) for name in (*_NEEDED, *_WANTED)}
    yield Finding("ok", "packages", ", ".join(f"{name} {here[name]}" for name in _NEEDED))
    for name, (extra, good_for) in _WANTED.items():
        if here[name]:
            yield Finding("ok", name, f"{here[name]}: {good_for}")
        else:
            yield Finding("optional", name, f"pip install 'rtflow[{extra}]' for {good_for}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _authorities() -> Finding:
    paths = ssl.get_default_verify_paths()
    known = ssl.create_default_context().cert_store_stats()["x509_ca"]
    if known or paths.cafile or paths.capath:
        counted = f", {known} root certificates" if known else ""
        return Finding("ok", "TLS", f"{ssl.OPENSSL_VERSION}{counted}")
    return Finding(
        "failed",
        "TLS",
        "no root certificates, so no venue can be believed: install your system's ca-certificates, "
        "or let SSL_CERT_FILE name a file of them",
    )


def _proxies(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        if proxy := environ.get(name):
            yield Finding("ok", name, f"connections go by {urlsplit(proxy).hostname}")


def _keys(venue: options.Venue, environ: Mapping[str, str]) -> Finding:
    """Which of a venue's credentials are set, by name."""
    wanted = settings.VENUES[venue.value].settings
    name = venue.value
    if not wanted:
        return Finding("ok", name, "no key needed")
    try:
        found = settings.sources(venue.value, environ=environ)
    except settings.Unset as error:
        return Finding("failed", name, str(error))
    there = [source for source in found.values() if source]
    missing = [" or ".join(each.variables) for each in wanted if each.required and not found[each.argument]]
    if missing:
        return Finding(
            "missing", name, f"set {', '.join(missing)}; or each with _FILE behind, to name a file"
        )
    return Finding("ok", name, f"key by {', '.join(there)}" if there else "no key set, none needed")


def _clock(
    venue: options.Venue, address: str, timeout: float, environ: Mapping[str, str]
) -> Iterator[Finding]:
    """The venue's certificate, and its clock by the Date of an HTTP answer, which knows whole seconds."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    secure = parts.scheme == "wss"
    certificate = environ.get("IBKR_CERTIFICATE") if venue is options.Venue.IBKR else None
    try:
        context = ssl.create_default_context(cafile=certificate)
        asked = time.time()
        date = _date_of(f"{'https' if secure else 'http'}://{host}/", timeout, context)
        answered = time.time()
    except OSError as error:
        yield Finding("failed", "way there", _unreachable(host, error))
        return
    trust = f"the certificate of {host} is good" if secure else f"{host} speaks unencrypted: for a twin, fine"
    yield Finding("ok", "way there", trust)
    if date is None:
        yield Finding(
            "missing", "clock", f"{host} does not say what time it is; compare ours with a time server"
        )
        return
    ahead, behind = asked - (date + 1), date - answered  # the least that ours can be off, either way
    if max(ahead, behind) <= _TOLERATED:
        yield Finding("ok", "clock", "ours and theirs agree, as far as whole seconds tell")
    else:
        off = f"{ahead:.0f} s ahead of" if ahead > behind else f"{behind:.0f} s behind"
        yield Finding(
            "failed", "clock", f"ours is {off} theirs: bars close at the wrong time; let NTP set it"
        )


_TOLERATED = 1.0  # seconds


def _date_of(url: str, timeout: float, context: ssl.SSLContext) -> float | None:
    """The Date of the answer, whatever it answers."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    host = urlsplit(url).hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        handlers.append(urllib.request.ProxyHandler({}))  # no proxy knows this machine
    request = urllib.request.Request(url, headers={"User-Agent": "rtflow"})
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as answer:
            date = answer.headers.get("Date", "")
    except urllib.error.HTTPError as error:
        date = error.headers.get("Date", "")
        error.close()
    with suppress(ValueError):
        return parsedate_to_datetime(date).timestamp()
    return None


def _unreachable(host: str, error: OSError) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {host} does not convince us ({reason.verify_message}): check this machine's "
            "time and root certificates; of an IBKR gateway that signs its own, let IBKR_CERTIFICATE name it"
        )
    said = (reason.strerror if isinstance(reason, OSError) else "") or str(reason)
    return f"{host} cannot be reached ({said}): check the address, the firewall, the proxy"


def _feed(provider: Provider, asked: dict[str, list[str]], timeout: float) -> Iterator[Finding]:
    """The upgrade, the key, and, if symbols were named, how old their data is when it comes."""
    feed = feed_of(provider, asked, timeout=timeout)
    witness = _Witness(bool(asked))
    try:
        with suppress(_Enough):
            follow(feed.pipe(op.normalize(provider)), witness.hear, seconds=timeout)
    except (RtflowError, OSError) as error:
        yield Finding("failed", "feed", _told(error))
        return
    yield Finding("ok", "feed", f"{provider.name} lets us in")
    for refusal in witness.refusals:
        yield Finding("failed", "symbol", f"{provider.name} refuses {refusal.symbol}: {refusal.text}")
    if not asked or witness.refusals:
        return
    if witness.ages:
        age = min(witness.ages) / SECOND
        yield Finding("ok", "data", f"at best {age * 1000:,.0f} ms after the venue's stamp")
    else:
        yield Finding("missing", "data", f"none within {timeout:g} s: is the market open, the symbol right?")


class _Enough(Exception):
    """Nothing more need be heard."""


class _Witness:
    """What a feed says until we know."""

    def __init__(self, wants_data: bool) -> None:
        self.ages: list[int] = []
        self.refusals: list[Status] = []
        self._wants_data = wants_data

    def hear(self, event: Event) -> None:
        """Raises _Enough when it is."""
        if isinstance(event, Status):
            if event.state == "rejected" and event.symbol:  # of all of us, an error is coming
                self.refusals.append(event)
                raise _Enough
            if event.state in ("open", "joined") and not self._wants_data:
                raise _Enough
        elif (stamp := getattr(event, "ts_event", 0)) and len(self.ages) < _SEEN:
            self.ages.append(event.ts_recv - stamp)
            if len(self.ages) == _SEEN:
                raise _Enough


_SEEN = 10  # events whose age is looked at


def _told(error: Exception) -> str:
    failure = explained(error)
    return str(failure or error)
