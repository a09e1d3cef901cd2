"""Print where a model file, a run or a dataset comes from, and check every link of the chain.

\b
    python -m scripts.lineage runs/20251122_110000-kto-tiny/gguf/toolset-tiny-kto-Q4_K_M.gguf
    python -m scripts.lineage runs/20251122_110000-kto-tiny --json
    python -m scripts.lineage downloaded/toolset-tiny-kto-Q4_K_M.gguf    # beside the lineage.json of an upload

Exit 1: the chain is broken; the line that begins with BROKEN says where.
"""

import importlib
import json
from dataclasses import asdict
from pathlib import Path

import click

from lib.cli import command, json_option, log


@command(help=__doc__)
@click.argument("place", type=click.Path(path_type=Path))
@json_option
def main(place, as_json):
    lineage = importlib.import_module("lib.lineage")
    links = lineage.chain(place)
    broken = lineage.is_broken(links)
    if as_json:
        click.echo(json.dumps({"whole": not broken, "chain": [asdict(link) for link in links]}, indent=1))
    else:
        click.echo(lineage.shown(links))
        log("The chain is broken." if broken else "The chain is whole.")
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
