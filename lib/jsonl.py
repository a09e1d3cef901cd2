"""JSON Lines in and out: lines with their numbers, rows or an exact complaint, files written whole or not at all."""

import codecs
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

from lib.errors import CannotRun


def open_lines(path):
    """A binary handle on a readable, non-empty regular file (or pipe); CannotRun otherwise."""
    path = Path(path)
    try:
        if path.is_dir():
            raise CannotRun(f"{path}: is a directory. Name the .jsonl file in it.")
        handle = open(path, "rb")  # noqa: SIM115 - the caller closes it
    except FileNotFoundError:
        raise CannotRun(f"{path}: no such file.") from None
    except OSError as error:
        raise CannotRun(f"{path}: cannot be read ({error.strerror}).") from error
    try:
        start = handle.peek(4)[:4]
    except OSError as error:
        handle.close()
        raise CannotRun(f"{path}: cannot be read ({error.strerror}).") from error
    if not start:
        handle.close()
        raise CannotRun(f"{path}: the file is empty.")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        handle.close()
        raise CannotRun(f"{path}: is UTF-16 text. Save it as UTF-8.")
    return handle


def read_lines(path) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, line without its end) for every line that is not blank; a byte-order mark is dropped."""
    with open_lines(path) as handle:
        for number, line in enumerate(handle, start=1):
            if number == 1 and line.startswith(codecs.BOM_UTF8):
                line = line[len(codecs.BOM_UTF8) :]
            line = line.strip(b" \t\r\n")
            if line:
                yield number, line


def read_rows(path) -> Iterator[tuple[int, dict]]:
    """(line number, row) for every row; the first line that is no JSON object ends in CannotRun."""
    import jsonlines

    number = 0

    def lines() -> Iterator[bytes]:
        nonlocal number
        for number, line in read_lines(path):  # noqa: B007 - the number is for the rows below
            yield line

    try:
        for row in jsonlines.Reader(lines()).iter(type=dict):
            yield number, row
    except jsonlines.InvalidLineError as error:
        problem = f"not JSON ({error.__cause__})" if error.__cause__ else "not a JSON object"
        raise CannotRun(f"{path}:{number}: {problem}. Each line must hold one whole object.") from None


def refuse_overwriting(source, target, force: bool = False) -> None:
    """CannotRun when target is source itself, under any name, unless force is given."""
    if not force and os.path.exists(target) and os.path.samefile(source, target):
        raise CannotRun(f"{target}: is the file that is read. Name another one, or replace it with --force.")


@contextmanager
def whole_file(path, binary: bool = False) -> Iterator[IO]:
    """A handle whose content becomes the file at the end, flushed to disk; after a failure the old file is still there.

    Text, or bytes when binary.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        text = {} if binary else {"encoding": "utf-8", "newline": "\n"}
        with open(part, "wb" if binary else "w", **text) as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path, text: str) -> None:
    """Write text to path, whole or not at all."""
    with whole_file(path) as handle:
        handle.write(text)


def read_object(path, advice: str) -> dict:
    """The JSON object that a file holds; CannotRun, with the advice, when it is cut, no JSON or no object."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotRun(f"{path}: not JSON ({error}). {advice}") from error
    if not isinstance(found, dict):
        raise CannotRun(f"{path}: holds no object. {advice}")
    return found


def write_json(path, obj) -> None:
    """Write obj as indented JSON, whole or not at all."""
    write_text(path, json.dumps(obj, ensure_ascii=False, indent=1) + "\n")


def write_rows(path, rows: Iterable[dict]) -> int:
    """How many rows were written, one a line, whole file or nothing."""
    import jsonlines

    count = 0
    with whole_file(path) as handle:
        writer = jsonlines.Writer(handle)
        for count, row in enumerate(rows, start=1):  # noqa: B007 - the count is the result
            writer.write(row)
    return count


def append_row(handle: TextIO, row: dict) -> None:
    """Append one row to an open text file and flush it, so that a crash loses nothing."""
    import jsonlines

    jsonlines.Writer(handle, flush=True).write(row)
