"""The steps from the untrained base to the smallest quant, each against the one before on the same prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.comparison import compare, judgement
from evaluator.reports import LADDER_HEAD, ladder_row, markdown_table
from lib.errors import CannotRun

QUANTS = ("Q8_0", "Q5_K_M", "Q4_K_M")  # from the most to the fewest bits
HEAD = (*LADDER_HEAD[:-1], "against the step before")


@dataclass(frozen=True)
class Rung:
    """One step: its model file, or None and the command that makes it."""

    label: str
    gguf: Path | None
    make: str


def rungs_of(run: Path) -> list[Rung]:
    """base, SFT, KTO and the quants of the last of them, for a KTO run (or an SFT run, whose KTO is still to come)."""
    from lib.gguf_source import base_folder
    from lib.runs import read_manifest

    manifest = read_manifest(run)
    size, platform, tools = manifest["size"], manifest["platform"], manifest["settings"]["tools_in_prompt"]
    is_kto = manifest["method"] == "kto"
    sft = Path(manifest["sft_run"]) if is_kto else run
    base = f"python -m scripts.gguf --base --size {size} --platform {platform} --tools-in-prompt {tools}"
    steps = [
        Rung("base", gguf_in(base_folder(size, tools), "f16"), base),
        Rung("SFT", gguf_in(sft / "gguf", "f16"), f"make gguf RUN={sft}"),
        Rung("KTO", gguf_in(run / "gguf", "f16") if is_kto else None, f"make gguf RUN={run}" if is_kto else "make kto"),
    ]
    quants = [Rung(kind, gguf_in(run / "gguf", kind), f"make gguf RUN={run} QUANTS={kind}") for kind in QUANTS]
    return steps + quants


def gguf_in(folder: Path, kind: str) -> Path | None:
    """The folder's model file of a kind (f16, Q8_0, ...)."""
    return next(iter(sorted(folder.glob(f"*-{kind}.gguf"))), None)


def climbed(results: Sequence[dict], alpha: float = 0.05) -> list[dict]:
    """For each result {"label", "row", "step"}: its cells, and its comparison with the one before (None at the start).

    The last cell says what the step did: "loses 3, gains 1: noise (p = .63)".
    """
    steps = []
    for place, result in enumerate(results):
        step, said = None, ""
        if place:
            try:
                step = compare(results[place - 1], result, alpha)
                said = f"loses {len(step['regressions'])}, gains {len(step['gains'])}: {judgement(step)}"
            except CannotRun as error:
                said = error.message
        steps.append({"label": result["label"], "row": [*ladder_row(result)[:-1], said], "step": step})
    return steps


def as_markdown(steps: list[dict], warnings: list[str], missing: list[Rung]) -> str:
    """The table, what makes it hard to read, and the cases behind each step."""
    parts = ["# Ladder", markdown_table(HEAD, [step["row"] for step in steps])]
    parts.append("In brackets the rate and its 95 % interval; each step is tested on the cases that both answered.")
    parts += [f"- Warning: {warning}" for warning in warnings]
    parts += [f"- {rung.label} is missing; make it with `{rung.make}`" for rung in missing]
    for step in steps:
        flips = [(kind, flip) for kind in ("regressions", "gains") for flip in (step["step"] or {}).get(kind, [])]
        if flips:
            rows = [("lost" if kind == "regressions" else "gained", flip["id"], flip["reason"]) for kind, flip in flips]
            parts += [f"## {step['label']}", step["step"]["sentence"], markdown_table(["", "case", "failure"], rows)]
    return "\n\n".join(parts) + "\n"
