"""The files of an evaluation: results.json for programs, report.md and report.html for people, junit.xml for CI."""

from pathlib import Path

from evaluator.junit import junit_report
from evaluator.page import page
from evaluator.reports import markdown_report
from evaluator.results import RESULTS
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


def listed(folder: Path) -> str:
    """ "Written: out/results.json, out/report.md, ..."."""
    return f"Written: {', '.join(str(folder / name) for name in NAMES)}"
