"""Vault paths: relative, `/` between names, exact and case-sensitive; nothing that could lead out of the vault."""

import posixpath
import re
import unicodedata

from lib.vault.call import ToolError

STATE_FOLDER = ".vault"  # where save_folder keeps what is no note; not a place for notes
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1000

# Drawn like a slash or backslash, without being one for str.split.
SEPARATOR_LOOKALIKES = "\u2044\u2215\u2216\u2571\u2572\u27cb\u27cd\u29f5\u29f8\u29f9\u1735\u2afd\u3033"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
DRIVE = re.compile(r"[A-Za-z]:")
DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\.|$)", re.IGNORECASE)


def clean(path: str) -> str:
    """The path as the vault stores it ("" is the root); one leading slash is dropped. Unsafe ones raise ToolError."""
    fault = path_fault(path)
    if fault:
        raise ToolError(f"Invalid path: {fault}: {printable(path)}")
    return "/".join(name for name in path.split("/") if name not in ("", "."))


def path_fault(path: str) -> str:
    """Why the path is refused, or "" when it stays inside the vault on every system."""
    relative = path[1:] if path.startswith("/") else path
    # NFKC turns full-width and compatibility forms into the characters that a file system may take them for.
    folded = "".join(char for char in unicodedata.normalize("NFKC", relative) if unicodedata.category(char) != "Cf")
    if CONTROL.search(path):
        return "control characters are not allowed"
    if "\\" in folded or folded.count("/") != relative.count("/") or any(c in SEPARATOR_LOOKALIKES for c in relative):
        return "use / between names, no backslash or look-alike"
    if relative.startswith("/"):
        return "absolute paths leave the vault"
    if DRIVE.match(folded):
        return "drive letters leave the vault"
    if folded.startswith("~"):
        return "paths do not start with ~"
    if len(relative.encode("utf-8")) > MAX_PATH_BYTES:
        return f"longer than {MAX_PATH_BYTES} bytes"
    names = zip(folded.split("/"), relative.split("/"), strict=True)
    return next(filter(None, (_name_fault(name, raw) for name, raw in names)), "")


def _name_fault(name: str, raw: str) -> str:
    """What is wrong with one name, given in compatibility form and as it was written."""
    if raw in ("", "."):
        return ""
    # Windows drops blanks and dots at the end of a name, so ".. ." is taken for "..".
    if not name.strip(" ."):
        return "'..' leaves the vault" if ".." in name else "a name is blank"
    if DEVICE.match(name):
        return f"'{name}' is a device name on Windows"
    if len(raw.encode("utf-8")) > MAX_NAME_BYTES:
        return f"a name is longer than {MAX_NAME_BYTES} bytes"
    if name.casefold().rstrip(" .") == STATE_FOLDER:
        return f"{STATE_FOLDER} is reserved"
    return ""


def printable(path: str) -> str:
    """The path for an error message: control characters escaped, cut when long."""
    text = CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", path)
    return text if len(text) <= 120 else text[:117] + "..."


def parent(path: str) -> str:
    """The folder a path lies in, "" for the root."""
    return posixpath.dirname(path)


def parents(path: str) -> list[str]:
    """Every folder above a path, nearest first, without the root."""
    found = []
    while path := posixpath.dirname(path):
        found.append(path)
    return found


def name_of(path: str) -> str:
    """The last name of a path."""
    return posixpath.basename(path)


def is_inside(path: str, folder: str) -> bool:
    """True when path lies below folder, at any depth; everything but the root lies below the root."""
    return path.startswith(folder + "/") if folder else path != ""
