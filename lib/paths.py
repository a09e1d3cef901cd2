"""Whether a path stays inside the vault, judged on its text alone.

Vault paths are relative, with "/" between the parts; "", "." and "/" mean the vault itself. The Obsidian plugin drops
one leading slash; here "/Notes" is refused all the same, because every other program reads it as an absolute path.
"""

import re
import unicodedata
from urllib.parse import unquote

# Characters that look like "/", "\", "." or "~" and that NFKC does not already turn into them.
LOOK_ALIKES = str.maketrans(
    {
        "\u2044": "/",  # fraction slash
        "\u2215": "/",  # division slash
        "\u29f8": "/",  # big solidus
        "\u2571": "/",  # box drawings diagonal
        "\u27cb": "/",  # mathematical rising diagonal
        "\u2216": "\\",  # set minus
        "\u29f5": "\\",  # reverse solidus operator
        "\u29f9": "\\",  # big reverse solidus
        "\u2572": "\\",  # box drawings diagonal
        "\u27cd": "\\",  # mathematical falling diagonal
        "\u2236": ":",  # ratio
        "\ua789": ":",  # modifier letter colon
        "\u223c": "~",  # tilde operator
        "\u02dc": "~",  # small tilde
        "\u301c": "~",  # wave dash
    }
)
# What most paths look like: letters of common scripts, digits, single dots inside a part. A match is inside the vault.
# Spelled out, so that Python and the schema validator (whose \w also takes invisible joiners) read it alike.
WORD = "0-9A-Za-z_\u00c0-\u024f\u0370-\u03ff\u0400-\u052f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3"
PLAIN = rf"^(/?|[{WORD}][{WORD} ,()&'-]*([/.][{WORD}][{WORD} ,()&'-]*)*/?)$"
PLAIN_PATH = re.compile(PLAIN.replace("$", r"\Z"))
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
DRIVE = re.compile(r"[A-Za-z]:")
MOST_DECODINGS = 4  # "%2525" needs three to become "%"
DOTS_ONLY = re.compile(r"[. ]*\.[. ]*\.[. ]*")


def path_problem(path: str) -> str | None:
    """Why path leaves the vault (or could, on some system), as the end of a sentence; None when it stays inside."""
    if PLAIN_PATH.match(path):
        return None
    if path.startswith("/"):
        return 'is absolute; write it relative to the vault root, without the leading "/"'
    for char in path:
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp"):
            return f"holds the control character U+{ord(char):04X}"
    if "\\" in path:
        return 'holds a backslash; folders are separated by "/"'
    return _escape(path) or (_escape(_folded(path)) and "leaves the vault once look-alike characters are read as plain")


def _folded(path: str) -> str:
    """The path as a careless reader or file system might see it: look-alikes plain, invisible characters gone."""
    for _ in range(MOST_DECODINGS):
        path = unquote(path)
    visible = "".join(char for char in path if unicodedata.category(char) not in ("Cf", "Cc", "Mn"))
    return unicodedata.normalize("NFKC", visible.translate(LOOK_ALIKES)).translate(LOOK_ALIKES).replace("\\", "/")


def _escape(path: str) -> str | None:
    """Why a path of plain characters leaves the vault, or None."""
    if path.startswith("/"):
        return "is absolute"
    if path.startswith("~"):
        return 'starts with "~", which stands for a home folder'
    if SCHEME.match(path):
        return "is an address, not a path"
    if DRIVE.match(path):
        return "starts with a drive letter"
    if any(DOTS_ONLY.fullmatch(part) for part in path.split("/")):
        return 'holds a ".." part, which leads out of its folder'
    return None
