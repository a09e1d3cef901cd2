"""Several training processes on this machine: accelerate starts them, and all of them work on one run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from lib.cli import log
from lib.errors import CannotRun

WORKER = "TOOLSET_TRAINING_RUN"  # names the run to the processes that train it
STOP = "stop"  # a file in the run: the processes are to end after this step, all after the same one
CONFIGS = {False: "configs/accelerate/ddp.yaml", True: "configs/accelerate/fsdp2.yaml"}


def worker_run() -> Path | None:
    """The run that this process was started to train with others; None in a process that a person started."""
    named = os.environ.get(WORKER)
    return Path(named) if named else None


def command(method: str, arguments: list[str], processes: int, sharded: bool) -> list[str]:
    """The line that starts the method's script in so many processes, each with the same arguments."""
    # Port 0: a free one, so that two trainings on one machine do not meet.
    settings = ["--config_file", CONFIGS[sharded], "--num_processes", str(processes), "--main_process_port", "0"]
    return [sys.executable, "-m", "lib.launcher_torch", *settings, "-m", f"scripts.{method}", *arguments]


def train(job) -> None:
    """Run the job in its processes to the end; KeyboardInterrupt when the user stopped it, CannotRun when it failed."""
    # One process decides for all, and finds the machine idle.
    import_module("lib.probe_torch").choose_dtype(job)
    stop = job.run / STOP
    stop.unlink(missing_ok=True)
    line = command(job.method, sys.argv[1:], job.processes, job.sharded)
    log(f"Starting {job.processes} processes: {'FSDP2' if job.sharded else 'DDP'}")
    # A session of its own: Ctrl-C reaches this process alone, which then asks the others to stop together.
    running = subprocess.Popen(line, env=os.environ | {WORKER: str(job.run)}, start_new_session=True)
    stopped = False
    while True:
        try:
            code = running.wait()
            break
        except KeyboardInterrupt:
            if stopped:
                os.killpg(running.pid, signal.SIGKILL)
            stopped = True
            stop.touch()
            log("Stopping after this step; the checkpoint is saved. Press Ctrl-C again to stop at once.")
    stop.unlink(missing_ok=True)
    if (job.run / "done.json").is_file():
        return
    if stopped:
        raise KeyboardInterrupt
    raise CannotRun(f"{job.run}: a training process ended with exit code {code}; what it said stands above.")
