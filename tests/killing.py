"""Trainings in processes of their own that a test kills at random moments, and what is left of them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

CLOCK = ("timestamp", "tokens_per_s", "memory_gb", "elapsed_s")  # what no two runs share
SECONDS = 120
# Saves and log rows do not fall together, steps have two micro-batches and epochs a shorter last one; dropout draws.
FLAGS = ["--batch-size", "3", "--grad-accumulation", "2", "--log-every", "2", "--save-every", "3"]
SFT = [*FLAGS, "--epochs", "16", "--lora-dropout", "0.1", "--eval-fraction", "0.2", "--rows-per-tool", "0"]
KTO = [*FLAGS, "--epochs", "12", "--learning-rate", "1e-3"]
KTO += ["--warmup-fraction", "0.2", "--stage-step", "20", "--stage-factor", "0.25"]


class Trainings:
    """Starts trainings of one platform; use as a context."""

    def __init__(self, platform: str, folder: Path):
        self.platform, self.folder, self.output = platform, folder, folder / "output.txt"

    def __enter__(self):
        command = [sys.executable, "-m", "tests.training_server", self.platform]
        self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait(SECONDS)
        self.server.stdout.close()

    def start(self, method: str, root: Path, *arguments, largest: int = 0) -> int:
        """The id of a new training's process; largest: bytes that a file of its may have, 0 for any number."""
        self.output.write_text("")
        words = [*arguments, "--platform", self.platform, "--model", self.folder / "model", "--yes"]
        order = {"method": method, "root": str(root), "arguments": list(map(str, words))}
        order |= {"output": str(self.output), "largest": largest}
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def wait(self) -> int:
        """The exit code, or minus the signal that ended the training."""
        return os.waitstatus_to_exitcode(int(self.server.stdout.readline()))

    def finish(self, method: str, root: Path, *arguments) -> Path:
        """The run directory of a training that is left alone."""
        self.start(method, root, *arguments)
        assert self.wait() == 0, self.output.read_text()
        return newest(root, method)

    def kill_at_random(self, method: str, root: Path, kills: int, *arguments) -> None:
        """Start or resume the training so many times, each killed a few steps on, or before its first one."""
        rng = random.Random(f"{self.platform} {method}")
        for _ in range(kills):
            pid = self.start(method, root, *arguments, *(["--resume"] if newest(root, method) else []))
            wanted = last_step(newest(root, method)) + rng.randint(0, 4)
            wait_for_step(root, method, wanted)
            time.sleep(rng.random() * (0.1 if wanted else 1.5))  # anywhere in a step, a save, or the start
            os.kill(pid, signal.SIGKILL)
            assert self.wait() == -signal.SIGKILL, self.output.read_text()


def wait_for_step(root: Path, method: str, step: int) -> None:
    """Until the newest run has logged this step."""
    deadline = time.monotonic() + SECONDS
    while last_step(newest(root, method)) < step and time.monotonic() < deadline:
        time.sleep(0.005)


def newest(root: Path, method: str) -> Path | None:
    """The newest run directory of a method."""
    return max(root.glob(f"*-{method}-*"), default=None)


def rows_of(run: Path) -> list[dict]:
    """The whole lines of a run's log."""
    text = (run / "logs/training_latest.jsonl").read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def last_step(run: Path | None) -> int:
    """The last step in a run's log."""
    if run is None or not (run / "logs/training_latest.jsonl").exists():
        return 0
    return max((row["step"] for row in rows_of(run)), default=0)


def two_stages(step: int, total: int) -> float:
    """The learning rate that KTO's flags ask for in a step, counted from 1, of so many."""
    warm, step = -(-total // 5), step - 1
    share = step / warm if step < warm else (total - step) / (total - warm)
    return 1e-3 * share * (0.25 if step >= 20 else 1)


def figures_of(run: Path) -> list[dict]:
    """The rows without what the clock decides."""
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in rows_of(run)]
