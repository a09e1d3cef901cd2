"""From options to a finished run: settings, data, preflight and run directory, the same for SFT and KTO."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from dataclasses import dataclass, fields, replace
from importlib import import_module, util
from pathlib import Path
from typing import Any

import click

from lib import kto_advice, launch, rules, runs, situation
from lib.checkpoints import checkpoints
from lib.cli import log, option, yes_option
from lib.config import METHODS, PLATFORMS, TRAINERS, Recipe, advice, describe
from lib.errors import CannotRun
from lib.held_out import split
from lib.ranks import is_first
from lib.resumption import base_digest, open_run
from lib.training_rows import load_examples, name_rows, render_rows, sft_rows, spread

ADAPTERS = {"torch": "adapter_model.safetensors", "mlx": "adapters.safetensors"}  # PEFT's form and mlx-lm's
MINIMUM_FREE_GB = 2  # checkpoints of a tiny run; a 7b adapter with its optimizer takes about 1 GB
KINDS = {"int": int, "float": float, "bool": bool, "str": str}


@dataclass(frozen=True)
class Job:
    """Everything a trainer needs. rows: Rendered, in file order; desirable: one bool a row (KTO); held_out: for the
    evaluation loss, with held_desirable; adapter: the SFT run's final_model that KTO starts from; evaluated: an adapter
    to measure instead of training one; processes: how many train together; sharded: with the weights spread over them.
    """

    method: str
    platform: str
    config: Recipe
    run: Path
    base: Path
    tokenizer: Any
    rows: list
    held_out: list
    desirable: list[bool]
    adapter: Path | None
    resume: bool
    evaluated: Path | None = None
    processes: int = 1
    sharded: bool = False
    held_desirable: tuple[bool, ...] | list[bool] = ()


def recipe_comments(method: str) -> dict[str, str]:
    """Setting -> its comment in the recipe file, which is the one place that explains it."""
    lines = Path(f"configs/{method}.yaml").read_text(encoding="utf-8").splitlines()
    found = (re.match(r"(\w+):[^#]*(?:#\s*(.*))?$", line) for line in lines)
    return {match.group(1): match.group(2) or "" for match in found if match}


def training_options(method: str):
    """A decorator: a flag for every setting of the method's recipe, and those that both scripts share."""
    comments = recipe_comments(method)

    def decorate(function):
        for field in reversed(fields(METHODS[method])):
            flag = "--" + field.name.replace("_", "-")
            if field.type == "bool":
                flag = f"{flag}/--no-{flag[2:]}"
            kind = None if field.type == "bool" else KINDS[field.type]
            function = click.option(flag, field.name, type=kind, default=None, help=comments.get(field.name))(function)
        for decorator in reversed(SHARED_OPTIONS):
            function = decorator(function)
        return function

    return decorate


SHARED_OPTIONS = [
    option("--platform", type=click.Choice(PLATFORMS), default="cpu", help="What to train on."),
    option("--size", default="tiny", help="A key of configs/sizes.yaml."),
    click.option("--model", help="Another base model: a Hub id or a folder. Default: the size's own."),
    click.option("--recipe", type=click.Path(), help="Another recipe file."),
    click.option("--resume", is_flag=True, envvar="RESUME", help="Go on with the newest unfinished run."),
    click.option("--dry-run", is_flag=True, envvar="DRY_RUN", help="Set up everything, train nothing."),
    click.option("--eval-only", type=click.Path(), help="Train nothing: measure this run, or a checkpoint in it."),
    option("--nproc", type=click.IntRange(min=1), default=1, help="Processes that train together, one a GPU (torch)."),
    click.option("--fsdp", is_flag=True, help="Spread the weights over the processes: for a base too big for one GPU."),
    click.option("--run-file", type=click.Path(), help="Write the finished run's path to this file (for make)."),
    yes_option,
]


def template_digest(tokenizer) -> str:
    return hashlib.sha256((tokenizer.chat_template or "").encode()).hexdigest()


