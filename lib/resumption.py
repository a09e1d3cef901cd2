"""Which run directory a training works in: a new one, or with RESUME=1 the interrupted one, if it is still the same."""

from __future__ import annotations

import hashlib
import shlex
import sys
from dataclasses import asdict
from pathlib import Path

from lib import runs
from lib.cli import log
from lib.config import Recipe
from lib.errors import CannotRun

# What a run is bound to -> how it is called when it has changed.
WORDS = {
    "platform": "the platform",
    "base": "the base model",
    "base_digest": "the files of the base model",
    "data": "the data",
    "template_digest": "the chat template",
    "sft_run": "the SFT run it starts from",
    "sft_adapter": "the adapter of that SFT run",
    "tokens_digest": "the tokens of the rows",
    "held_out_digest": "which rows are held out",
}
SAMPLES, SAMPLE_BYTES = 16, 1 << 16


def manifest(config: Recipe, facts: dict) -> dict:
    """What config.yaml of a run holds."""
    return {
        "settings": asdict(config),
        **facts,
        "command": shlex.join(["python", "-m", *sys.orig_argv[2:]]),
        **runs.provenance(),
    }


def base_digest(folder: Path) -> str:
    """sha256 of a base model's config and of samples of its weights: other weights of the same shape differ in it.

    Sixteen blocks of 64 KB a file, evenly spread: reading all of a 7b model would take a minute at each start.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with open(path, "rb") as handle:
            for number in range(SAMPLES):
                handle.seek(max(0, size - SAMPLE_BYTES) * number // (SAMPLES - 1))
                digest.update(handle.read(SAMPLE_BYTES))
    return digest.hexdigest()


def changes(old: dict, config: Recipe, facts: dict) -> list[str]:
    """What differs between a run's manifest and today's settings and facts, in plain words."""
    before, now = old.get("settings", {}), asdict(config)
    found = [f"{name} ({before.get(name)} then, {now[name]} now)" for name in now if before.get(name) != now[name]]
    bound = [name for name in WORDS if name in facts and old.get(name) != facts[name]]
    for derived in ("tokens_digest", "held_out_digest"):  # other data give others: say the cause alone
        if len(bound) + len(found) > 1:
            bound = [name for name in bound if name != derived]
    for name in bound:
        found.append(WORDS[name] + detail(name, old.get(name), facts[name]))
    return found


def detail(name: str, before, now) -> str:
    """What a person can do something with: old and new name, or the files that differ."""
    if name == "data":
        files = sorted((before or {}).keys() | now.keys())
        return f" ({', '.join(file for file in files if (before or {}).get(file) != now.get(file))})"
    return f" ({before} then, {now} now)" if name in ("platform", "base", "sft_run") else ""


def open_run(method: str, size: str, config: Recipe, facts: dict, resume: bool) -> Path:
    """The run directory to train in.

    With resume the newest unfinished one, when nothing that it is bound to has changed (CannotRun otherwise); the
    newest finished one when it is the same and all that was lost is the news of it; a new one when there is neither.
    """
    newest, unfinished = (runs.newest(method, size, finished=finished) for finished in (None, False))
    if not resume:
        if unfinished == newest is not None and not changes(runs.read_manifest(newest), config, facts):
            log(f"Note: {newest} is the same training, interrupted. To go on with it: make {method} RESUME=1")
        return runs.create(method, size, manifest(config, facts))
    if newest is not None and runs.is_finished(newest) and not changes(runs.read_manifest(newest), config, facts):
        log(f"{newest} is finished; nothing is left to train.")
        return newest
    if unfinished is None:
        log(f"No {method} run of size {size} was interrupted: starting a new one.")
        return runs.create(method, size, manifest(config, facts))
    old = runs.read_manifest(unfinished)
    if changed := changes(old, config, facts):
        raise CannotRun(
            f"{unfinished} cannot be resumed, these have changed: {'; '.join(changed)}. Put them back, or start anew: "
            f"make {method}."
        )
    was, now = old.get("versions", {}), runs.versions()
    if other := [f"{name} {was.get(name)} -> {now[name]}" for name in now if was.get(name, now[name]) != now[name]]:
        log(f"Note: other versions than at the start ({', '.join(other)}); losses may differ in their last digits.")
    return unfinished
