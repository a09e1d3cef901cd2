"""What a run needs from this machine, each looked for without importing a trainer."""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from lib.disk import is_slow, size_text
from lib.errors import CannotRun

# platform -> (what the user asked for, what was installed by it)
REQUIREMENTS = {
    "cpu": ("requirements.txt", "requirements.lock"),
    "cuda": ("requirements-cuda.txt", "requirements-cuda.lock"),
    "mlx": ("requirements-mac.txt", "requirements-mac.lock"),
}
OLDEST_PYTHON = (3, 11)
# Bytes for base model, checkpoints, f16 and three quants of a size; weights dominate.
DISK_NEEDED = {"tiny": 4e9, "3b": 25e9, "7b": 60e9, "13b": 110e9, "20b": 160e9}


@dataclass(frozen=True)
class Need:
    """One finding. state: ok, missing (a run cannot work) or note (it can, but look); fix: what to do about it."""

    name: str
    state: str
    detail: str
    fix: str = ""


def output_of(*command: str) -> str | None:
    """What a command prints, or None when it is absent or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def python_need() -> Need:
    """Whether this Python is new enough."""
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= OLDEST_PYTHON:
        return Need("Python", "ok", found)
    return Need("Python", "missing", found, "Install Python 3.11 or newer, then: make setup PYTHON3=python3.12")


def locked_versions(lock: str) -> dict[str, str]:
    """package -> version that a lock names."""
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", Path(lock).read_text(encoding="utf-8"), re.MULTILINE))


def asked_packages(path: str) -> list[str]:
    """The packages that a requirements file names, those of the files it includes as well."""
    names = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            names += asked_packages(line[3:].strip())
        elif match := re.match(r"[A-Za-z][\w.-]*", line):
            names.append(match.group().lower().replace("_", "-"))
    return names


def installed_version(name: str) -> str | None:
    """The version without its build mark (2.13.0 for 2.13.0+cpu), or None."""
    try:
        return metadata.version(name).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


def asked_files(target: str) -> tuple[str, str]:
    """(requirements, lock) of a platform on this machine; on Linux MLX comes on top of the CPU platform."""
    if target == "mlx" and platform.system() == "Linux":
        return "requirements-mlx.txt", REQUIREMENTS["cpu"][1]
    return REQUIREMENTS[target]


def package_needs(target: str) -> list[Need]:
    """One finding for all packages of a platform, and one for those of other versions than locked."""
    requirements, lock = asked_files(target)
    locked = locked_versions(lock)
    found = {name: installed_version(name) for name in asked_packages(requirements)}
    absent = sorted(name for name, version in found.items() if version is None)
    other = [f"{n} {v} (lock: {locked[n]})" for n, v in sorted(found.items()) if v and n in locked and v != locked[n]]
    again = f"make setup PLATFORM={target}"
    if absent:
        return [Need("Packages", "missing", f"not installed: {', '.join(absent)}", again)]
    needs = [Need("Packages", "ok", f"{len(found)} of {requirements}, as locked")]
    if other:
        needs = [Need("Packages", "note", f"other than locked: {', '.join(other)}", f"touch {lock} && {again}")]
    return needs


def visible_gpus(environment) -> int:
    """How many CUDA devices a process sees, by CUDA_VISIBLE_DEVICES or else by nvidia-smi."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return len([name for name in named.split(",") if name.strip() not in ("", "-1")])
    return len((output_of("nvidia-smi", "-L") or "").splitlines())


def device_need(target: str) -> Need:
    """The processor or GPU that the platform trains on."""
    if target == "cuda":
        gpu = output_of("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
        if gpu:
            return Need("GPU", "ok", "; ".join(gpu.splitlines()))
        return Need("GPU", "missing", "nvidia-smi finds none", "Install the NVIDIA driver, or use: PLATFORM=cpu")
    if target == "mlx":
        if (platform.system(), platform.machine()) == ("Darwin", "arm64"):
            return Need("GPU", "ok", f"Apple Silicon, macOS {platform.mac_ver()[0]}")
        return Need("GPU", "note", "not Apple Silicon; MLX runs on the processor here", "PLATFORM=cpu is faster here")
    return Need("Processor", "ok", f"{os.cpu_count()} cores, {platform.machine()}")


def memory_need(size: str) -> Need:
    """Whether the memory holds the smallest run."""
    import psutil

    memory = psutil.virtual_memory()
    detail = f"{size_text(memory.total)}, {size_text(memory.available)} free"
    if size == "tiny" and memory.available < 3e9:
        return Need("Memory", "note", detail, "Close other programs: a tiny run takes about 3 GB")
    return Need("Memory", "ok", detail)


def disk_need(size: str) -> Need:
    """Whether the project's disk has room for a run of this size, and is no slow mount."""
    free, needed = shutil.disk_usage(".").free, DISK_NEEDED[size]
    detail = f"{size_text(free)} free; a {size} run with its GGUF files takes up to {size_text(int(needed))}"
    if free < needed:
        return Need("Disk", "missing", detail, "Free some space, or clone to another disk")
    if is_slow("."):
        return Need(
            "Disk", "note", "the project lies on a slow mount, where quantization crawls", "Clone below ~/ instead"
        )
    return Need("Disk", "ok", detail)


def llama_need() -> Need:
    """llama.cpp ready to use, or what is needed to build it."""
    from lib import llama_cpp

    try:
        found = llama_cpp.find()
        if found:
            return Need("llama.cpp", "ok", f"{found.server.parent} ({found.origin})")
        llama_cpp.build_tools()
    except CannotRun as error:
        return Need("llama.cpp", "missing", *split_advice(error.message))
    return Need("llama.cpp", "ok", "not here yet; make gguf builds it once, in about ten minutes of processor time")


def split_advice(message: str) -> tuple[str, str]:
    """(what is wrong, what to do) of a CannotRun's sentences."""
    wrong, _, advice = message.partition(". ")
    return wrong.rstrip("."), advice


def token_needs(environment) -> list[Need]:
    """Which tokens are set; their values are never shown."""
    needs = []
    for names, purpose in ((("HF_TOKEN", "HF_API_KEY"), "gated models and uploads"), (("WANDB_API_KEY",), "W&B")):
        given = next((name for name in names if environment.get(name)), None)
        if given:
            needs.append(Need("Token", "ok", f"{given} is set"))
        else:
            needs.append(Need("Token", "note", f"no {names[0]}", f"Only for {purpose}: write it into .env"))
    return needs


def config_needs(target: str, size: str) -> list[Need]:
    """Whether the shipped recipes hold for the size on this machine, as a training would check them."""
    from lib.rules import valid_config
    from lib.situation import this_machine

    needs, machine = [], this_machine()
    for method in ("sft", "kto"):
        try:
            config = valid_config(method, (target, size), {}, None, None, machine)[1]
        except CannotRun as error:
            faults = [line.partition(" Fix: ") for line in error.message.splitlines()]
            needs += [Need("Config", "missing", f"{method}: {what.rstrip('.')}", fix) for what, _, fix in faults]
        else:
            batch = f"batch {config.batch_size} x {config.grad_accumulation}"
            needs.append(Need("Config", "ok", f"{method} of size {size}: {batch}, {config.max_length} tokens"))
    return needs


def all_needs(target: str, size: str) -> list[Need]:
    """Everything but the servers, in the order in which a new user meets it."""
    from lib.traps import fallen, this_machine

    return [
        python_need(),
        *package_needs(target),
        *fallen(this_machine(target, size)),
        *config_needs(target, size),
        device_need(target),
        memory_need(size),
        disk_need(size),
        llama_need(),
        *token_needs(os.environ),
    ]
