"""What a GGUF file's header says, in milliseconds: gguf.GGUFReader takes seconds, as it wraps every token."""

import hashlib
import mmap
import struct
from pathlib import Path

from lib.errors import CannotRun

STRING, ARRAY = 8, 9
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # GGUF value type -> bytes


def read_text(path: Path, key: str) -> str | None:
    """The text under key, None when the file has no such text; CannotRun when it is no whole GGUF header."""
    try:
        with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"GGUF":
                raise ValueError("it does not begin with GGUF")
            return find(data, key.encode())
    except (ValueError, KeyError, struct.error, OSError) as error:
        raise CannotRun(f"{path}: not a whole GGUF file ({error}).") from error


def find(data, key: bytes) -> str | None:
    for name, start, _ in entries(data):
        place = start + 8 + len(name)
        if name == key and struct.unpack_from("<I", data, place) == (STRING,):
            low, high = string(data, place + 4)
            return data[low:high].decode()
    return None


def entries(data):
    """(name, start, end) of each entry: its name, its type and its value."""
    (count,) = struct.unpack_from("<Q", data, 16)  # after magic, version and number of tensors
    position = 24
    for _ in range(count):
        start = position
        low, high = string(data, position)
        (kind,) = struct.unpack_from("<I", data, high)
        position = skip(data, high + 4, kind)
        if position > len(data):
            raise ValueError("it ends within its header")
        yield data[low:high], start, position


def tokenizer_digest(path: Path) -> str:
    """sha256 of all that a header says under tokenizer.*: vocabulary, special tokens, chat template."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for name, start, end in entries(data):
                if name.startswith(b"tokenizer."):
                    digest.update(data[start:end])
    except (ValueError, KeyError, struct.error, OSError) as error:
        raise CannotRun(f"{path}: not a whole GGUF file ({error}).") from error
    return digest.hexdigest()


def string(data, position: int) -> tuple[int, int]:
    """(start, end) of the text of a length-prefixed string."""
    (length,) = struct.unpack_from("<Q", data, position)
    return position + 8, position + 8 + length


def skip(data, position: int, kind: int) -> int:
    """The position after a value of that type."""
    if kind == STRING:
        return string(data, position)[1]
    if kind != ARRAY:
        return position + WIDTHS[kind]
    item, count = struct.unpack_from("<IQ", data, position)
    position += 12
    if item in WIDTHS:
        return position + WIDTHS[item] * count
    for _ in range(count):
        position = skip(data, position, item)
    return position
