"""What an upload holds: the files of a run's saved model and its GGUF files, checked before anything is sent."""

import json
from pathlib import Path

from lib import lineage, secret_scan
from lib.disk import size_text
from lib.errors import CannotRun
from lib.hub import LARGEST_FILE, Item
from lib.jsonl import read_object
from lib.lineage import MANIFEST, RECORD

# What trainers leave beside a model that nobody needs, or that is pickled; our own card and record replace others.
LEFT_OUT = ("*.bin", "*.pt", "*.pth", "*.pkl", "optimizer*", "*.part", "README.md", MANIFEST, RECORD, ".git*", "*.lock")
CARD, ADAPTER_CONFIG = "README.md", "adapter_config.json"
BASE_KEYS = ("base_model_name_or_path", "model")  # PEFT's and mlx-lm's word for an adapter's base


def files_of(folder: Path) -> list[Path]:
    """The files of a saved model's folder that belong to it, by name; subfolders are checkpoints."""
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and not is_left_out(path)]
    if not any(path.suffix == ".safetensors" for path in found):
        raise CannotRun(f"{folder}: holds no weights (.safetensors), so there is nothing to publish.")
    return found


def is_left_out(path: Path) -> bool:
    return any(path.match(pattern) for pattern in LEFT_OUT)


def quants_of(run: Path) -> list[dict]:
    """The manifest's entries of the run's GGUF files, each with its path and whether the Modelfile names it.

    CannotRun for none, or one that was cut.
    """
    folder = run / "gguf"
    if not (folder / MANIFEST).is_file():
        raise CannotRun(f"{run} has no GGUF files. Make them: make gguf RUN={run}")
    entries = read_object(folder / MANIFEST, lineage.ADVICE).get("files", {})
    rows, modelfile = [], folder / "Modelfile"
    told = modelfile.read_text(encoding="utf-8") if modelfile.is_file() else ""
    for name, entry in entries.items():
        if fault := lineage.changed(folder / name, entry):
            raise CannotRun(f"{folder / name}: {fault}. Make it again: make gguf RUN={run}")
        rows.append({**entry, "name": name, "path": folder / name, "ollama": f"FROM ./{name}\n" in told})
    return sorted(rows, key=lambda row: -row["bytes"])


def check(paths: list[Path], folders: bool = True) -> None:
    """CannotRun when a file is too large for the Hub, or holds what must not be published.

    folders: look through all files beside them as well, for a secret in a model's folder is one slip away from being
    sent.
    """
    large = [path for path in paths if path.stat().st_size > LARGEST_FILE]
    if large:
        size, most = size_text(large[0].stat().st_size), size_text(LARGEST_FILE)
        raise CannotRun(f"{large[0]}: {size}, more than the {most} that every client can download. Save it in shards.")
    looked = set(paths)
    if folders:
        looked |= {path for folder in {path.parent for path in paths} for path in folder.iterdir() if path.is_file()}
    if found := secret_scan.findings(sorted(looked)):
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise CannotRun(f"nothing is sent, because it holds secrets: {'; '.join(found[:3])}{more}. Take them out.")


def published(path: Path, base: str) -> Path | bytes:
    """The file as it is; an adapter's config with the base's name where it names a folder of this machine."""
    if path.name != ADAPTER_CONFIG:
        return path
    config = json.loads(path.read_text(encoding="utf-8"))
    return (json.dumps(config | {key: base for key in BASE_KEYS if key in config}, indent=2) + "\n").encode()


def items_of(paths: list[Path], card: str, links: list[lineage.Link], base: str = "") -> list[Item]:
    """Everything that is sent, the card first; lineage.json names every other file with its digest."""
    items = [Item(path.name, published(path, base)) for path in paths]
    names = [item.path for item in items]
    if twice := {name for name in names if names.count(name) > 1}:
        raise CannotRun(f"two files are called {', '.join(sorted(twice))}; the repository has room for one.")
    digests = {item.path: {"bytes": item.bytes, "sha256": item.sha256} for item in items}
    record = json.dumps(lineage.record(links, digests), indent=1) + "\n"
    return [Item(CARD, card.encode()), Item(RECORD, record.encode()), *items]


def listing(items: list[Item]) -> list[str]:
    """A line for each item: size and path."""
    return [f"{size_text(item.bytes):>9}  {item.path}" for item in items]
