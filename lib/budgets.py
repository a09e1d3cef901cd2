"""A memory forecast held against machines: a card, a Mac, this one; what fits there and the flags that make it fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lib.config import load_config, load_size
from lib.errors import CannotRun
from lib.memory import GIB, fitting, forecast, largest_batch, largest_length, plan_of
from lib.model_config import shape_of

CARD_SHARE = 0.98  # the driver keeps the rest
MAC_SHARE = 2 / 3  # of its memory a Mac of up to 36 GB lets the GPU wire
LENGTHS = (512, 1024, 2048, 4096)


@dataclass(frozen=True)
class Place:
    """A machine: its name, the platform that trains on it, and the bytes that a training may take."""

    name: str
    platform: str
    bytes: float


def places(card_gb: float | None = None) -> list[Place]:
    """The card (24 GB unless another is named), a 16 GB Mac, and what is free on this machine."""
    card, free = card_gb or 24, free_here("cpu")
    return [
        Place(f"{card:g} GB card", "cuda", card * GIB * CARD_SHARE),
        Place("16 GB Mac", "mlx", 16 * GIB * MAC_SHARE),
        Place(f"here ({free / GIB:.1f} GB free)", "cpu", free),
    ]


def free_here(platform: str) -> float:
    """Bytes that a training may take on this machine."""
    if platform == "cuda":
        from lib.needs import output_of

        free = output_of("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
        if not free:
            raise CannotRun("nvidia-smi shows no GPU: make doctor. To go without it, name its size: --memory 24.")
        return float(free.splitlines()[0]) * 2**20
    import psutil

    here = psutil.virtual_memory()
    return here.total * MAC_SHARE if platform == "mlx" else here.available


def judge(place: Place, size: str, method: str, model: str, changes: dict, factor: float = 1.0) -> dict:
    """What the recipe takes in this place, in GiB by part, whether it fits, and how it can be made to.

    model: another base than the size's; changes: settings from the command line; factor: from a probe.
    """
    base = load_size(size, place.platform, method)
    config, _ = load_config(method, base, changes)
    shape = shape_of(model or base.base)
    plan = plan_of(shape, place.platform, config)
    parts = {name: factor * value / GIB for name, value in forecast(shape, plan).items()}
    way = fitting(shape, plan, place.bytes, factor)
    return {
        "place": place.name,
        "platform": place.platform,
        "base": model or base.base,
        "batch": plan.batch,
        "accumulation": plan.accumulation,
        "length": plan.length,
        "checkpointing": plan.checkpointing,
        "budget": place.bytes / GIB,
        "parts": parts,
        "total": sum(parts.values()),
        "fits": way is not None and not way[1],
        "flags": way[1] if way else [],
        "largest_batch": {length: batch_at(shape, plan, length, place.bytes, factor) for length in LENGTHS},
        "longest_row": largest_length(shape, plan, place.bytes, factor),
    }


def batch_at(shape, plan, length: int, budget: float, factor: float) -> int:
    """The largest batch of rows of this length."""
    return largest_batch(shape, replace(plan, length=length), budget, factor)


def table(found: list[dict]) -> list[str]:
    """The judgements as lines for a terminal, one column a place."""
    if not found:
        raise CannotRun("no machine to judge for.")
    width = max(len(one["place"]) for one in found) + 3
    lines = [f"{'GiB':<26}" + "".join(f"{one['place']:>{width}}" for one in found)]
    for name in found[0]["parts"]:
        lines.append(f"{name:<26}" + "".join(f"{one['parts'][name]:>{width}.2f}" for one in found))
    for name in ("total", "budget"):
        lines.append(f"{name:<26}" + "".join(f"{one[name]:>{width}.2f}" for one in found))
    lines.append("")
    for one in found:
        lines += sentences(one)
    return lines


def sentences(one: dict) -> list[str]:
    """What a person wants to know of one place."""
    shown = f"batch {one['batch']} x {one['accumulation']}, rows of up to {one['length']} tokens"
    if one["fits"]:
        verdict = f"fits as it is ({shown})"
    elif one["flags"]:
        verdict = f"fits with {' '.join(one['flags'])} (the recipe: {shown})"
    else:
        verdict = f"does not fit ({shown}). Take a smaller SIZE, or a base in 4 bit: --model NAME-4bit"
    batches = ", ".join(f"{batch} of {length}" for length, batch in one["largest_batch"].items())
    return [
        f"{one['place']}, {one['base']}: {verdict}",
        f"  largest batches by tokens a row: {batches}; longest single row: {one['longest_row']}",
    ]
