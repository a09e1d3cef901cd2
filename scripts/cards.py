"""Write the figures of the shipped datasets into their card, datasets/README.md.

\b
    python -m scripts.cards
    python -m scripts.cards --check
    python -m scripts.cards --folder build/mine

The front matter (for the Hugging Face Hub) and what stands between <!-- figures --> and <!-- /figures --> are
written; the rest stays. With --check nothing is written; exit 1 when the card says something else.
"""

from pathlib import Path

import click

from lib.cli import command, log, option
from lib.errors import CannotRun


@command(help=__doc__)
@option("--folder", type=click.Path(path_type=Path), default=Path("datasets"), help="Folder of the sets and the card.")
@option("--check", is_flag=True, help="Only compare.")
@click.pass_context
def main(ctx, folder, check):
    from lib.cards import filled
    from lib.jsonl import write_text
    from lib.toolset import load_toolset

    card = folder / "README.md"
    if not card.is_file():
        raise CannotRun(
            f"{card}: no such file. It holds the words of the card, and two lines between which figures go."
        )
    old = card.read_text(encoding="utf-8")
    new = filled(old, folder, load_toolset().tools)
    if not check:
        write_text(card, new)
    elif new != old:
        log(f"{card} is behind the files. Write it again: python -m scripts.cards")
        ctx.exit(1)


if __name__ == "__main__":
    main()
