"""The colours and letters of every view, light and dark, each said once.

Bids, buys and rising bars are blue, asks, sells and falling bars orange: two colours that people who cannot
tell red from green can tell apart. Place, a sign or a hollow shape says the same again.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Theme: TypeAlias = Literal["auto", "light", "dark"]
"""``auto`` follows the notebook or the reader's system."""

THEMES: tuple[Theme, ...] = ("auto", "light", "dark")


class Colour(NamedTuple):
    """One colour on a light page and on a dark one."""

    light: str
    dark: str
    host: tuple[str, ...] = ()  # variables of JupyterLab and VS Code that come first


COLOURS: dict[str, Colour] = {
    "paper": Colour("#ffffff", "#15191f", ("--jp-layout-color0", "--vscode-editor-background")),
    "ink": Colour("#1f2328", "#e6edf3", ("--jp-content-font-color1", "--vscode-editor-foreground")),
    "faint": Colour("#59636e", "#9aa4b0"),
    "rule": Colour("#d8dee4", "#353c45"),
    "bid": Colour("#0b63ce", "#58a6ff"),
    "ask": Colour("#b84a00", "#f0883e"),
    "other": Colour("#6e40c9", "#bc8cff"),
    "good": Colour("#1a7f37", "#3fb950"),
    "warn": Colour("#8a5a00", "#e3b341"),
    "bad": Colour("#c2201f", "#ff7b72"),
}

_FONT = "var(--jp-ui-font-family, var(--vscode-font-family, system-ui, 'DejaVu Sans', sans-serif))"


def style(theme: Theme = "auto") -> str:
    """The style sheet of all views; everything in it is below the class ``rtflow``."""
    rules = [
        f".rtflow{{font:12px/1.4 {_FONT if theme == 'auto' else 'system-ui,sans-serif'};"
        "font-variant-numeric:tabular-nums;}"
    ]
    if theme == "auto":
        variables = "".join(f"--rt-{name}:{_automatic(colour)};" for name, colour in COLOURS.items())
        rules.append(f".rtflow{{color-scheme:light dark;{variables}}}")
        rules += [f"{', '.join(where)}{{color-scheme:{scheme};}}" for scheme, where in _HOSTS.items()]
    else:
        plain = {name: getattr(colour, theme) for name, colour in COLOURS.items()}
        rules.append(f".rtflow{{{''.join(f'--rt-{name}:{value};' for name, value in plain.items())}}}")
    for name in COLOURS:
        rules.append(f".rtflow .f-{name}{{fill:var(--rt-{name});}}")
        rules.append(f".rtflow .s-{name}{{stroke:var(--rt-{name});fill:none;}}")
    return "\n".join([*rules, _PARTS])


def _automatic(colour: Colour) -> str:
    value = f"light-dark({colour.light},{colour.dark})"
    for variable in reversed(colour.host):
        value = f"var({variable},{value})"
    return value


# Who says that the page is dark: JupyterLab and VS Code by attributes, marimo by a class, and the script of
# a live view, which asks all three, by data-theme: a style sheet inside a shadow root cannot see them.
_HOSTS = {
    "light": (
        '[data-jp-theme-light="true"] .rtflow',
        ".vscode-light .rtflow",
        ".light .rtflow",
        '.rtflow[data-theme="light"]',
    ),
    "dark": (
        '[data-jp-theme-light="false"] .rtflow',
        ".vscode-dark .rtflow",
        ".dark .rtflow",
        '.rtflow[data-theme="dark"]',
    ),
}

_PARTS = """
.rtflow .edge{stroke:var(--rt-paper);stroke-width:1;}
.rtflow .strong{font-weight:600;}
.rtflow .small{font-size:11px;}
.rtflow .dim{opacity:.45;}
div.rtflow{color:var(--rt-ink);max-width:100%;position:relative;}
.rtflow .head{display:flex;gap:12px;align-items:baseline;padding:2px 0 4px;}
.rtflow .head .title{font-weight:600;white-space:nowrap;}
.rtflow .head .note{color:var(--rt-faint);min-width:0;overflow:hidden;text-overflow:ellipsis;
  white-space:nowrap;}
.rtflow .head .state{margin-left:auto;white-space:nowrap;}
.rtflow .good{color:var(--rt-good);}
.rtflow .warn{color:var(--rt-warn);}
.rtflow .bad{color:var(--rt-bad);}
.rtflow .quiet{color:var(--rt-faint);}
.rtflow .stage{position:relative;width:100%;overflow:hidden;}
.rtflow .stage.old{opacity:.45;}
.rtflow .awaited{position:absolute;inset:0;display:flex;align-items:center;justify-content:center;
  text-align:center;color:var(--rt-faint);border:1px dashed var(--rt-rule);border-radius:4px;padding:8px;
  box-sizing:border-box;}
.rtflow .foot{color:var(--rt-faint);font-size:11px;padding-top:2px;overflow-wrap:anywhere;}
.rtflow .foot a{color:inherit;}
.rtflow canvas{display:block;}
.rtflow table.rows{border-collapse:collapse;width:100%;margin:0;table-layout:auto;font-size:12px;}
.rtflow table.rows th{font-weight:400;color:var(--rt-faint);border-bottom:1px solid var(--rt-rule);}
.rtflow table.rows th,.rtflow table.rows td{padding:1px 8px 1px 0;text-align:right;white-space:nowrap;
  background:none;height:18px;box-sizing:border-box;}
.rtflow table.rows th.left,.rtflow table.rows td.left{text-align:left;}
.rtflow table.rows td.words{text-align:left;white-space:normal;overflow-wrap:anywhere;}
.rtflow table.rows tr{background:none;}
.rtflow table.even{table-layout:fixed;}
.rtflow table.even th,.rtflow table.even td{overflow:hidden;text-overflow:ellipsis;}
.rtflow table.rows th{font-size:11px;}
.rtflow table.first th:first-child{width:34%;}
.rtflow table.log{margin-top:4px;border-top:1px solid var(--rt-rule);}
.rtflow table.log td:first-child{width:1px;}
.rtflow .bid{color:var(--rt-bid);}
.rtflow .ask{color:var(--rt-ask);}
"""
