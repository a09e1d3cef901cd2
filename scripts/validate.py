"""Check datasets: structure, calls against the tool schemas, contexts, ids, paths, results and labels.

\b
    python -m scripts.validate datasets/syngen_tools_sft.jsonl
    python -m scripts.validate datasets/*.jsonl --report build/report.json --max-shown 5
    zcat rows.jsonl.gz | python -m scripts.validate -

Every problem is one line on stdout, `path:line: code: message`. An error makes its row invalid; warnings are marked
[warning]; tool rules broken by rows labelled false are only counted (show them with --info). Exit codes: 0 no error,
1 errors, 2 could not run.
"""

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from lib.cli import command, json_option, log, option, progress, workers_option
from lib.errors import CannotRun


@command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as JSON to this file.")
@json_option
@workers_option
@option("--max-shown", type=click.IntRange(min=0), default=100, help="Problems to print for each file.")
@option("--info", is_flag=True, help="Also print the tool rules that rows labelled false break.")
@option("--quiet", is_flag=True, help="Print no problems and no summary; the exit code tells.")
@option("--tools", type=click.Path(path_type=Path), default=Path("configs/tools.json"), help="The tool schemas.")
def main(files, report, as_json, workers, max_shown, info, quiet, tools):
    from lib.chunks import fitting_workers
    from lib.jsonl import open_lines, whole_file
    from lib.toolset import load_toolset
    from lib.validation_report import ReportWriter

    load_toolset(tools)
    for path in files:
        if str(path) != "-" and not path.is_fifo():
            open_lines(path).close()
    workers = workers or fitting_workers(files)
    shown = 0 if quiet or as_json else max_shown
    with ExitStack() as stack:
        writers = [ReportWriter(stack.enter_context(whole_file(report)))] if report else []
        if as_json:
            writers.append(ReportWriter(sys.stdout))
        summaries = [check_file(path, tools, workers, writers, shown, info) for path in files]
        for writer in writers:
            writer.finish()
    if not quiet:
        for summary in summaries:
            print_summary(summary)
    raise SystemExit(1 if any(summary.total("error") for summary in summaries) else 0)


def check_file(path: Path, tools: Path, workers: int, writers: list, max_shown: int, info: bool):
    """The summary of one file; its problems printed and handed to the writers on the way."""
    from lib.checking import check_stream
    from lib.jsonl import open_lines
    from lib.validation_report import FileSummary

    name = "stdin" if str(path) == "-" else str(path)
    summary = FileSummary(name)
    for writer in writers:
        writer.begin(name)
    printed = 0
    handle = sys.stdin.buffer if name == "stdin" else open_lines(path)
    total = None if name == "stdin" else path.stat().st_size
    with handle, progress(total=total, desc=name, unit="B") as bar:
        for chunk, found in check_stream(handle, tools, workers):
            summary.add(found)
            refuse_other_formats(summary, found, chunk.last)
            for problem in found.problems:
                if printed < max_shown and (info or problem.severity != "info"):
                    printed += 1
                    print_problem(name, problem)
            for writer in writers:
                writer.add(found.problems)
            bar.update(chunk.size)
    for writer in writers:
        writer.end(summary)
    hidden = summary.total("error") + summary.total("warning") + (summary.total("info") if info else 0) - printed
    if hidden and max_shown:
        log(f"{name}: {hidden} more problems not shown (--max-shown {max_shown}).")
    return summary


def refuse_other_formats(summary, found, last: bool) -> None:
    """CannotRun when a file begins with (or is) something other than JSON Lines."""
    if summary.row_like or summary.unreadable <= 10 * summary.examples:
        if last and not summary.examples and not summary.row_like:
            raise CannotRun(f"{summary.path}: there is no row in it, only blank lines.")
        return
    problem = next((problem for problem in found.problems if problem.severity == "error"), None)
    if problem:
        raise CannotRun(
            f"{summary.path}:{problem.line}: this is no JSON Lines file ({problem.message}). "
            "Each line must hold one whole JSON object."
        )


def print_problem(name: str, problem) -> None:
    mark = "" if problem.severity == "error" else f" [{problem.severity}]"
    click.echo(f"{name}:{problem.line}: {problem.code}: {problem.message}{mark}")


def print_summary(summary) -> None:
    """The counts of one file as tables on stderr."""
    from rich.console import Console
    from rich.table import Table

    rows = f"{summary.examples} rows ({summary.true} true, {summary.false} false), {summary.valid} valid"
    unreadable = f", {summary.unreadable} unreadable lines" if summary.unreadable else ""
    log(f"{summary.path}: {rows}{unreadable}")
    if not summary.counts:
        return
    table = Table("severity", "code", "count", "first line", box=None, pad_edge=False)
    order = {"error": 0, "warning": 1, "info": 2}
    for (severity, code), count in sorted(summary.counts.items(), key=lambda item: (order[item[0][0]], -item[1])):
        table.add_row(severity, code, str(count), str(summary.first_lines[severity, code]))
    Console(stderr=True).print(table)


if __name__ == "__main__":
    main()
