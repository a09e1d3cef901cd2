"""Check anybody's tool calls against their schemas and the accepted values: one JSON line in, one verdict out.

\b
    python -m evaluator.check --cases cases.jsonl --out verdicts.jsonl --mode exact

A case is {"id", "tools": [{"name", "parameters"}], "expected": [{name: {parameter: [accepted values]}}],
"calls": [{"name", "arguments"}]}; evaluator/argument_cases.py says more. Among the accepted values an empty string
means: may be left out; "expected": [] means: no call wanted. A verdict is {"id", "valid", "findings": [{"code",
"message"}]}; that on a line that holds no case has the code bad-case and the id null if there is none to be read.
In mode exact texts must be equal; in mode text case and spacing are free, punctuation is not. Exit codes: 0 all valid,
1 some are not, 2 could not run.
"""

from pathlib import Path

import click

from lib.cli import command, log, option
from lib.errors import CannotRun


@command(help=__doc__)
@click.option("--cases", required=True, type=click.Path(path_type=Path), help="The cases, one JSON object a line.")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Where the verdicts go.")
@option("--mode", type=click.Choice(["exact", "text"]), default="exact", help="How texts are compared.")
def main(cases, out, mode):
    """Writes the verdicts, whole file or nothing; the counts go to stderr."""
    from collections import Counter

    from lib.json_text import dump_json
    from lib.jsonl import whole_file

    counts, codes = Counter(), Counter()
    with whole_file(out) as handle:
        for verdict in verdicts(cases, mode):
            handle.write(dump_json(verdict) + "\n")
            counts[verdict["valid"]] += 1
            codes.update({finding["code"] for finding in verdict["findings"]})
        if not counts:
            raise CannotRun(f"{cases}: there is no case in it, only blank lines.")
    log(f"{counts[True]} of {counts.total()} cases are valid; written to {out}.")
    for code, count in codes.most_common():
        log(f"  {count} with {code}")
    raise SystemExit(1 if counts[False] else 0)


def verdicts(path: Path, mode: str):
    """The verdict on each line of the file, in order."""
    from evaluator.argument_checker import check_line
    from lib.cli import progress
    from lib.jsonl import read_lines

    with progress(total=path.stat().st_size if path.is_file() else None, desc=str(path), unit="B") as bar:
        for _, line in read_lines(path):
            yield check_line(line, mode)
            bar.update(len(line) + 1)


if __name__ == "__main__":
    main(prog_name="python -m evaluator.check")
