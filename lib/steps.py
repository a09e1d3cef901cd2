"""llama.cpp's programs run as steps of an export: their output in a log, their refusals in plain words, none unnoticed
when it stands still."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from lib.errors import CannotRun

PR_SET_PDEATHSIG = 1  # linux/prctl.h
# A step whose file has not grown for so long is stopped; a 13B's largest tensor takes under a minute.
STALL_SECONDS = 300
KILLED = {"SIGKILL": "most often because the memory was too small", "SIGXFSZ": "its file is larger than ulimit -f lets"}
# What llama.cpp says -> what it means, and what to do.
REFUSALS = (
    (
        r"BPE pre-tokenizer was not recognized|unknown pre-tokenizer type",
        "llama.cpp does not know how this base splits text into tokens, so the model would be served other tokens than "
        "it was trained on. Take a base that llama.cpp knows, or a newer llama.cpp (LLAMA_CPP=its folder).",
    ),
    (
        r"Architecture '?(\w+)'? not supported|Model (\w+) is not supported|unknown model architecture: '(\w+)'",
        "this llama.cpp does not know the model's architecture. A newer one may: LLAMA_CPP=its folder.",
    ),
    (r"not within the file bounds|is corrupted or incomplete|failed to read (?:magic|tensor|key)|invalid magic",
     "the GGUF file is cut short or damaged. Delete it and run make gguf again."),
    (r"No space left|failed to write|write error|iostream error|failed reading log-probs|\d+ requested and \d+ written",
     "the disk is full. Free some space and run make gguf again."),
    (r"requires an (?:imatrix|importance matrix)|Missing importance matrix",
     "this type keeps so few bits that it needs an importance matrix: IMATRIX=1."),
    (r"unable to allocate|failed to allocate|out of memory|bad_alloc", "the memory is too small for this model here."),
)  # fmt: skip


def in_plain_words(text: str) -> str | None:
    """What a known refusal in the program's output means; None for an unknown one."""
    for pattern, meaning in REFUSALS:
        if match := re.search(pattern, text):
            names = [name for name in match.groups() if name]
            return f"{', '.join([*names, ''])[:-2]}: {meaning}" if names else meaning
    return None


def ends_with_us() -> dict:
    """Popen's settings for a program that on Linux ends with the thread that starts it, also after our own kill -9."""
    if not sys.platform.startswith("linux"):
        return {}
    libc = ctypes.CDLL(None, use_errno=True)
    return {"preexec_fn": lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)}


def run_step(command: list[str], log_path: Path, growing: Path | None = None, patience: float = STALL_SECONDS) -> str:
    """Run a program with its output in the log too; its output. CannotRun in plain words when it fails or stands still.

    growing: the file that it writes; without growth for `patience` seconds the program is stopped.
    """
    what = Path(command[1]).name if command[0] == sys.executable else Path(command[0]).stem
    settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    # Several steps run at once, with more threads than processors: one that waits must not burn another's time.
    settings["env"] = {"OMP_WAIT_POLICY": "passive"} | os.environ
    with subprocess.Popen(command, **settings, **ends_with_us()) as process:
        try:
            output = watched(process, what, growing, patience)
        except BaseException:
            process.kill()
            raise
    text = output.decode("utf-8", "replace")
    # On a full disk the log is lost, not the reason.
    with contextlib.suppress(OSError), open(log_path, "a", encoding="utf-8") as log_file:
        log_file.write(f"$ {' '.join(command)}\n{text}\n")
    if process.returncode != 0:
        said = [line for line in text.splitlines() if line.strip()] or ["it said nothing"]
        telling = [line for line in said if re.search(r"error|not supported|failed|No space", line, re.I)] or said
        reason = in_plain_words(text) or killed(process.returncode) or telling[-1].strip()[:300]
        raise CannotRun(f"{what} failed: {reason} The whole log: {log_path}")
    return text


def killed(code: int) -> str | None:
    """What an exit code of a program says that was ended by a signal; None for one that ended by itself."""
    if code >= 0:
        return None
    name = signal.Signals(-code).name
    return f"it was ended by {name}{', ' + KILLED[name] if name in KILLED else ''}."


def watched(process: subprocess.Popen, what: str, growing: Path | None, patience: float) -> bytes:
    """All that the process says until it ends; CannotRun when the file that it writes has stopped growing."""
    if growing is None:
        return process.communicate()[0]
    size, since, pause = -1, time.monotonic(), min(1.0, patience / 4)
    while True:
        try:
            return process.communicate(timeout=pause)[0]
        except subprocess.TimeoutExpired:
            now = growing.stat().st_size if growing.is_file() else 0
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > patience:
                raise CannotRun(
                    f"{what} stands still: {growing.name} has not grown beyond {size / 1e6:.0f} MB for "
                    f"{patience:.0f} s. On a Windows or network drive that happens; work on a native disk."
                ) from None
