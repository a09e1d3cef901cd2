"""The table of rules: each row catches its situation alone and names a way out, and healthy situations break none."""

import json

import pytest
from click.testing import CliRunner

from lib.base_model import read_config
from lib.config import FORMER, PLATFORMS, load_config, load_size, read_yaml
from lib.errors import CannotRun
from lib.rules import RULES, broken_rules, valid_config
from lib.situation import Situation, this_machine
from scripts.kto import main as kto

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 8192}
CPU = {"torch": "2.13.0", "trl": "1.16.0", "transformers": "5.23.0"}
CUDA = {"torch": "2.14.1", "trl": "1.15.0", "transformers": "5.17.0", "unsloth": "2026.10.7"}
VERSIONS = {"cpu": CPU, "cuda": CUDA, "mlx": {"mlx": "0.32.4", "mlx-lm": "0.32.2"}}
BASES = {"cpu": "house/model", "cuda": "house/model-bnb-4bit", "mlx": "house/model-4bit"}


def situation(method="sft", platform="cpu", settings=None, **fields) -> Situation:
    """A healthy run of size 7b with these settings and fields changed."""
    config, _ = load_config(method, load_size("7b", platform, method), settings or {})
    healthy = {"base": BASES[platform], "model": LLAMA, "versions": VERSIONS[platform], "gpus": 1, "cores": 2}
    return Situation(method, platform, "7b", config, **(healthy | fields))


def bnb(**more):
    return LLAMA | {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}} | more


# Rule -> (a situation that breaks it and no other, what its sentence must hold).
BROKEN = {
    "kto-batch-of-one": (lambda: situation("kto", settings={"batch_size": 1}), "--batch-size 2"),
    "longer-than-the-model": (lambda: situation(settings={"max_length": 9000}), "--max-length 8192"),
    "no-room-for-the-tools": (lambda: situation(settings={"tools_in_prompt": "full"}), "--max-length 12288"),
    "not-a-causal-model": (
        lambda: situation(model={"architectures": ["BertForMaskedLM"], "model_type": "bert"}),
        "names ['BertForMaskedLM']",
    ),
    "code-of-its-own": (
        lambda: situation(model={"auto_map": {"AutoModelForCausalLM": "modeling.Mine"}}),
        "code of its own",
    ),
    "4-bit-without-a-gpu": (lambda: situation(base="house/model-bnb-4bit", model=bnb()), "--model house/model."),
    "cuda-weights-on-mlx": (
        lambda: situation(platform="mlx", base="house/model-unsloth-bnb-4bit", model=bnb()),
        "--model house/model, or its twin of mlx-community",
    ),
    "mlx-weights-in-torch": (
        lambda: situation(model=LLAMA | {"quantization": {"group_size": 64, "bits": 4}}),
        "PLATFORM=mlx",
    ),
    "unsloth-missing": (
        lambda: situation(platform="cuda", versions={"torch": "2.14.1", "trl": "1.16.0"}),
        "--no-unsloth",
    ),
    "unsloth-with-newer-trl": (
        lambda: situation(platform="cuda", versions=CUDA | {"trl": "1.16.0"}),
        "trl 1.16.0 is newer",
    ),
    "unsloth-with-newer-transformers": (
        lambda: situation(platform="cuda", versions=CUDA | {"transformers": "5.23.0"}),
        "transformers 5.23.0 is newer",
    ),
    "unsloth-dropout": (
        lambda: situation(
            platform="cuda", settings={"lora_dropout": 0.05}, environment={"UNSLOTH_FUSED_LORA_DROPOUT": "0"}
        ),
        "--lora-dropout 0",
    ),
    "unsloth-packing": (
        lambda: situation(platform="cuda", settings={"packing": True}),
        "--no-packing",
    ),
    "packing-on-mlx": (lambda: situation(platform="mlx", settings={"packing": True}), "--no-packing"),
    "shared-prefix-elsewhere": (
        lambda: situation("kto", "cuda", {"shared_prefix": True, "gradient_checkpointing": False}),
        "--no-shared-prefix, or on cuda --no-unsloth",
    ),
    "shared-prefix-and-checkpointing": (
        lambda: situation("kto", settings={"shared_prefix": True, "gradient_checkpointing": True}),
        "--no-gradient-checkpointing",
    ),
    "shared-prefix-in-a-window": (
        lambda: situation("kto", settings={"shared_prefix": True}, model=LLAMA | {"sliding_window": 128}),
        "a window of 128 tokens",
    ),
    "unsloth-sharded": (
        lambda: situation(platform="cuda", sharded=True, processes=2, gpus=2),
        "--no-unsloth",
    ),
    "several-gpus": (lambda: situation(platform="cuda", gpus=4), "NPROC=4 uses them all, CUDA_VISIBLE_DEVICES=0"),
    "more-processes-than-gpus": (lambda: situation(platform="cuda", gpus=2, processes=4), "NPROC=2"),
    "more-processes-than-cores": (lambda: situation(settings={"grad_accumulation": 8}, processes=8), "NPROC=2 or less"),
    "accumulation-not-shared": (
        lambda: situation(settings={"grad_accumulation": 3}, processes=2),
        "--grad-accumulation 4",
    ),
    "shards-without-gpus": (lambda: situation(sharded=True, processes=2), "NPROC without FSDP"),
    "shards-of-one": (
        lambda: situation(platform="cuda", sharded=True, settings={"unsloth": False}),
        "NPROC=2 or more",
    ),
    "evaluation-in-shards": (
        lambda: situation(
            platform="cuda", sharded=True, processes=2, gpus=2, settings={"unsloth": False, "eval_every": 50}
        ),
        "--eval-every 0",
    ),
    "patience-without-evaluations": (lambda: situation(settings={"patience": 3}), "--eval-every 50"),
    "evaluations-without-rows": (lambda: situation("kto", settings={"eval_every": 50}), "--eval-fraction 0.05"),
    "processes-on-mlx": (lambda: situation(platform="mlx", processes=2), "without NPROC"),
    "processes-on-windows": (lambda: situation(processes=2, system="Windows"), "WSL2"),
    "board-missing": (lambda: situation(settings={"report_to": "trackio"}), "pip install trackio"),
    "wandb-without-a-key": (
        lambda: situation(settings={"report_to": "wandb"}, versions=CPU | {"wandb": "0.25"}),
        "WANDB_API_KEY in .env",
    ),
    "old-mlx-lm": (
        lambda: situation(platform="mlx", versions={"mlx-lm": "0.30.2"}),
        "mlx-lm 0.30.2 is what a resolver falls back to",
    ),
    "hidden-library": (lambda: situation(hidden_library=True), "rm datasets/__init__.py"),
    "windows-without-unsloth": (lambda: situation(platform="cuda", system="Windows"), "docs/windows.md"),
}


