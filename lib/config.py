"""Recipes: frozen dataclasses filled from configs/sft.yaml or kto.yaml, then the size, then the command line."""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from lib.errors import CannotRun

PLATFORMS = ("cuda", "mlx", "cpu")
TRAINERS = {"cpu": "torch", "cuda": "torch", "mlx": "mlx"}  # ends of the modules that train there
FORMATS = ("native", "text")
TOOLS_IN_PROMPT = ("none", "names", "full")
REPORT_TO = ("none", "trackio", "wandb")
ORDERS = ("grouped", "file")
DTYPES = ("auto", "bfloat16", "float32")
LOSS_TYPES = ("kto", "apo_zero_unpaired", "kto_s")
CHOICES = {
    "format": FORMATS,
    "tools_in_prompt": TOOLS_IN_PROMPT,
    "report_to": REPORT_TO,
    "order": ORDERS,
    "dtype": DTYPES,
    "loss_type": LOSS_TYPES,
}
PUBLISHED_KTO_LEARNING_RATES = (5e-7, 5e-6)  # KTO's authors and TRL's documentation, for full and LoRA training
# The linear layers of a block that get LoRA matrices, by the last part of their names.
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass(frozen=True)
class Recipe:
    """The settings that SFT and KTO share; configs/*.yaml says what each means."""

    learning_rate: float
    epochs: float
    warmup_fraction: float
    stage_step: int
    stage_factor: float
    weight_decay: float
    max_grad_norm: float
    max_length: int
    batch_size: int
    grad_accumulation: int
    gradient_checkpointing: bool
    dtype: str
    log_every: int
    save_every: int
    eval_fraction: float
    eval_every: int
    patience: int
    format: str
    tools_in_prompt: str
    seed: int
    report_to: str
    project: str
    unsloth: bool
    four_bit: bool


@dataclass(frozen=True)
class SftConfig(Recipe):
    packing: bool
    lora_rank: int
    lora_alpha: int
    lora_dropout: float
    rows_per_tool: int
    names_per_tool: int
    whole_share: float
    context_share: float


@dataclass(frozen=True)
class KtoConfig(Recipe):
    order: str
    loss_type: str
    beta: float
    desirable_weight: float
    undesirable_weight: float
    sft_weight: float
    shared_prefix: bool


KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}  # for people
METHODS = {"sft": SftConfig, "kto": KtoConfig}


@dataclass(frozen=True)
class Size:
    """One entry of configs/sizes.yaml for one platform: the base model, our template for it, and its own settings."""

    name: str
    base: str
    template: str | None
    licence: str
    overrides: dict
    faults: tuple[str, ...] = ()


# Setting -> (is it fine?, what is wanted). Checked together, so that one run shows every fault.
LIMITS = {
    "learning_rate": (lambda v: 0 < v < 1, "more than 0 and less than 1"),
    "epochs": (lambda v: v > 0, "more than 0"),
    "warmup_fraction": (lambda v: 0 <= v < 1, "0 or more and less than 1"),
    "stage_step": (lambda v: v >= 0, "0 or more"),
    "stage_factor": (lambda v: v > 0, "more than 0"),
    "weight_decay": (lambda v: v >= 0, "0 or more"),
    "max_grad_norm": (lambda v: v > 0, "more than 0"),
    "max_length": (lambda v: v >= 16, "16 tokens or more"),
    "batch_size": (lambda v: v >= 1, "1 or more"),
    "grad_accumulation": (lambda v: v >= 1, "1 or more"),
    "log_every": (lambda v: v >= 1, "1 or more"),
    "save_every": (lambda v: v >= 1, "1 or more"),
    "eval_every": (lambda v: v >= 0, "0 or more"),
    "patience": (lambda v: v >= 0, "0 or more"),
    "lora_rank": (lambda v: v >= 1, "1 or more"),
    "lora_alpha": (lambda v: v >= 1, "1 or more"),
    "lora_dropout": (lambda v: 0 <= v < 1, "0 or more and less than 1"),
    "eval_fraction": (lambda v: 0 <= v < 0.5, "0 or more and less than .5"),
    "rows_per_tool": (lambda v: v >= 0, "0 or more"),
    "names_per_tool": (lambda v: v >= 0, "0 or more"),
    "whole_share": (lambda v: 0 <= v <= 1, "from 0 to 1"),
    "context_share": (lambda v: 0 <= v <= 1, "from 0 to 1"),
    "beta": (lambda v: v > 0, "more than 0"),
    "desirable_weight": (lambda v: v > 0, "more than 0"),
    "undesirable_weight": (lambda v: v > 0, "more than 0"),
    "sft_weight": (lambda v: v >= 0, "0 or more"),
}


# What other projects, and older versions of the trainers, call a setting -> what to do here.
FORMER = {
    "max_seq_length": " It is max_length here.",
    "num_train_epochs": " It is epochs here.",
    "per_device_train_batch_size": " It is batch_size here.",
    "gradient_accumulation_steps": " It is grad_accumulation here.",
    "warmup_ratio": " It is warmup_fraction here.",
    "logging_steps": " It is log_every here.",
    "save_steps": " It is save_every here.",
    "max_prompt_length": " There is no such limit: max_length holds for the whole row.",
    "max_completion_length": " There is no such limit: max_length holds for the whole row.",
    "completion_only_loss": " It is always on: prompts and results are never in the loss.",
    "assistant_only_loss": " It is always on: prompts and results are never in the loss.",
    "group_by_length": " It is always on; KTO can keep the file's order: order: file.",
    "dataset_num_proc": " Rows are prepared in one process, since KTO pairs depend on their order.",
    "use_wandb": " Say report_to: wandb.",
    "wandb_project": " It is project here.",
    "num_layers": " All layers get an adapter.",
    "scale": " It is lora_alpha / lora_rank here, on every platform.",
}


