"""Trainings written for other engines: known keys only, the same tokens, and what is lost is said."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from lib import outgrow
from lib.chat import example_from_row
from lib.config import load_config, load_size
from lib.errors import CannotRun
from lib.jsonl import write_rows
from lib.templates import template_for
from lib.tokenizer_torch import load_tokenizer
from lib.training_rows import render_rows
from scripts.outgrow import main
from tests.tiny_model import call_row, row, write_tiny_model

ENGINES = Path("tests/fixtures/engines")


def plan(method="sft", size="7b", platform="cuda", gpus=1, **settings) -> outgrow.Plan:
    named = load_size(size, platform, method)
    config, _ = load_config(method, named, settings)
    return outgrow.Plan(method, platform, named, config, named.base, None, None, ["my.jsonl"], gpus)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, rows for SFT, and labelled rows without calls for KTO."""
    folder = tmp_path_factory.mktemp("outgrow")
    write_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", (call_row(i) for i in range(8)))
    write_rows(folder / "kto.jsonl", (row(f"What is {i}?", f"It is {i}{'!' * i}", i % 2 == 0) for i in range(8)))
    return folder


def written(place, engine, *flags):
    out = place / f"{engine}{len(flags)}"
    arguments = [
        engine,
        "--platform",
        "cpu",
        "--size",
        "tiny",
        "--model",
        str(place / "model"),
        "--out",
        str(out),
        *flags,
    ]
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code == 0, answer.output
    assert all(Path(line).is_file() for line in answer.stdout.splitlines())
    return out


@pytest.mark.parametrize("size", ["tiny", "3b", "7b", "13b", "20b"])
def test_axolotl_gets_keys_that_it_knows(size):
    known = yaml.safe_load((ENGINES / "axolotl.yaml").read_text())
    for template in (None, "{{ messages }}"):
        packing = template is not None
        named = plan(size=size, report_to="wandb", packing=packing)
        settings = outgrow.axolotl_settings(replace(named, template=template))
        assert (settings.get("attn_implementation") == "sdpa") is packing
        assert settings.keys() - set(known["keys"]) == set()
        assert settings["datasets"][0].keys() - set(known["dataset"]) == set()
        assert (settings["adapter"] == "qlora") is settings["load_in_4bit"], "Axolotl refuses anything else"
        assert ("chat_template_jinja" in settings) is (settings["chat_template"] == "jinja")


def test_the_settings_are_ours():
    settings = outgrow.axolotl_settings(plan(learning_rate=3e-4))
    assert (settings["learning_rate"], settings["micro_batch_size"], settings["gradient_accumulation_steps"]) == (
        3e-4,
        6,
        4,
    )
    assert (settings["lora_r"], settings["num_epochs"], settings["sequence_len"]) == (32, 3.0, 2048)
    assert outgrow.trl_settings(plan(gpus=4))["trainer"]["gradient_accumulation_steps"] == 1


