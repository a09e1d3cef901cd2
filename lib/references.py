"""Reference log-probabilities on disk: asked once for a base, an adapter and a batch, whatever run asks for them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

from lib import runs
from lib.cli import log
from lib.jsonl import write_json
from lib.rendering import Rendered
from lib.resumption import base_digest

FOLDER = Path("build/references")

Logps = dict[int, tuple[float, float]]


def adapter_digest(folder: Path) -> str:
    """sha256 over config and weights of an adapter's folder, whatever they are called."""
    files = [path for pattern in ("*config.json", "*.safetensors") for path in sorted(folder.glob(pattern))]
    return hashlib.sha256("".join(map(runs.digest_file, files)).encode()).hexdigest()


def reference_file(base: Path, adapter: Path | None, **facts) -> Path | None:
    """Where the log-probabilities of this base with this adapter are kept; None without an adapter on disk.

    facts: what else changes their last bits, such as dtype, device, versions and threads.
    """
    if adapter is None:
        return None
    facts |= {"base": base_digest(base), "adapter": adapter_digest(adapter)}
    return FOLDER / f"{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]}.json"


def batch_digest(rows: list[Rendered], batch: list[int]) -> str:
    """sha256 of what a batch is computed from: its rows in order, and where their prompts end."""
    content = [[rows[i].input_ids, rows[i].labels, rows[i].prompt_length] for i in batch]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def known_batches(path: Path | None) -> dict[str, list]:
    """batch_digest -> [[own, mismatched] of each row]; empty where there is no such file, or a broken one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return {key: value for key, value in found.items() if all(map(math.isfinite, sum(value, [])))}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        log(f"{path} cannot be read ({error}); its log-probabilities are computed again.")
        return {}


def remembered(path: Path | None, rows: list[Rendered], batches: list[list[int]], ask: Callable) -> Logps:
    """For each row (log-probability of its completion, of its mismatched one), nats.

    ask(batches) gives that for the batches that the file lacks; they are added to it.
    """
    known, keys = known_batches(path), [batch_digest(rows, batch) for batch in batches]
    missing = {key: batch for key, batch in zip(keys, batches, strict=True) if len(known.get(key, [])) != len(batch)}
    if missing:
        found = ask(list(missing.values()))
        known |= {key: [list(found[i]) for i in batch] for key, batch in missing.items()}
        if path:
            write_json(path, known)
    if path:
        log(f"Reference: {len(batches) - len(missing)} of {len(batches)} batches were known in {path}")
    pairs = zip(batches, (known[key] for key in keys), strict=True)
    return {i: tuple(logps) for batch, values in pairs for i, logps in zip(batch, values, strict=True)}
