"""A labelled JSONL file of any size as offsets, labels and prompt numbers, and its lines copied in another order.

Of each row only where its line lies, its label and which prompt it answers are kept: 33 bytes, and as many again while
the prompts are numbered. Two rows have the same prompt when their users say the same; a system message does not count.
"""

import hashlib
import os
from array import array
from dataclasses import dataclass, field

from lib.chat import Fault
from lib.chunks import LONGEST_LINE, Chunk, map_chunks, placed_lines, read_chunks
from lib.errors import CannotRun
from lib.json_text import shown
from lib.jsonl import open_lines, whole_file
from lib.validation import read_line

MOST_NAMED = 20  # refused rows kept with their reason; further ones are counted


@dataclass
class LabelledFile:
    """One entry a row in each array; lines count from 1, offsets and sizes are bytes without the line end."""

    path: str
    lines: array = field(default_factory=lambda: array("q"))
    offsets: array = field(default_factory=lambda: array("q"))
    sizes: array = field(default_factory=lambda: array("q"))
    labels: bytearray = field(default_factory=bytearray)
    prompts: array = field(default_factory=lambda: array("q"))  # equal numbers: the same prompt

    def counts(self, rows=None) -> dict[str, int]:
        """{"true", "false"}: how many of the rows (numbers from 0; all when None) carry each label."""
        true = sum(self.labels) if rows is None else sum(self.labels[row] for row in rows)
        return {"true": true, "false": (len(self.labels) if rows is None else len(rows)) - true}


@dataclass
class Part:
    """What a chunk holds: as LabelledFile, offsets from the chunk's start, digests of the prompts, refused lines."""

    lines: array = field(default_factory=lambda: array("q"))
    offsets: array = field(default_factory=lambda: array("q"))
    sizes: array = field(default_factory=lambda: array("q"))
    labels: bytearray = field(default_factory=bytearray)
    prompts: array = field(default_factory=lambda: array("Q"))
    refused: list[tuple[int, str]] = field(default_factory=list)
    more: int = 0  # refused lines beyond MOST_NAMED


def read_labelled(path, advance=lambda count: None, workers: int = 1) -> LabelledFile:
    """The file's index; CannotRun with path:line and code of the first rows without label or prompt.

    advance(bytes) is called for every piece read.
    """
    found, prompts, refused, more, offset = LabelledFile(str(path)), array("Q"), [], 0, 0
    with open_lines(path) as handle:
        if not os.path.isfile(path):
            raise CannotRun(f"{path}: is a pipe; the file is read twice. Write it to a file first.")
        for chunk, part in map_chunks(read_chunks(handle), index_chunk, workers):
            found.lines += part.lines
            found.offsets.extend(offset + start for start in part.offsets)
            found.sizes += part.sizes
            found.labels += part.labels
            prompts += part.prompts
            refused += part.refused
            more += part.more
            offset += chunk.size
            advance(chunk.size)
    refuse_lines(path, refused, more, "Each row needs a label and a user turn.")
    if not found.lines:
        raise CannotRun(f"{path}: there is no row in it, only blank lines.")
    found.prompts = numbered(prompts)
    return found


def refuse_lines(path, refused: list[tuple[int, str]], more: int, wanted: str) -> None:
    """CannotRun naming the first refused lines, when there are any."""
    if refused:
        named = [f"{path}:{number}: {why}" for number, why in refused[:MOST_NAMED]]
        more += len(refused) - len(named)
        rest = [f"and {more} more rows"] if more else []
        raise CannotRun("\n".join([*named, *rest, f"{wanted} Nothing was written."]))


def index_chunk(chunk: Chunk) -> Part:
    """The part of the index that one chunk gives."""
    part = Part()
    if chunk.overlong:
        part.refused.append((chunk.first_line, f"not-jsonl: the line is longer than {LONGEST_LINE // 2**20} MiB"))
        return part
    for number, start, line in placed_lines(chunk):
        label, prompt, fault = key_of(line)
        if fault:
            named = len(part.refused) < MOST_NAMED
            part.more += not named
            part.refused += [(number, f"{fault.code}: {fault.message}")] if named else []
            continue
        part.lines.append(number)
        part.offsets.append(start)
        part.sizes.append(len(line))
        part.labels.append(label)
        part.prompts.append(prompt)
    return part


def numbered(keys: array) -> array:
    """For each key the place of the first that equals it."""
    import numpy as np

    _, first, which = np.unique(np.frombuffer(keys, np.uint64), return_index=True, return_inverse=True)
    found = array("q")
    found.frombytes(first[which].astype(np.int64).tobytes())
    return found


def key_of(line: bytes) -> tuple[bool | None, int, Fault | None]:
    """(label, a number that stands for the prompt, None) of a row in either form, or its fault."""
    row, faults = read_line(line)
    broken = next((fault for fault in faults if fault.severity == "error"), None)
    if broken:
        return None, 0, broken
    label = row.get("label")
    if type(label) is not bool:
        said = f"label must be true or false, not {shown(label)}" if "label" in row else "the row has no label"
        return None, 0, Fault("bad-label", said)
    turns = row.get("conversations") or row.get("messages")
    words = (
        [turn.get("content") for turn in turns if type(turn) is dict and turn.get("role") == "user"]
        if type(turns) is list
        else []
    )
    if not words or not all(type(word) is str for word in words):
        return None, 0, Fault("bad-row", "the row has no turn in which a user says something")
    digest = hashlib.blake2b("\0".join(words).encode(), digest_size=8).digest()
    return label, int.from_bytes(digest), None


def copy_rows(source: LabelledFile, order, out, advance=lambda count: None) -> None:
    """Write the lines of these rows in this order, byte by byte as they are, whole file or nothing."""
    with open(source.path, "rb", buffering=0) as handle, whole_file(out, binary=True) as target:
        for row in order:
            handle.seek(source.offsets[row])
            line = handle.read(source.sizes[row])
            target.write(line + b"\n")
            advance(len(line))