def test_axolotl_is_refused_for_kto(tmp_path):
    with pytest.raises(CannotRun, match="knows no chat template"):
        outgrow.write_axolotl(plan("kto"), tmp_path, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("gpus", [1, 8])
def test_skypilot_gets_fields_that_it_knows_and_a_command_that_exists(gpus):
    known = yaml.safe_load((ENGINES / "skypilot.yaml").read_text())
    adapter = Path("runs/20261129_070000-sft-7b/final_model")
    task = outgrow.skypilot_task(replace(plan("kto", gpus=gpus), adapter=adapter))
    assert task.keys() - set(known["keys"]) == set() and task["resources"].keys() - set(known["resources"]) == set()
    assert set(task["resources"]["accelerators"].values()) == {gpus}
    assert task["file_mounts"] == {"~/sky_workdir/runs/20261129_070000-sft-7b": "./runs/20261129_070000-sft-7b"}
    assert 'make kto PLATFORM=cuda SIZE=7b DATA="my.jsonl" YES=1' in task["run"]
    assert ("NPROC=" in task["run"]) is ('KTO_ARGS="--grad-accumulation 8"' in task["run"]) is (gpus > 1)
    assert subprocess.run(["bash", "-n"], input=task["run"], text=True).returncode == 0


@pytest.mark.parametrize("engine", ["accelerate", "axolotl", "skypilot"])
def test_every_folder_says_how_to_start_and_what_is_lost(place, engine):
    folder = written(place, engine, str(place / "sft.jsonl"))
    notes = (folder / "NOTES.md").read_text()
    assert "Not carried over:" in notes and notes.count("\n- ") >= 2 and "```" in notes
    for path in folder.rglob("*.yaml"):
        assert path.read_text().startswith("# ") and yaml.safe_load(path.read_text())


def test_rows_for_trl_hold_our_tokens_and_masks(place):
    folder = written(place, "accelerate", str(place / "sft.jsonl"), "--method", "sft")
    rows = [json.loads(line) for line in (folder / "data/train.jsonl").read_text().splitlines()]
    tokenizer = load_tokenizer(place / "model", template_for("none"))
    config, _ = load_config("sft", load_size("tiny", "cpu", "sft"), {})
    examples = [("", example_from_row(call_row(i))[0]) for i in range(8)]
    whole = {tuple(row.input_ids) for row in render_rows(examples, tokenizer, config)[0]}
    assert rows and all(len(row["input_ids"]) == len(row["labels"]) for row in rows)
    assert all(any(tuple(row["input_ids"]) == ids[: len(row["input_ids"])] for ids in whole) for row in rows)


def test_trls_own_pipeline_leaves_our_sft_rows_as_they_are(place):
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    folder = written(place, "accelerate", str(place / "sft.jsonl"))
    rows = [json.loads(line) for line in (folder / "data/train.jsonl").read_text().splitlines()]
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    trainer = SFTTrainer(
        AutoModelForCausalLM.from_pretrained(place / "model"),
        SFTConfig(**settings["trainer"] | {"output_dir": str(place / "out"), "use_cpu": True}),
        train_dataset=Dataset.from_list(rows),
        processing_class=load_tokenizer(place / "model", template_for("none")),
    )
    batch = trainer.data_collator([trainer.train_dataset[0]])
    assert batch["input_ids"][0].tolist() == rows[0]["input_ids"]
    assert batch["labels"][0].tolist() == rows[0]["labels"]


def test_trls_own_pipeline_makes_our_tokens_of_kto_rows(place):
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import KTOConfig, KTOTrainer

    examples = [("", example_from_row(json.loads(line))[0]) for line in (place / "kto.jsonl").read_text().splitlines()]
    tokenizer = load_tokenizer(place / "model", template_for("none"))
    config, _ = load_config("kto", load_size("tiny", "cpu", "kto"), {})
    ours = render_rows(examples, tokenizer, config)[0]
    rows = outgrow.preference_rows([example for _, example in examples], "native")
    assert [row["label"] for row in rows] == [i % 2 == 0 for i in range(8)]
    trainer = KTOTrainer(
        AutoModelForCausalLM.from_pretrained(place / "model"),
        args=KTOConfig(output_dir=str(place / "out"), use_cpu=True, report_to="none", per_device_train_batch_size=4),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(8)])
    ids = next(batch[name] for name in ("input_ids", "completion_input_ids") if name in batch)
    lengths = [len(row.input_ids) for row in ours]
    assert [ids[i][: lengths[i]].tolist() for i in range(8)] == [row.input_ids for row in ours]


def test_the_written_script_trains(place):
    folder = written(place, "accelerate", str(place / "sft.jsonl"), "--gpus", "1", "--method", "sft")
    path = folder / "settings.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["trainer"] |= {"output_dir": str(folder / "out"), "max_steps": 1, "use_cpu": True}
    path.write_text(yaml.safe_dump(settings))
    answer = subprocess.run([sys.executable, str(folder / "train.py")], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert (folder / "out/final_model/adapter_model.safetensors").is_file()


def test_an_unknown_engine_or_file_ends_in_a_sentence(place):
    for arguments in (["slurm"], ["axolotl", str(place / "none.jsonl")]):
        answer = CliRunner().invoke(main, arguments)
        assert answer.exit_code == 2 and "Traceback" not in answer.output
