"""What an upload refuses, with one sentence and nothing sent: tokens, names, repositories, runs, secrets, networks."""

import shutil

import pytest

from lib import hub as hub_module
from tests.ship_support import card_of, sent, upload, write_result

pytest.importorskip("torch")
pytest.importorskip("peft")


@pytest.mark.parametrize("token, told", [
    ({"displayName": "phone", "role": "read"}, "the token 'phone' may not write to me/model"),
    ({"displayName": "fine", "role": "fineGrained", "fineGrained": {"scoped": []}}, "the token 'fine' may not write"),
    (None, "the Hub does not accept this token"),
])  # fmt: skip
def test_a_token_that_may_not_write_is_refused_before_anything_is_merged(shipped, hub_server, token, told):
    hub_server.tokens = {"hf_writer": token} if token else {}
    answer = upload("--repo", "me/model", "--run", shipped)
    assert answer.exit_code == 2 and told in answer.output and "settings/tokens" in answer.output
    assert not (shipped / "merged_16bit").exists() and not hub_server.repos


@pytest.mark.parametrize("entity, allowed", [("me", True), ("me/model", True), ("me/other", False), ("our-lab", False)])
def test_a_fine_grained_token_is_judged_by_its_scopes(entity, allowed):
    scope = {"entity": {"type": "user", "name": entity}, "permissions": ["repo.content.read", "repo.write"]}
    assert hub_module.may_write({"role": "fineGrained", "fineGrained": {"scoped": [scope]}}, "me/model") is allowed


def test_without_a_token_one_is_asked_for(shipped, hub_server, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora")
    assert answer.exit_code == 2 and "no token for the Hub" in answer.output and ".env" in answer.output


def test_another_owner_is_refused_and_an_organisation_is_not(shipped, hub_server):
    for owner in ("them", "readers"):
        answer = upload("--repo", f"{owner}/model", "--run", shipped, "--method", "lora")
        assert answer.exit_code == 2 and f"the token belongs to me, our-lab, not to {owner}" in answer.output
    sent(shipped, repo="our-lab/model")


@pytest.mark.parametrize("name", ["me/mo del", "a/b/c", "me/model.git", "me/mo--del", ".x", "me/" + "a" * 97, "me/"])
def test_a_name_that_the_hub_does_not_allow_is_refused(shipped, hub_server, name):
    answer = upload("--repo", name, "--run", shipped, "--method", "lora")
    assert answer.exit_code == 2 and "is no name that the Hub allows" in answer.output and not hub_server.requests


def test_a_repository_that_holds_something_else_is_left_alone(shipped, hub_server):
    sent(shipped)
    other = shipped.parent / "20261101_100000-sft-tiny"
    write_result(other, other / "x-f16.gguf", 3)
    answer = upload("--repo", "me/model", "--run", other, "--method", "lora")
    assert answer.exit_code == 2 and f"exists and holds the model of {shipped.name}" in answer.output
    assert "UPDATE=1" in answer.output
    sent(other, "--update")
    assert card_of(hub_server)[0]["run"] == other.name


def test_a_public_repository_does_not_become_private_by_itself(shipped, hub_server):
    sent(shipped)
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora", "--private")
    assert answer.exit_code == 2 and "exists and is public" in answer.output


def test_no_network_is_a_sentence(shipped, hub_server, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora")
    assert answer.exit_code == 2 and "the Hub cannot be reached" in answer.output
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora")
    assert answer.exit_code == 2 and "HF_HUB_OFFLINE is set" in answer.output


@pytest.mark.parametrize(
    "status, told", [(500, "the Hub answers 500"), (413, "the Hub refuses"), (403, "may not do that")]
)
def test_what_the_hub_refuses_is_told_in_a_sentence(shipped, hub_server, status, told):
    hub_server.refused["/api/models/me/model/commit/main"] = (status, "no room for you")
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora")
    assert answer.exit_code == 2 and told in answer.output and "no room for you" in answer.output
    assert "Traceback" not in answer.output


def test_an_unfinished_or_unmeasured_run_is_refused(shipped, hub_server):
    (shipped / "done.json").unlink()
    assert "is not finished" in upload("--repo", "me/model", "--run", shipped, "--method", "lora").output
    (shipped / "done.json").write_text("{}")
    shutil.rmtree(shipped / "eval")
    refused = upload("--repo", "me/model", "--run", shipped, "--method", "lora")
    assert refused.exit_code == 2 and "has not been evaluated" in refused.output and "make ladder" in refused.output
    sent(shipped, "--without-evaluation")
    front, text = card_of(hub_server)
    assert "model-index" not in front and "has not been evaluated" in text


def test_an_evaluation_that_was_stopped_does_not_count(shipped, hub_server):
    for results in shipped.glob("eval/*/results.json"):
        results.write_text(results.read_text().replace('"stopped": ""', '"stopped": "interrupted"'))
    assert "has not been evaluated" in upload("--repo", "me/model", "--run", shipped, "--method", "lora").output


def test_a_gguf_that_was_cut_is_not_published(shipped, hub_server):
    path = shipped / "gguf" / "toolset-tiny-Q4_K_M.gguf"
    path.write_bytes(path.read_bytes()[:-1])
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora", "--gguf")
    assert answer.exit_code == 2 and "it was cut short" in answer.output and "make gguf RUN=" in answer.output


@pytest.mark.parametrize("name, text, told", [
    (".env", "A=1", "a file for secrets"),
    ("notes.txt", "token: hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "a Hugging Face token"),
    ("tokenizer_config.json", '{"key": "-----BEGIN RSA PRIVATE KEY-----"}', "a private key"),
    ("log.txt", "secret is my-own-very-private-value!", "the value of OTHER_API_KEY"),
])  # fmt: skip
def test_secrets_stop_everything_and_are_not_shown(shipped, hub_server, tmp_path, monkeypatch, name, text, told):
    (tmp_path / ".env").write_text("OTHER_API_KEY=my-own-very-private-value\n")
    monkeypatch.setattr("lib.env.ENV_FILE", tmp_path / ".env")
    (shipped / "final_model" / name).write_text(text)
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora")
    assert answer.exit_code == 2 and told in answer.output and name in answer.output
    assert "hf_abcdef" not in answer.output and "my-own-very" not in answer.output and not hub_server.repos


def test_a_file_over_the_limit_is_refused(shipped, hub_server, monkeypatch):
    monkeypatch.setattr("lib.upload.LARGEST_FILE", 1000)
    answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora")
    assert answer.exit_code == 2 and "Save it in shards" in answer.output and not hub_server.repos


def test_a_hub_that_never_answers_ends_in_a_sentence(shipped, monkeypatch):
    import socket

    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub_module, "ANSWER_SECONDS", 0.2)
        monkeypatch.setenv("HF_TOKEN", "hf_writer")
        answer = upload("--repo", "me/model", "--run", shipped, "--method", "lora")
    assert answer.exit_code == 2 and "the Hub cannot be reached" in answer.output


def test_no_disk_for_the_merge_is_said_before_it(shipped, hub_server, monkeypatch):
    import collections

    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr("lib.disk.shutil.disk_usage", lambda path: usage(10, 10, 0))
    answer = upload("--repo", "me/model", "--run", shipped)
    assert answer.exit_code == 2 and "needed for merging" in answer.output
    assert not hub_server.repos and not list(shipped.glob("merged*"))


def test_a_file_of_ours_that_is_gone_is_not_blamed_on_the_hub():
    with pytest.raises(FileNotFoundError), hub_module.plain_words("sending x"):
        shutil.copyfile("/nonexistent/x", "/nonexistent/y")
