"""JSON Lines in and out: lines with their numbers, rows or an exact complaint, files written whole or not at all."""

import codecs
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

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
    import orjson

    for number, line in read_lines(path):
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise CannotRun(f"{path}:{number}: not JSON ({error}). Each line must hold one whole object.") from None
        if not isinstance(row, dict):
            raise CannotRun(f"{path}:{number}: a {type(row).__name__}, not an object. Each line must hold one object.")
        yield number, row


def dump_row(row: dict) -> str:
    """One row as JSON on one line, readable text kept as it is."""
    return json.dumps(row, ensure_ascii=False)


def write_whole(path, chunks: Iterable[str]) -> None:
    """Write a file completely or leave the old one: into NAME.part, flushed to disk, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with open(part, "w", encoding="utf-8", newline="\n") as handle:
            for chunk in chunks:
                handle.write(chunk)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path, text: str) -> None:
    """Write text to path, whole or not at all."""
    write_whole(path, [text])


def write_json(path, obj) -> None:
    """Write obj as indented JSON, whole or not at all."""
    write_whole(path, [json.dumps(obj, ensure_ascii=False, indent=1), "\n"])


def write_rows(path, rows: Iterable[dict]) -> int:
    """How many rows were written, one a line, whole file or nothing."""
    count = 0

    def lines():
        nonlocal count
        for row in rows:
            count += 1
            yield dump_row(row) + "\n"

    write_whole(path, lines())
    return count


def append_row(handle, row: dict) -> None:
    """Append one row to an open text file and flush it, so that a crash loses nothing."""
    handle.write(dump_row(row) + "\n")
    handle.flush()
