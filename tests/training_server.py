"""Runs the training scripts in forked processes: a test can kill many of them and pays for the imports once.

Reads lines of JSON {"method", "root", "arguments", "output", "largest"} and answers each with the process's id, and
with its wait status when it has ended. largest: bytes that a file may have, which stands for a disk that is full.
"""

import json
import os
import resource
import signal
import sys
from importlib import import_module
from pathlib import Path

# Loaded before the forks. MLX is not: its threads would not live on in a forked process.
MODULES = {"cpu": ("lib.sft_torch", "lib.kto_torch", "lib.tokenizer_torch"), "mlx": ("numpy", "lib.tokenizer_torch")}


def train(order: dict) -> None:
    """The script as `make` would start it, its runs in a folder of their own."""
    output = os.open(order["output"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if order["largest"]:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest"], resource.RLIM_INFINITY))
    from lib import runs

    runs.RUNS = Path(order["root"])
    try:
        import_module(f"scripts.{order['method']}").main(order["arguments"])
    except SystemExit as end:
        code = end.code or 0
    sys.stdout.flush()
    os._exit(code)


def main() -> None:
    for name in MODULES[sys.argv[1]]:
        import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        if (pid := os.fork()) == 0:
            train(order)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    main()