def read_yaml(path) -> dict:
    """The mapping in a YAML file; CannotRun when it is missing, broken or no mapping."""
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CannotRun(f"{path}: no such file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun(f"{path}: cannot be read ({error}).") from error
    except yaml.YAMLError as error:
        raise CannotRun(f"{path}: not YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(content, dict):
        raise CannotRun(f"{path}: holds no settings. Write `name: value` lines.")
    return content


def suggestion(name: str, known) -> str:
    """' Did you mean X?' for a near miss, otherwise an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else f" Known: {', '.join(sorted(known))}."


def cast(kind: str, value):
    """The value as the field's type, or TypeError. YAML 1.1 reads 1e-4 as text, so numbers in text are floats too."""
    if kind == "float" and isinstance(value, (int, str)) and not isinstance(value, bool):
        value = float(value)
    if type(value).__name__ != kind or (kind == "float" and not math.isfinite(value)):
        raise TypeError(kind)
    return value


def checked(method: str, settings: dict, source: str) -> tuple[dict, list[str]]:
    """(the settings that are fine, with their exact types; a sentence for each that is not, with what to do)."""
    kinds = {field.name: field.type for field in fields(METHODS[method])}
    faults, good = [], {}
    for name, value in settings.items():
        if name not in kinds:
            faults.append(f"unknown setting '{name}'.{FORMER.get(name) or suggestion(name, kinds)}")
            continue
        try:
            cast_value = cast(kinds[name], value)
        except (TypeError, ValueError):
            faults.append(f"{name} is {value!r}; {KINDS[kinds[name]]} is needed.")
            continue
        if name in CHOICES and value not in CHOICES[name]:
            faults.append(f"{name} is '{value}'; choose one of: {', '.join(CHOICES[name])}.")
        elif name in LIMITS and not LIMITS[name][0](cast_value):
            faults.append(f"{name} is {value}; it must be {LIMITS[name][1]}.")
        else:
            good[name] = cast_value
    return good, [f"{source}: {fault}" for fault in faults]


def load_size(name: str, platform: str, method: str, path="configs/sizes.yaml") -> Size:
    """The size's base model on this platform and its own settings for the method, those with a fault left out."""
    sizes = read_yaml(path)
    if name not in sizes:
        raise CannotRun(f"SIZE is '{name}'; choose one of: {', '.join(sizes)}.")
    if platform not in PLATFORMS:
        raise CannotRun(f"PLATFORM is '{platform}'; choose one of: {', '.join(PLATFORMS)}.")
    entry, overrides, faults = sizes[name], {}, []
    for key in (method, f"{method}_{platform}"):  # the second is what a platform wants otherwise
        good, bad = checked(method, entry.get(key, {}), f"{path}: {name}.{key}")
        overrides |= good
        faults += bad
    template, licence = entry.get("template"), entry.get("licence", "unknown")
    return Size(name, entry["base"][platform], template, licence, overrides, tuple(faults))


def examine(method: str, size: Size, overrides: dict, path=None) -> tuple[Recipe | None, dict[str, str], list[str]]:
    """(the config, where each setting came from: the recipe's path, 'size ...' or 'command line', every fault found).

    A setting with a fault keeps its value from the place before, at last from the shipped recipe, so that the rest can
    be looked at too; there is no config only where the shipped recipe is at fault.
    """
    shipped = f"configs/{method}.yaml"
    path = path or shipped
    written, names = read_yaml(path), {field.name for field in fields(METHODS[method])}
    before, _ = checked(method, read_yaml(shipped), shipped)
    settings, faults = checked(method, written, str(path))
    given, more = checked(method, {k: v for k, v in overrides.items() if v is not None}, "command line")
    faults += [*size.faults, *more]
    if missing := names - written.keys():
        faults.append(f"{path}: these settings are missing: {', '.join(sorted(missing))}.")
    origins = dict.fromkeys(settings, str(path))
    origins.update(dict.fromkeys(size.overrides, f"size {size.name}"))
    origins.update(dict.fromkeys(given, "command line"))
    settings = {**before, **settings, **size.overrides, **given}
    return METHODS[method](**settings) if settings.keys() == names else None, origins, faults


def load_config(method: str, size: Size, overrides: dict, path=None) -> tuple[Recipe, dict[str, str]]:
    """(the config, where each setting came from); CannotRun names every setting that is wrong by itself."""
    config, origins, faults = examine(method, size, overrides, path)
    if faults:
        raise CannotRun("\n".join(faults))
    return config, origins


def advice(config: Recipe) -> list[str]:
    """What a careful reader would remark about a valid configuration, a sentence each."""
    remarks = []
    low, high = PUBLISHED_KTO_LEARNING_RATES
    if isinstance(config, KtoConfig) and config.learning_rate < low:
        remarks.append(
            f"learning_rate {config.learning_rate:g} is below published KTO practice ({low:g} to {high:g}); "
            "expect little change, or use --learning-rate 1e-6."
        )
    if isinstance(config, KtoConfig) and config.loss_type == "kto_s":
        remarks.append("loss_type kto_s is experimental and published nowhere; docs/kto.md says what it does.")
    return remarks


def describe(config: Recipe, origins: dict[str, str], recipe_path: str) -> list[str]:
    """The settings as aligned lines, each that differs from the recipe marked with where it came from."""
    lines = []
    for name, value in asdict(config).items():
        mark = "" if origins[name] == recipe_path else f"   ({origins[name]})"
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        lines.append(f"  {name:<24}{shown}{mark}")
    return lines
