"""The folder of a run that is published: its adapter as it is, or base and adapter merged, made once and kept.

manifest.json in a merged folder says what it was made from, as beside GGUF files.
"""

import importlib
import json
from pathlib import Path

from lib import gguf_source
from lib.cli import log
from lib.disk import sha256
from lib.jsonl import write_json
from lib.lineage import MANIFEST, changed
from lib.runs import provenance

METHODS = ("merged_16bit", "merged_4bit", "lora")


def saved(run: Path, method: str) -> Path:
    """The folder, merged now when it is missing, cut, or of other weights."""
    if method == "lora":
        return run / "final_model"
    folder = run / method
    job, merge = gguf_source.of_run(run)
    inputs = {key: value for key, value in job.inputs.items() if key != "llama.cpp"}
    if is_current(folder, inputs):
        log(f"{folder} still holds.")
        return folder
    torch_side = importlib.import_module("lib.merge_torch")
    if method == "merged_4bit":
        torch_side.require_4bit()
        torch_side.to_4bit(saved(run, "merged_16bit"), folder)
    else:
        log(f"Merging into {folder}.")
        merge(folder)
    files = {path.name: entry_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
    write_json(folder / MANIFEST, {"name": job.name, "inputs": inputs, "made": provenance(), "files": files})
    return folder


def entry_of(path: Path) -> dict:
    """What a manifest notes of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def is_current(folder: Path, inputs: dict) -> bool:
    """Whether the folder was made from these inputs and every file is as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    files = manifest.get("files", {})
    return manifest.get("inputs") == inputs and not any(changed(folder / name, entry) for name, entry in files.items())
