"""One HTML file that needs no network: style, data and script inside, and a policy that lets nothing else in."""

import base64
import hashlib
import json
from html import escape

# The looks of the data and training pages: light and dark, narrow and wide.
STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --soft: #5b6670; --line: #d8dde2; --a: #3f78a8;
  --b: #c2573a; --good: #2d7d46; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --paper: #14171a; --soft: #9ba6b0; --line: #343a40;
  --a: #6aa9dc; --b: #e07a5a; --good: #5fbf80; --warn: #e0b050; } }
* { box-sizing: border-box; }
body { font: 16px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  padding: 1rem; max-width: 60rem; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: .95rem; margin: 0 0 .3rem; }
p, summary { color: var(--soft); }
figure { margin: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; overflow-wrap: normal; }
th, td { text-align: left; padding: .3rem .5rem; border-top: 1px solid var(--line); vertical-align: top; }
summary { cursor: pointer; color: inherit; }
:focus-visible { outline: 3px solid var(--a); outline-offset: 2px; border-radius: 2px; }
.charts { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
svg { width: 100%; max-width: 32rem; height: auto; } svg text { font: 10px system-ui, sans-serif; fill: var(--soft); }
.mark { stroke: var(--soft); stroke-dasharray: 3 2; }
"""


def document(title: str, body: str, style: str, script: str = "", data: object = None) -> str:
    """The whole page; the script finds the data in the element `data`."""
    scripts = f"script-src '{sha256(script)}'; " if script else ""
    policy = f"default-src 'none'; style-src '{sha256(style)}'; {scripts}base-uri 'none'; form-action 'none'"
    data_part = f'<script type="application/json" id="data">{island(data)}</script>' if script else ""
    ending = f"{data_part}<script>{script}</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{body}{ending}</body></html>\n"
    )


def sha256(text: str) -> str:
    """The digest by which a content security policy knows an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def island(data: object) -> str:
    """JSON in ASCII that cannot end the script element it stands in, nor begin a comment."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
