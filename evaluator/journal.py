"""The journal of a run: settings on the first line, then one flushed line per attempt, so that a crash loses little."""

import contextlib
import json
from pathlib import Path
from typing import TextIO

from lib.errors import CannotRun
from lib.jsonl import append_row, read_lines

KEPT = ("pass", "model_fail", "server_lost")  # outcomes that stand; infra is asked again


class Journal:
    """DIR/journal.jsonl, held by one run at a time. `done`: the attempts of an earlier, broken run, by case id."""

    def __init__(self, folder: Path, settings: dict, resume: bool):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.jsonl"
        self.done: dict[str, dict] = {}
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


def _attempts(path: Path, settings: dict) -> dict[str, dict]:
    """The attempts that stand in the journal; refused when its settings are not today's. A torn line is dropped."""
    if not path.stat().st_size:
        return {}
    rows = []
    for _, line in read_lines(path):
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    earlier = rows[0].get("settings") if rows and isinstance(rows[0], dict) else None
    if earlier is None:
        return {}
    changed = [name for name in sorted({*earlier, *settings}) if earlier.get(name) != settings.get(name)]
    if changed:
        shown = ", ".join(f"{name} was {earlier.get(name)!r}, is {settings.get(name)!r}" for name in changed)
        raise CannotRun(f"{path}: the settings have changed since ({shown}). Run without --resume to start again.")
    return {row["id"]: row for row in rows[1:] if isinstance(row, dict) and row.get("outcome") in KEPT}
