"""Prove that this platform's installation trains: import its packages, then SFT and KTO of a two-layer model.

\b
    python -m scripts.verify --platform cuda
    python -m scripts.verify --json

Each step is a line; exit 1 at the first that fails, with what went wrong. Nothing is left behind.
"""

import json

import click

from lib.cli import command, json_option, log, option
from lib.config import PLATFORMS


@command(help=__doc__)
@option("--platform", type=click.Choice(PLATFORMS), default="cpu", help="What is trained on.")
@json_option
@click.pass_context
def main(ctx, platform, as_json):
    from lib.verification import steps

    found = []
    for name, detail, error in steps(platform):
        found.append({"step": name, "ok": not error, "detail": detail or error})
        log(f"{click.style('✗' if error else '✓', fg='red' if error else 'green')} {name:<12} {detail or error}")
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    if not found[-1]["ok"]:
        log(f"The installation does not train. Again: make setup PLATFORM={platform}. What is missing: make doctor.")
        ctx.exit(1)


if __name__ == "__main__":
    main()
