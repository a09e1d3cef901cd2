"""The same training elsewhere: what other engines need for it, written as a folder, and what cannot be carried over."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lib.config import TARGETS, Recipe, Size
from lib.errors import CannotRun
from lib.jsonl import write_rows, write_text

TEMPLATE = "chat_template.jinja"
# Rented cards with room for a size, the cheapest first (SkyPilot's names).
CARDS = {
    "tiny": ["T4", "L4"],
    "3b": ["L4", "A10G"],
    "7b": ["L4", "A10G", "RTX4090"],
    "13b": ["A100", "L40S"],
    "20b": ["A100-80GB", "H100"],
}


@dataclass(frozen=True)
class Plan:
    """A training to write down. template: a chat template of ours, None for the base's own; adapter: KTO's start."""

    method: str
    platform: str
    size: Size
    config: Recipe
    base: str
    template: str | None
    adapter: Path | None
    data: list[str]
    gpus: int = 1

    @property
    def four_bit(self) -> bool:
        return self.platform == "cuda" and self.config.four_bit

    @property
    def accumulation(self) -> int:
        """For one process of several: together they see as many rows a step as ours."""
        return max(1, self.config.grad_accumulation // self.gpus)


def write_yaml(path: Path, content: dict, head: str) -> None:
    """A YAML file whose first line says what it is for."""
    import yaml

    write_text(path, f"# {head}\n" + yaml.safe_dump(content, sort_keys=False, width=120))


def write_notes(folder: Path, title: str, run: list[str], lost: list[str]) -> None:
    """NOTES.md: how to start it, and what is not the same as here."""
    lines = [f"# {title}", "", "```", *run, "```", "", "Not carried over:", "", *(f"- {text}" for text in lost)]
    write_text(folder / "NOTES.md", "\n".join(lines) + "\n")


def write_template(folder: Path, plan: Plan) -> None:
    if plan.template is not None:
        write_text(folder / TEMPLATE, plan.template)


# ------------------------------------------------------------------ trl and accelerate


def trl_settings(plan: Plan) -> dict:
    """settings.yaml for train.py: base, four_bit, the arguments of trl's config (trainer) and of LoraConfig (lora)."""
    config = plan.config
    trainer = {
        "output_dir": "out",
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.epochs,
        "warmup_steps": config.warmup_fraction,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "max_length": config.max_length,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": plan.accumulation,
        "gradient_checkpointing": config.gradient_checkpointing,
        "lr_scheduler_type": "linear",
        "optim": "paged_adamw_8bit" if plan.four_bit else "adamw_torch_fused",
        "bf16": True,
        "logging_steps": config.log_every,
        "save_steps": config.save_every,
        "seed": config.seed,
        "report_to": config.report_to,
    }
    if plan.method == "sft":
        trainer |= {"train_sampling_strategy": "group_by_length"}
        lora = {"r": config.lora_rank, "lora_alpha": config.lora_alpha, "lora_dropout": config.lora_dropout}
        lora |= {"target_modules": TARGETS, "task_type": "CAUSAL_LM"}
    else:
        trainer |= {"beta": config.beta, "desirable_weight": config.desirable_weight}
        trainer |= {"undesirable_weight": config.undesirable_weight, "precompute_ref_log_probs": True}
        lora = None
    return {"base": plan.base, "four_bit": plan.four_bit, "trainer": trainer, "lora": lora}


def pretokenized(rows: list) -> list[dict]:
    """Rows for trl's SFTTrainer, which takes ids and labels as they are: exactly our tokens and masks."""
    return [{"input_ids": row.input_ids, "labels": row.labels} for row in rows]


def preference_rows(examples: list, form: str) -> list[dict]:
    """Rows for trl's KTOTrainer: prompt, completion and label, as messages that the chat template renders."""
    from lib.rendering import messages_of, with_host_ids

    rows = []
    for example in examples:
        messages = messages_of(with_host_ids(example), form)
        first = next(place for place, message in enumerate(messages) if message["role"] == "assistant")
        label = example.label is not False
        rows.append({"prompt": messages[:first], "completion": messages[first:], "label": label})
    return rows


def write_accelerate(plan: Plan, folder: Path, rows: list[dict], script: str) -> None:
    """A plain trl script with its settings and data, to be started by accelerate on any number of machines."""
    sharded = plan.size.name in ("13b", "20b") and not plan.four_bit
    shutil.copy(f"configs/accelerate/{'fsdp2' if sharded else 'ddp'}.yaml", folder / "accelerate.yaml")
    write_yaml(
        folder / "settings.yaml", trl_settings(plan), f"{plan.method.upper()} of size {plan.size.name}, for train.py"
    )
    (folder / "data").mkdir()
    write_rows(folder / "data/train.jsonl", rows)
    write_text(folder / "train.py", script)
    write_template(folder, plan)
    if plan.adapter is not None:
        shutil.copytree(plan.adapter, folder / "adapter")
    lost = [
        "the padding and batches: trl groups rows by length in its own way",
        "exact resume after kill -9, the memory forecast, and the watch over the loss",
        "the loss on completions alone in the head: trl's own head takes more memory",
    ]
    if plan.method == "kto":
        lost[0] = "the batches: trl pairs each row with its neighbour in the file, so keep the file's order"
        lost += [
            "the mask: trl also counts tool results and ids that the model cannot know",
            f"the KL estimate: trl's comes from {plan.config.batch_size} rows of one process, as here",
        ]
    start = f"accelerate launch --config_file accelerate.yaml --num_processes {plan.gpus} train.py"
    run = [
        "pip install trl peft accelerate bitsandbytes",
        start,
        "# several machines: --num_machines 2 --machine_rank 0",
    ]
    run.append("#   --main_process_ip ADDRESS --main_process_port 29500, on each machine with its own rank")
    write_notes(folder, f"{plan.method.upper()} with trl and accelerate", run, lost)


