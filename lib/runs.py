"""Run directories: runs/<stamp>-<method>-<size>/ with config.yaml written first and done.json written last."""

from __future__ import annotations

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


def create(method: str, size: str, manifest: dict, root: Path = RUNS) -> Path:
    """A new run directory with its config.yaml; two runs started in the same second get two directories."""
    import yaml

    root.mkdir(parents=True, exist_ok=True)
    moment = time.time()
    while True:
        stamp = datetime.datetime.fromtimestamp(moment).strftime("%Y%m%d_%H%M%S")
        run = root / f"{stamp}-{method}-{size}"
        try:
            run.mkdir()
            break
        except FileExistsError:
            moment += 1
    for part in ("checkpoints", "logs"):
        (run / part).mkdir()
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


def newest(method: str | None = None, size: str | None = None, finished: bool = True, root: Path = RUNS) -> Path | None:
    """The newest run of a method and size that is finished (or unfinished); None when there is none."""
    for run in sorted(root.glob("*-*-*"), reverse=True):
        if not (run / "config.yaml").is_file() or is_finished(run) != finished:
            continue
        if method and f"-{method}-" not in run.name:
            continue
        if size and not run.name.endswith(f"-{size}"):
            continue
        return run
    return None


def finished_run(name, method: str | None = None, root: Path = RUNS) -> Path:
    """The named run, or the newest finished one; CannotRun when it is missing or unfinished."""
    if name:
        run = Path(name)
        if not run.is_dir() and (root / run.name).is_dir():
            run = root / run.name
        read_manifest(run)
        if not is_finished(run):
            raise CannotRun(f"{run} is not finished (no done.json). Go on with it: make {method or 'sft'} RESUME=1.")
        return run
    run = newest(method, root=root)
    if run is None:
        raise CannotRun(f"no finished {method or 'training'} run in {root}/. Make one: make {method or 'sft'}.")
    return run


class Lock:
    """Keeps two trainings out of one run directory; a lock whose process is gone is taken over."""

    def __init__(self, run: Path):
        self.path = run / "lock"

    def __enter__(self):
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            owner = self.path.read_text(encoding="utf-8").strip()
            if owner.isdigit() and is_alive(int(owner)):
                raise CannotRun(f"{self.path.parent}: process {owner} is training in it. Wait, or stop it.") from None
            self.path.unlink(missing_ok=True)
            return self.__enter__()
        with os.fdopen(handle, "w") as file:
            file.write(str(os.getpid()))
        return self

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Metrics:
    """logs/training_<stamp>.jsonl, one flushed row per logged step, and the link logs/training_latest.jsonl."""

    def __init__(self, run: Path):
        logs = run / "logs"
        latest = logs / "training_latest.jsonl"
        if latest.exists():  # a resumed run goes on in its log
            path = latest.resolve()
        else:
            path = logs / f"training_{datetime.datetime.now().strftime('%Y%m%d_%H%M%S')}.jsonl"
            path.touch()
            latest.symlink_to(path.name)
        self.path = path
        self.handle = open(path, "a", encoding="utf-8")  # noqa: SIM115 - lives as long as the training

    def drop_after(self, step: int) -> None:
        """Forget rows beyond the checkpoint that a resumed run starts from, so that steps stay unique."""
        rows = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        self.handle.close()
        kept = [row for row in rows if row["step"] <= step]
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))
        self.handle = open(self.path, "a", encoding="utf-8")  # noqa: SIM115

    def write(self, step: int, **values) -> dict:
        """The row that was written: step, timestamp (UTC), then the values; floats rounded to 9 digits."""
        row = {"step": step, "timestamp": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
        row.update({name: round(v, 9) if isinstance(v, float) else v for name, v in values.items()})
        append_row(self.handle, row)
        return row

    def close(self) -> None:
        self.handle.close()
