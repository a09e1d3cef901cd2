"""A base model's shape from its config.json: a folder, a file, the shipped ones of configs/shapes.yaml, or the Hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lib.base_model import in_hub_cache, why_not_the_hub
from lib.config import read_yaml
from lib.errors import CannotRun
from lib.jsonl import read_object
from lib.memory import Shape, read_shape

ADVICE = "A config.json is a JSON object; name another file or model."
SHIPPED = "configs/shapes.yaml"
# Ends of a model's name -> how its weights are stored.
STORED = {"-unsloth-bnb-4bit": "nf4", "-bnb-4bit": "nf4", "-MXFP4-Q4": "mlx4", "-4bit": "mlx4"}


def shape_of(spec: str) -> Shape:
    """The shape of a model named by folder, config.json or Hub id; no weight is read or fetched."""
    ending = next((ending for ending in STORED if spec.endswith(ending)), "")
    path = Path(spec).expanduser()
    if path.is_dir():
        path = path / "config.json"
    if path.is_file():
        shape = read_shape(read_object(path, ADVICE), str(path))
    elif spec.startswith((".", "/", "~")):
        raise CannotRun(f"{path}: no such file. Name a model's folder, its config.json, or a Hub id.")
    else:
        shapes = {name.lower(): shape for name, shape in read_yaml(SHIPPED).items()}
        shipped = shapes.get(spec.rsplit("/", 1)[-1].removesuffix(ending).lower())
        shape = read_shape(shipped, SHIPPED) if shipped else read_shape(read_object(from_hub(spec), ADVICE), spec)
    return replace(shape, quantized=STORED[ending]) if ending else shape


def from_hub(hub_id: str) -> Path:
    """The config.json of a model on the Hub, and nothing else of it."""
    from huggingface_hub import errors, hf_hub_download

    if folder := in_hub_cache(hub_id):
        return folder / "config.json"
    if reason := why_not_the_hub():
        raise CannotRun(f"{hub_id}: {reason} Save the model's config.json and name that file: --model config.json.")
    try:
        return Path(hf_hub_download(hub_id, "config.json"))
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        raise CannotRun(f"{hub_id}: no config.json could be fetched ({' '.join(str(error).split())[:200]}).") from error
