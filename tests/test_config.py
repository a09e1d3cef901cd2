"""Recipes: what wins, what is refused, and that every fault is named at once."""

import dataclasses
from pathlib import Path

import pytest

from lib.config import FORMER, LOSS_TYPES, METHODS, advice, describe, load_config, load_size, read_yaml
from lib.errors import CannotRun

SIZES = ("tiny", "3b", "7b", "13b", "20b")


@pytest.mark.parametrize("method", ["sft", "kto"])
@pytest.mark.parametrize("platform", ["cpu", "cuda", "mlx"])
@pytest.mark.parametrize("name", SIZES)
def test_every_size_loads_on_every_platform(method, platform, name):
    size = load_size(name, platform, method)
    config, _ = load_config(method, size, {})
    assert size.base and config.batch_size >= 1


def test_upstream_defaults_stand_in_the_recipes():
    seven = load_size("7b", "cuda", "sft")
    sft, _ = load_config("sft", seven, {})
    assert (sft.learning_rate, sft.epochs, sft.batch_size, sft.grad_accumulation) == (2e-4, 3.0, 6, 4)
    assert (sft.lora_rank, sft.lora_alpha, sft.max_length, sft.max_grad_norm) == (32, 64, 2048, 1.0)
    kto, _ = load_config("kto", load_size("7b", "cuda", "kto"), {})
    assert (kto.learning_rate, kto.batch_size, kto.grad_accumulation, kto.beta) == (2e-7, 4, 6, 0.3)
    assert kto.max_grad_norm == 0.5
    mac, origins = load_config("sft", load_size("7b", "mlx", "sft"), {})
    assert (mac.lora_rank, mac.lora_alpha, mac.batch_size, mac.grad_accumulation) == (16, 32, 2, 4)
    assert origins["lora_rank"] == "size 7b"


def test_the_command_line_beats_the_size_and_the_size_beats_the_recipe():
    size = load_size("tiny", "cpu", "sft")
    config, origins = load_config("sft", size, {"epochs": 7.0, "learning_rate": None})
    assert config.epochs == 7.0 and origins["epochs"] == "command line"
    assert config.batch_size == size.overrides["batch_size"] and origins["batch_size"] == "size tiny"
    assert config.learning_rate == size.overrides["learning_rate"]
    shown = describe(config, origins, "configs/sft.yaml")
    assert any("epochs" in line and "(command line)" in line for line in shown)
    assert any("max_grad_norm" in line and "(" not in line for line in shown)


def recipe(tmp_path, change, method="sft"):
    lines = (f"{k}: {v}" for k, v in {**read_yaml(f"configs/{method}.yaml"), **change}.items())
    path = tmp_path / "recipe.yaml"
    path.write_text("\n".join(lines))
    return path


def test_all_faults_of_a_recipe_are_named_together(tmp_path):
    path = recipe(tmp_path, {"learning_rat": 1, "batch_size": 2.5, "epochs": -1, "format": "xml"})
    with pytest.raises(CannotRun) as refusal:
        load_config("sft", load_size("tiny", "cpu", "sft"), {}, path)
    text = refusal.value.message
    assert "Did you mean learning_rate?" in text
    assert "batch_size is 2.5; a whole number is needed" in text
    assert "epochs is -1; it must be more than 0" in text
    assert "format is 'xml'; choose one of: native, text" in text


@pytest.mark.parametrize("written", ["1e-4", "'1e-4'", "0.0001", "1.0e-4"])
def test_yaml_floats_are_read_however_they_are_written(tmp_path, written):
    config, _ = load_config("sft", load_size("7b", "cuda", "sft"), {}, recipe(tmp_path, {"learning_rate": written}))
    assert config.learning_rate == 1e-4


@pytest.mark.parametrize(
    "name, value", [("epochs", True), ("learning_rate", float("nan")), ("seed", "7"), ("gradient_checkpointing", 1)]
)
def test_wrong_types_are_refused(name, value):
    with pytest.raises(CannotRun, match=name):
        load_config("sft", load_size("tiny", "cpu", "sft"), {name: value})


def test_a_missing_setting_is_named(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text("epochs: 1.0\n")
    with pytest.raises(CannotRun, match="missing: batch_size"):
        load_config("sft", load_size("tiny", "cpu", "sft"), {}, path)


@pytest.mark.parametrize("content, said", [("", "no settings"), ("a: [", "not YAML"), ("- 1", "no settings")])
def test_broken_recipes_are_refused_in_a_sentence(tmp_path, content, said):
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(CannotRun, match=said):
        load_config("sft", load_size("tiny", "cpu", "sft"), {}, path)


def test_an_unknown_size_lists_the_known_ones():
    with pytest.raises(CannotRun, match="SIZE is '9b'; choose one of: tiny, 3b, 7b, 13b, 20b"):
        load_size("9b", "cpu", "sft")


@pytest.mark.parametrize("former, here", [("max_seq_length", "max_length"), ("warmup_ratio", "warmup_fraction")])
def test_a_setting_of_other_projects_is_told_its_name_here(tmp_path, former, here):
    with pytest.raises(CannotRun, match=f"unknown setting '{former}'. It is {here} here"):
        load_config("sft", load_size("tiny", "cpu", "sft"), {}, recipe(tmp_path, {former: 1}))


def test_no_former_name_is_a_setting_of_today():
    names = {field.name for method in METHODS.values() for field in dataclasses.fields(method)}
    assert names & FORMER.keys() == set()


def test_a_learning_rate_below_published_kto_practice_is_remarked_on():
    size = load_size("7b", "cuda", "kto")
    assert any("below published KTO practice" in remark for remark in advice(load_config("kto", size, {})[0]))
    assert advice(load_config("kto", size, {"learning_rate": 1e-6})[0]) == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SIZES)
def test_the_expected_memory_is_the_forecast_and_fits_a_24_gb_card(name, method):
    from lib.budgets import CARD_SHARE
    from lib.memory import plan_of, total
    from lib.model_config import shape_of

    size = load_size(name, "cuda", method)
    peak = total(shape := shape_of(size.base), plan_of(shape, "cuda", load_config(method, size, {})[0])) / 1e9
    told = read_yaml("configs/sizes.yaml")[name]["memory_gb"][method]
    assert abs(peak - told) < 1 and peak < 24 * 1.073741824 * CARD_SHARE


@pytest.mark.parametrize("method", METHODS)
def test_each_setting_is_explained_in_its_recipe(method):
    from lib.training import recipe_comments

    comments = recipe_comments(method)
    names = [field.name for field in dataclasses.fields(METHODS[method])]
    assert set(names) == set(comments)
    plain = {"weight_decay", "max_grad_norm", "seed", "epochs"}
    assert [name for name in names if not comments[name] and name not in plain] == []


@pytest.mark.parametrize(
    "word", [*LOSS_TYPES, "sft_weight", "shared_prefix", "stage_step", "stage_factor", "order: file"]
)
def test_kto_reference_explains_each_choice(word):
    assert f"`{word}" in Path("docs/kto.md").read_text(encoding="utf-8")
