"""The doctor's look at servers: who is there, what they offer, and the one sentence about what is wrong."""

import json

import pytest
from click.testing import CliRunner

from evaluator.examine import CANARY_TOOL, examine
from evaluator.llama_server import LlamaCpp
from lib import needs
from lib.server import serve
from lib.templates import template_for
from lib.toolset import load_toolset
from scripts import doctor
from tests.gguf_support import write_toy_gguf
from tests.loopback import PROPS, chat, serving
from tests.servers_support import CONTEXT, SAMPLING, wrapped

TOOLSET = load_toolset()
CALL = (CANARY_TOOL, {"context": CONTEXT, "path": "Projects"})
TAGS = {"models": [{"name": "qwen3:4b", "digest": "d1", "details": {"quantization_level": "Q4_K_M"}}]}
PS = {"models": [{"name": "qwen3:4b", "context_length": 4096}]}
V1 = {
    "models": [
        {"type": "embedding", "key": "nomic", "loaded_instances": []},
        {"type": "llm", "key": "far", "loaded_instances": [], "quantization": {"name": "Q8_0"}},
        {
            "type": "llm",
            "key": "near",
            "quantization": {"name": "Q4_K_M"},
            "loaded_instances": [{"id": "near", "config": {"context_length": 32768, "parallel": 4}}],
            "capabilities": {"trained_for_tool_use": True},
        },
    ]
}


def replying(with_tools, plain_tokens=20, tool_tokens=400, **paths):
    """A server that lists what `paths` say and answers the canary so; slashes of the paths written as __."""
    listed = {"/" + name.replace("__", "/"): body for name, body in paths.items()}

    def answer(path, body, number):
        if path in listed:
            return listed[path]
        if path not in ("/v1/chat/completions", "/api/chat"):
            return 404, b"not found"
        if "tools" not in body:
            return counting(chat("Hm."), plain_tokens, path)
        return with_tools if isinstance(with_tools, tuple) else counting(with_tools, plain_tokens + tool_tokens, path)

    return serving(answer)


def counting(body, tokens, path):
    """The chat body with so many prompt tokens, in the form of the path."""
    if path == "/api/chat":
        message = body["choices"][0]["message"]
        calls = [{"function": {**each["function"], "arguments": json.loads(each["function"]["arguments"])}}
                 for each in message.get("tool_calls", [])]  # fmt: skip
        message = {"role": "assistant", "content": message.get("content", ""), "tool_calls": calls}
        return {"message": message, "done": True, "done_reason": "stop", "prompt_eval_count": tokens, "eval_count": 9}
    return body | {"usage": body["usage"] | {"prompt_tokens": tokens}}


