"""Big files in pieces: whole lines a few megabytes at a time, worked on by one or more cores, in file order.

At any time no more than two pieces for each worker are in memory, however long the file is.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lib.errors import CannotRun

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


def placed_lines(chunk: Chunk) -> Iterator[tuple[int, int, bytes]]:
    """(line number, offset in the chunk, line without blanks around it) of each line that is not blank.

    A byte-order mark is no part of the first line.
    """
    offset = 0
    for number, line in enumerate(chunk.data.split(b"\n"), start=chunk.first_line):
        text = line.removeprefix(BOM) if number == 1 else line
        start = offset + len(line) - len(text.lstrip(b" \t\r"))
        text = text.strip(b" \t\r")
        offset += len(line) + 1
        if text:
            yield number, start, text


def map_chunks(
    chunks: Iterator[Chunk], work: Callable[[Chunk], Any], workers: int = 1, start: Callable | None = None
) -> Iterator[tuple[Chunk, Any]]:
    """(chunk, work(chunk)) in file order, done here or on that many processes, each of which first calls start()."""
    if workers == 1:
        for chunk in chunks:
            yield chunk, work(chunk)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start)
    under_way: deque = deque()
    try:
        for chunk in chunks:
            with _interrupts_held():
                under_way.append((chunk, pool.submit(work, chunk)))
            if len(under_way) >= 2 * workers:
                done, result = under_way.popleft()
                yield done, result.result()
        for done, result in under_way:
            yield done, result.result()
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
