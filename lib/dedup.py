"""Rows that say what an earlier row says, in the same words or nearly so, found in a file of any size.

The first of equal rows stays. A row is left out as alike only when a row that stays is as alike as asked for, by exact
Jaccard of word 3-grams; which rows to compare is told by MinHash bands. Digests and band keys lie on disk, 12 bytes
each, in parts that fit in memory; in memory a row costs 8 bytes.
"""

import os
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from lib.chat import example_from_row
from lib.chunks import LONGEST_LINE, Chunk, map_chunks, placed_lines, read_chunks
from lib.cli import progress
from lib.errors import CannotRun
from lib.jsonl import open_lines, read_lines, whole_file
from lib.labelled_file import MOST_NAMED, refuse_lines
from lib.likeness import band_keys, bands_for, digest, grams, jaccard, normalised
from lib.validation import read_line

PARTS = 64  # files that keys are spread over
RECORD = np.dtype([("key", "<u8"), ("line", "<u4")])
MOST_COMPARED = 32  # rows that stay with which a row is compared; where more share its bands, the earliest are taken
HELD = 4096  # rows whose word runs are kept for the next comparison


class Spread:
    """(key, line) records in PARTS files of one folder, in the order they come."""

    def __init__(self, folder: Path, name: str):
        self.paths = [folder / f"{name}-{part:02d}" for part in range(PARTS)]
        self.handles = [open(path, "w+b") for path in self.paths]  # noqa: SIM115 - closed by `part`

    def add(self, keys: np.ndarray, lines: np.ndarray, parts: np.ndarray) -> None:
        """Note records; parts says which file each goes to."""
        records = np.empty(len(keys), RECORD)
        records["key"], records["line"] = keys, lines
        order = np.argsort(parts, kind="stable")
        bounds = np.searchsorted(parts[order], np.arange(PARTS + 1))
        for part in np.flatnonzero(np.diff(bounds)):
            self.handles[part].write(records[order[bounds[part] : bounds[part + 1]]].tobytes())

    def part(self, number: int) -> np.ndarray:
        """The records of one file, which is then gone."""
        self.handles[number].close()
        records = np.fromfile(self.paths[number], RECORD)
        self.paths[number].unlink()
        return records


@dataclass
class Part:
    """What a chunk holds: for each row line, digest and band keys; for every line its offset from the chunk's start."""

    lines: array = field(default_factory=lambda: array("I"))
    digests: array = field(default_factory=lambda: array("Q"))
    keys: np.ndarray | None = None  # of all rows, one after the other
    starts: array = field(default_factory=lambda: array("q"))
    refused: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Duplicates:
    """By line number: kept[line] is the line that stays in its place (0: it stays itself), and how alike they are."""

    path: str
    rows: int
    kept: np.ndarray
    alike: np.ndarray  # 0 for rows that say the very same

    def left_out(self) -> Iterator[dict]:
        """{"line", "why": same | alike, "as", "likeness"} of each row that is left out."""
        for line in np.flatnonzero(self.kept).tolist():
            likeness = round(float(self.alike[line]), 4)
            why = ("alike", likeness) if likeness else ("same", 1.0)
            yield {"line": line, "why": why[0], "as": int(self.kept[line]), "likeness": why[1]}


