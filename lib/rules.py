"""Settings that are fine alone and wrong together, or on this machine: one table of condition, message and fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lib.base_model import read_config
from lib.config import KtoConfig, examine, load_size
from lib.errors import CannotRun
from lib.situation import BOARDS, Situation

FULL_TOOLS_TOKENS = 9000  # what the shipped toolset takes in the prompt; README's "8-9 thousand"


@dataclass(frozen=True)
class Rule:
    """broken: whether the situation breaks it; message and fix: sentences, with the situation's fields in braces."""

    broken: Callable[[Situation], bool]
    message: str
    fix: str


def before(version: str | None, limit: str) -> bool:
    """Whether a known version is older than the limit."""
    from packaging.version import Version

    return bool(version) and Version(version) < Version(limit)


def at_least(version: str | None, limit: str) -> bool:
    """Whether a known version is the limit or newer."""
    return bool(version) and not before(version, limit)


def causal(model: dict) -> bool:
    """Whether config.json names a model that writes text from left to right; True where it names none."""
    names = model.get("architectures") or ["ForCausalLM"]
    return any(name.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")) for name in names)


# The name of a rule is what its test and its row in the documentation are called by.
RULES: dict[str, Rule] = {
    "kto-batch-of-one": Rule(
        lambda s: isinstance(s.config, KtoConfig) and s.config.batch_size < 2,
        "batch_size is 1; KTO estimates KL from the other rows of a batch",
        "--batch-size 2 or more, with less --grad-accumulation",
    ),
    "longer-than-the-model": Rule(
        lambda s: 0 < s.positions < s.config.max_length,
        "max_length is {s.config.max_length}, but {s.base} was made for {s.positions} tokens",
        "--max-length {s.positions}",
    ),
    "no-room-for-the-tools": Rule(
        lambda s: s.config.tools_in_prompt == "full" and s.config.max_length < FULL_TOOLS_TOKENS,
        "tools_in_prompt is full, which takes about 9,000 tokens of every row, and max_length is {s.config.max_length}",
        "--max-length 12288, or --tools-in-prompt names",
    ),
    "not-a-causal-model": Rule(
        lambda s: not causal(s.model),
        "{s.base} is no model that writes text (its config.json names {s.model[architectures]})",
        "--model with an instruct model",
    ),
    "code-of-its-own": Rule(
        lambda s: "AutoModelForCausalLM" in (s.model.get("auto_map") or {}) and "model_type" not in s.model,
        "{s.base} needs code of its own, which is never run here",
        "--model with a model that transformers knows",
    ),
    "4-bit-without-a-gpu": Rule(
        lambda s: s.platform == "cpu" and s.quantized_by == "bitsandbytes",
        "{s.base} holds 4-bit weights for CUDA, and PLATFORM is cpu",
        "--model {s.plain_base}",
    ),
    "cuda-weights-on-mlx": Rule(
        lambda s: s.platform == "mlx" and s.quantized_by in ("bitsandbytes", "gptq", "awq"),
        "{s.base} holds weights quantized by {s.quantized_by}, which MLX cannot read",
        "--model {s.plain_base}, or its twin of mlx-community",
    ),
    "mlx-weights-in-torch": Rule(
        lambda s: s.torch and s.quantized_by == "mlx",
        "{s.base} holds weights in MLX's own quantization, and PLATFORM is {s.platform}",
        "--model with the model that it was made from, or PLATFORM=mlx",
    ),
    "unsloth-missing": Rule(
        lambda s: s.unsloth and "torch" in s.versions and "unsloth" not in s.versions,
        "unsloth is on, but not installed",
        "make setup PLATFORM=cuda, or --no-unsloth",
    ),
    "unsloth-with-newer-trl": Rule(
        lambda s: s.unsloth and "unsloth" in s.versions and at_least(s.versions.get("trl"), "1.16"),
        "trl {s.versions[trl]} is newer than unsloth's patches, which would be left out without a word",
        "make setup PLATFORM=cuda, or --no-unsloth",
    ),
    "unsloth-with-newer-transformers": Rule(
        lambda s: s.unsloth and "unsloth" in s.versions and at_least(s.versions.get("transformers"), "5.18"),
        "transformers {s.versions[transformers]} is newer than unsloth knows",
        "make setup PLATFORM=cuda, or --no-unsloth",
    ),
    "unsloth-dropout": Rule(
        lambda s: (
            s.unsloth
            and getattr(s.config, "lora_dropout", 0) > 0
            and s.environment.get("UNSLOTH_FUSED_LORA_DROPOUT") == "0"
        ),
        "lora_dropout is {s.config.lora_dropout}, and UNSLOTH_FUSED_LORA_DROPOUT=0 turns unsloth's kernels off with it",
        "--lora-dropout 0",
    ),
    "unsloth-packing": Rule(
        lambda s: s.unsloth and getattr(s.config, "packing", False),
        "packing is on, and unsloth's attention would look across the rows of a pack",
        "--no-packing, or --no-unsloth",
    ),
    "packing-on-mlx": Rule(
        lambda s: s.platform == "mlx" and getattr(s.config, "packing", False),
        "packing is on, and mlx-lm's models attend across the rows of a pack",
        "--no-packing; batches of like lengths have little padding anyhow",
    ),
    "shared-prefix-elsewhere": Rule(
        lambda s: getattr(s.config, "shared_prefix", False) and (s.unsloth or s.platform == "mlx"),
        "shared_prefix is on, which plain trl and peft can do alone",
        "--no-shared-prefix, or on cuda --no-unsloth",
    ),
    "shared-prefix-and-checkpointing": Rule(
        lambda s: getattr(s.config, "shared_prefix", False) and s.config.gradient_checkpointing,
        "shared_prefix keeps keys and values that gradient_checkpointing throws away",
        "--no-shared-prefix, or --no-gradient-checkpointing",
    ),
    "shared-prefix-in-a-window": Rule(
        lambda s: getattr(s.config, "shared_prefix", False) and s.window > 0,
        "shared_prefix is on, and {s.base} attends to a window of {s.window} tokens",
        "--no-shared-prefix",
    ),
    "unsloth-sharded": Rule(
        lambda s: s.unsloth and s.sharded,
        "unsloth's kernels read the weights past FSDP2, which has them in shards",
        "--no-unsloth",
    ),
    "several-gpus": Rule(
        lambda s: s.platform == "cuda" and s.gpus > 1 and s.processes == 1,
        "{s.gpus} GPUs are visible to one process; trl refuses to spread a model over them that way",
        "NPROC={s.gpus} uses them all, CUDA_VISIBLE_DEVICES=0 one",
    ),
    "more-processes-than-gpus": Rule(
        lambda s: s.platform == "cuda" and 0 < s.gpus < s.processes,
        "{s.processes} processes, but {s.gpus} visible GPUs",
        "NPROC={s.gpus}",
    ),
    "more-processes-than-cores": Rule(
        lambda s: s.platform == "cpu" and s.processes > s.cores,
        "{s.processes} processes, but {s.cores} cores",
        "NPROC={s.cores} or less",
    ),
    "accumulation-not-shared": Rule(
        lambda s: s.processes > 1 and s.config.grad_accumulation % s.processes > 0,
        "grad_accumulation is {s.config.grad_accumulation}, which {s.processes} processes cannot share out",
        "--grad-accumulation {s.shared_accumulation}",
    ),
    "shards-without-gpus": Rule(
        lambda s: s.sharded and s.platform == "cpu",
        "FSDP2 spreads a model over GPUs, and PLATFORM is cpu",
        "NPROC without FSDP, or PLATFORM=cuda",
    ),
    "shards-of-one": Rule(
        lambda s: s.sharded and s.processes == 1,
        "FSDP2 spreads a model over several processes, and there is one",
        "NPROC=2 or more",
    ),
    "evaluation-in-shards": Rule(
        lambda s: s.sharded and s.config.eval_every > 0,
        "eval_every is {s.config.eval_every}, and FSDP2 has the weights in shards during the training",
        "--eval-every 0",
    ),
    "patience-without-evaluations": Rule(
        lambda s: s.config.patience > 0 and s.config.eval_every == 0,
        "patience is {s.config.patience}, but nothing is measured during the training",
        "--eval-every 50, or --patience 0",
    ),
    "evaluations-without-rows": Rule(
        lambda s: s.config.eval_every > 0 and s.config.eval_fraction == 0,
        "eval_every is {s.config.eval_every}, but no row is held out to measure",
        "--eval-fraction 0.05, or --eval-every 0",
    ),
    "processes-on-mlx": Rule(
        lambda s: s.platform == "mlx" and s.processes > 1,
        "several processes train with torch only, and PLATFORM is mlx",
        "without NPROC, or another PLATFORM",
    ),
    "processes-on-windows": Rule(
        lambda s: s.system == "Windows" and s.processes > 1,
        "several processes, and PyTorch has no NCCL for Windows",
        "without NPROC, or WSL2 (docs/windows.md)",
    ),
    "board-missing": Rule(
        lambda s: s.config.report_to in BOARDS and "torch" in s.versions and s.config.report_to not in s.versions,
        "report_to is {s.config.report_to}, which is not installed",
        ".venv/bin/python -m pip install {s.config.report_to}, or --report-to none",
    ),
    "wandb-without-a-key": Rule(
        lambda s: (
            s.config.report_to == "wandb"
            and not s.environment.get("WANDB_API_KEY")
            and s.environment.get("WANDB_MODE") not in ("offline", "disabled")
            and not s.environment.get("WANDB_LOGGED_IN")
        ),
        "report_to is wandb, and there is no key for it",
        "WANDB_API_KEY in .env, WANDB_MODE=offline, or --report-to trackio",
    ),
    "old-mlx-lm": Rule(
        lambda s: s.platform == "mlx" and before(s.versions.get("mlx-lm"), "0.32"),
        "mlx-lm {s.versions[mlx-lm]} is what a resolver falls back to, and too old",
        "make setup PLATFORM=mlx",
    ),
    "hidden-library": Rule(
        lambda s: s.hidden_library,
        "datasets/__init__.py hides the library of that name",
        "rm datasets/__init__.py",
    ),
    "windows-without-unsloth": Rule(
        lambda s: s.system == "Windows" and s.unsloth and "triton-windows" not in s.versions,
        "unsloth needs Triton, which this Windows has not",
        "WSL2 (docs/windows.md), pip install triton-windows, or --no-unsloth",
    ),
}


def broken_rules(situation: Situation) -> list[str]:
    """A sentence with its fix for every rule that the situation breaks, in the table's order."""
    found = [rule for rule in RULES.values() if rule.broken(situation)]
    return [f"{rule.message}. Fix: {rule.fix}.".format(s=situation) for rule in found]


def valid_config(method, names: tuple[str, str], options: dict, recipe, model, machine: dict):
    """(Size, config, where each setting came from) of a run; CannotRun names every fault of all of it at once.

    names: platform and size; options: settings of the command line, None where not given; model: another base or None.
    """
    size = load_size(names[1], names[0], method)
    config, origins, faults = examine(method, size, options, recipe)
    if config is not None:
        base = model or size.base
        situation = Situation(method, *names, config, base, read_config(base), **machine)
        faults += broken_rules(situation)
    if faults:
        raise CannotRun("\n".join(faults))
    return size, config, origins
