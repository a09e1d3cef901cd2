"""Upload: the real client against a Hub on this machine; what is sent, what is refused, what a broken line leaves."""

import hashlib
import json
import shutil

import pytest
import yaml
from click.testing import CliRunner

from lib import hub as hub_module
from scripts.upload import main
from tests.hub_loopback import WRITER, hub
from tests.ship_support import write_base, write_ggufs, write_result, write_run

pytest.importorskip("torch")
pytest.importorskip("peft")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def place(tmp_path, base, monkeypatch):
    """A folder with a dataset, an SFT run and a KTO run that was evaluated and exported; the KTO run."""
    data = tmp_path / "rows.jsonl"
    data.write_text('{"conversations": []}\n')
    sft = write_run(tmp_path, base, "20261101_100000-sft-tiny", data)
    run = write_run(tmp_path, base, "20261101_110000-kto-tiny", data, sft_run=f"runs/{sft.name}")
    paths = write_ggufs(run)
    write_result(run, paths["f16"], 5)
    write_result(run, paths["Q4_K_M"], 4)
    monkeypatch.setattr("lib.gguf_source.base_folder", lambda size, tools: tmp_path / "nothing")
    return run


@pytest.fixture
def server(monkeypatch):
    """The Hub, and the client told to talk to it over plain HTTP, without pauses between its tries."""
    from huggingface_hub import constants

    with hub() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        monkeypatch.setenv("HF_TOKEN", "hf_writer")
        monkeypatch.setattr(hub_module, "SENT_ALONE", 1000)
        yield running


