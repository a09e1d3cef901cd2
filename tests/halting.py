"""Programs in llama.cpp's place that stand still in the middle of a step, for tests that kill an export there."""

import os
import signal
import subprocess
import sys
import time

import psutil

from lib import llama_cpp

EXPORT = """\
import shutil, sys
from pathlib import Path
from lib import gguf
from lib.templates import template_for
source, out = map(Path, sys.argv[1:])
job = gguf.Export("toolset-test", out, template_for(), {"made": "from"}, 10**7, source)
gguf.export(job, ["Q8_0", "Q4_0"], lambda folder: shutil.copytree(source, folder))
"""
# Programs that do their work, or at the step that HALT names half of it, say so by a file, and stand still.
QUANTIZE = """\
#!/bin/sh
[ "$HALT" = quantization ] || exec {real} "$@"
{real} "$@" && truncate -s 100000 "$2" && touch {halted} && exec sleep 60
"""
PERPLEXITY = """\
#!/bin/sh
case "$HALT $*" in "proof "*"--kl-divergence") touch {halted}; exec sleep 60;; esac
exec {real} "$@"
"""
CONVERT = """\
import os, pathlib, sys, time
whole = pathlib.Path({real!r}).read_bytes()
halt = os.environ["HALT"] == "conversion"
pathlib.Path(sys.argv[sys.argv.index("--outfile") + 1]).write_bytes(whole[: len(whole) // 2] if halt else whole)
if halt:
    pathlib.Path({halted!r}).touch()
    time.sleep(60)
"""


def stand_ins(folder, f16):
    """The folder as LLAMA_CPP wants it; the converter there copies f16. The file that tells of a standstill."""
    folder.mkdir()
    halted, real = folder / "halted", llama_cpp.tools()
    (folder / "llama-server").symlink_to(real.server)
    programs = {
        "llama-quantize": (QUANTIZE, real.quantize),
        "llama-perplexity": (PERPLEXITY, real.perplexity),
        "convert_hf_to_gguf.py": (CONVERT, f16),
    }
    for name, (text, stands_for) in programs.items():
        (folder / name).write_text(text.format(real=str(stands_for), halted=str(halted)))
        (folder / name).chmod(0o755)
    return halted


def start(source, out, folder, halt):
    """An export of the model in source, in a process of its own that stands still at the step `halt`."""
    env = os.environ | {"LLAMA_CPP": str(folder), "HALT": halt}
    command = [sys.executable, "-c", EXPORT, str(source), str(out)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def kill_when(halted, process):
    """Kill -9 once a program stands still; every program that it had started is gone a moment later."""
    deadline = time.monotonic() + 60
    while not halted.exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and children
    while still := [child for child in children if runs(child)]:
        assert time.monotonic() < deadline, still
        time.sleep(0.01)
    halted.unlink()
    process.stdout.close()


def runs(process):
    """Whether it does anything: one that is dead but not yet asked for by its new parent does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
