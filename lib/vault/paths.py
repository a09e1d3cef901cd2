"""Vault paths: relative, `/` between names, exact and case-sensitive; nothing that leads out of the vault."""

import re
import unicodedata

from lib.toolset import path_problem
from lib.vault.call import ToolError

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1000

# Windows opens the device whatever extension or blanks follow.
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\.|$)", re.IGNORECASE)


def clean(path: str) -> str:
    """The path as the vault stores it ("" is the root), one leading slash dropped; an unsafe one raises ToolError."""
    fault = path_fault(path)
    if fault:
        raise ToolError(f"Invalid path {_shown(path)}: it {fault}")
    return _short(path)


def _short(path: str) -> str:
    return "/".join(name for name in path.split("/") if name not in ("", "."))


def path_fault(path: str) -> str:
    """Why a path is refused, as the end of a sentence, or "" when every system keeps it inside the vault."""
    relative = path[1:] if path.startswith("/") else path
    short = _short(relative)
    # Both forms, because "./C:" is harmless as written and "C:" is not.
    problem = path_problem(relative) or path_problem(short)
    if problem:
        return problem
    if ":" in (short[1:2], _folded(short)[1:2]):  # Python on Windows takes any one character before a colon for a drive
        return "starts with a drive letter"
    if len(relative.encode("utf-8")) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    return next(filter(None, map(_name_fault, relative.split("/"))), "")


def _name_fault(name: str) -> str:
    if name in ("", "."):
        return ""
    folded = _folded(name)
    if not folded.strip(" ."):  # Windows drops blanks and dots at the end of a name
        return "holds a blank name"
    if len(name.encode("utf-8")) > MAX_NAME_BYTES:
        return f"holds a name longer than {MAX_NAME_BYTES} bytes"
    if DEVICE.match(folded):
        return f"holds {folded!r}, a device name on Windows"
    if folded.startswith("."):
        return f"holds {folded!r}, a hidden name"
    return ""


def _folded(text: str) -> str:
    """Compatibility forms made plain and invisible characters gone, as some file systems take them."""
    if text.isascii():  # which has neither
        return text
    return "".join(char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")


def _shown(path: str) -> str:
    text = ascii(path) if any(not char.isprintable() for char in path) else f"'{path}'"
    return text if len(text) <= 120 else text[:117] + "..."


def parent(path: str) -> str:
    """The folder a path lies in, "" for the root."""
    return path.rpartition("/")[0]


def parents(path: str) -> list[str]:
    """Every folder above a path, nearest first, without the root."""
    found = []
    while path := parent(path):
        found.append(path)
    return found


def name_of(path: str) -> str:
    """The last name of a path."""
    return path.rpartition("/")[2]


def split_extension(path: str) -> tuple[str, str]:
    """("Notes/Plan", ".md"); a name that only starts with a dot has no extension."""
    name = name_of(path)
    dot = name.rfind(".")
    return (path[: dot - len(name)], name[dot:]) if dot > 0 else (path, "")


def is_inside(path: str, folder: str) -> bool:
    """True when path lies below folder, at any depth; everything but the root lies below the root."""
    return path.startswith(folder + "/") if folder else path != ""