def upload(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def sent(place, *more, repo="me/model"):
    answer = upload("--repo", repo, "--run", place, "--method", "lora", *more)
    assert answer.exit_code == 0, answer.output
    return answer


def card_of(server, repo="me/model"):
    """(front matter, text) of the repository's card."""
    _, front, text = server.content(repo)["README.md"].decode().split("---\n", 2)
    return yaml.safe_load(front), text


def test_an_adapter_arrives_with_card_lineage_and_gguf_files(place, server):
    answer = sent(place, "--gguf", "--private")
    files, repo = server.content("me/model"), server.repo("me/model")
    assert repo.private is True and len(repo.commits) == 1
    assert files["adapter_model.safetensors"] == (place / "final_model/adapter_model.safetensors").read_bytes()
    for path in (place / "gguf").glob("*.gguf"):
        assert files[path.name] == path.read_bytes()
    assert {"Modelfile", "tokenizer.json", "adapter_config.json", "lineage.json"} <= files.keys()
    assert "manifest.json" not in files and b"PEFT's own card" not in files["README.md"]
    assert f"All {len(files) - 1} files arrived as they are here." in answer.output  # all but .gitattributes
    record = json.loads(files["lineage.json"])
    for name, entry in record["files"].items():
        assert entry == {"bytes": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
    assert record["files"].keys() == files.keys() - {"README.md", "lineage.json", ".gitattributes"}


def test_no_folder_of_this_machine_is_published(place, server):
    sent(place, "--gguf")
    files = server.content("me/model")
    for name in ("README.md", "lineage.json", "Modelfile"):
        assert str(place.parent.parent).encode() not in files[name], name


def test_the_card_tells_programs_and_people_what_was_measured(place, server):
    sent(place, "--gguf")
    front, text = card_of(server)
    assert (front["license"], front["library_name"], front["run"]) == ("apache-2.0", "peft", place.name)
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
    data = place.parent.parent / "rows.jsonl"
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


def test_the_hub_client_reads_the_card_back(place, server):
    from huggingface_hub import ModelCard

    sent(place)
    card = ModelCard(server.content("me/model")["README.md"].decode())
    assert card.data.model_name == "model" and {r.metric_type for r in card.data.eval_results} == {
        "pass",
        "right_tool",
        "valid_call",
    }


def test_a_merged_model_is_merged_once_and_published_whole(place, server, base):
    from safetensors.torch import load_file

    answer = upload("--repo", "model", "--run", place)
    assert answer.exit_code == 0, answer.output
    files = server.content("me/model")
    assert "adapter_model.safetensors" not in files and files["config.json"]
    merged = load_file(place / "merged_16bit" / "model.safetensors")
    assert files["model.safetensors"] == (place / "merged_16bit" / "model.safetensors").read_bytes()
    key = "model.layers.0.self_attn.q_proj.weight"
    assert (merged[key].float() - load_file(base / "model.safetensors")[key].float()).abs().max() > 0.001
    again = upload("--repo", "model", "--run", place)
    assert again.exit_code == 0 and "merged_16bit still holds" in again.output
    shard = place / "merged_16bit" / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    assert "Merging into" in upload("--repo", "model", "--run", place).output, "a cut file is made again"


def test_a_dropped_connection_is_tried_again_at_once(place, server):
    server.drops = 2
    sent(place, "--gguf")
    assert server.content("me/model")["toolset-tiny-f16.gguf"] == (place / "gguf/toolset-tiny-f16.gguf").read_bytes()


def test_a_broken_upload_goes_on_where_it_was(place, server):
    large = sorted(path.name for path in (place / "gguf").glob("*.gguf"))
    server.drops = 10**6
    broken = upload("--repo", "me/model", "--run", place, "--method", "lora", "--gguf")
    assert broken.exit_code == 2 and "Run the same command again: what has arrived is not sent twice." in broken.output
    assert "Traceback" not in broken.output
    assert set(server.content("me/model")) == {".gitattributes"}, "a repository shows a whole model or none"
    server.drops = 0
    first = upload_until(server, place, stop_after=1)
    assert first.exit_code == 2 and len(server.put) == 1
    sent(place, "--gguf")
    assert len(server.put) == len(set(server.put)), "what has arrived was not sent twice"
    assert set(large) <= server.content("me/model").keys()


def upload_until(server, place, stop_after):
    """An upload whose line breaks for good once so many files have arrived."""
    original = server.put

    class Counting(list):
        def append(self, oid):
            super().append(oid)
            if len(self) >= stop_after:
                server.drops = 10**6

    server.put = Counting(original)
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora", "--gguf")
    server.put, server.drops = list(server.put), 0
    return answer


def test_large_files_go_in_parts(place, server):
    server.chunk = 1000
    sent(place, "--gguf")
    path = place / "gguf" / "toolset-tiny-f16.gguf"
    assert server.content("me/model")[path.name] == path.read_bytes()
    assert sum(f"/lfs/{hashlib.sha256(path.read_bytes()).hexdigest()}/" in line for line in server.requests) > 5


def test_a_second_upload_of_the_same_sends_and_commits_nothing(place, server):
    sent(place, "--gguf")
    put = len(server.put)
    sent(place, "--gguf")
    assert len(server.put) == put and len(server.repo("me/model").commits) == 1


def test_files_that_arrive_changed_are_noticed(place, server):
    server.spoil = True
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora", "--gguf")
    assert answer.exit_code == 2 and "did not arrive as sent" in answer.output


@pytest.mark.parametrize("token, told", [
    ({"displayName": "phone", "role": "read"}, "the token 'phone' may not write to me/model"),
    ({"displayName": "fine", "role": "fineGrained", "fineGrained": {"scoped": []}}, "the token 'fine' may not write"),
    (None, "the Hub does not accept this token"),
])  # fmt: skip
def test_a_token_that_may_not_write_is_refused_before_anything_is_merged(place, server, token, told):
    server.tokens = {"hf_writer": token} if token else {}
    answer = upload("--repo", "me/model", "--run", place)
    assert answer.exit_code == 2 and told in answer.output and "settings/tokens" in answer.output
    assert not (place / "merged_16bit").exists() and not server.repos


@pytest.mark.parametrize("entity, allowed", [("me", True), ("me/model", True), ("me/other", False), ("our-lab", False)])
def test_a_fine_grained_token_is_judged_by_its_scopes(entity, allowed):
    scope = {"entity": {"type": "user", "name": entity}, "permissions": ["repo.content.read", "repo.write"]}
    assert hub_module.may_write({"role": "fineGrained", "fineGrained": {"scoped": [scope]}}, "me/model") is allowed


def test_without_a_token_one_is_asked_for(place, server, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora")
    assert answer.exit_code == 2 and "no token for the Hub" in answer.output and ".env" in answer.output


def test_another_owner_is_refused_and_an_organisation_is_not(place, server):
    answer = upload("--repo", "them/model", "--run", place, "--method", "lora")
    assert answer.exit_code == 2 and "the token belongs to me, our-lab, not to them" in answer.output
    sent(place, repo="our-lab/model")


@pytest.mark.parametrize("name", ["me/mo del", "a/b/c", "me/model.git", "me/mo--del", ".x", "me/" + "a" * 97, "me/"])
def test_a_name_that_the_hub_does_not_allow_is_refused(place, server, name):
    answer = upload("--repo", name, "--run", place, "--method", "lora")
    assert answer.exit_code == 2 and "is no name that the Hub allows" in answer.output and not server.requests


def test_a_repository_that_holds_something_else_is_left_alone(place, server):
    sent(place)
    other = place.parent / "20261101_100000-sft-tiny"
    write_result(other, other / "x-f16.gguf", 3)
    answer = upload("--repo", "me/model", "--run", other, "--method", "lora")
    assert answer.exit_code == 2 and f"exists and holds the model of {place.name}" in answer.output
    assert "UPDATE=1" in answer.output
    sent(other, "--update")
    assert card_of(server)[0]["run"] == other.name


def test_a_public_repository_does_not_become_private_by_itself(place, server):
    sent(place)
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora", "--private")
    assert answer.exit_code == 2 and "exists and is public" in answer.output


def test_no_network_is_a_sentence(place, server, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora")
    assert answer.exit_code == 2 and "the Hub cannot be reached" in answer.output
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora")
    assert answer.exit_code == 2 and "HF_HUB_OFFLINE is set" in answer.output


@pytest.mark.parametrize(
    "status, told", [(500, "the Hub answers 500"), (413, "the Hub refuses"), (403, "may not do that")]
)
def test_what_the_hub_refuses_is_told_in_a_sentence(place, server, status, told):
    server.refused["/api/models/me/model/commit/main"] = (status, "no room for you")
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora")
    assert answer.exit_code == 2 and told in answer.output and "no room for you" in answer.output
    assert "Traceback" not in answer.output


def test_an_unfinished_or_unmeasured_run_is_refused(place, server):
    (place / "done.json").unlink()
    assert "is not finished" in upload("--repo", "me/model", "--run", place, "--method", "lora").output
    (place / "done.json").write_text("{}")
    shutil.rmtree(place / "eval")
    refused = upload("--repo", "me/model", "--run", place, "--method", "lora")
    assert refused.exit_code == 2 and "has not been evaluated" in refused.output and "make ladder" in refused.output
    sent(place, "--without-evaluation")
    front, text = card_of(server)
    assert "model-index" not in front and "has not been evaluated" in text


def test_an_evaluation_that_was_stopped_does_not_count(place, server):
    for results in place.glob("eval/*/results.json"):
        results.write_text(results.read_text().replace('"stopped": ""', '"stopped": "interrupted"'))
    assert "has not been evaluated" in upload("--repo", "me/model", "--run", place, "--method", "lora").output


def test_a_gguf_that_was_cut_is_not_published(place, server):
    path = place / "gguf" / "toolset-tiny-Q4_K_M.gguf"
    path.write_bytes(path.read_bytes()[:-1])
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora", "--gguf")
    assert answer.exit_code == 2 and "it was cut short" in answer.output and "make gguf RUN=" in answer.output


@pytest.mark.parametrize("name, text, told", [
    (".env", "A=1", "a file for secrets"),
    ("notes.txt", "token: hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "a Hugging Face token"),
    ("tokenizer_config.json", '{"key": "-----BEGIN RSA PRIVATE KEY-----"}', "a private key"),
    ("log.txt", "secret is my-own-very-private-value!", "the value of OTHER_API_KEY"),
])  # fmt: skip
def test_secrets_stop_everything_and_are_not_shown(place, server, tmp_path, monkeypatch, name, text, told):
    (tmp_path / ".env").write_text("OTHER_API_KEY=my-own-very-private-value\n")
    monkeypatch.setattr("lib.env.ENV_FILE", tmp_path / ".env")
    (place / "final_model" / name).write_text(text)
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora")
    assert answer.exit_code == 2 and told in answer.output and name in answer.output
    assert "hf_abcdef" not in answer.output and "my-own-very" not in answer.output and not server.repos


def test_a_file_over_the_limit_is_refused(place, server, monkeypatch):
    monkeypatch.setattr("lib.upload.LARGEST_FILE", 1000)
    answer = upload("--repo", "me/model", "--run", place, "--method", "lora")
    assert answer.exit_code == 2 and "Save it in shards" in answer.output and not server.repos


def test_a_dry_run_lists_and_sends_nothing(place, server):
    answer = upload("--repo", "me/model", "--run", place, "--gguf", "--dry-run")
    assert answer.exit_code == 0 and not server.requests and not (place / "merged_16bit").exists()
    for told in ("README.md", "lineage.json", "toolset-tiny-Q4_K_M.gguf", "merged_16bit is not made yet"):
        assert told in answer.output


def test_datasets_are_published_with_their_card(server):
    answer = upload("--repo", "me/data", "--dataset")
    assert answer.exit_code == 0, answer.output
    files = server.content("me/data", "datasets")
    assert {"syngen_tools_sft.jsonl", "syngen_tools_kto.jsonl", "syngen_tools_kto.proof.jsonl"} <= files.keys()
    assert b"config_name: sft" in files["README.md"]


def test_datasets_of_ones_own_get_a_card_that_counts_them(server, tmp_path):
    rows = tmp_path / "mine.jsonl"
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    rows.write_text(json.dumps({"conversations": turns, "label": True}) + "\n")
    answer = upload("--repo", "me/data", "--dataset", rows)
    assert answer.exit_code == 0, answer.output
    card = server.content("me/data", "datasets")["README.md"].decode()
    assert "config_name: mine" in card and "| `mine.jsonl` | 1 | 1 | 0 |" in card


def test_without_a_terminal_the_name_must_be_given(place, server):
    answer = upload("--run", place)
    assert answer.exit_code == 2 and "upload needs REPO: make upload REPO=me/model" in answer.output


def test_at_a_terminal_it_asks_for_run_method_name_and_gguf(place, server, monkeypatch):
    monkeypatch.setattr("lib.asking.may_ask", lambda: True)
    monkeypatch.setattr("lib.asking.finished_runs.__defaults__", (place.parent,))
    answer = CliRunner().invoke(main, [], input="1\nlora\nmine\ny\n")
    assert answer.exit_code == 0, answer.output
    assert "eval_loss 0.5" in answer.output and "5/8 (62 %, 31 %–86 %) on full_coverage" in answer.output
    assert "not evaluated" in answer.output  # the SFT run
    assert "toolset-tiny-Q4_K_M.gguf" in server.content("me/mine")


def test_the_writer_of_these_tests_may_write():
    assert hub_module.may_write(WRITER, "me/model")
