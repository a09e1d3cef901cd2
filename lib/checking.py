"""Whole files through the rules: read in chunks, checked on one or more cores, reported in file order.

At any time no more than a few chunks are in memory, however long the file is; the reports come out the same for every
number of workers.
"""

from collections.abc import Iterator
from functools import partial

from lib.chunks import BOM, LONGEST_LINE, Chunk, map_chunks, read_chunks
from lib.toolset import DEFAULT_TOOLS, load_toolset
from lib.validation import ChunkReport, Problem, check_lines


def check_chunk(chunk: Chunk, tools=DEFAULT_TOOLS) -> ChunkReport:
    """The report on one chunk."""
    if chunk.overlong:
        message = f"the line is longer than {LONGEST_LINE // 2**20} MiB; it is skipped"
        return ChunkReport(lines=1, row_like=1, problems=[Problem(chunk.first_line, "not-jsonl", message)])
    data, notes = chunk.data, []
    if chunk.first_line == 1 and data.startswith(BOM):
        data = data[len(BOM) :]
        notes.append(Problem(1, "bad-encoding", "the file starts with a byte-order mark; it is skipped", "warning"))
    crlf = data.find(b"\r\n")
    lines = data.split(b"\n")
    cut_off = lines.pop()
    if cut_off:
        lines.append(cut_off)
    report = check_lines(lines, chunk.first_line, load_toolset(tools))
    if crlf >= 0:
        report.crlf_line = chunk.first_line + data.count(b"\n", 0, crlf)
    last = report.problems[-1] if report.problems else None
    if cut_off and last and last.line == chunk.first_line + len(lines) - 1 and last.code == "not-jsonl":
        note = "; the file ends inside this line, without a line break: it may have been cut off"
        report.problems[-1] = last._replace(message=last.message + note)
    report.problems = notes + report.problems
    return report


def check_stream(handle, tools=DEFAULT_TOOLS, workers: int = 1, **sizes) -> Iterator[tuple[Chunk, ChunkReport]]:
    """(chunk, report) in file order; CRLF line ends are reported once, where they first occur."""
    work, start = partial(check_chunk, tools=tools), partial(load_toolset, tools)
    crlf_seen = False
    for chunk, report in map_chunks(read_chunks(handle, **sizes), work, workers, start):
        if report.crlf_line and not crlf_seen:
            crlf_seen = True
            message = "lines end in CRLF; they are read as if they ended in LF"
            report.problems.append(Problem(report.crlf_line, "crlf", message, "warning"))
            report.problems.sort(key=lambda problem: problem.line)
        yield chunk, report
