"""Where a GGUF comes from: a finished run (base with its adapter merged in), or an untrained base with our template."""

import hashlib
import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from lib import llama_cpp
from lib.base_model import MODEL_WEIGHTS, fetch, sixteen_bit_twin
from lib.config import load_size
from lib.desktop import stops_for
from lib.disk import sha256
from lib.errors import CannotRun
from lib.gguf import Export
from lib.runs import read_manifest
from lib.templates import as_shipped, template_for

WEIGHTS = ("*.safetensors", "*.bin")
ADAPTERS = ("adapter_model.safetensors", "adapters.safetensors")  # PEFT's form and mlx-lm's


def of_run(run: Path) -> tuple[Export, Callable[[Path], Path]]:
    """(what to export from a finished run, how to make its merged folder)."""
    manifest = read_manifest(run)
    adapter = run / "final_model"
    weights = next((path for name in ADAPTERS if (path := adapter / name).is_file()), None)
    if weights is None:
        raise CannotRun(f"{adapter}: holds no {' or '.join(ADAPTERS)}, so there is nothing to merge.")
    base = fetch(sixteen_bit_base(manifest))
    inputs = describe(base) | {"run": run.name, "adapter": sha256(weights)}
    name, template = f"toolset-{manifest['size']}-{manifest['method']}", template_of(adapter)
    stops = stops_for(adapter, template, manifest.get("settings", {}).get("format", "native"))
    out, data = run / "gguf", tuple(manifest.get("data", ()))
    job = Export(name, out, template, seal(inputs, template), weight_bytes(base), adapter, data, stops)
    return job, lambda folder: importlib.import_module("lib.merge_torch").merge(base, adapter, folder)


def sixteen_bit_base(manifest: dict) -> str:
    """The 16-bit model behind a run's base; for a size's 4-bit MLX model the one that the size names for the CPU."""
    if manifest.get("platform") == "mlx" and manifest["base"] == load_size(manifest["size"], "mlx", "sft").base:
        return load_size(manifest["size"], "cpu", "sft").base
    return sixteen_bit_twin(manifest["base"])


def of_base(size_name: str, platform: str, tools_in_prompt: str) -> tuple[Export, Callable[[Path], Path]]:
    """(what to export from a size's untrained base, how to make a folder of it with our template)."""
    size = load_size(size_name, platform, "sft")
    base = fetch(sixteen_bit_twin(size.base))
    mode = tools_in_prompt
    template = template_for(mode, size.template) if size.template else as_shipped(template_of(base), mode)
    name = f"toolset-{size_name}-base"
    folder = base_folder(size_name, tools_in_prompt)
    inputs, stops = seal(describe(base), template), stops_for(base, template, "native")
    job = Export(name, folder, template, inputs, weight_bytes(base), base, stops=stops)
    return job, lambda target: with_template(base, template, target)


def base_folder(size_name: str, tools_in_prompt: str) -> Path:
    """Where the model files of an untrained base lie."""
    parts = [f"toolset-{size_name}-base", *([] if tools_in_prompt == "none" else [tools_in_prompt])]
    return Path("build") / "-".join(parts) / "gguf"


def seal(inputs: dict, template: str) -> dict:
    """The inputs with what else decides about the files: the template and the converter."""
    digest = hashlib.sha256(template.encode()).hexdigest()
    return inputs | {"template": digest, "llama.cpp": llama_cpp.VERSION}


def weight_bytes(base: Path) -> int:
    return sum(path.stat().st_size for path in base.glob(MODEL_WEIGHTS))


def describe(base: Path) -> dict:
    """What tells a base folder from another: its config, and names and sizes of its weights."""
    weights = {path.name: path.stat().st_size for path in sorted(base.glob(MODEL_WEIGHTS))}
    return {"config": sha256(base / "config.json"), "weights": weights}


def template_of(folder: Path) -> str:
    """The chat template that a tokenizer folder carries, in its own file or in tokenizer_config.json."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    if isinstance(found, list):  # several under names
        named = {entry["name"]: entry["template"] for entry in found}
        found = named.get("tool_use") or named.get("default")
    if not isinstance(found, str):
        raise CannotRun(f"{folder}: has no chat template, so no server would know how to talk to the model.")
    return found


def with_template(base: Path, template: str, target: Path) -> Path:
    """A folder of the base's files with the chat template in place of its own; weights are linked, not copied."""
    target.mkdir(parents=True)
    for path in base.iterdir():
        if any(path.match(pattern) for pattern in WEIGHTS):
            (target / path.name).symlink_to(path.resolve())
        elif path.is_file():
            shutil.copyfile(path, target / path.name)
    (target / "chat_template.jinja").write_text(template, encoding="utf-8")
    return target
