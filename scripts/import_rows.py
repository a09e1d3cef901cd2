"""Read rows of other people's formats into this project's form: every row comes out, or is rejected with a code.

Known: our own two forms, OpenAI messages, ShareGPT and Glaive, Hermes' <tool_call>, ToolACE's strings, xLAM, pairs of
chosen and rejected, prompt and completion, and BFCL's questions with their answer file.

\b
    python -m scripts.import_rows glaive.jsonl --out build/glaive.jsonl
    python -m scripts.import_rows BFCL_v4_simple.json --answers possible_answer/BFCL_v4_simple.json --out bfcl.jsonl

Rejects go to OUT.rejects.jsonl with line, code and reason. Exit code 1 when there are any.
"""

import json
from collections import Counter
from importlib import import_module
from pathlib import Path

import click

from lib.cli import command, json_option, log, option, progress
from lib.errors import CannotRun


@command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@click.option("--answers", type=click.Path(path_type=Path), help="BFCL's file of possible answers.")
@option("--format", "form", type=click.Choice(["native", "text"]), default="native", help="Form of the written rows.")
@json_option
@click.pass_context
def main(ctx, data, out, answers, form, as_json):
    if out.exists() and out.samefile(data):
        raise CannotRun(f"{out}: is the file to read. Name another --out.")
    importing = import_module("lib.importing")
    known = importing.read_answers(answers) if answers else {}
    counts, rejects = convert(importing, data, out, known, form)
    report = {
        "rows": sum(counts["read"].values()) + len(rejects),
        "written": counts["written"]["all"],
        "formats": dict(counts["read"]),
        "rejects": dict(Counter(reject["code"] for reject in rejects)),
    }
    list_of_rejects = out.with_suffix(".rejects.jsonl")
    list_of_rejects.unlink(missing_ok=True)  # an earlier run's
    if rejects:
        import_module("lib.jsonl").write_rows(list_of_rejects, rejects)
    if as_json:
        click.echo(json.dumps(report))
    else:
        show(report, rejects, data, out)
    ctx.exit(1 if rejects else 0)


def convert(importing, data: Path, out: Path, answers: dict, form: str) -> tuple[dict, list[dict]]:
    """({"read": rows by format, "written": rows}, rejects); out is written as rows are read, whole or not at all."""
    chat, jsonl = import_module("lib.chat"), import_module("lib.jsonl")
    printed = chat.to_native_row if form == "native" else chat.to_text_row
    counts, rejects = {"read": Counter(), "written": Counter()}, []

    def rows():
        for line, content in progress(jsonl.read_lines(data), desc=data.name, unit="row"):
            try:
                name, examples = importing.import_row(importing.parse_line(content), answers)
                made = [printed(example) for example in examples]
            except importing.Rejected as rejected:
                rejects.append(importing.dump_reject(line, rejected))
                continue
            except ValueError as error:  # what the text form cannot hold
                rejects.append({"line": line, "code": "not-in-text-form", "message": str(error)})
                continue
            counts["read"][name] += 1
            counts["written"]["all"] += len(made)
            yield from made

    jsonl.write_rows(out, rows())
    return counts, rejects


def show(report: dict, rejects: list[dict], data: Path, out: Path) -> None:
    """What became of the rows: totals on stdout, the first rejects of each code on stderr."""
    shown = Counter()
    for reject in rejects:
        shown[reject["code"]] += 1
        if shown[reject["code"]] <= 3:
            log(f"{data}:{reject['line']}: {reject['code']}: {reject['message']}")
    formats = ", ".join(f"{name} {count}" for name, count in report["formats"].items()) or "none"
    click.echo(f"{report['rows']} rows read ({formats}), {report['written']} written to {out}, {len(rejects)} rejected")
    if rejects:
        log(f"All rejects: {out.with_suffix('.rejects.jsonl')}")


if __name__ == "__main__":
    main()
