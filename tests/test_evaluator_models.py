"""Which model a server is asked with: loaded and unloaded at LM Studio, found by name, known by its fingerprint."""

import json

import pytest

from evaluator.__main__ import main
from evaluator.backends import LlamaCpp, LmStudio, Ollama, OpenAI, Vllm
from evaluator.comparison import differing
from evaluator.results import read_result
from tests.commands import outcome
from tests.loopback import PROPS, chat, ollama, serving
from tests.servers_support import SAMPLING


def model(key, instances=(), context=8192, **more):
    loaded = [{"id": name, "config": {"context_length": context, "parallel": 4}} for name in instances]
    return {"type": "llm", "key": key, "quantization": {"name": "Q4_K_M"}, "loaded_instances": loaded, **more}


def studio(*models, load=None):
    """LM Studio from 0.4.0 on with these models."""
    loaded = load or {"instance_id": "mine", "load_config": {"context_length": 16384}, "status": "loaded"}

    def answer(path, body, number):
        return {
            "/api/v1/models": {"models": list(models)},
            "/v1/models": {"data": [{"id": each["key"]} for each in models]},
            "/api/v1/models/load": loaded,
            "/api/v1/models/unload": {"instance_id": "mine"},
        }.get(path) or chat("Sure.")

    return serving(answer)


def evaluate(server, out, *options, backend="lmstudio"):
    """(exit code, stderr) of an evaluation of two cases."""
    arguments = ["--backend", backend, "--url", server.url, "--out", str(out), "--limit", "2"]
    arguments += ["--no-probe", *options]
    code, _, said = outcome(main, *arguments)
    return code, said


def test_a_model_that_is_not_loaded_is_loaded_with_the_context_and_unloaded_again(tmp_path):
    with studio(model("a"), model("b")) as server:
        code, err = evaluate(server, tmp_path, "--model", "b", "--context", "16384")
    assert code == 0, err
    assert server.asked("/api/v1/models/load") == [{"model": "b", "echo_load_config": True, "context_length": 16384}]
    assert {body["model"] for body in server.asked("/v1/chat/completions")} == {"mine"}
    assert server.requests[-1] == ("/api/v1/models/unload", {"instance_id": "mine"})
    fingerprint = read_result(tmp_path)["fingerprint"]
    assert (fingerprint["model"], fingerprint["context"], fingerprint["quantization"]) == ("b", 16384, "Q4_K_M")


@pytest.mark.parametrize(("options", "asked"), [([], "a"), (["--model", "a:2"], "a:2"), (["--context", "4096"], "a")])
def test_a_loaded_model_is_taken_as_it_is(tmp_path, options, asked):
    with studio(model("b"), model("a", ["a", "a:2"])) as server:
        code, err = evaluate(server, tmp_path, *options)
    assert code == 0, err
    assert {body["model"] for body in server.asked("/v1/chat/completions")} == {asked}
    assert not server.asked("/api/v1/models/load") and not server.asked("/api/v1/models/unload")


def test_a_loaded_model_with_too_small_a_context_is_loaded_anew(tmp_path):
    with studio(model("a", ["a"], context=4096)) as server:
        code, _ = evaluate(server, tmp_path, "--context", "16384")
    assert code == 0 and server.asked("/api/v1/models/load")[0]["context_length"] == 16384


def test_several_models_and_none_loaded_are_named(tmp_path):
    with studio(model("a"), model("b")) as server:
        code, err = evaluate(server, tmp_path)
    assert code == 2 and "no model loaded" in err and "a, b" in err


def test_a_model_that_does_not_load_is_told_with_the_command(tmp_path):
    with studio(model("a"), load=(500, {"error": "insufficient system resources"})) as server:
        code, err = evaluate(server, tmp_path, "--context", "9000")
    assert code == 2 and "insufficient system resources" in err and "lms load a --context-length 9000" in err


def test_an_older_lm_studio_lists_by_its_first_api():
    listed = [
        {"id": "e", "type": "embeddings", "state": "loaded"},
        {"id": "n", "type": "llm", "state": "not-loaded", "max_context_length": 9},
        {"id": "m", "type": "llm", "state": "loaded", "loaded_context_length": 4096, "capabilities": ["tool_use"]},
    ]
    with serving(lambda path, body, number: {"data": listed} if path == "/api/v0/models" else (404, b"")) as server:
        found = LmStudio(server.url).offered()
    assert [(each.name, each.loaded, each.context, each.tools) for each in found] == [
        ("m", True, 4096, True),
        ("n", False, None, None),
    ]


def test_lm_studio_takes_as_many_requests_as_its_instance():
    with studio(model("a", ["a"])) as server:
        assert LmStudio(server.url, "a").slots() == 4


