"""lib/checking.py: files in chunks, with flat memory and the same report for every number of workers."""

import io
import json
import tracemalloc

import pytest

from lib import checking
from lib import chunks as pieces
from lib.checking import check_stream
from lib.chunks import read_chunks
from tests import rows
from tests.test_validation import PLANTED

GOOD = json.dumps(rows.row()).encode()
BAD = json.dumps(PLANTED["unknown tool"][0]).encode()


def chunks(data: bytes, size: int, **more):
    return list(read_chunks(io.BytesIO(data), size, **more))


def report(data: bytes, **more):
    """(all problems, lines, examples, valid) of a file."""
    found = [part for _, part in check_stream(io.BytesIO(data), **more)]
    problems = [(p.line, p.code, p.severity) for part in found for p in part.problems]
    totals = [sum(getattr(part, name) for part in found) for name in ("lines", "examples", "valid")]
    return problems, *totals


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("data", [b"a\nbb\n\nccc\n", b"a\nbb\n\nccc", b"\n\n", b"x", b""])
def test_chunks_hold_whole_lines_and_all_of_the_file(data, size):
    found = chunks(data, size)
    assert b"".join(chunk.data for chunk in found) == data
    assert sum(chunk.size for chunk in found) == len(data)
    line = 1
    for chunk in found:
        assert chunk.first_line == line
        assert chunk.data.endswith(b"\n") or chunk.last
        line += chunk.data.count(b"\n")
    assert [chunk.last for chunk in found] == [False] * (len(found) - 1) + [True] * bool(found)


@pytest.mark.parametrize("size", [4, 16, 64])
def test_a_line_too_long_to_hold_is_skipped_and_the_next_ones_are_read(size):
    data = b"a\n" + b"x" * 100 + b"\nb\nc\n"
    found = chunks(data, size, longest_line=20)
    assert sum(chunk.size for chunk in found) == len(data)
    assert [(chunk.first_line, len(chunk.data) <= 100) for chunk in found if chunk.overlong] == [(2, True)]
    assert b"".join(chunk.data for chunk in found if not chunk.overlong) == b"a\nb\nc\n"
    assert next(chunk.first_line for chunk in found if chunk.data.startswith(b"b")) == 3


def test_an_overlong_line_at_the_end_is_the_last_chunk():
    assert [(c.overlong, c.last) for c in chunks(b"x" * 100, 8, longest_line=20)] == [(True, True)]


def test_an_overlong_line_is_a_problem_of_its_own():
    problems, lines, examples, valid = report(
        GOOD + b"\n" + b"x" * 5000 + b"\n" + GOOD, chunk_bytes=64, longest_line=3000
    )
    assert problems == [(2, "not-jsonl", "error")]
    assert (lines, examples, valid) == (3, 2, 2)


def test_every_number_of_workers_and_chunk_size_gives_the_same_report():
    data = b"\n".join([GOOD, BAD, b"", b"{", GOOD, b"\xff", BAD] * 40)
    expected = report(data)
    assert len(expected[0]) == 160
    assert report(data, chunk_bytes=500) == expected
    assert report(data, workers=2, chunk_bytes=3000) == expected


def test_a_byte_order_mark_is_a_warning_and_the_row_is_read():
    assert report(b"\xef\xbb\xbf" + GOOD) == ([(1, "bad-encoding", "warning")], 1, 1, 1)


def test_crlf_is_one_warning_where_it_first_occurs():
    data = GOOD + b"\n" + BAD + b"\n" + (GOOD + b"\r\n") * 5
    expected = [(2, "unknown-tool", "error"), (3, "crlf", "warning")]
    assert report(data) == (expected, 7, 7, 6)
    assert report(data, chunk_bytes=200)[0] == expected


def test_a_cut_off_last_line_is_said_to_be_one():
    found = [part for _, part in check_stream(io.BytesIO(GOOD + b"\n" + GOOD[:100]))]
    (problem,) = found[0].problems
    assert (problem.line, problem.code) == (2, "not-jsonl")
    assert "may have been cut off" in problem.message


def test_a_last_line_without_line_break_is_fine_when_it_is_whole():
    assert report(GOOD + b"\n" + GOOD) == ([], 2, 2, 2)


def test_no_more_than_a_few_chunks_are_in_memory():
    class Endless(io.RawIOBase):
        """10 MB of rows, made as they are read."""

        left = 10_000_000

        def readable(self):
            return True

        def readinto(self, buffer):
            size = min(len(buffer), self.left) // len(line) * len(line) or min(len(buffer), self.left)
            buffer[:size] = (line * (size // len(line) + 1))[:size]
            self.left -= size
            return size

    line = GOOD + b"\n"
    examples = 0
    tracemalloc.start()
    try:
        for _, part in check_stream(io.BufferedReader(Endless(), 10 * len(line)), chunk_bytes=65536):
            examples += part.examples
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert examples > 8_000
    assert peak < 12 * 65536


def test_workers_are_fed_no_faster_than_they_work():
    taken = 0

    def counting():
        nonlocal taken
        for chunk in read_chunks(io.BytesIO((GOOD + b"\n") * 400), 2000):
            taken += 1
            yield chunk

    stream = pieces.map_chunks(counting(), checking.check_chunk, 2)
    next(stream)
    assert taken <= 4
    stream.close()


def test_a_fifty_megabyte_row_is_checked():
    row = rows.row(f"{rows.call_text()}\n\n{'word ' * 10_000_000}")
    problems, _, examples, valid = report(json.dumps(row).encode())
    assert (problems, examples, valid) == ([], 1, 1)


def test_a_worker_is_used_for_every_64_megabytes(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x")
    with open(large, "wb") as handle:
        handle.truncate(10**12)
    assert pieces.fitting_workers([small]) == 1
    assert pieces.fitting_workers([small, large, tmp_path / "none"]) >= 1
    assert pieces.fitting_workers([large], each_bytes=10**13) == 1