# ------------------------------------------------------------------ axolotl


def axolotl_settings(plan: Plan) -> dict:
    """Axolotl's configuration of an SFT; its keys are those of AxolotlInputConfig."""
    config = plan.config
    dataset = {
        "path": "data/train.jsonl",
        "ds_type": "json",
        "type": "chat_template",
        "field_messages": "messages",
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }
    template = {"chat_template": "tokenizer_default"}
    if plan.template is not None:
        template = {"chat_template": "jinja", "chat_template_jinja": TEMPLATE}
    packing = getattr(config, "packing", False)
    return {
        "base_model": plan.base,
        **template,
        "datasets": [dataset],
        "val_set_size": config.eval_fraction,
        "sequence_len": config.max_length,
        "sample_packing": packing,
        **({"attn_implementation": "sdpa"} if packing else {}),  # unnamed, it looks across the rows of a pack
        "adapter": "qlora" if plan.four_bit else "lora",
        "load_in_4bit": plan.four_bit,
        "lora_r": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "lora_target_modules": TARGETS,
        "micro_batch_size": config.batch_size,
        "gradient_accumulation_steps": plan.accumulation,
        "num_epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "lr_scheduler": "linear",
        "warmup_ratio": config.warmup_fraction,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "optimizer": "paged_adamw_8bit" if plan.four_bit else "adamw_torch_fused",
        "bf16": "auto",
        "gradient_checkpointing": config.gradient_checkpointing,
        "logging_steps": config.log_every,
        "save_steps": config.save_every,
        "seed": config.seed,
        "output_dir": "out",
    } | ({"wandb_project": config.project} if config.report_to == "wandb" else {})


def write_axolotl(plan: Plan, folder: Path, examples: list) -> None:
    """Axolotl's YAML and the rows as messages; CannotRun for KTO, which Axolotl renders without a chat template."""
    if plan.method == "kto":
        raise CannotRun("Axolotl's KTO knows no chat template, so it would train another text. Use TO=accelerate.")
    from lib.rendering import messages_of, with_host_ids

    write_yaml(folder / "axolotl.yaml", axolotl_settings(plan), f"Axolotl: SFT of size {plan.size.name}")
    (folder / "data").mkdir()
    rows = [{"messages": messages_of(with_host_ids(example), plan.config.format)} for example in examples]
    write_rows(folder / "data/train.jsonl", rows)
    write_template(folder, plan)
    lost = [
        "the mask inside of a turn: ids that the model cannot know are trained too",
        "rows that are too long are cut by Axolotl, and counted and left out here",
        "the held-out rows: Axolotl draws single rows, here a prompt stays on one side with all its rows",
        "exact resume after kill -9; Axolotl resumes from its checkpoints (auto_resume_from_checkpoints)",
    ]
    if plan.config.tools_in_prompt == "none":
        lost.append("nothing of the tools: the rows hold none, as the toolset is learnt by heart")
    run = ["pip install axolotl", "axolotl preprocess axolotl.yaml --debug", "axolotl train axolotl.yaml"]
    write_notes(folder, "SFT with Axolotl", run, lost)


# ------------------------------------------------------------------ skypilot


# An interrupted training of this kind goes on, where the machine still has it.
RESUMED = 'for run in runs/*-{name}; do [ -f "$run/config.yaml" ] && [ ! -f "$run/done.json" ] && RESUME=1; done'


def skypilot_task(plan: Plan) -> dict:
    """SkyPilot's task: this project itself, on a rented machine."""
    method, name = plan.method, f"{plan.method}-{plan.size.name}"
    start = (
        f'make {method} PLATFORM=cuda SIZE={plan.size.name} DATA="{" ".join(plan.data)}" YES=1 ${{RESUME:+RESUME=1}}'
    )
    if plan.gpus > 1:
        shared = -(-plan.config.grad_accumulation // plan.gpus) * plan.gpus  # each process takes as many batches
        start += f' NPROC=$SKYPILOT_NUM_GPUS_PER_NODE {method.upper()}_ARGS="--grad-accumulation {shared}"'
    task = {
        "name": name,
        "workdir": ".",
        "resources": {"accelerators": {card: plan.gpus for card in CARDS[plan.size.name]}, "disk_size": 256},
        "secrets": {"HF_TOKEN": None},
        "setup": "make setup PLATFORM=cuda QUICK=1",
        "run": f"{RESUMED.format(name=name)}\n{start}\n",
    }
    if plan.adapter is not None:
        run = plan.adapter.parent
        task["file_mounts"] = {f"~/sky_workdir/{run}": f"./{run}"}
    return task


def write_skypilot(plan: Plan, folder: Path, target: Path) -> None:
    """task.yaml, to be launched from this project's folder; target: where the folder will lie."""
    write_yaml(folder / "task.yaml", skypilot_task(plan), "SkyPilot: this project on a rented machine")
    run = ["pip install 'skypilot[aws,gcp,runpod]'", f"sky launch -c training --secret HF_TOKEN {target / 'task.yaml'}"]
    run += ["rsync -Pavz training:~/sky_workdir/runs/ runs/", "sky down training"]
    lost = ["nothing of the training: it is the same code, with the CUDA lock", "runs/ stays there until it is fetched"]
    write_notes(folder, "On a rented machine with SkyPilot", run, lost)


def listed(folder: Path) -> list[str]:
    """What was written, as paths."""
    return sorted(str(path) for path in folder.rglob("*") if path.is_file() and "adapter/" not in str(path))
