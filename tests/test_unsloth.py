"""Unsloth behind the interface of the plain path, with a stand-in that patches as it does: used, or an error."""

import sys
import types

import pytest
import torch
from safetensors.torch import load_file

from lib import model_torch, training
from lib.config import load_config, load_size
from lib.errors import CannotRun
from tests.tiny_model import write_tiny_model

ASKED = {}


def stand_in(patches=True):
    """A module that loads through transformers and gives the attention classes a forward of its own module."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    class FastLanguageModel:
        @staticmethod
        def from_pretrained(name, dtype, load_in_4bit, device_map, **settings):
            ASKED["load"] = settings | {"load_in_4bit": load_in_4bit, "device_map": device_map}
            model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
            for module in model.modules():
                if type(module).__name__.endswith("Attention") and patches:
                    usual = type(module).forward

                    def forward(self, *args, usual=usual, **kwargs):
                        return usual(self, *args, **kwargs)

                    forward.__module__ = "unsloth.models.llama"
                    module.forward = types.MethodType(forward, module)
            return model, None

        @staticmethod
        def get_peft_model(model, target_modules, bias, use_gradient_checkpointing, random_state, **lora):
            ASKED["lora"] = lora | {"seed": random_state, "checkpointing": use_gradient_checkpointing}
            torch.manual_seed(random_state)
            return get_peft_model(model, LoraConfig(target_modules=target_modules, bias=bias, **lora))

    module = types.ModuleType("unsloth")
    module.FastLanguageModel = FastLanguageModel
    return module


@pytest.fixture
def job(tmp_path, monkeypatch):
    """job(patches) -> a job on cuda with unsloth on."""

    def made(patches=True, **settings):
        monkeypatch.setitem(sys.modules, "unsloth", stand_in(patches))
        monkeypatch.delitem(sys.modules, "lib.unsloth_torch", raising=False)
        config, _ = load_config("sft", load_size("7b", "cuda", "sft"), {"lora_rank": 4, "lora_alpha": 8} | settings)
        base = write_tiny_model(tmp_path / "model") if not (tmp_path / "model").is_dir() else tmp_path / "model"
        return types.SimpleNamespace(platform="cuda", config=config, base=base, run=tmp_path)

    yield made
    sys.modules.pop("lib.unsloth_torch", None)


def test_unsloth_is_asked_for_what_the_recipe_says(job):
    model = model_torch.prepared(job(gradient_checkpointing=True, max_length=1000))
    assert ASKED["load"]["max_seq_length"] == 1024 and ASKED["load"]["load_in_4bit"] is True
    assert ASKED["load"]["device_map"] == {"": 0} and ASKED["load"]["use_gradient_checkpointing"] == "unsloth"
    assert ASKED["lora"] == {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "seed": 17, "checkpointing": "unsloth"}
    assert sum(parameter.requires_grad for parameter in model.parameters()) == 28


def test_rows_of_kto_may_be_as_long_as_two(job):
    sft = job(max_length=1000).config
    from lib import unsloth_torch  # with the stand-in in place

    kto, _ = load_config("kto", load_size("7b", "cuda", "kto"), {"max_length": 1000})
    assert unsloth_torch.longest(kto) == 2048 and unsloth_torch.longest(sft) == 1024


def test_four_bit_can_be_left_out(job):
    model_torch.prepared(job(four_bit=False, gradient_checkpointing=False))
    assert ASKED["load"]["load_in_4bit"] is False and ASKED["load"]["use_gradient_checkpointing"] is False


def test_a_saved_adapter_comes_with_its_own_rank_and_weights(job, tmp_path):
    first = model_torch.prepared(job(lora_rank=8, lora_alpha=32))
    with torch.no_grad():
        for name, parameter in first.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.25)
    first.save_pretrained(tmp_path / "adapter")
    again = model_torch.prepared(job(lora_rank=4), tmp_path / "adapter")
    assert (ASKED["lora"]["r"], ASKED["lora"]["lora_alpha"]) == (8, 32)
    saved = load_file(tmp_path / "adapter/adapter_model.safetensors")
    assert len(saved) == 28 and all(
        parameter.eq(0.25).all() for name, parameter in again.named_parameters() if "lora_B" in name
    )


def test_a_silent_fall_back_to_plain_layers_is_an_error(job):
    with pytest.raises(CannotRun, match="2 of 2 attention layers, a LlamaAttention for one.*--no-unsloth"):
        model_torch.prepared(job(patches=False))


def test_a_silent_fall_back_to_the_plain_trainer_is_an_error(job):
    class SFTTrainer:
        pass

    class UnslothSFTTrainer(SFTTrainer):
        pass

    Ours = type("Ours", (UnslothSFTTrainer,), {"__module__": "lib.sft_torch"})
    Fallen = type("Fallen", (SFTTrainer,), {"__module__": "lib.sft_torch"})
    model_torch.check_trainer(Ours(), job())
    with pytest.raises(CannotRun, match="fell back to trl's own SFTTrainer.*make setup PLATFORM=cuda"):
        model_torch.check_trainer(Fallen(), job())


def test_switched_off_nothing_of_it_is_imported(job, monkeypatch):
    off = job(unsloth=False)
    monkeypatch.setitem(sys.modules, "unsloth", None)
    with pytest.raises(CannotRun, match="PyTorch sees no GPU"):
        model_torch.prepared(off)
    model_torch.check_trainer(object(), off)
    training.import_unsloth("cuda", off.config)


@pytest.mark.parametrize(
    "error", [NotImplementedError("no accelerator"), ImportError("bitsandbytes"), RuntimeError("driver")]
)
def test_an_unsloth_that_does_not_start_is_explained(monkeypatch, error, job):
    def fail(name):
        raise error

    monkeypatch.setattr(training.util, "find_spec", lambda name: name == "unsloth")
    monkeypatch.setattr(training, "import_module", fail)
    with pytest.raises(CannotRun, match=f"unsloth does not start .{error}.*make doctor.*--no-unsloth"):
        training.import_unsloth("cuda", job().config)
    training.import_unsloth("cpu", job().config)
