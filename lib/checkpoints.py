"""Checkpoints of a run: whole or absent, sealed with digests, the damaged ones set aside, the oldest removed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from lib.cli import log
from lib.disk import sha256
from lib.jsonl import write_json

SEAL = "files.json"  # file -> sha256, written last
KEPT = 2  # one to go on from, one behind it in case the first is damaged


def step_of(folder: Path) -> int:
    """The step behind which checkpoint-N was written."""
    return int(folder.name.rsplit("-", 1)[-1])


def checkpoints(run: Path) -> list[Path]:
    """The run's checkpoints, newest first."""
    found = [path for path in (run / "checkpoints").glob("checkpoint-*") if path.name.rsplit("-", 1)[-1].isdigit()]
    return sorted(found, key=step_of, reverse=True)


def seal(folder: Path) -> None:
    """Note the digest of every file of a checkpoint that is being written."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    write_json(folder / SEAL, {path.relative_to(folder).as_posix(): sha256(path) for path in files})


def fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint's files, or None."""
    try:
        files = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        return next((f"{name} is not what was written" for name in files if sha256(folder / name) != files[name]), None)
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, AttributeError) as error:
        return f"{SEAL} cannot be read ({error})"


def last_good(run: Path) -> Path | None:
    """The newest checkpoint whose files are as written, or None; damaged ones are set aside, which is said."""
    for folder in checkpoints(run):
        if (reason := fault(folder)) is None:
            return folder
        log(f"{folder} is damaged ({reason}); going back to the one before.")
        set_aside(folder, "broken")
    return None


def set_aside(folder: Path, name: str) -> Path:
    """The folder under its new name, broken-N or bad-N: kept for a look, never gone on from."""
    target = folder.with_name(f"{name}-{step_of(folder)}")
    shutil.rmtree(target, ignore_errors=True)
    return folder.rename(target)


def rotate(run: Path) -> None:
    """Remove all but the newest KEPT checkpoints."""
    for old in checkpoints(run)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def retreat(run: Path, since: int) -> Path | None:
    """Set aside the checkpoints from step `since` on, where the training had gone bad; the newest good one, or None."""
    for folder in checkpoints(run):
        if step_of(folder) >= since:
            set_aside(folder, "bad")
    return last_good(run)
