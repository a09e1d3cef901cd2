"""Lineage: the chain from a model file back to data, code and packages, and every way in which it can be broken."""

import hashlib
import json
import subprocess
import sys

import pytest
import yaml

from lib import lineage
from lib.errors import CannotRun


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_run(root, name, data, **more):
    """A finished run below root with an adapter of its own bytes; the run's folder."""
    run = root / "runs" / name
    (run / "final_model").mkdir(parents=True)
    (run / "final_model" / "adapter_model.safetensors").write_bytes(name.encode())
    facts = {
        "method": name.split("-")[1],
        "size": "tiny",
        "platform": "cpu",
        "base": "SmolLM2-135M-Instruct",
        "base_digest": "b" * 64,
        "settings": {"learning_rate": 0.1},
        "data": {str(data): digest(data.read_bytes())},
        "git_commit": "c" * 40,
        "versions": {"python": "3.12.1", "torch": "2.13.0"},
        **more,
    }
    (run / "config.yaml").write_text(yaml.safe_dump(facts))
    (run / "done.json").write_text(json.dumps({"eval_loss": 0.5}))
    return run


@pytest.fixture
def house(tmp_path, monkeypatch):
    """(folder, SFT run, KTO run, its GGUF): a whole chain."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "rows.jsonl"
    data.write_text('{"a": 1}\n')
    sft = write_run(tmp_path, "20261101_100000-sft-tiny", data)
    adapter = digest((sft / "final_model/adapter_model.safetensors").read_bytes())
    kto = write_run(tmp_path, "20261101_110000-kto-tiny", data, sft_run=f"runs/{sft.name}", sft_adapter=adapter)
    gguf = kto / "gguf" / "toolset-Q8_0.gguf"
    gguf.parent.mkdir()
    gguf.write_bytes(b"GGUF and weights")
    inputs = {"run": kto.name, "adapter": digest((kto / "final_model/adapter_model.safetensors").read_bytes())}
    entry = {"type": "Q8_0", "bytes": 16, "sha256": digest(gguf.read_bytes())}
    made = {"git_commit": "d" * 40, "versions": {"gguf": "0.19.0"}}
    manifest = {"name": "toolset", "inputs": inputs, "made": made, "files": {gguf.name: entry}}
    (gguf.parent / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path, sft, kto, gguf


def faults(place):
    return [fault for link in lineage.chain(place) for fault in link.faults]


def test_a_whole_chain_leads_from_the_file_to_data_code_and_packages(house):
    _, sft, kto, gguf = house
    links = lineage.chain(gguf)
    assert [(link.kind, link.place) for link in links] == [
        ("file", str(gguf)),
        ("made", str(gguf.parent / "manifest.json")),
        ("run", str(kto)),
        ("data", str(kto.parent.parent / "rows.jsonl")),
        ("run", f"runs/{sft.name}"),
        ("data", str(kto.parent.parent / "rows.jsonl")),
    ]
    assert not lineage.is_broken(links)
    text = lineage.shown(links)
    for told in (digest(gguf.read_bytes()), "c" * 40, "d" * 40, "torch 2.13.0", "recipe: ", "eval_loss: 0.5"):
        assert told in text


def test_a_file_that_was_moved_away_is_known_by_its_bytes(house):
    folder, _, kto, gguf = house
    moved = folder / "elsewhere.gguf"
    gguf.rename(moved)
    assert [link.place for link in lineage.chain(moved)][2] == f"runs/{kto.name}"
    assert faults(moved) == []


def test_a_file_that_was_cut_or_changed_is_named(house):
    gguf = house[3]
    gguf.write_bytes(b"GGUF and")
    assert faults(gguf)[0].startswith("it has 8 bytes, 16 were written: it was cut short")
    gguf.write_bytes(b"GGUF and w3ights")
    assert "its sha256 is not the one noted" in faults(gguf)[0]


def test_a_file_that_no_manifest_knows_is_said_to_be_of_unknown_origin(house):
    stranger = house[0] / "stranger.gguf"
    stranger.write_bytes(b"GGUF?")
    assert "no manifest.json lies beside it" in faults(stranger)[0] and "unknown" in faults(stranger)[0]


def test_another_adapter_a_lost_run_and_an_unfinished_one_break_the_chain(house):
    _, sft, kto, gguf = house
    (sft / "done.json").unlink()
    assert faults(gguf) == ["it is not finished (no done.json)"]
    (sft / "done.json").write_text("{}")
    (sft / "final_model/adapter_model.safetensors").write_bytes(b"trained again")
    assert "its adapter has changed since" in faults(gguf)[0]
    (sft / "config.yaml").unlink()
    assert faults(gguf) == ["the run is gone, and with it what it was trained on"]


def test_changed_data_breaks_the_chain_unless_the_commit_holds_it(house):
    folder, _, _, gguf = house
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for line in (["init", "-q"], ["add", "rows.jsonl"], ["commit", "-qm", "rows"]):
        subprocess.run([*git, *line], check=True, cwd=folder)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=folder).stdout.strip()
    (folder / "rows.jsonl").write_text('{"a": 2}\n')
    assert "has changed since, and no commit" in faults(gguf)[0]
    for run in (folder / "runs").iterdir():
        facts = yaml.safe_load((run / "config.yaml").read_text())
        facts["data"] = {"rows.jsonl": next(iter(facts["data"].values()))}
        (run / "config.yaml").write_text(yaml.safe_dump(facts | {"git_commit": commit}))
    links = lineage.chain(gguf)
    assert not lineage.is_broken(links)
    assert f"commit {commit[:12]} holds it as it was" in lineage.shown(links)


def test_uncommitted_code_is_noted_and_an_unknown_commit_is_a_fault():
    assert lineage.code_remarks("a" * 40) == ((), ())
    assert "changed after commit aaaaaaaaaaaa" in lineage.code_remarks("a" * 40 + "+changes")[1][0]
    assert lineage.code_remarks("unknown")[0] and lineage.code_remarks(None)[0]


def test_the_record_of_an_upload_tells_the_same_chain_elsewhere(house, tmp_path_factory, monkeypatch):
    gguf = house[3]
    links = lineage.chain(gguf)
    away = tmp_path_factory.mktemp("downloaded")
    (away / gguf.name).write_bytes(gguf.read_bytes())
    files = {gguf.name: {"bytes": 16, "sha256": digest(gguf.read_bytes())}}
    (away / lineage.RECORD).write_text(json.dumps(lineage.record(links, files)))
    monkeypatch.chdir(away)
    for place in (away / gguf.name, away):
        found = lineage.chain(place)
        assert not lineage.is_broken(found) and "c" * 40 in lineage.shown(found)
    (away / gguf.name).write_bytes(b"GGUF and w3ights")
    assert "sha256" in faults(away / gguf.name)[0] and "sha256" in faults(away)[0]


def test_a_run_its_adapter_and_a_dataset_have_a_lineage_too(house):
    folder, _, kto, _ = house
    for place in (kto, kto / "final_model", kto / "final_model/adapter_model.safetensors"):
        assert lineage.chain(place)[0].place == str(kto)
    assert lineage.chain(folder / "rows.jsonl")[0].facts["sha256"] == digest(b'{"a": 1}\n')


def test_an_evaluation_leads_to_the_very_file_that_answered(house):
    folder, _, kto, gguf = house
    results = kto / "eval" / "toolset-Q8_0-native" / "results.json"
    results.parent.mkdir(parents=True)
    settings = {"gguf": gguf.name, "gguf_sha256": digest(gguf.read_bytes()), "format": "native"}
    results.write_text(json.dumps({"settings": settings, "summary": {}}))
    for place in (results, results.parent):
        assert [link.kind for link in lineage.chain(place)][:3] == ["evaluation", "file", "made"] and not faults(place)
    gguf.rename(folder / "moved.gguf")
    assert "is gone, or was made anew" in faults(results)[0]
    results.write_text(json.dumps({"settings": {"backend": "ollama", "model": "qwen"}, "summary": {}}))
    assert faults(results) == [] and "does not show" in lineage.shown(lineage.chain(results))


@pytest.mark.parametrize("text", ["", "[]", '{"files"', "\ufeff{}"])
def test_a_broken_manifest_is_a_sentence(house, text):
    (house[3].parent / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(CannotRun, match="not a manifest"):
        lineage.chain(house[3])


def test_the_command_ends_with_1_for_a_broken_chain_and_2_for_no_file(house, root):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "scripts.lineage", *arguments],
            capture_output=True,
            text=True,
            cwd=house[0],
            env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
        )

    whole = run(str(house[3]), "--json")
    assert whole.returncode == 0 and json.loads(whole.stdout)["whole"] is True
    house[3].write_bytes(b"GGUF and")
    broken = run(str(house[3]))
    assert broken.returncode == 1 and "BROKEN: it has 8 bytes" in broken.stdout
    missing = run("nope.gguf")
    assert missing.returncode == 2 and "nope.gguf: no such file" in missing.stderr
