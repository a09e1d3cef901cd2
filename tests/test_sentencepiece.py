"""A Mistral with a real SentencePiece tokenizer goes through converter and gate: the tokens of training are served."""

import json

import pytest

from lib import gguf, gguf_source
from lib.desktop import stops_for
from lib.parity import CALLS, HF, LLAMA, OLLAMA, STOPS
from lib.parity_cases import QUESTIONS, cases
from lib.templates import as_shipped
from tests.template_support import original
from tests.test_parity import MISTRAL

sentencepiece = pytest.importorskip("sentencepiece")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def mistral(tmp_path_factory):
    """A random Mistral of one layer in files as Mistral-7B-Instruct-v0.3 has them: the template in the config."""
    folder = tmp_path_factory.mktemp("mistral")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text, _ in QUESTIONS.values() if len(text) < 200] * 20),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=420,
        hard_vocab_limit=False,
        byte_fallback=True,
        control_symbols=MISTRAL[2:],
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    (folder / "tokenizer.vocab").unlink()
    special = {str(place): {"content": token, "special": True} for place, token in enumerate(["<unk>", *MISTRAL])}
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "add_prefix_space": True,
        "legacy": False,
        "added_tokens_decoder": special,
        "chat_template": original("mistral_v03"),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_key_value_heads": 2}
    model = transformers.MistralConfig(vocab_size=len(tokenizer), num_attention_heads=4, **shape)
    transformers.MistralForCausalLM(model).save_pretrained(folder)
    return folder


def test_bytes_blanks_and_special_tokens_are_sentencepiece_s(mistral):
    tokenizer = transformers.AutoTokenizer.from_pretrained(mistral)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(mistral / "tokenizer.model"))
    for text in ("Open the book", "naïve  café\n", "ﷺ 🦙"):
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == pieces.encode(text)
    marked = tokenizer("<s>[INST] Öffne[/INST]", add_special_tokens=False)["input_ids"]
    assert marked == [1, 3, *pieces.encode("Öffne"), 4]


def test_a_sentencepiece_model_is_served_as_it_was_trained(llama, mistral, tmp_path):
    template = as_shipped(gguf_source.template_of(mistral), "none")
    stops = stops_for(mistral, template, "native")
    job = gguf.Export("spm", tmp_path / "gguf", template, {"of": "a test"}, 100_000, mistral, stops=stops)
    gguf.export(job, [], lambda target: gguf_source.with_template(mistral, template, target))
    found = gguf.read_manifest(job)["parity"]
    assert found["findings"] == [] and found["agreed"][STOPS] == 1 and found["agreed"][CALLS] >= 20
    assert [found["agreed"][view] for view in (HF, LLAMA, OLLAMA)] == [len(cases())] * 3
