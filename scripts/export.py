"""Write the twin of a dataset in the other form: OpenAI messages (native) or calls inside the text (text).

\b
    python -m scripts.export datasets/syngen_tools_sft.jsonl --format native --out build/native.jsonl
    python -m scripts.export datasets/syngen_tools_sft.jsonl --format native --tools --out build/native.jsonl
    python -m scripts.export build/native.jsonl --format text --out build/text.jsonl

Nothing is lost: each row is read back before it counts. A row that cannot be read, or that the other form cannot
hold, ends the command with exit 2 and its line; the file is written whole or not at all. Ids of calls have no place in
the text form; how many were dropped is said.
"""

from pathlib import Path

import click

from lib.cli import command, log, option, progress


@command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@option("--format", "form", type=click.Choice(["native", "text"]), required=True, help="The form to write.")
@option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@option(
    "--tools", is_flag=True, help="Give every row without a tools list the toolset as one, as OpenAI's API takes it."
)
@option("--force", is_flag=True, help="Allow OUT to be DATA.")
def main(data, form, out, tools, force):
    from lib.jsonl import open_lines, read_rows, refuse_overwriting, write_rows
    from lib.toolset import load_toolset
    from lib.twins import Twins

    open_lines(data).close()
    refuse_overwriting(data, out, force)
    twins = Twins(form, tuple(load_toolset().openai_tools()) if tools else None)
    rows = (twins.row(data, number, row) for number, row in progress(read_rows(data), desc=str(data), unit="row"))
    count = write_rows(out, rows)
    log(f"{out}: {count} rows in the {form} form")
    if twins.dropped_ids:
        log(f"{twins.dropped_ids} ids of calls were dropped; in the text form a result follows its call.")


if __name__ == "__main__":
    main()