def preflight(method: str, platform: str, size: str, lines: list[str], remarks: list[str], yes: bool) -> None:
    """Show what will run; CannotRun when it cannot; ask before the start in an interactive terminal."""
    free = shutil.disk_usage(".").free / 1e9
    log(f"{method.upper()} on {platform}, size {size}; {free:.0f} GB of disk free")
    for line in lines:
        log(line)
    for remark in remarks:
        log(f"Note: {remark}")
    if free < MINIMUM_FREE_GB:
        raise CannotRun(f"{free:.1f} GB of disk are free; checkpoints need {MINIMUM_FREE_GB}. Free some first.")
    if not yes and sys.stdin.isatty() and not click.confirm("Start?", default=True, err=True):
        raise CannotRun("not started.")


def prepare(method: str, options: dict, data: list[str], from_run=None) -> Job | None:
    """The job to train, its run directory made; None after a dry run. from_run: the SFT run of a KTO, or its newest."""
    platform, size_name = options.pop("platform"), options.pop("size")
    recipe = options.pop("recipe") or f"configs/{method}.yaml"
    resume, dry_run, yes, model = (options.pop(name) for name in ("resume", "dry_run", "yes", "model"))
    processes, sharded = options.pop("nproc"), options.pop("fsdp")
    evaluated = adapter_folder(options.pop("eval_only"), platform)
    machine = situation.this_machine(processes, sharded)
    size, config, origins = rules.valid_config(method, (platform, size_name), options, recipe, model, machine)
    examples = load_examples(data)
    import_module("lib.contamination").refuse_evaluation_prompts(examples)
    if method == "sft":
        examples = [(place, example) for place, example in examples if example.label is not False]
        examples, left = spread(examples, config.rows_per_tool, config.seed)
    check_labels(method, [example for _, example in examples])
    sft_run = runs.finished_run(from_run, "sft") if method == "kto" else None
    adapter = adapter_folder(sft_run, platform)
    base = import_module("lib.base_model").fetch(model or size.base)
    from lib.rendering import rows_digest
    from lib.templates import template_for

    import_unsloth(platform, config)
    template = template_for(config.tools_in_prompt, size.template) if size.template else None
    tokenizer = import_module("lib.tokenizer_torch").load_tokenizer(base, template, config.tools_in_prompt)
    rows, kept, too_long = render_rows(examples, tokenizer, config)
    desirable = [example.label is not False for example in kept]
    training, apart = split(kept, config.eval_fraction, method == "kto")
    held_out, held_desirable = [rows[i] for i in apart], [desirable[i] for i in apart]
    families = len({kept[i].family for i in apart})
    rows, desirable = [rows[i] for i in training], [desirable[i] for i in training]
    if method == "sft":
        rows = sft_rows(rows, config) + name_rows(left, tokenizer, config)
    facts = {
        "platform": platform,
        "base": model or size.base,
        "base_digest": base_digest(base),
        "licence": size.licence,
        "data": {path: runs.digest_file(path) for path in data},
        "template_digest": template_digest(tokenizer),
        "tokens_digest": (digest := rows_digest([*rows, *held_out])),
        "held_out_digest": rows_digest(held_out),
        "sft_run": str(sft_run) if sft_run else None,
        "sft_adapter": runs.digest_file(adapter / ADAPTERS[TRAINERS[platform]]) if adapter else None,
    }
    tokens = sum(len(row.input_ids) for row in rows)
    trained = sum(row.trained for row in rows)
    summary = [
        *describe(config, origins, recipe),
        f"  base                    {base}",
        f"  data                    {', '.join(data)}: {len(rows)} rows, {tokens} tokens, {trained} trained "
        f"({100 * trained / tokens:.0f} %); held out {len(held_out)} of {families} families, too long {too_long}",
        f"  tokens and masks        sha256 {digest}",
    ]
    remarks = advice(config)
    if method == "kto":
        remarks += kto_advice.remarks(sum(desirable), len(desirable) - sum(desirable), config)
    worker = launch.worker_run()
    if worker is None:  # the process that started this one has shown all that, and asked
        preflight(method, platform, size_name, summary, remarks, yes or dry_run or evaluated is not None)
    if dry_run:
        log("Dry run: everything is set up, nothing was trained.")
        return None
    run = evaluated or worker or open_run(method, size_name, config, facts, resume)
    job = Job(method, platform, config, run, base, tokenizer, rows, held_out, desirable, adapter, resume, evaluated)
    return replace(job, processes=processes, sharded=sharded, held_desirable=held_desirable)