def test_every_rule_has_a_situation_that_breaks_it():
    assert BROKEN.keys() == RULES.keys()


@pytest.mark.parametrize("name", RULES)
def test_a_rule_catches_its_situation_alone_and_names_the_way_out(name):
    made, said = BROKEN[name]
    assert [other for other, rule in RULES.items() if rule.broken(made())] == [name]
    [sentence] = broken_rules(made())
    assert said in sentence and ". Fix: " in sentence and "{" not in sentence


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("method", ["sft", "kto"])
def test_a_healthy_run_breaks_no_rule(platform, method):
    assert broken_rules(situation(method, platform)) == []
    assert broken_rules(situation(method, platform, model={}, versions={})) == [], "nothing is known, nothing is said"


@pytest.mark.parametrize(
    "environment", [{"WANDB_API_KEY": "x"}, {"WANDB_MODE": "offline"}, {"WANDB_LOGGED_IN": "/home/me/.netrc"}]
)
def test_wandb_is_fine_with_a_key_a_login_or_offline(environment):
    made = situation(settings={"report_to": "wandb"}, versions=CPU | {"wandb": "0.25"}, environment=environment)
    assert broken_rules(made) == []


def test_unsloth_off_needs_no_unsloth():
    made = situation(platform="cuda", settings={"unsloth": False}, versions={"torch": "2.14.1", "trl": "1.16.0"})
    assert broken_rules(made) == []


def test_faults_of_recipe_flags_and_rules_are_named_together(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    written = read_yaml("configs/kto.yaml") | {"max_prompt_length": 512, "beta": "much"}
    recipe.write_text(json.dumps(written))
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text(json.dumps(LLAMA))
    options = {"learning_rate": -1.0, "batch_size": 1, "max_length": 9000, "tools_in_prompt": "full"}
    machine = {"versions": CPU, "cores": 2}
    with pytest.raises(CannotRun) as refusal:
        valid_config("kto", ("cpu", "tiny"), options, recipe, str(tmp_path / "model"), machine)
    lines = refusal.value.message.splitlines()
    assert len(lines) == 5, lines
    assert "beta is 'much'; a number is needed" in lines[0] and FORMER["max_prompt_length"].strip() in lines[1]
    assert lines[2] == "command line: learning_rate is -1.0; it must be more than 0 and less than 1."


def test_a_misspelt_setting_is_named():
    with pytest.raises(CannotRun, match="unknown setting 'bta'"):
        valid_config("kto", ("cpu", "tiny"), {"bta": 1}, None, None, {})


def test_this_machine_knows_its_packages_and_cores():
    machine = this_machine(2, True)
    assert machine["versions"]["python"] and machine["cores"] >= 1
    assert (machine["processes"], machine["sharded"], machine["hidden_library"]) == (2, True, False)


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"model_type": "llama"}'])
def test_a_config_that_cannot_be_read_is_empty(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    assert read_config(str(tmp_path)) == (json.loads(content) if "llama" in content else {})


def test_a_model_that_is_nowhere_has_an_empty_config():
    assert read_config("./nowhere") == {} and read_config("house/unheard-of") == {}


def test_a_kto_without_an_sft_run_names_the_faults_of_its_settings_first(tmp_path, monkeypatch):
    """They would come up only after hours of SFT otherwise."""
    monkeypatch.setattr("lib.runs.RUNS", tmp_path)
    for flags, said in (["--batch-size", "1"], "batch_size is 1"), ([], "no finished sft run"):
        answer = CliRunner().invoke(kto, ["datasets/syngen_tools_kto.jsonl", *flags])
        assert answer.exit_code == 2 and answer.stderr.startswith(f"Error: {said}"), answer.output
