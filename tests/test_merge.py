"""A merged model answers exactly as its base with the adapter."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from lib.errors import CannotRun

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

TARGETS = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]


def small_llama(dtype=torch.float32, width=32):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    return transformers.LlamaForCausalLM(config).to(dtype)


@pytest.fixture
def folders(tmp_path):
    """(base in several shards, adapter with weights that matter)."""
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    small_llama(torch.bfloat16).save_pretrained(base, max_shard_size="10KB")
    model = transformers.LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    tuned.save_pretrained(adapter)
    (adapter / "chat_template.jinja").write_text("ours")
    (adapter / "tokenizer.json").write_text("{}")
    (base / "tokenizer.json").write_text("the base's")
    (base / "chat_template.jinja").write_text("the base's")
    save_file({"layers.0.attention.wq.weight": torch.zeros(2, 2)}, base / "consolidated.safetensors")  # as Mistral's
    return base, adapter


def logits(model):
    with torch.no_grad():
        return model.eval()(torch.arange(20).reshape(2, 10)).logits.float()


def merged_from(folders, tmp_path):
    from lib.merge_torch import merge

    return merge(*folders, tmp_path / "merged")


def test_merged_logits_equal_adapter_logits(folders, tmp_path):
    merged = merged_from(folders, tmp_path)
    base = transformers.LlamaForCausalLM.from_pretrained(folders[0], dtype=torch.float32)
    expected = logits(peft.PeftModel.from_pretrained(base, folders[1]))
    found = logits(transformers.LlamaForCausalLM.from_pretrained(merged, dtype=torch.float32))
    plain = logits(transformers.LlamaForCausalLM.from_pretrained(folders[0], dtype=torch.float32))
    assert (plain - expected).abs().max() > 0.05, "the adapter must matter for this to show anything"
    # bf16 keeps 8 bits of each weight, and that is all the two may differ by.
    assert torch.allclose(found, expected, atol=0.01)


def test_the_merged_folder_keeps_shards_and_takes_the_adapter_s_tokenizer(folders, tmp_path):
    merged = merged_from(folders, tmp_path)
    names = {path.name for path in folders[0].glob("model*")}
    assert len(names) > 2 and {path.name for path in merged.glob("*.safetensors*")} == names
    assert (merged / "chat_template.jinja").read_text() == "ours" and (merged / "tokenizer.json").read_text() == "{}"
    assert json.loads((merged / "config.json").read_text())["dtype"] == "bfloat16"
    assert not (merged / "adapter_config.json").exists()


def test_an_adapter_of_another_model_is_refused_and_leaves_nothing(folders, tmp_path):
    path = folders[1] / "adapter_model.safetensors"
    save_file({key.replace("layers.1.", "layers.9."): value for key, value in load_file(path).items()}, path)
    with pytest.raises(CannotRun, match="does not fit .*: the base has no model.layers.9"):
        merged_from(folders, tmp_path)
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("change", [{"use_dora": True}, {"bias": "all"}, {"rank_pattern": {"q_proj": 8}}])
def test_adapters_beyond_plain_lora_are_refused(folders, tmp_path, change):
    path = folders[1] / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CannotRun, match=f"uses {next(iter(change))}, which cannot be merged"):
        merged_from(folders, tmp_path)


def test_a_folder_without_an_adapter_is_refused(folders, tmp_path):
    shutil.rmtree(folders[1])
    folders[1].mkdir()
    with pytest.raises(CannotRun, match="holds no LoRA adapter"):
        merged_from(folders, tmp_path)


def test_a_quantized_base_is_refused(folders, tmp_path):
    path = folders[0] / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": {"load_in_4bit": True}}))
    with pytest.raises(CannotRun, match="its weights are quantized"):
        merged_from(folders, tmp_path)


def test_4_bit_weights_without_bitsandbytes_are_refused(monkeypatch):
    from lib import merge_torch

    monkeypatch.setattr(merge_torch, "find_spec", lambda name: None)
    with pytest.raises(CannotRun, match="merged_4bit needs bitsandbytes: .venv/bin/pip install bitsandbytes"):
        merge_torch.require_4bit()


def test_4_bit_weights_are_asked_for_in_nf4_with_the_tokenizer_beside_them(folders, tmp_path, monkeypatch):
    from lib.merge_torch import to_4bit

    merged, asked = merged_from(folders, tmp_path), {}

    class Quantized:
        """Stands in for the model that bitsandbytes makes."""

        def save_pretrained(self, folder):
            (folder / "model.safetensors").write_bytes(b"4 bits")

    def from_pretrained(folder, **settings):
        asked.update(settings, folder=folder)
        return Quantized()

    pytest.importorskip("transformers")
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    target = to_4bit(merged, tmp_path / "four")
    config = asked["quantization_config"]
    assert asked["folder"] == merged and (config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == ("nf4", True)
    assert (target / "chat_template.jinja").read_text() == "ours" and (target / "model.safetensors").is_file()


# The 16 values of 4-bit NormalFloat: appendix E of the QLoRA paper (Dettmers et al. 2023).
NF4 = [-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0,
       0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0]  # fmt: skip


def in_nf4(weight):
    """Each block of 64 weights as multiples of its largest, rounded to the nearest of NF4."""
    blocks = weight.float().reshape(-1, 64)
    largest = blocks.abs().amax(dim=1, keepdim=True)
    levels = torch.tensor(NF4)
    nearest = (blocks / largest).unsqueeze(-1).sub(levels).abs().argmin(-1)
    return (levels[nearest] * largest).reshape(weight.shape)


def test_4_bit_weights_are_those_of_nf4_and_load_again(tmp_path):
    pytest.importorskip("bitsandbytes")
    from lib.merge_torch import to_4bit

    expected = small_llama(torch.bfloat16, width=128).float()  # its processor kernels want whole blocks of 64
    expected.to(torch.bfloat16).save_pretrained(tmp_path / "merged")
    target = to_4bit(tmp_path / "merged", tmp_path / "four")
    found = transformers.AutoModelForCausalLM.from_pretrained(target)
    assert found.config.quantization_config.bnb_4bit_quant_type == "nf4"
    whole = logits(expected.float())
    for name, weight in expected.named_parameters():
        if "_proj" in name:
            weight.data = in_nf4(weight.data)
    # What is left: the scales are kept in 8 bits, and products are made in bf16.
    apart = (logits(found) - logits(expected)).abs().max()
    assert apart < 0.25 * (whole - logits(expected)).abs().max()