@pytest.mark.parametrize(("setting", "requests"), [("", 1), ("3", 3), ("0", 1), ("many", 1)])
def test_ollama_takes_as_many_requests_as_its_setting_says(monkeypatch, setting, requests):
    monkeypatch.setenv("OLLAMA_NUM_PARALLEL", setting)
    assert Ollama("http://127.0.0.1:9", "m").slots() == requests


def test_vllm_batches_and_of_other_servers_nothing_is_known():
    assert (Vllm("http://127.0.0.1:9").slots(), OpenAI("http://127.0.0.1:9").slots()) == (8, 1)


def test_ollama_is_asked_for_the_tag_that_a_bare_name_means(tmp_path):
    tags = {"models": [{"name": "x:1b"}, {"name": "qwen3:latest"}]}
    with serving(lambda path, body, number: ollama("Sure.") if path == "/api/chat" else tags) as server:
        code, err = evaluate(server, tmp_path, "--model", "qwen3", backend="ollama")
    assert code == 0, err
    assert {body["model"] for body in server.asked("/api/chat")} == {"qwen3:latest"}


def test_the_loaded_ollama_model_comes_first():
    def answer(path, body, number):
        names = ["b"] if path == "/api/ps" else ["a", "b"]
        return {"models": [{"name": name, "context_length": 4096} for name in names]}

    with serving(answer) as server:
        assert [(each.name, each.context) for each in Ollama(server.url).offered()] == [("b", 4096), ("a", None)]


def test_a_fingerprint_holds_digest_template_build_context_and_sampling(tmp_path):
    def answer(path, body, number):
        return {
            "/api/tags": {"models": [{"name": "m", "digest": "d1", "details": {"quantization_level": "Q4_K_M"}}]},
            "/api/show": {"template": "{{ .Prompt }}", "parameters": "stop x", "capabilities": ["completion", "tools"]},
            "/api/version": {"version": "0.13.0"},
            "/api/ps": {"models": [{"name": "m", "context_length": 8192}]},
        }.get(path) or ollama("Sure.")

    with serving(answer) as server:
        assert evaluate(server, tmp_path, backend="ollama")[0] == 0
    found = read_result(tmp_path)["fingerprint"]
    assert (
        found["digest"] == "d1" and found["build"] == "0.13.0" and found["context"] == 8192 and found["tools"] is True
    )
    assert len(found["template_sha256"]) == len(found["parameters_sha256"]) == 64
    assert found["sampling"] == {"temperature": 0.0, "top_p": 1.0, "seed": 0, "max_tokens": 512}


def result(label, **fingerprint):
    settings = {"format": "native", "gguf": None, "temperature": 0.0}
    return {"label": label, "settings": settings, "stopped": "", "fingerprint": {"model": "m", **fingerprint}}


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ({"build": "b1"}, {"build": "b2"}, "the server's build"),
        ({"template_sha256": "a" * 64}, {"template_sha256": "b" * 64}, "template_sha256"),
        ({"context": 4096}, {"context": 8192}, "the server's context"),
        ({"digest": "d1"}, {"digest": "d2"}, "different weights"),
        ({"build": "b1"}, {}, "the server's build"),
        ({"sampling": {"seed": 0}}, {"sampling": {"seed": 1}}, ""),  # the settings say it already
        ({"model": "x", "digest": "d1"}, {"model": "y", "digest": "d2"}, ""),  # that is what one compares
        ({"digest": "d1"}, {"digest": "d1"}, ""),
    ],
)
def test_other_fingerprints_are_warned_of(ours, theirs, words):
    warnings = differing([result("A", **ours), result("B", **theirs)])
    assert bool(warnings) == bool(words) and words in " ".join(warnings)


def test_a_llama_server_that_still_loads_is_waited_for(monkeypatch):
    monkeypatch.setattr("evaluator.llama_server.time.sleep", lambda seconds: None)
    loading = (503, {"error": {"message": "Loading model"}})
    with serving(lambda path, body, number: loading if number < 3 else {"status": "ok"}) as server:
        LlamaCpp(server.url).ready()
    assert len(server.requests) == 4


def test_the_quantization_of_a_llama_server_is_in_its_file_name():
    with serving(lambda path, body, number: PROPS | {"model_path": "/m/qwen3-4b-Q4_K_M.gguf"}) as server:
        (found,) = LlamaCpp(server.url).offered()
    assert (found.quantization, found.context) == ("Q4_K_M", 4096)


def test_an_integer_that_no_fast_writer_takes_goes_back_to_ollama_all_the_same():
    huge = json.dumps({"n": 10**400})
    history = [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"name": "x", "arguments": huge}}]}
    ]
    with serving(lambda path, body, number: ollama("ok")) as server:
        Ollama(server.url, "m", context=1).chat(history, None, SAMPLING)
    assert server.asked("/api/chat")[0]["messages"][0]["tool_calls"][0]["function"]["arguments"]["n"] == 10**400
