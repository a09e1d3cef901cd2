"""The files of an evaluation: results.json for programs, report.md and report.html for people, junit.xml for CI."""

from collections.abc import Sequence
from pathlib import Path

from evaluator.junit import junit_report
from evaluator.page import page
from evaluator.reports import markdown_report
from evaluator.results import RESULTS, read_result, result_file
from lib.cli import log
from lib.jsonl import write_json, write_text

REPORTS = {"report.md": markdown_report, "report.html": lambda result: page([result]), "junit.xml": junit_report}
NAMES = (RESULTS, *REPORTS)


def write_files(folder: Path, result: dict) -> None:
    """All of them, each whole or not at all, the figures first."""
    write_json(folder / RESULTS, result)
    write_reports(folder, result)


def write_reports(folder: Path, result: dict) -> None:
    """Those that are made from results.json."""
    for name, made in REPORTS.items():
        write_text(folder / name, made(result))


def report_on(places: Sequence[Path], target: Path) -> None:
    """One result: its reports beside it. Several: one page of all, at the target. What was written is said."""
    files = [result_file(place) for place in places]
    if len(files) == 1:
        write_reports(files[0].parent, read_result(files[0]))
        log(f"Written: {', '.join(str(files[0].parent / name) for name in REPORTS)}")
    else:
        write_text(target, page([read_result(file) for file in files]))
        log(f"Written: {target}")


def listed(folder: Path) -> str:
    """ "Written: out/results.json, out/report.md, ..."."""
    return f"Written: {', '.join(str(folder / name) for name in NAMES)}"
