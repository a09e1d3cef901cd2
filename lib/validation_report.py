"""The JSON report on checked files, written as the files are read so that it never lies whole in memory."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TextIO

from lib.validation import ChunkReport, Problem


@dataclass
class FileSummary:
    """What one file came to: counts of rows, and of problems by severity and code with the first line of each."""

    path: str
    examples: int = 0
    valid: int = 0
    true: int = 0
    false: int = 0
    unreadable: int = 0
    row_like: int = 0
    counts: Counter = field(default_factory=Counter)
    first_lines: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, report: ChunkReport) -> None:
        """Count one chunk in."""
        self.examples += report.examples
        self.valid += report.valid
        self.true += report.true
        self.false += report.false
        self.row_like += report.row_like
        for problem in report.problems:
            key = (problem.severity, problem.code)
            self.counts[key] += 1
            self.first_lines.setdefault(key, problem.line)
            self.unreadable += problem.code in ("not-jsonl", "bad-encoding") and problem.severity == "error"

    def total(self, severity: str) -> int:
        """How many problems of that severity."""
        return sum(count for (found, _), count in self.counts.items() if found == severity)


class ReportWriter:
    """Writes {"files": [{"path", "problems", "examples", "valid"}]} piece by piece into an open text file."""

    def __init__(self, handle: TextIO):
        self.handle = handle
        self.files = 0
        self.problems = 0
        handle.write('{"files": [')

    def begin(self, path: str) -> None:
        """Start the entry of one file."""
        self.handle.write("," if self.files else "")
        self.handle.write(f'\n {{"path": {json.dumps(path, ensure_ascii=False)}, "problems": [')
        self.files += 1
        self.problems = 0

    def add(self, problems: list[Problem]) -> None:
        """Append problems to the entry."""
        for problem in problems:
            self.handle.write("," if self.problems else "")
            self.handle.write(f"\n  {json.dumps(problem._asdict())}")
            self.problems += 1

    def end(self, summary: FileSummary) -> None:
        """Close the entry of one file with its counts."""
        self.handle.write("\n ], " if self.problems else "], ")
        self.handle.write(f'"examples": {summary.examples}, "valid": {summary.valid}}}')

    def finish(self) -> None:
        """Close the report; the handle stays open."""
        self.handle.write("\n]}\n")
        self.handle.flush()
