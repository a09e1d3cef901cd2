"""Machines on which an installation works and a training fails later: one table of condition, finding and command."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lib.config import read_yaml
from lib.env import ENV_FILE, read_env
from lib.needs import Need, installed_version, output_of

OLDEST_DRIVER = 580  # of CUDA 13, which PyTorch's wheels in the CUDA lock are built for
OLDEST_CAPABILITY = 8.0  # Ampere: bf16 in hardware
OLDEST_GLIBC = (2, 28)  # manylinux_2_28, what PyTorch's and MLX's wheels ask for
OLDEST_MACOS = (14, 0)  # MLX's wheels


@dataclass(frozen=True)
class Gpu:
    """One line of nvidia-smi: name, memory in GB, driver and compute capability."""

    name: str
    memory: float
    driver: float
    capability: float


@dataclass(frozen=True)
class Machine:
    """What the traps look at; versions are those of installed packages, with their build marks (2.13.0+cpu)."""

    target: str
    size: str = "tiny"
    versions: Mapping[str, str] = field(default_factory=dict)
    gpus: tuple[Gpu, ...] = ()
    system: str = "Linux"
    processor: str = "x86_64"
    translated: bool = False
    glibc: tuple[int, ...] = ()
    macos: tuple[int, ...] = ()
    compiler: bool = True
    hidden_library: bool = False
    writable_cache: bool = True
    token: str = ""
    open_env: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def smallest(self) -> float:
        return min((gpu.memory for gpu in self.gpus), default=0.0)

    @property
    def needed(self) -> int:
        """GB that the larger of the size's two trainings is expected to take (configs/sizes.yaml)."""
        return max(read_yaml("configs/sizes.yaml")[self.size]["memory_gb"].values())


@dataclass(frozen=True)
class Trap:
    """fallen: whether the machine is in it; state: missing (no run can work) or note; detail, fix: with its fields."""

    fallen: Callable[[Machine], bool]
    name: str
    state: str
    detail: str
    fix: str


def old(m: Machine, package: str, limit: str) -> bool:
    from packaging.version import Version

    return package in m.versions and Version(m.versions[package]) < Version(limit)


def new(m: Machine, package: str, limit: str) -> bool:
    return package in m.versions and not old(m, package, limit)


TRAPS: dict[str, Trap] = {
    "trl-without-triton": Trap(
        lambda m: m.target == "cpu" and old(m, "trl", "1.16") and "triton" not in m.versions,
        "trl", "note", "{m.versions[trl]} cannot train here by itself, without Triton; make bench compares with it",
        "make setup PLATFORM=cpu",
    ),
    "trl-too-new-for-unsloth": Trap(
        lambda m: m.target == "cuda" and new(m, "trl", "1.16"),
        "trl", "missing", "{m.versions[trl]} is too new for unsloth", "make setup PLATFORM=cuda",
    ),
    "transformers-too-new-for-unsloth": Trap(
        lambda m: m.target == "cuda" and new(m, "transformers", "5.18"),
        "transformers", "missing", "{m.versions[transformers]} is too new for unsloth", "make setup PLATFORM=cuda",
    ),
    "datasets-too-new-for-unsloth": Trap(
        lambda m: m.target == "cuda" and new(m, "datasets", "5"),
        "datasets", "missing", "{m.versions[datasets]} is too new for unsloth", "make setup PLATFORM=cuda",
    ),
    "mlx-lm-too-old": Trap(
        lambda m: m.target == "mlx" and old(m, "mlx-lm", "0.32"),
        "mlx-lm", "missing", "{m.versions[mlx-lm]} is what a resolver falls back to, two years old",
        "make setup PLATFORM=mlx",
    ),
    "torch-without-cuda": Trap(
        lambda m: m.target == "cuda" and m.versions.get("torch", "").endswith("+cpu"),
        "PyTorch", "missing", "{m.versions[torch]} is the build without CUDA",
        "unset PIP_EXTRA_INDEX_URL; rm -r .venv; make setup PLATFORM=cuda",
    ),
    "cuda-build-without-gpu": Trap(
        lambda m: m.target == "cpu" and m.system == "Linux" and "nvidia-cublas" in m.versions,
        "PyTorch", "note", "PyTorch's CUDA build is installed; it works, but takes gigabytes",
        "rm -r .venv; PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make setup",
    ),
    "old-driver": Trap(
        lambda m: m.target == "cuda" and any(gpu.driver < OLDEST_DRIVER for gpu in m.gpus),
        "Driver", "missing", "{m.gpus[0].driver:g} is older than CUDA 13 asks for (580)",
        "sudo apt install nvidia-driver-580, and restart; under WSL2 update the driver of Windows",
    ),
    "gpu-without-bf16": Trap(
        lambda m: m.target == "cuda" and any(gpu.capability < OLDEST_CAPABILITY for gpu in m.gpus),
        "GPU", "missing", "{m.gpus[0].name} has no bf16 (compute capability {m.gpus[0].capability:g}, 8.0 is needed)",
        "an Ampere card or newer, or PLATFORM=cpu SIZE=tiny",
    ),
    "small-gpu": Trap(
        lambda m: m.target == "cuda" and 0 < m.smallest < m.needed,
        "GPU", "note", "{m.smallest:.0f} GB; a {m.size} run takes about {m.needed} GB",
        'make fit SIZE={m.size}, or SFT_ARGS="--batch-size 1 --gradient-checkpointing"',
    ),
    "several-gpus": Trap(
        lambda m: m.target == "cuda" and len(m.gpus) > 1 and "CUDA_VISIBLE_DEVICES" not in m.environment,
        "GPU", "note", "several are visible, and a process trains on one", "NPROC=2, or export CUDA_VISIBLE_DEVICES=0",
    ),
    "no-compiler-for-triton": Trap(
        lambda m: m.target == "cuda" and m.system == "Linux" and not m.compiler,
        "Compiler", "missing", "Triton compiles its kernels at the first step, and there is no gcc",
        "sudo apt install build-essential",
    ),
    "translated-python": Trap(
        lambda m: m.system == "Darwin" and m.translated,
        "Python", "missing", "an Intel Python on Apple Silicon (Rosetta); MLX and PyTorch have no build for it",
        "brew install python@3.12; rm -r .venv; make setup PYTHON3=/opt/homebrew/bin/python3.12",
    ),
    "intel-mac": Trap(
        lambda m: m.system == "Darwin" and m.processor == "x86_64" and not m.translated,
        "Python", "missing", "PyTorch and MLX have no builds for Intel Macs any more", "use another machine",
    ),
    "old-macos": Trap(
        lambda m: m.target == "mlx" and m.system == "Darwin" and m.macos < OLDEST_MACOS,
        "macOS", "missing", "MLX needs macOS 14 or newer", "softwareupdate --install --all",
    ),
    "old-glibc": Trap(
        lambda m: m.system == "Linux" and () < m.glibc < OLDEST_GLIBC,
        "glibc", "missing", "older than 2.28, for which there are no wheels", "a newer distribution, or a container",
    ),
    "hidden-library": Trap(
        lambda m: m.hidden_library,
        "datasets", "missing", "datasets/__init__.py hides the library", "rm datasets/__init__.py",
    ),
    "cache-not-writable": Trap(
        lambda m: not m.writable_cache,
        "Cache", "missing", "the folder for downloaded models (HF_HOME) cannot be written",
        "chown it, or set HF_HOME in .env to a folder of yours",
    ),
    "strange-token": Trap(
        lambda m: bool(m.token) and not re.fullmatch(r"hf_[A-Za-z0-9]{20,}", m.token),
        "Token", "note", "HF_TOKEN looks like none (hf_...)", "copy it again from hf.co/settings/tokens into .env",
    ),
    "readable-env": Trap(
        lambda m: m.open_env,
        "Token", "note", ".env holds tokens and others on this machine can read it", "chmod 600 .env",
    ),
    "offline": Trap(
        lambda m: m.environment.get("HF_HUB_OFFLINE", "0") not in ("", "0"),
        "Hub", "note", "HF_HUB_OFFLINE is set: only models that are here already can be trained",
        "unset HF_HUB_OFFLINE",
    ),
}  # fmt: skip


