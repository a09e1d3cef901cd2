"""What a training run says of itself: its settings, its log read with patience, and the figures to compare runs by."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

from lib import runs
from lib.errors import CannotRun

LATEST = "logs/training_latest.jsonl"
NOT_SETTINGS = ("settings", "versions", "command", "git_commit", "data")


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk; rows: of its log, by step; done: the figures of done.json, {} before it is finished."""

    name: str
    method: str
    size: str
    settings: dict
    facts: dict
    rows: list[dict]
    done: dict

    def series(self, name: str) -> list[tuple[int, float | None]]:
        """(step, value) of every row; None where the row has no number there."""
        return [(row["step"], number(row.get(name))) for row in self.rows]

    def values(self, name: str) -> list[float]:
        """The numbers of a column."""
        return [value for _, value in self.series(name) if value is not None]


def number(value) -> float | None:
    """The value where it is a finite number."""
    fine = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if fine else None


def find_run(place) -> Path:
    """A run folder named by path or by its name in runs/; CannotRun when there is none."""
    path = Path(place)
    if not path.is_dir() and (runs.RUNS / path.name).is_dir():
        path = runs.RUNS / path.name
    if not (path / "config.yaml").is_file():
        raise CannotRun(f"{place}: no run (it has no config.yaml). Runs lie in {runs.RUNS}/.")
    return path


def read_run(place) -> Run:
    """The run, finished or not."""
    path = find_run(place)
    manifest = runs.read_manifest(path)
    if not isinstance(manifest, dict):
        raise CannotRun(f"{path}/config.yaml: holds no settings.")
    settings = manifest.get("settings") or {}
    facts = {name: str(value) for name, value in manifest.items() if name not in NOT_SETTINGS and value is not None}
    facts |= {name: text[:8] for name, text in facts.items() if name.endswith(("_digest", "_adapter"))}  # of sha256
    facts["data"] = ", ".join(f"{file} {str(digest)[:8]}" for file, digest in (manifest.get("data") or {}).items())
    facts["commit"] = str(manifest.get("git_commit", ""))[:8]
    facts |= {name: str(value) for name, value in (manifest.get("versions") or {}).items()}
    method, size = str(manifest.get("method", "")), str(manifest.get("size", ""))
    return Run(path.name, method, size, settings, facts, read_log(path / LATEST), read_done(path))


def read_done(path: Path) -> dict:
    try:
        done = runs.read_done(path)
    except (OSError, ValueError):
        return {}
    return done if isinstance(done, dict) else {}


def read_log(path: Path) -> list[dict]:
    """The rows of a log that have a step, by step, the later one of two; a half-written line is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows: dict[int, dict] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows[row["step"]] = row
    return [rows[step] for step in sorted(rows)]


def figures(run: Run) -> dict[str, str]:
    """What runs are compared by, as short texts; only what the run has."""
    losses, speeds = run.values("loss"), run.values("tokens_per_s")
    found = {
        "method": run.method,
        "size": run.size,
        "base": run.facts.get("base", ""),
        "state": "finished" if run.done else "unfinished",
        "steps": str(run.done.get("steps") or (run.rows[-1]["step"] if run.rows else 0)),
        "loss": f"{losses[0]:.4g} → {losses[-1]:.4g}" if losses else "",
        "eval loss": shown(run.done.get("eval_loss")),
        "kl": shown(last(run, "kl")),
        "margin": shown(last(run, "rewards/margins")),
        "tokens/s": shown(statistics.median(speeds)) if speeds else "",
        "memory GB": shown(max(run.values("memory_gb"), default=None)),
        "seconds": shown(run.done.get("seconds")),
    }
    return {name: text for name, text in found.items() if text}


def last(run: Run, name: str) -> float | None:
    return next(iter(run.values(name)[::-1]), None)


def shown(value) -> str:
    """Four digits of a number, "" of anything else."""
    return f"{value:.4g}" if number(value) is not None else ""


def settings_of(run: Run) -> dict[str, str]:
    """Every setting and fact of the run as text."""
    return {name: str(value) for name, value in run.settings.items()} | run.facts


def differing(found: list[dict[str, str]]) -> list[str]:
    """The names whose texts are not the same in all, in order."""
    names = dict.fromkeys(name for one in found for name in one)
    return [name for name in names if len({one.get(name, "") for one in found}) > 1]
