"""Upload: the real client against a Hub on this machine; what arrives, and what a broken line leaves."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from lib.model_card import base_id, base_name
from scripts.upload import main
from tests.hub_loopback import hub
from tests.ship_support import card_of, sent, upload

pytest.importorskip("torch")
pytest.importorskip("peft")


def test_an_adapter_arrives_with_card_lineage_and_gguf_files(shipped, hub_server):
    answer = sent(shipped, "--gguf", "--private")
    files, repo = hub_server.content("me/model"), hub_server.repo("me/model")
    assert repo.private is True and len(repo.commits) == 1
    assert files["adapter_model.safetensors"] == (shipped / "final_model/adapter_model.safetensors").read_bytes()
    for path in (shipped / "gguf").glob("*.gguf"):
        assert files[path.name] == path.read_bytes()
    assert {"Modelfile", "tokenizer.json", "adapter_config.json", "lineage.json"} <= files.keys()
    assert "manifest.json" not in files and b"PEFT's own card" not in files["README.md"]
    assert f"All {len(files) - 1} files arrived as they are here." in answer.output  # all but .gitattributes
    record = json.loads(files["lineage.json"])
    for name, entry in record["files"].items():
        assert entry == {"bytes": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
    assert record["files"].keys() == files.keys() - {"README.md", "lineage.json", ".gitattributes"}


def test_no_folder_of_this_machine_is_published(shipped, hub_server, tiny_base):
    assert str(tiny_base) in (shipped / "final_model" / "adapter_config.json").read_text(), "PEFT writes it there"
    sent(shipped, "--gguf")
    for name, content in hub_server.content("me/model").items():
        assert str(shipped.parent.parent).encode() not in content and str(tiny_base).encode() not in content, name
    config = json.loads(hub_server.content("me/model")["adapter_config.json"])
    assert config["base_model_name_or_path"] == "base" and config["r"] == 4


@pytest.mark.parametrize("base, name", [
    ("SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct"),
    ("unsloth/mistral-7b-instruct-v0.3-bnb-4bit", "unsloth/mistral-7b-instruct-v0.3"),
    ("/home/me/models/mine", "mine"),
])  # fmt: skip
def test_the_base_is_named_as_others_find_it(base, name):
    assert base_name({"base": base}) == name
    assert (base_id({"base": base}) is None) == ("/home" in base)


def test_the_card_tells_programs_and_people_what_was_measured(shipped, hub_server):
    sent(shipped, "--gguf")
    front, text = card_of(hub_server)
    assert (front["license"], front["library_name"], front["run"]) == ("apache-2.0", "peft", shipped.name)
    results = front["model-index"][0]["results"]
    by_kind = {result["dataset"]["config"]: result for result in results}
    metric = next(m for m in by_kind["Q4_K_M"]["metrics"] if m["type"] == "pass")
    # Wilson's interval of 4 of 8 at 95 %: 0.2152 to 0.7848.
    assert metric["value"] == 0.5
    assert metric["args"] == {
        "passed": 4,
        "of": 8,
        "low": pytest.approx(0.2152, abs=1e-4),
        "high": pytest.approx(0.7848, abs=1e-4),
    }
    for told in (
        "5/8 (62 %, 31 %–86 %)",
        "0.0123",
        "97.0%",
        "b" * 64,
        "learning_rate 0.002",
        "eval_loss 0.5",
        "train_loss 1.25",
    ):
        assert told in text, told
    data = shipped.parent.parent / "rows.jsonl"
    assert hashlib.sha256(data.read_bytes()).hexdigest() in text
    assert text.index("**SFT**") < text.index("**KTO**")
    for how in (
        "ollama create model -f Modelfile",
        "lms get",
        "llama-server -hf me/model:Q4_K_M --jinja",
        "AutoPeftModel",
    ):
        assert how in text, how
    assert '<tool_call>\n{"name": "vaultManager_listDirectory"' in text and "Stop at: `<|im_end|>`" in text
    python = text.split("```python\n")[1].split("```")[0]
    compile(python, "card", "exec")


def test_the_hub_client_reads_the_card_back(shipped, hub_server):
    from huggingface_hub import ModelCard

    sent(shipped)
    card = ModelCard(hub_server.content("me/model")["README.md"].decode())
    assert card.data.model_name == "model" and {r.metric_type for r in card.data.eval_results} == {
        "pass",
        "right_tool",
        "valid_call",
    }


def test_a_merged_model_is_merged_once_and_published_whole(shipped, hub_server, tiny_base):
    from safetensors.torch import load_file

    answer = upload("--repo", "model", "--run", shipped)
    assert answer.exit_code == 0, answer.output
    files = hub_server.content("me/model")
    assert "adapter_model.safetensors" not in files and files["config.json"]
    merged = load_file(shipped / "merged_16bit" / "model.safetensors")
    assert files["model.safetensors"] == (shipped / "merged_16bit" / "model.safetensors").read_bytes()
    key = "model.layers.0.self_attn.q_proj.weight"
    assert (merged[key].float() - load_file(tiny_base / "model.safetensors")[key].float()).abs().max() > 0.001
    again = upload("--repo", "model", "--run", shipped)
    assert again.exit_code == 0 and "merged_16bit still holds" in again.output
    shard = shipped / "merged_16bit" / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    assert "Merging into" in upload("--repo", "model", "--run", shipped).output, "a cut file is made again"


def test_the_card_shows_python_that_runs(shipped, hub_server, tmp_path, capsys):
    assert upload("--repo", "me/model", "--run", shipped).exit_code == 0
    away = tmp_path / "downloaded"
    away.mkdir()
    for name, content in hub_server.content("me/model").items():
        (away / name).write_bytes(content)
    python = card_of(hub_server)[1].split("```python\n")[1].split("```")[0]
    told = {}
    exec(python.replace("me/model", str(away)).replace("max_new_tokens=320", "max_new_tokens=5, do_sample=True"), told)
    assert told["answer"].shape[1] > told["prompt"]["input_ids"].shape[1] > 20
    assert told["tokenizer"].decode(told["answer"][0]).startswith("<|im_start|>user\nWhat is in the folder Projects?")
    assert capsys.readouterr().out


def test_a_dropped_connection_is_tried_again_at_once(shipped, hub_server):
    hub_server.drops = 2
    sent(shipped, "--gguf")
    assert (
        hub_server.content("me/model")["toolset-tiny-f16.gguf"] == (shipped / "gguf/toolset-tiny-f16.gguf").read_bytes()
    )


def test_a_broken_upload_goes_on_where_it_was(shipped, hub_server):
    large = sorted(path.name for path in (shipped / "gguf").glob("*.gguf"))
    hub_server.drops = 10**6
    broken = upload("--repo", "me/model", "--run", shipped, "--method", "lora", "--gguf")
    assert broken.exit_code == 2 and "Run the same command again: what has arrived is not sent twice." in broken.output
    assert "Traceback" not in broken.output
    assert set(hub_server.content("me/model")) == {".gitattributes"}, "a repository shows a whole model or none"
    hub_server.drops = 0
    first = upload_until(hub_server, shipped, stop_after=1)
    assert first.exit_code == 2 and len(hub_server.put) == 1
    sent(shipped, "--gguf")
    assert len(hub_server.put) == len(set(hub_server.put)), "what has arrived was not sent twice"
    assert set(large) <= hub_server.content("me/model").keys()


def upload_until(hub_server, shipped, stop_after):
    """An upload whose line breaks for good once so many files have arrived."""
    original = hub_server.put

    class Counting(list):
        def append(self, oid):
            super().append(oid)
            if len(self) >= stop_after:
                hub_server.drops = 10**6

    hub_server.put = Counting(original)
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora", "--gguf")
    hub_server.put, hub_server.drops = list(hub_server.put), 0
    return answer


def test_large_files_go_in_parts(shipped, hub_server):
    hub_server.chunk = 1000
    sent(shipped, "--gguf")
    path = shipped / "gguf" / "toolset-tiny-f16.gguf"
    assert hub_server.content("me/model")[path.name] == path.read_bytes()
    assert sum(f"/lfs/{hashlib.sha256(path.read_bytes()).hexdigest()}/" in line for line in hub_server.requests) > 5


def test_a_second_upload_of_the_same_sends_and_commits_nothing(shipped, hub_server):
    sent(shipped, "--gguf")
    put = len(hub_server.put)
    sent(shipped, "--gguf")
    assert len(hub_server.put) == put and len(hub_server.repo("me/model").commits) == 1


def test_files_that_arrive_changed_are_noticed(shipped, hub_server):
    hub_server.spoil = True
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora", "--gguf")
    assert answer.exit_code == 2 and "did not arrive as sent" in answer.output


def test_a_dry_run_lists_and_sends_nothing(shipped, hub_server):
    answer = upload("--repo", "me/model", "--run", shipped, "--gguf", "--dry-run")
    assert answer.exit_code == 0 and not hub_server.requests and not (shipped / "merged_16bit").exists()
    for told in ("README.md", "lineage.json", "toolset-tiny-Q4_K_M.gguf", "merged_16bit is not made yet"):
        assert told in answer.output


def test_datasets_are_published_with_their_card(hub_server):
    answer = upload("--repo", "me/data", "--dataset")
    assert answer.exit_code == 0, answer.output
    files = hub_server.content("me/data", "datasets")
    assert {"syngen_tools_sft.jsonl", "syngen_tools_kto.jsonl", "syngen_tools_kto.proof.jsonl"} <= files.keys()
    assert b"config_name: sft" in files["README.md"]
    commits = hub_server.repo("me/data", "datasets").commits
    assert upload("--repo", "me/data", "--dataset").exit_code == 0 and len(commits) == 1, (
        "the same again is nothing new"
    )
    hub_server.repo("me/data", "datasets").files["theirs.jsonl"] = (b"{}", False)
    refused = upload("--repo", "me/data", "--dataset")
    assert refused.exit_code == 2 and "exists and holds other files" in refused.output


def test_datasets_of_ones_own_get_a_card_that_counts_them(hub_server, tmp_path):
    rows = tmp_path / "mine.jsonl"
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    rows.write_text(json.dumps({"conversations": turns, "label": True}) + "\n")
    answer = upload("--repo", "me/data", "--dataset", rows)
    assert answer.exit_code == 0, answer.output
    card = hub_server.content("me/data", "datasets")["README.md"].decode()
    assert "config_name: mine" in card and "| `mine.jsonl` | 1 | 1 | 0 |" in card


def test_without_a_terminal_the_name_must_be_given(shipped, hub_server):
    answer = upload("--run", shipped)
    assert answer.exit_code == 2 and "upload needs REPO: make upload REPO=me/model" in answer.output


def test_at_a_terminal_it_asks_for_run_method_name_and_gguf(shipped, hub_server, monkeypatch):
    monkeypatch.setattr("lib.asking.may_ask", lambda: True)
    monkeypatch.setattr("lib.runs.RUNS", shipped.parent)
    answer = CliRunner().invoke(main, [], input="1\nlora\nmine\ny\n")
    assert answer.exit_code == 0, answer.output
    assert "eval_loss 0.5" in answer.output and "5/8 (62 %, 31 %–86 %) on full_coverage" in answer.output
    assert "not evaluated" in answer.output  # the SFT run
    assert "toolset-tiny-Q4_K_M.gguf" in hub_server.content("me/mine")


def test_the_command_line_sends_through_xet_as_well(shipped, tmp_path, monkeypatch):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr("tests.hub_loopback.REGULAR", 1_000_000)
    monkeypatch.setattr("tests.hub_loopback.BINARY", (".gguf",))
    path = shipped / "gguf" / "toolset-tiny-f16.gguf"
    noise = os.urandom(6_000_000)  # xet compresses everything else, which the Hub of these tests cannot read
    path.write_bytes(noise)
    manifest = json.loads((path.parent / "manifest.json").read_text())
    manifest["files"] = {path.name: {"type": "f16", "bytes": len(noise), "sha256": hashlib.sha256(noise).hexdigest()}}
    (path.parent / "manifest.json").write_text(json.dumps(manifest))
    line = [
        sys.executable,
        "-m",
        "scripts.upload",
        "--run",
        shipped,
        "--repo",
        "me/model",
        "--method",
        "lora",
        "--gguf",
    ]
    with hub() as server:
        mine = {"HF_ENDPOINT": server.url, "HF_TOKEN": "hf_writer", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(line, capture_output=True, text=True, env=os.environ | mine, timeout=120)
        assert done.returncode == 0, done.stderr
        assert server.content("me/model")[path.name] == noise
        assert any(asked.startswith("POST /cas/v1/xorbs/") for asked in server.requests)
        assert not any("lfs" in asked for asked in server.requests)
    assert "/me/model/commit/" in done.stdout
