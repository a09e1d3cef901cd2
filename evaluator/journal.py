"""The journal of a run: settings on the first line, then one flushed line per attempt, so that a crash loses little."""

import contextlib
import json
from pathlib import Path
from typing import TextIO

from lib.errors import CannotRun
from lib.jsonl import append_row, read_lines

KEPT = ("pass", "model_fail", "server_lost")  # outcomes that stand; infra is asked again
LATER = {"repeats": 1, "limit": None}  # settings that older journals do not name, and what they were


class Journal:
    """DIR/journal.jsonl, held by one run at a time. `done`: attempts of an earlier, broken run, by (case, number)."""

    def __init__(self, folder: Path, settings: dict, resume: bool):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.jsonl"
        self.done: dict[tuple[str, int], dict] = {}
        self._handle = open(self.path, "a+", encoding="utf-8", newline="\n")  # noqa: SIM115
        try:
            _hold(self._handle, self.path)
            if resume:
                self.done = _attempts(self.path, settings)
            self._start_again(settings)
        except BaseException:
            self._handle.close()
            raise

    def _start_again(self, settings: dict) -> None:
        """The file with its settings and what stands of the earlier run: no torn last line, no infra."""
        self._handle.truncate(0)
        append_row(self._handle, {"settings": settings})
        for attempt in self.done.values():
            append_row(self._handle, attempt)

    def add(self, attempt: dict) -> None:
        append_row(self._handle, attempt)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()


def _hold(handle: TextIO, path: Path) -> None:
    """Keeps a second run out of the folder for as long as the file is open; Windows has no such lock."""
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotRun(
                f"{path.parent}: another evaluation is writing there. Wait, or give another --out."
            ) from None


def read_journal(path: Path) -> tuple[dict | None, list[dict]]:
    """(settings, attempts) of a journal; a torn line is dropped. Settings are None when the first line holds none."""
    rows = []
    for _, line in read_lines(path):
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    settings = rows[0].get("settings") if rows and isinstance(rows[0], dict) else None
    return settings, [row for row in rows[1:] if isinstance(row, dict) and "outcome" in row]


def _attempts(path: Path, settings: dict) -> dict[tuple[str, int], dict]:
    """The attempts that stand in the journal; refused when its settings are not today's."""
    if not path.stat().st_size:
        return {}
    earlier, attempts = read_journal(path)
    if earlier is None:
        return {}
    earlier = LATER | earlier
    changed = [name for name in sorted({*earlier, *settings}) if earlier.get(name) != settings.get(name)]
    if changed:
        shown = ", ".join(f"{name} was {earlier.get(name)!r}, is {settings.get(name)!r}" for name in changed)
        raise CannotRun(f"{path}: the settings have changed since ({shown}). Run without --resume to start again.")
    return {(row["id"], row.setdefault("attempt", 1)): row for row in attempts if row["outcome"] in KEPT}
