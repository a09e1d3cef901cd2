"""Whole files through the rules: read in chunks, checked on one or more cores, reported in file order.

At any time no more than a few chunks are in memory, however long the file is; the reports come out the same for every
number of workers.
"""

import os
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from lib.errors import CannotRun
from lib.toolset import DEFAULT_TOOLS, load_toolset
from lib.validation import ChunkReport, Problem, check_lines

CHUNK_BYTES = 2 * 1024 * 1024
LONGEST_LINE = 128 * 1024 * 1024
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Chunk:
    """Whole lines of a file, or one line too long to hold (data is then its beginning)."""

    first_line: int
    data: bytes
    size: int  # bytes of the file that it stands for
    last: bool = False
    overlong: bool = False


def read_chunks(handle, chunk_bytes: int = CHUNK_BYTES, longest_line: int = LONGEST_LINE) -> Iterator[Chunk]:
    """Chunks of whole lines; a line beyond longest_line becomes a chunk of its own, without its end."""
    line = 1
    data = handle.read(chunk_bytes)
    while data:
        rest = b"" if data.endswith(b"\n") else handle.readline(longest_line)
        if len(rest) == longest_line and not rest.endswith(b"\n"):
            cut = data.rfind(b"\n") + 1
            if cut:
                yield Chunk(line, data[:cut], cut)
                line += data.count(b"\n")
            size = len(data) - cut + len(rest)
            while rest and not rest.endswith(b"\n"):
                rest = handle.readline(chunk_bytes)
                size += len(rest)
            begin, data = data[cut : cut + 100], handle.read(chunk_bytes)
            yield Chunk(line, begin, size, last=not data, overlong=True)
            line += 1
            continue
        data += rest
        following = handle.read(chunk_bytes)
        yield Chunk(line, data, len(data), last=not following)
        line += data.count(b"\n")
        data = following


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
    chunks = read_chunks(handle, **sizes)
    reports = _here(chunks, tools) if workers == 1 else _on_workers(chunks, tools, workers)
    crlf_seen = False
    for chunk, report in reports:
        if report.crlf_line and not crlf_seen:
            crlf_seen = True
            message = "lines end in CRLF; they are read as if they ended in LF"
            report.problems.append(Problem(report.crlf_line, "crlf", message, "warning"))
            report.problems.sort(key=lambda problem: problem.line)
        yield chunk, report


def _here(chunks: Iterator[Chunk], tools) -> Iterator[tuple[Chunk, ChunkReport]]:
    for chunk in chunks:
        yield chunk, check_chunk(chunk, tools)


def _on_workers(chunks: Iterator[Chunk], tools, workers: int) -> Iterator[tuple[Chunk, ChunkReport]]:
    """Reports in order, never more than two chunks a worker under way."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=load_toolset, initargs=(tools,))
    under_way: deque = deque()
    try:
        for chunk in chunks:
            with _interrupts_held():
                under_way.append((chunk, pool.submit(check_chunk, chunk, tools)))
            if len(under_way) >= 2 * workers:
                done, report = under_way.popleft()
                yield done, report.result()
        for done, report in under_way:
            yield done, report.result()
    except BrokenProcessPool:
        raise CannotRun("a worker process died, perhaps for lack of memory. Try again with --workers 1.") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C is the parent's business: processes started in here inherit the block and never see it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def fitting_workers(paths: list[Path], each_bytes: int = 64 * 1024 * 1024) -> int:
    """How many workers pay for their start: one for every 64 MB of data, at most one a core."""
    size = sum(path.stat().st_size for path in paths if path.is_file())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, size // each_bytes))
