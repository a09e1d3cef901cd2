"""Run directories: runs/<stamp>-<method>-<size>/ with config.yaml written first and done.json written last."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

from lib.errors import CannotRun
from lib.jsonl import append_row, write_json, write_text

RUNS = Path("runs")
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "mlx", "mlx-lm", "unsloth", "gguf")


def digest_file(path) -> str:
    """sha256 of a file's bytes, in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def git_commit() -> str:
    """The checkout's commit, with '+changes' when files differ from it; 'unknown' outside a checkout."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        if head.returncode != 0:
            return "unknown"
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")


def versions() -> dict[str, str]:
    """Python's and the installed training packages' versions."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def provenance() -> dict:
    """What made something now: the checkout's commit and the packages' versions."""
    return {"git_commit": git_commit(), "versions": versions()}


def create(method: str, size: str, manifest: dict) -> Path:
    """A new run directory with its config.yaml; two runs started in the same second get two directories."""
    import yaml

    moment = time.time()
    try:
        RUNS.mkdir(parents=True, exist_ok=True)
        while True:
            stamp = datetime.datetime.fromtimestamp(moment).strftime("%Y%m%d_%H%M%S")
            run = RUNS / f"{stamp}-{method}-{size}"
            try:
                run.mkdir()
                break
            except FileExistsError:
                moment += 1
        for part in ("checkpoints", "logs"):
            (run / part).mkdir()
    except OSError as error:
        raise CannotRun(
            f"{RUNS}: a run's folder cannot be made ({error.strerror}). Work in a folder that you can write to."
        ) from error
    write_text(run / "config.yaml", yaml.safe_dump({"method": method, "size": size, **manifest}, sort_keys=False))
    return run


def read_manifest(run: Path) -> dict:
    """What config.yaml of a run says."""
    import yaml

    try:
        return yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CannotRun(f"{run}: no run directory (it has no config.yaml).") from None


def finish(run: Path, figures: dict) -> None:
    """Write done.json, the mark of a finished run."""
    write_json(run / "done.json", figures)


def is_finished(run: Path) -> bool:
    return (run / "done.json").is_file()


def read_done(run: Path) -> dict:
    return json.loads((run / "done.json").read_text(encoding="utf-8"))


def newest(method: str | None = None, size: str | None = None, finished: bool | None = True) -> Path | None:
    """The newest run of a method and size that is finished (False: unfinished, None: either); None without one."""
    for run in sorted(RUNS.glob("*-*-*"), reverse=True):
        if not (run / "config.yaml").is_file() or (finished is not None and is_finished(run) != finished):
            continue
        if method and f"-{method}-" not in run.name:
            continue
        if size and not run.name.endswith(f"-{size}"):
            continue
        return run
    return None


def finished_run(name, method: str | None = None) -> Path:
    """The named run, or the newest finished one; CannotRun when it is missing or unfinished."""
    if name:
        run = Path(name)
        if not run.is_dir() and (RUNS / run.name).is_dir():
            run = RUNS / run.name
        read_manifest(run)
        if not is_finished(run):
            raise CannotRun(f"{run} is not finished (no done.json). Go on with it: make {method or 'sft'} RESUME=1.")
        return run
    run = newest(method)
    if run is None:
        raise CannotRun(f"no finished {method or 'training'} run in {RUNS}/. Make one: make {method or 'sft'}.")
    return run


class Lock:
    """Keeps two trainings out of one run directory. The system drops it with the process, so none is ever stale."""

    def __init__(self, run: Path):
        self.path = run / "lock"

    def __enter__(self):
        from filelock import FileLock, Timeout

        self.lock = FileLock(self.path)
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            owner = ""
            with contextlib.suppress(OSError):  # Windows locks the file's content, too
                owner = self.path.read_text(encoding="utf-8").strip()
            raise CannotRun(
                f"{self.path.parent}: process {owner or 'another'} is training in it. Wait, or stop it."
            ) from None
        with contextlib.suppress(OSError):
            self.path.write_text(str(os.getpid()), encoding="utf-8")
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.lock.release()


class Metrics:
    """logs/training_<stamp>.jsonl, one flushed row per logged step, and the link logs/training_latest.jsonl."""

    def __init__(self, run: Path):
        logs = run / "logs"
        stamp = datetime.datetime.now().strftime("%Y%m%d_%H%M%S")
        self.path = max(logs.glob("training_2*.jsonl"), default=logs / f"training_{stamp}.jsonl")  # one log a run
        self.open()

    def open(self) -> None:
        """Go on at the end of the log, and see that the link leads to it."""
        self.handle = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 - lives as long as the training
        latest = self.path.with_name("training_latest.jsonl")
        if not latest.exists() or not latest.samefile(self.path):
            latest.unlink(missing_ok=True)
            try:
                latest.symlink_to(self.path.name)
            except OSError:  # Windows lets only some users make symbolic links
                os.link(self.path, latest)

    def drop_after(self, step: int) -> list[dict]:
        """Forget rows beyond the checkpoint that a resumed run starts from, so that steps stay unique; the others."""
        kept = [row for row in rows_of(self.path) if row["step"] <= step]
        self.handle.close()
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))
        self.open()
        return kept

    def write(self, step: int, **values) -> dict:
        """The row that was written: step, timestamp (UTC), then the values; 9 digits of a float name any float32."""
        row = {"step": step, "timestamp": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
        row.update({name: float(f"{v:.9g}") if isinstance(v, float) else v for name, v in values.items()})
        append_row(self.handle, row)
        return row

    def close(self) -> None:
        self.handle.close()


def rows_of(log: Path) -> list[dict]:
    """The rows of a metrics log; a line that was cut short by a kill or a full disk is left out."""
    rows = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict) and "step" in row]