def fallen(machine: Machine) -> list[Need]:
    """A finding for every trap that the machine is in, in the table's order."""
    found = [trap for trap in TRAPS.values() if trap.fallen(machine)]
    return [Need(t.name, t.state, t.detail.format(m=machine), t.fix.format(m=machine)) for t in found]


def gpus_of(listing: str) -> tuple[Gpu, ...]:
    """The GPUs of nvidia-smi's CSV lines: name, memory in MiB, driver version, compute capability."""
    found = []
    for line in listing.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 4 and all(re.match(r"\d", part) for part in parts[1:]):
            driver = float(".".join(parts[2].split(".")[:2]))
            found.append(Gpu(parts[0], float(parts[1]) * 2**20 / 1e9, driver, float(parts[3])))
    return tuple(found)


PACKAGES = ("torch", "trl", "transformers", "datasets", "mlx-lm", "triton", "nvidia-cublas")


def this_machine(target: str, size: str) -> Machine:
    """The machine as it is, found without importing a trainer."""
    import shutil
    from importlib import metadata

    fields = "name,memory.total,driver_version,compute_cap"
    versions = {name: metadata.version(name) for name in PACKAGES if installed_version(name)}
    system = platform.system()
    return Machine(
        target,
        size,
        versions,
        gpus_of(output_of("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits") or ""),
        system,
        platform.machine(),
        translated=system == "Darwin" and output_of("sysctl", "-n", "sysctl.proc_translated") == "1",
        glibc=tuple(map(int, re.findall(r"\d+", platform.libc_ver()[1])[:2])),
        macos=tuple(map(int, re.findall(r"\d+", platform.mac_ver()[0])[:2])),
        compiler=bool(shutil.which("gcc") or shutil.which("cc")),
        hidden_library=Path("datasets/__init__.py").exists(),
        writable_cache=can_write(Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface")),
        token=os.environ.get("HF_TOKEN", ""),
        open_env=is_open(ENV_FILE),
        environment=dict(os.environ),
    )


def can_write(folder: Path) -> bool:
    """Whether files can be made in the folder, or in the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


def is_open(path: Path) -> bool:
    """Whether others than its owner can read a file that holds a token."""
    secrets = [name for name in read_env(path) if name.endswith(("TOKEN", "KEY"))]
    return bool(secrets) and os.name == "posix" and bool(path.stat().st_mode & 0o044)
