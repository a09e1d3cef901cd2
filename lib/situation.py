"""What a training is looked at by before it starts: its settings, its base model, and the machine with its packages."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path

from lib import runs
from lib.base_model import sixteen_bit_twin, window_of
from lib.config import Recipe
from lib.needs import installed_version, visible_gpus

BOARDS = ("trackio", "wandb")


@dataclass(frozen=True)
class Situation:
    """What the rules look at. model: the base's config.json, {} where it is not known before the download;
    versions: of the packages installed; gpus: visible CUDA devices; processes: NPROC; sharded: under FSDP2."""

    method: str
    platform: str
    size: str
    config: Recipe
    base: str
    model: dict = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0
    processes: int = 1
    sharded: bool = False
    cores: int = 1
    system: str = "Linux"
    hidden_library: bool = False

    @property
    def unsloth(self) -> bool:
        return self.platform == "cuda" and self.config.unsloth

    @property
    def torch(self) -> bool:
        return self.platform != "mlx"

    @property
    def positions(self) -> int:
        """Tokens that the model was made for; 0 when its config does not say."""
        return (self.model.get("text_config") or self.model).get("max_position_embeddings") or 0

    @property
    def window(self) -> int:
        return window_of(self.model)

    @property
    def quantized_by(self) -> str:
        """How the base's weights are stored: "bitsandbytes", "mxfp4", "gptq"..., "mlx", or "" for plain weights."""
        by_torch = (self.model.get("quantization_config") or {}).get("quant_method", "")
        mlx = self.model.get("quantization") or {}
        return "mlx" if "group_size" in mlx else by_torch

    @property
    def shared_accumulation(self) -> int:
        """The least accumulation, not below the recipe's, that the processes can share out."""
        return -(-self.config.grad_accumulation // self.processes) * self.processes

    @property
    def plain_base(self) -> str:
        return sixteen_bit_twin(self.base)


def wandb_login() -> str:
    """The netrc file of an earlier `wandb login`, or ""."""
    path = Path.home() / ".netrc"
    try:
        return str(path) if "wandb" in path.read_text(encoding="utf-8") else ""
    except (OSError, UnicodeDecodeError):
        return ""


def this_machine(processes: int = 1, sharded: bool = False) -> dict:
    """The fields of a Situation that do not depend on the settings."""
    versions = runs.versions()
    versions |= {name: installed_version(name) or "0" for name in BOARDS if util.find_spec(name)}
    if version := installed_version("triton-windows"):
        versions["triton-windows"] = version
    environment = dict(os.environ) | ({"WANDB_LOGGED_IN": login} if (login := wandb_login()) else {})
    return {
        "versions": versions,
        "environment": environment,
        "gpus": visible_gpus(os.environ),
        "processes": processes,
        "sharded": sharded,
        "cores": os.cpu_count() or 1,
        "system": platform.system(),
        "hidden_library": Path("datasets/__init__.py").exists(),
    }
