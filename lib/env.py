"""Settings and secrets from .env in the project's folder; the real environment wins."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lib.errors import CannotRun

ENV_FILE = Path(".env")


def read_env(path: Path) -> dict[str, str]:
    """Name -> value of every filled-in line, without quotes and a leading export; {} without a file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines:
        name, mark, value = line.strip().removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        if mark and value and name.isidentifier():
            found[name] = value
    return found


def key_from(names: Sequence[str], environment: Mapping[str, str]) -> str:
    """The first of the named keys that is set, "" without one; what cannot be sent is refused without being shown."""
    name = next((name for name in names if environment.get(name, "").strip()), "")
    key = environment[name].strip() if name else ""
    if not re.fullmatch(r"[!-~]*", key):
        raise CannotRun(f"{name} holds blanks or letters that no key has. Set it again in the environment or in .env.")
    return key


def load_env() -> None:
    """Put what .env says into the environment; HF_API_KEY stands in for a missing HF_TOKEN, as the Hub wants it."""
    for name, value in read_env(ENV_FILE).items():
        os.environ.setdefault(name, value)
    if os.environ.get("HF_API_KEY"):
        os.environ.setdefault("HF_TOKEN", os.environ["HF_API_KEY"])
