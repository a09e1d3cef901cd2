"""GGUF files: made once, verified, with our template in them, and tokenized by llama.cpp as by transformers."""

import json
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from lib import disk, divergence, gguf, gguf_check, parity
from lib.errors import CannotRun
from lib.gguf_metadata import read_text, tokenizer_digest
from lib.parity import ParityFailed
from lib.parity_cases import cases
from lib.server import serve
from lib.templates import template_for
from tests import halting
from tests.gguf_support import toy_tokenizer, write_toy_gguf

PIECES = [
    *["0", "7", "42", "2025-11-03", "1731072000000", "3.14e-5", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n "],
    *['{"path": "Notes/A.md"}', '"limit": 10', "[]", "}}", '\\"', "\\n", "session_1731072000000_k3m9x2p7q"],
    *[
        "Hello",
        " world",
        "don't",
        "I'LL",
        "Übergröße",
        "naïve",
        "日本語",
        "الخط",
        "π≈3",
        "🦙",
        "e\u0301",
        "\u200d",
        "\xa0",
    ],
    *["_", "--", "...", "?!", "#tag", "[[link|name]]", "**bold**", "x=1;", "C:\\dir", "/a/b", "~", "`code`", "©", "½"],
    *["\xa0", "</tool_call>", "\U0001f469\u200d\U0001f467", "²"],
]


@pytest.fixture(scope="module")
def source(smollm2, tmp_path_factory):
    """A Hugging Face folder: a small random model with SmolLM2's tokenizer and our template."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("source") / "small"
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.LlamaConfig(
        vocab_size=49152, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=0, **shape
    )
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(smollm2 / name, folder / name)
    (folder / "chat_template.jinja").write_text(template_for(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(llama, source, tmp_path_factory):
    """(the export, its rows) of f16, Q8_0 and Q4_0 from the small model."""
    out = tmp_path_factory.mktemp("run") / "gguf"
    job = gguf.Export("toolset-test", out, template_for(), {"made": "from"}, 10**7, source)
    return job, gguf.export(job, ["Q8_0", "q4_0"], lambda folder: shutil.copytree(source, folder))


@pytest.fixture
def exported(finished, tmp_path):
    """The same in a copy that a test may spoil, and a function that fails when the source is made again."""
    job = replace(finished[0], out=tmp_path / "gguf")
    shutil.copytree(finished[0].out, job.out)
    return job, lambda folder: pytest.fail("made the source again")


def made(rows):
    return [row["type"] for row in rows if row["made"]]


def test_every_type_is_written_under_its_name(finished):
    job, rows = finished
    assert [row["type"] for row in rows] == made(rows) == ["f16", "Q8_0", "Q4_0"]
    files = sorted(path.name for path in job.out.iterdir())
    assert files == [
        "Modelfile",
        "export.log",
        "lmstudio",
        "manifest.json",
        "toolset-test-Q4_0.gguf",
        "toolset-test-Q8_0.gguf",
        "toolset-test-f16.gguf",
    ]
    linked = job.out / "lmstudio" / "models" / "toolset-training" / "toolset-test"
    assert sorted(path.name for path in linked.iterdir()) == files[4:]
    entry = json.loads((job.out / "manifest.json").read_text())["files"]["toolset-test-Q4_0.gguf"]
    assert entry["sha256"] == disk.sha256(job.path("Q4_0"))
    assert rows[0]["bytes"] > rows[1]["bytes"] > rows[2]["bytes"] > 1_000_000


def test_our_template_is_in_every_file_byte_for_byte(finished):
    assert {read_text(row["path"], gguf_check.TEMPLATE_KEY) for row in finished[1]} == {template_for()}


def test_a_second_export_makes_nothing(exported):
    assert made(gguf.export(exported[0], ["Q8_0", "Q4_0"], exported[1])) == []


def test_a_missing_or_cut_quant_is_made_again_from_the_f16_file(exported):
    job, fail = exported
    job.path("Q4_0").unlink()
    whole = job.path("Q8_0").read_bytes()
    job.path("Q8_0").write_bytes(whole[:1000])
    assert made(gguf.export(job, ["Q8_0", "Q4_0"], fail)) == ["Q8_0", "Q4_0"]
    assert job.path("Q8_0").read_bytes() == whole and not (job.out / "work").exists()


@pytest.fixture
def converted(finished, monkeypatch):
    """Stands in for the converter, which takes seconds: it copies the f16 file that was converted before."""

    def copy(job, source, work):
        return Path(shutil.copyfile(finished[0].path("f16"), work / job.path("f16").name))

    monkeypatch.setattr(gguf, "convert", copy)


def test_other_weights_make_every_file_again(exported, converted):
    job = replace(exported[0], inputs={"made": "from others"})
    sources = []
    rows = gguf.export(job, ["Q8_0"], sources.append)
    assert made(rows) == ["f16", "Q8_0"] and len(sources) == 1
    assert "toolset-test-Q4_0.gguf" not in json.loads((job.out / "manifest.json").read_text())["files"]


def test_an_interrupted_export_leaves_no_file_that_looks_finished(finished, converted, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_check, "verify_parity", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    job = replace(finished[0], out=tmp_path / "gguf")
    with pytest.raises(KeyboardInterrupt):
        gguf.export(job, [], lambda folder: None)
    assert list(job.out.glob("*.gguf")) == []


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
def test_an_export_killed_in_any_step_leaves_whole_files_and_goes_on_where_it_was(finished, source, tmp_path):
    job, out, llama = finished[0], tmp_path / "run" / "gguf", tmp_path / "llama"
    halted = halting.stand_ins(llama, job.path(gguf.F16))
    whole = {path.name: path.read_bytes() for path in job.out.glob("*.gguf")}
    there = []
    for step in ("conversion", "quantization", "proof"):
        halting.kill_when(halted, halting.start(source, out, llama, step))
        files = {path.name: path for path in out.glob("*.gguf")}
        assert all(path.read_bytes() == whole[name] for name, path in files.items())
        there.append({name: path.stat().st_mtime_ns for name, path in files.items()})
    assert [list(names) for names in there] == [[], [f16 := job.path(gguf.F16).name], [f16]]
    assert there[1] == there[2], "f16 was made a second time"
    (out / "toolset-test-Q8_0.gguf.part").touch()  # a copy to a slow mount, killed
    last = halting.start(source, out, llama, "")
    said = last.communicate(timeout=60)[0]
    assert last.returncode == 0, said
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in job.out.iterdir())
    assert {path.name: path.read_bytes() for path in out.glob("*.gguf")} == whole


def test_a_model_that_is_served_otherwise_than_trained_fails_the_gate(finished, converted, tmp_path):
    job = replace(finished[0], out=tmp_path / "gguf", template=template_for("names"))
    with pytest.raises(ParityFailed, match="template replaced, tools dropped") as caught:
        gguf.export(job, [], lambda folder: None)
    assert caught.value.exit_code == 1 and list(job.out.glob("*.gguf")) == [] and not (job.out / "work").exists()


def test_what_the_gate_found_and_how_near_each_quant_is_stand_in_the_manifest(finished):
    job, rows = finished
    report = json.loads((job.out / "manifest.json").read_text())["parity"]
    assert report["findings"] == [] and report["agreed"]["llama.cpp"] == report["conversations"] == 36
    assert rows[0].get("kl") is None
    assert 0 <= rows[1]["kl"] < rows[2]["kl"] < 1 and 0.5 < rows[2]["top"] <= rows[1]["top"] <= 1


def test_an_importance_matrix_makes_other_quants(exported, monkeypatch):
    monkeypatch.setattr(divergence, "MATRIX_CHUNKS", 1)
    job, fail = exported
    plain = job.path("Q4_0").read_bytes()
    assert made(gguf.export(job, ["Q4_0"], fail, imatrix=True)) == ["Q4_0"]
    assert job.path("Q4_0").read_bytes() != plain and made(gguf.export(job, ["Q4_0"], fail, imatrix=True)) == []
    assert made(gguf.export(job, ["Q4_0"], fail)) == ["Q4_0"] and job.path("Q4_0").read_bytes() == plain


def test_files_from_before_the_gate_are_compared_without_being_made_again(exported):
    job, fail = exported
    manifest = json.loads((job.out / "manifest.json").read_text())
    del manifest["parity"]
    (job.out / "manifest.json").write_text(json.dumps(manifest))
    assert made(gguf.export(job, ["Q8_0"], fail)) == []
    assert json.loads((job.out / "manifest.json").read_text())["parity"]["findings"] == []


def test_a_quant_with_another_tokenizer_is_refused(finished, tmp_path):
    job = finished[0]
    other = write_toy_gguf(tmp_path / "toy.gguf", template_for())
    with pytest.raises(CannotRun, match="its tokenizer or chat template is not that of f16"):
        gguf.proved(job, other, tokenizer_digest(job.path("f16")), None)


def test_as_many_quantizations_run_as_memory_and_processors_carry(finished, monkeypatch):
    import psutil

    f16 = finished[0].path("f16")
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    each = gguf.MEMORY_RATIO * f16.stat().st_size + gguf.MEMORY_BYTES
    for free, expected in ((0, 1), (2.5 * each, 2), (100 * each, 3)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: SimpleNamespace(available=free))
        assert gguf.at_once(f16, 3) == expected


def test_the_forecast_counts_the_merged_folder_or_all_files(finished):
    job = replace(finished[0], source_bytes=16_000)
    assert gguf.needed_bytes(job, ["f16"]) == 35_200  # a merged folder beside it
    assert gguf.needed_bytes(job, ["f16", "Q4_K_M", "Q5_K_M", "Q8_0"]) == 37_000
    assert gguf.needed_bytes(job, ["Q4_K_M"]) == 5_000


def test_a_slow_mount_gets_copies_of_files_made_elsewhere(finished, converted, tmp_path, monkeypatch):
    work, places = tmp_path / "cache" / "work", []
    monkeypatch.setattr(gguf, "is_slow", lambda path: True)
    monkeypatch.setattr(gguf, "cache_folder", lambda *parts: work)
    monkeypatch.setattr(gguf_check, "verify", lambda path, *_: places.append(path))
    monkeypatch.setattr(gguf_check, "verify_parity", lambda path, *_: places.append(path) or {"findings": []})
    monkeypatch.setattr(gguf, "stays_near", lambda one, other: False)
    job = replace(finished[0], out=tmp_path / "gguf")
    gguf.export(job, ["Q8_0"], lambda folder: None)
    assert [path.parent for path in places] == [work, work] and not work.exists()
    (job.out / "toolset-test-Q8_0.gguf").unlink()
    gguf.export(job, ["Q8_0"], lambda folder: pytest.fail("made the source again"))
    assert places[-1].parent == work, "the f16 file was brought near first"
    assert job.path("Q8_0").read_bytes() == finished[0].path("Q8_0").read_bytes()


def test_two_runs_on_a_slow_mount_do_not_work_in_one_folder(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(gguf, "is_slow", lambda path: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jobs = [replace(finished[0], out=tmp_path / run / "gguf") for run in ("one", "two", "one")]
    first, second, again = (gguf.work_folder(job, []) for job in jobs)
    assert first == again != second and first.is_dir() and second.is_dir()


def test_llama_cpp_tokenizes_as_transformers_does(finished, smollm2):
    tokenizer = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(smollm2)
    numbers = random.Random(0)
    texts = [*PIECES, *("".join(numbers.choices(PIECES, k=numbers.randint(2, 12))) for _ in range(400))]
    texts += [f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n" for text in texts[:100]]
    with serve(finished[0].path("Q4_0"), context=256, parallel=1) as server, requests.Session() as session:
        for text in texts:
            body = {"content": text, "add_special": False, "parse_special": True}
            found = session.post(f"{server.url}/tokenize", json=body, timeout=30).json()["tokens"]
            assert found == tokenizer(text, add_special_tokens=False)["input_ids"], repr(text)


def test_the_header_reader_agrees_with_the_gguf_package(tmp_path):
    reader = pytest.importorskip("gguf")
    path = write_toy_gguf(tmp_path / "toy.gguf", template_for("full"))
    field = reader.GGUFReader(path).get_field(gguf_check.TEMPLATE_KEY)
    assert read_text(path, gguf_check.TEMPLATE_KEY) == field.contents() == template_for("full")
    assert read_text(path, "general.architecture") == "llama" and read_text(path, "no.such.key") is None


def test_the_tokenizer_s_digest_hangs_on_tokens_and_template_alone(tmp_path):
    first = tokenizer_digest(write_toy_gguf(tmp_path / "a.gguf", template_for()))
    assert tokenizer_digest(write_toy_gguf(tmp_path / "b.gguf", template_for(), broken=True)) == first
    assert tokenizer_digest(write_toy_gguf(tmp_path / "c.gguf", template_for("full"))) != first
    assert tokenizer_digest(write_toy_gguf(tmp_path / "d.gguf", template_for(), eos=0)) != first


def test_a_file_cut_short_is_refused(llama, tmp_path):
    whole = write_toy_gguf(tmp_path / "toy.gguf", template_for()).read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CannotRun, match="while loading .*: the GGUF file is cut short or damaged. Delete it"):
        gguf_check.verify(cut)
    cut.write_bytes(whole[:100])
    with pytest.raises(CannotRun, match="not a whole GGUF file"):
        read_text(cut, gguf_check.TEMPLATE_KEY)


def test_a_model_that_only_generates_nonsense_numbers_is_refused(llama, tmp_path):
    gguf_check.verify(write_toy_gguf(tmp_path / "good.gguf", template_for()))
    with pytest.raises(CannotRun, match="generates nothing of worth|does not generate"):
        gguf_check.verify(write_toy_gguf(tmp_path / "broken.gguf", template_for(), broken=True))


SPOILT = {  # file -> (what is put into it, what is said of it)
    "config.json": ({"architectures": ["FooForCausalLM"]}, "FooForCausalLM: this llama.cpp does not know"),
    "tokenizer.json": ({"pre_tokenizer": {"type": "Whitespace"}}, "llama.cpp does not know how this base splits"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_llama_cpp_refuses_to_convert_is_told_in_plain_words(llama, source, tmp_path, name):
    change, said = SPOILT[name]
    folder = shutil.copytree(source, tmp_path / "source")
    content = json.loads((folder / name).read_text(encoding="utf-8")) | change
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    job = gguf.Export("toolset-test", tmp_path, template_for(), {}, 0, folder)
    with pytest.raises(CannotRun, match=f"convert_hf_to_gguf.py failed: {said}"):
        gguf.convert(job, folder, tmp_path)


def test_a_verdict_is_kept_where_the_cache_can_be_written_and_given_where_it_cannot(llama, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    model = write_toy_gguf(tmp_path / "toy.gguf", template_for())
    toy_tokenizer(template_for()).save_pretrained(tmp_path / "tokenizer")
    monkeypatch.setattr(parity, "cases", lambda: cases()[:2])
    monkeypatch.setattr(gguf_check, "cache_folder", lambda name: tmp_path / name)
    (tmp_path / "parity").touch()  # no folder can be made there
    first = gguf_check.verify_parity(model, template_for(), tmp_path / "tokenizer")
    assert first["conversations"] == 2 and first["findings"] == []
    (tmp_path / "parity").unlink()
    assert gguf_check.verify_parity(model, template_for(), tmp_path / "tokenizer") == first
    monkeypatch.setattr(parity, "check", lambda *_: pytest.fail("checked again"))
    assert gguf_check.verify_parity(model, template_for(), tmp_path / "tokenizer") == first


def test_unknown_types_are_refused_with_a_suggestion(llama):
    assert gguf.check_quants(["q8_0", "F16", "Q8_0", "IQ4_XS"]) == ["Q8_0", "IQ4_XS"]
    with pytest.raises(CannotRun, match="knows no type 'Q4_K_X'. Did you mean Q4_K_"):
        gguf.check_quants(["Q4_K_X"])


def test_a_full_disk_is_said_before_the_merge(llama, tmp_path):
    job = gguf.Export("toolset-test", tmp_path / "gguf", "", {}, 10**18, tmp_path)
    with pytest.raises(CannotRun, match="needed for these GGUF files"):
        gguf.export(job, [], lambda folder: pytest.fail("merged"))


def test_the_bench_s_limit_holds_for_big_files(capsys):
    from scripts.bench_quantize import report

    for size, seconds, code in ((2 * 10**9, 13.0, 0), (2 * 10**9, 13.1, 1), (10**8, 30.0, 0)):
        assert report(size, {"bare": [9.0, 10.0, 11.0], "ours": [1.0, seconds, 99.0]}) == code
    assert "ratio                              1.31   (limit 1.3 from 1 GB)" in capsys.readouterr().out
