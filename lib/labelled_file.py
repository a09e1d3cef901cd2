"""A labelled JSONL file of any size as offsets, labels and prompt numbers, and its lines copied in another order.

Of each row only where its line lies, its label and which prompt it answers are kept, so a million rows need about a
hundred megabytes. Two rows have the same prompt when their users say the same; a system message does not count.
"""

import hashlib
import os
from array import array
from dataclasses import dataclass, field

from lib.chat import Fault
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


def read_labelled(path, advance=lambda count: None) -> LabelledFile:
    """The file's index; CannotRun with path:line and code of the first rows without label or prompt.

    advance(bytes) is called for every line read.
    """
    found, numbers, refused, offset = LabelledFile(str(path)), {}, [], 0
    more = 0
    with open_lines(path) as handle:
        if not os.path.isfile(path):
            raise CannotRun(f"{path}: is a pipe; the file is read twice. Write it to a file first.")
        for number, line in enumerate(handle, start=1):
            advance(len(line))
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            start = offset + len(line) - len(text.lstrip(b" \t\r\n"))
            offset += len(line)
            text = text.strip(b" \t\r\n")
            if not text:
                continue
            label, prompt, fault = key_of(text)
            if fault:
                more += len(refused) == MOST_NAMED
                refused += [f"{path}:{number}: {fault.code}: {fault.message}"] if len(refused) < MOST_NAMED else []
                continue
            found.lines.append(number)
            found.offsets.append(start)
            found.sizes.append(len(text))
            found.labels.append(label)
            found.prompts.append(numbers.setdefault(prompt, len(found.lines) - 1))
    if refused:
        rest = [f"and {more} more rows"] if more else []
        raise CannotRun("\n".join([*refused, *rest, "Each row needs a label and a user turn. Nothing was written."]))
    if not found.lines:
        raise CannotRun(f"{path}: there is no row in it, only blank lines.")
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