def check_labels(method: str, examples: list) -> None:
    """CannotRun when the method cannot learn from these labels."""
    if not examples:
        raise CannotRun("no row is left: SFT trains on rows that are not labelled false.")
    if method == "kto":
        labels = {example.label for example in examples}
        if None in labels:
            raise CannotRun("KTO needs a label, true or false, on every row; some have none.")
        if len(labels) == 1:
            raise CannotRun(f"KTO needs both labels; all {len(examples)} rows are {str(labels.pop()).lower()}.")


def import_unsloth(platform: str, config: Recipe) -> None:
    """Import unsloth where it will train: it patches what is imported after it, so it must come before transformers."""
    if platform == "cuda" and config.unsloth and util.find_spec("unsloth"):
        try:
            import_module("lib.unsloth_torch")
        except (ImportError, RuntimeError, NotImplementedError) as error:  # no GPU, a driver or a package too old
            text = " ".join(str(error).split())
            raise CannotRun(f"unsloth does not start ({text}). Look: make doctor. Or: --no-unsloth.") from error


def trainer(method: str, platform: str):
    """The module that trains the method on the platform; CannotRun when its packages are not installed."""
    try:
        return import_module(f"lib.{method}_{TRAINERS[platform]}")
    except ModuleNotFoundError as error:
        needed = f"{error.name} is not installed, which {platform} trains with"
        raise CannotRun(f"{needed}: make setup PLATFORM={platform}.") from error


def execute(job: Job, run_file: str | None) -> Path:
    """Train, then write done.json; the run's path. A process that another one started for this ends here."""
    if launch.worker_run():
        figures = trainer(job.method, job.platform).train(job)
        if is_first():
            runs.finish(job.run, figures)
        import_module("lib.distributed_torch").leave()
        sys.exit()
    with runs.Lock(job.run):
        log(f"Run: {job.run}")
        try:
            if runs.is_finished(job.run):
                pass  # all that was lost is the news of it
            elif job.processes > 1:
                launch.train(job)
            else:
                runs.finish(job.run, trainer(job.method, job.platform).train(job))
        except KeyboardInterrupt:
            log(f"Stopped. Go on with: make {job.method} RESUME=1")
            raise
    if run_file:
        from lib.jsonl import write_text

        write_text(run_file, f"{job.run}\n")
    return job.run


def adapter_folder(place, platform: str) -> Path | None:
    """The folder of a run's final_model, or of its newest checkpoint, or the folder itself when it holds an adapter.

    None for None; CannotRun when there is none, or one of a form that this platform's trainer cannot load.
    """
    if place is None:
        return None
    folders = [Path(place), Path(place) / "final_model", *checkpoints(Path(place))]
    found = next((folder for folder in folders if (folder / "adapter_config.json").is_file()), None)
    if found is None:
        raise CannotRun(f"{place}: holds no adapter, neither final_model nor a checkpoint. Name a run: runs/<name>.")
    if not (found / ADAPTERS[TRAINERS[platform]]).is_file():
        raise CannotRun(
            f"{found}: an adapter of another kind than {platform} trains (no {ADAPTERS[TRAINERS[platform]]}). "
            f"Name a run of this platform, or train one: make sft PLATFORM={platform}."
        )
    return found


def evaluate(job: Job) -> dict:
    """Figures of job.evaluated on the job's rows; nothing is trained or written."""
    return trainer(job.method, job.platform).evaluate(job, job.evaluated)