def find_duplicates(path, threshold: float, folder: Path, workers: int = 1) -> Duplicates:
    """The rows of a file that an earlier row makes superfluous; threshold 1 looks for equal rows only.

    folder: needs room while this runs, 140 bytes a row at threshold .9 and 240 at .8.
    """
    bands = bands_for(threshold) if threshold < 1 else None
    digests, keys = Spread(folder, "digest"), Spread(folder, "band")
    rows, lines = scan(path, bands, (digests, keys, folder / "starts"), workers)
    found = Duplicates(str(path), rows, np.zeros(lines + 1, np.uint32), np.zeros(lines + 1, np.float32))
    for number in progress(range(PARTS), desc="equal rows", unit="part"):
        heads, others = sharing(digests.part(number))
        found.kept[others] = heads
    if not bands:
        return found
    pools = Spread(folder, "pool")
    for number in progress(range(PARTS), desc="bands", unit="part"):
        records = keys.part(number)
        heads, others = sharing(records[found.kept[records["line"]] == 0])
        pools.add(heads, others, others.astype(np.int64) * PARTS // (lines + 1))
    with Rows(path, folder / "starts") as reader:
        leave_out_alike(found, pools, reader, threshold)
    # What equals a row that is itself left out is as alike to the row that stays.
    same = np.flatnonzero((found.kept != 0) & (found.alike == 0))
    same = same[found.kept[found.kept[same]] != 0]
    found.alike[same] = found.alike[found.kept[same]]
    found.kept[same] = found.kept[found.kept[same]]
    return found


def scan(path, bands, places: tuple[Spread, Spread, Path], workers: int) -> tuple[int, int]:
    """(rows, lines) of the file; its digests, band keys and line starts are then in their places."""
    digests, keys, starts = places
    rows = lines = offset = 0
    refused: list[tuple[int, str]] = []
    with open_lines(path) as handle, open(starts, "wb") as noted:
        if not os.path.isfile(path):
            raise CannotRun(f"{path}: is a pipe; the file is read twice. Write it to a file first.")
        with progress(total=os.path.getsize(path), desc=str(path), unit="B") as bar:
            for chunk, part in map_chunks(read_chunks(handle), partial(scan_chunk, bands=bands), workers):
                refused += part.refused if len(refused) <= MOST_NAMED else []
                own, numbers = np.asarray(part.digests, np.uint64), np.asarray(part.lines, np.uint32)
                digests.add(own, numbers, part_of(own))
                if part.keys is not None:
                    keys.add(part.keys, np.repeat(numbers, len(part.keys) // len(numbers)), part_of(part.keys))
                (np.asarray(part.starts, np.int64) + offset).tofile(noted)
                rows, lines, offset = rows + len(numbers), lines + len(part.starts), offset + chunk.size
                bar.update(chunk.size)
        np.array([offset], np.int64).tofile(noted)
    refuse_lines(path, refused, 0, "Each line must hold a row with a conversation; make validate says more.")
    if not rows:
        raise CannotRun(f"{path}: there is no row in it, only blank lines.")
    return rows, lines


def scan_chunk(chunk: Chunk, bands: tuple[int, int] | None) -> Part:
    """Digests and band keys of the rows of a chunk."""
    part, keys = Part(), []
    if chunk.overlong:
        part.refused.append((chunk.first_line, f"not-jsonl: the line is longer than {LONGEST_LINE // 2**20} MiB"))
        return part
    for number, start, line in placed_lines(chunk):
        part.starts.extend([start] * (number - chunk.first_line - len(part.starts) + 1))  # blank lines before it too
        text, why = text_of(line)
        if why:
            part.refused.append((number, why))
            continue
        part.lines.append(number)
        part.digests.append(digest(text))
        if bands:
            keys.append(band_keys(comparable(text), bands))
    lines = chunk.data.count(b"\n") + (not chunk.data.endswith(b"\n"))
    part.starts.extend([len(chunk.data)] * (lines - len(part.starts)))
    del part.refused[MOST_NAMED + 1 :]
    part.keys = np.concatenate(keys) if keys else None
    return part


def text_of(line: bytes) -> tuple[str, str]:
    """(normalised conversation, "") of a row, or ("", why it is none)."""
    row, faults = read_line(line)
    fault = next((fault for fault in faults if fault.severity == "error"), None)
    if fault is None:
        example, faults = example_from_row(row)
        fault = next((fault for fault in faults if fault.code == "bad-row"), None)
    return ("", f"{fault.code}: {fault.message}") if fault else (normalised(example), "")


def comparable(text: str) -> np.ndarray:
    """The word runs of a normalised conversation as numbers; conversations with different labels share none."""
    label, _, said = text.partition("\n")
    return grams(said) ^ np.uint64(zlib.crc32(label.encode()))


def part_of(keys: np.ndarray) -> np.ndarray:
    """The file of each key, by its upper six bits."""
    return (keys >> np.uint64(58)).astype(np.int64)


def runs_of(values: np.ndarray) -> np.ndarray:
    """Where each run of equal neighbours begins, and at last the length."""
    return np.concatenate([[0][: len(values)], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]]).astype(
        int
    )


def sharing(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(first line with the same key, line) of every record whose key an earlier record has."""
    order = np.argsort(records["key"], kind="stable")
    lines, bounds = records["line"][order], runs_of(records["key"][order])
    later = np.ones(len(lines), bool)
    later[bounds[:-1]] = False
    return np.repeat(lines[bounds[:-1]], np.diff(bounds))[later], lines[later]


def leave_out_alike(found: Duplicates, pools: Spread, reader: "Rows", threshold: float) -> None:
    """Row after row, those that share a band with earlier ones are compared with the ones that stay.

    pools: (first line with a band, line); rows with one first line form a pool.
    """
    others: dict[int, list[int]] = {}  # first line of a pool -> its further rows that stay
    for number in progress(range(PARTS), desc="alike rows", unit="part"):
        records = pools.part(number)
        both = np.unique(records["line"].astype(np.uint64) << np.uint64(32) | records["key"])
        lines, heads = both >> np.uint64(32), both & np.uint64(0xFFFFFFFF)
        bounds = runs_of(lines)
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            line, own = int(lines[begin]), heads[begin:end].tolist()
            rivals = {head for head in own if not found.kept[head]}
            rivals.update(other for head in own for other in others.get(head, ()))
            for rival in sorted(rivals)[:MOST_COMPARED]:
                likeness = jaccard(reader.grams(line), reader.grams(rival))
                if likeness >= threshold:
                    found.kept[line], found.alike[line] = rival, likeness
                    break
            else:
                for head in own:
                    if len(others.setdefault(head, [])) < MOST_COMPARED:
                        others[head].append(line)


class Rows:
    """The word runs of rows by line number, read again from the file."""

    def __init__(self, path, starts: Path):
        self.path, self.starts = path, starts
        self.grams = lru_cache(maxsize=HELD)(self._grams)

    def __enter__(self) -> "Rows":
        self.file, self.index = open(self.path, "rb", buffering=0), open(self.starts, "rb", buffering=0)  # noqa: SIM115
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.index.close()

    def _grams(self, line: int) -> np.ndarray:
        self.index.seek(8 * (line - 1))
        start, end = np.frombuffer(self.index.read(16), np.int64).tolist()
        self.file.seek(start)
        return comparable(text_of(self.file.read(end - start).strip())[0])


def write_kept(found: Duplicates, out, left_out) -> dict[str, int]:
    """Write the rows that stay, byte by byte as they are, and a list of the others; how many of each kind."""
    import jsonlines

    counts = {"rows": found.rows, "kept": 0, "same": 0, "alike": 0}
    size = os.path.getsize(found.path)
    with whole_file(out, binary=True) as target, progress(total=size, desc=str(out), unit="B") as bar:
        for line, text in read_lines(found.path):
            if not found.kept[line]:
                target.write(text + b"\n")
                counts["kept"] += 1
            bar.update(len(text) + 1)
    with whole_file(left_out) as handle:
        writer = jsonlines.Writer(handle)
        for entry in found.left_out():
            counts[entry["why"]] += 1
            writer.write(entry)
    return counts