WIDE = PROPS | {"default_generation_settings": {"n_ctx": 65536}}
RIGHT = chat(None, [CALL])
# what the server is: (kind, its answer to the canary, what its paths say, tokens of the tool), state and words
SERVERS = {
    "llama-server, all well": ("llamacpp", RIGHT, {"props": WIDE}, 400, "ok", "a right tool call"),
    "llama-server, template without tools": (
        "llamacpp", chat("I cannot do that."), {"props": WIDE}, 0, "broken", "chat template ignores tools"),
    "llama-server, known by heart": ("llamacpp", RIGHT, {"props": WIDE}, 0, "note", "by heart"),
    "llama-server, its caps say it": (
        "llamacpp", chat("No.", tokens=3), {"props": WIDE | {"chat_template_caps": {"supports_tools": False}}}, None,
        "broken", "ignores tools"),
    "llama-server, calls not parsed": (
        "llamacpp", chat(wrapped(*CALL)), {"props": WIDE}, 400, "broken", "as text (hermes)"),
    "llama-server, 500": (
        "llamacpp", (500, {"error": {"message": f"Failed to parse input at pos 0: {wrapped(*CALL)}"}}),
        {"props": WIDE}, 0,
        "broken", "HTTP 500"),
    "llama-server, too small a context": (
        "llamacpp", RIGHT, {"props": PROPS}, 400, "broken", "does not hold the 47 tools"),
    "llama-server, still loading": (
        "llamacpp", RIGHT, {"props": (503, {"error": {"message": "Loading model"}})}, 0, "broken", "still loading"),
    "llama-server, another program": (
        "llamacpp", RIGHT, {"props": b"<html>"}, 0, "broken", "does not answer like llamacpp"),
    "Ollama, all well": (
        "ollama", RIGHT, {"api__tags": TAGS, "api__ps": {"models": [{"name": "qwen3:4b"}]}}, 400, "ok", "qwen3:4b"),
    "Ollama, small context": ("ollama", RIGHT, {"api__tags": TAGS, "api__ps": PS}, 400, "broken", "--context"),
    "Ollama, no tools": (
        "ollama", (400, {"error": "qwen3:4b does not support tools"}), {"api__tags": TAGS, "api__ps": PS}, 0,
        "broken", "refuses tools"),
    "Ollama, none loaded": ("ollama", RIGHT, {"api__tags": TAGS}, 400, "ok", "none loaded"),
    "Ollama, no model": ("ollama", RIGHT, {"api__tags": {"models": []}}, 0, "broken", "has no model"),
    "LM Studio, all well": ("lmstudio", RIGHT, {"api__v1__models": V1}, 400, "ok", "near on lmstudio"),
    "LM Studio, does not load": (
        "lmstudio", (200, {"error": "Failed to load model"}), {"api__v1__models": V1}, 0, "broken", "Failed to load"),
    "LM Studio, 200 for an unknown path": (
        "lmstudio", (200, {"error": "Unexpected endpoint or method. Returning 200 anyway"}), {"api__v1__models": V1}, 0,
        "broken", "wrong-address"),
    "LM Studio, swallows": ("lmstudio", chat("", tokens=40), {"api__v1__models": V1}, 400, "broken", "swallows"),
    "vLLM, all well": (
        "vllm", RIGHT, {"v1__models": {"data": [{"id": "m", "max_model_len": 65536}]}}, 400, "ok", "m on vllm"),
    "vLLM, no parser": (
        "vllm", (400, {"object": "error", "message": '"auto" tool choice requires --enable-auto-tool-choice'}),
        {"v1__models": {"data": [{"id": "m"}]}}, 0, "broken", "refuses tools"),
    "vLLM, key wanted": (
        "vllm", RIGHT, {"v1__models": (401, {"error": "Unauthorized"})}, 0, "broken", "wants a key"),
    "vLLM, words": (
        "vllm", chat("Here they are."), {"v1__models": {"data": [{"id": "m"}]}}, 400, "note", "answered in words"),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_judged_in_one_sentence(name):
    kind, answer, paths, tokens, state, words = SERVERS[name]
    counted = (20, 0 if tokens is None else tokens) if tokens is not None else (0, 0)
    with replying(answer, *counted, **paths) as server:
        found = examine(kind, server.url, TOOLSET)
    assert (found.state, words in f"{found.sentence} {found.fix}") == (state, True), f"{found.sentence}. {found.fix}"
    assert "\n" not in found.sentence


def test_nobody_there_is_told_with_the_command_that_starts_it():
    with replying(RIGHT) as server:
        pass
    found = examine("ollama", server.url, TOOLSET)
    assert (found.state, found.fix) == ("absent", "ollama serve")


def test_models_are_listed_with_quantization_context_and_tools():
    with replying(RIGHT, api__v1__models=V1) as server:
        found = examine("lmstudio", server.url, TOOLSET)
    lines = [doctor.model_line(model) for model in doctor.as_need(found, "lmstudio")["models"]]
    assert lines == ["near, Q4_K_M, loaded, context 32768, tools", "far, Q8_0"]


def test_capabilities_of_ollama_models_come_from_show():
    shown = {"capabilities": ["completion", "tools"], "template": "{{ .Tools }}"}
    with replying(RIGHT, api__tags=TAGS, api__ps=PS, api__show=shown) as server:
        (model,) = examine("ollama", server.url, TOOLSET).models
    assert model.tools is True and len(model.facts["template_sha256"]) == 64 and model.context == 4096


def test_a_model_that_is_not_there_is_refused_with_those_that_are():
    with replying(RIGHT, api__tags=TAGS) as server:
        found = examine("ollama", server.url, TOOLSET, wanted="llama9")
    assert found.state == "broken" and "qwen3:4b" in found.fix


def doctored(monkeypatch, *options):
    monkeypatch.setattr(needs, "all_needs", lambda target, size: [])
    monkeypatch.setattr(doctor, "SERVERS", ("ollama",))
    return CliRunner().invoke(doctor.main, options)


def test_the_doctor_prints_the_sentence_and_the_models_and_fails_for_the_wanted_one(monkeypatch):
    with replying(chat("No."), 20, 0, api__tags=TAGS, api__ps=PS) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        wanted = doctored(monkeypatch, "--backend", "ollama")
        other = doctored(monkeypatch)
    assert (wanted.exit_code, other.exit_code) == (1, 0)
    assert "qwen3:4b on ollama: its chat template ignores tools: the model never sees them" in wanted.stdout
    assert "qwen3:4b, Q4_K_M, loaded, context 4096" in wanted.stdout


def test_the_doctor_tells_programs_the_models_and_the_canary(monkeypatch):
    with replying(RIGHT, 20, 9, api__tags=TAGS, api__ps=PS) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        (need,) = json.loads(doctored(monkeypatch, "--json").stdout)
    assert need["models"][0]["quantization"] == "Q4_K_M" and need["url"] == server.url
    assert need["canary"]["tokens"] == [29, 20] and need["canary"]["model"] == "qwen3:4b"


def test_from_wsl_the_windows_host_is_asked_too(monkeypatch):
    with replying(RIGHT, 20, 9, api__tags=TAGS, api__ps=PS) as server:
        monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
        monkeypatch.setattr("evaluator.addresses.windows_host", lambda: "127.0.0.1")
        monkeypatch.setattr("evaluator.addresses.USUAL_PORT", {"ollama": int(server.url.rpartition(":")[2])})
        answer = doctored(monkeypatch)
    assert "ollama: no answer at http://127.0.0.1:9" in answer.stdout
    assert "(on the Windows host)" in answer.stdout and f"--url {server.url}" in answer.stdout


def test_a_key_goes_only_to_the_server_that_was_named(monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", "secret-key")
    with replying(RIGHT, api__tags=TAGS, api__ps=PS) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        doctored(monkeypatch)
        assert not any("Authorization" in headers for headers in server.headers)
        doctored(monkeypatch, "--backend", "ollama")
        assert any(headers.get("Authorization") == "Bearer secret-key" for headers in server.headers)


@pytest.mark.parametrize(
    ("mode", "words"),
    [("none", "its chat template ignores tools"), ("full", "its context does not even hold the canary")],
)
def test_a_real_llama_server_is_found_out_by_its_prompt_tokens(llama, tmp_path, mode, words):
    model = write_toy_gguf(tmp_path / "toy-F16.gguf", template_for(mode))
    with serve(model, context=2048, parallel=1) as server:
        found = examine("llamacpp", server.url, TOOLSET)
        backend = LlamaCpp(server.url, "toy")
        reply = backend.bare([{"role": "user", "content": "Go"}], TOOLSET.openai_tools()[:1], SAMPLING)
    assert words in found.sentence, found
    assert found.tokens[0] == (found.tokens[1] if mode == "none" else None) and found.tokens[1] < 100
    assert (found.models[0].quantization, found.models[0].context) == ("F16", 2048)
    assert ("stop_type" in reply.raw) == (mode == "none")  # the raw prompt was asked; one too long for it over /v1
