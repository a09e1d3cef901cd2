"""What a backend makes of a server's answers: wire formats as documented, faults as servers really show them."""

import json

import pytest

from evaluator.backends import BACKENDS, LlamaCpp, LmStudio, Ollama, OpenAI, Vllm
from evaluator.conversation import ask_native, ask_text
from evaluator.runner import attempt
from evaluator.settings import Settings, fixed, holds_text
from lib import transport
from lib.grammar import text_grammar
from lib.toolset import load_toolset
from lib.transport import Fault, Http, with_retries
from tests.loopback import PROPS, chat, ollama, serving
from tests.servers_support import CASE, CONTEXT, READ, SAMPLING, asking, wrapped

TOOLS = [{"type": "function", "function": {"name": "x", "description": "", "parameters": {"type": "object"}}}]
USER = [{"role": "user", "content": "List it."}]
HIDDEN = "The model produced output that does not match the expected peg-native format"


# ---------------------------------------------------------------- wire formats


@pytest.mark.parametrize("backend", [OpenAI, Vllm, LmStudio, LlamaCpp])
def test_openai_request_names_every_setting_and_never_streams(backend):
    with serving(lambda path, body, number: chat("hi")) as server:
        backend(server.url, "m").chat(USER, TOOLS, SAMPLING)
    (body,) = server.asked("/v1/chat/completions")
    assert body == {
        "model": "m",
        "messages": USER,
        "tools": TOOLS,
        "stream": False,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "max_tokens": 64,
    }


def test_ollama_request_uses_the_native_api_with_its_context_length():
    with serving(lambda path, body, number: ollama("hi")) as server:
        Ollama(server.url, "m", context=8192).chat(USER, TOOLS, SAMPLING)
    (body,) = server.asked("/api/chat")
    assert body["stream"] is False and body["tools"] == TOOLS
    assert body["options"] == {"temperature": 0.0, "top_p": 1.0, "seed": 0, "num_predict": 64, "num_ctx": 8192}


def test_lm_studio_reply_without_content_key_is_a_call():
    with serving(lambda path, body, number: chat(None, [READ])) as server:
        reply = LmStudio(server.url, "m").chat(USER, TOOLS, SAMPLING)
    assert reply.text == "" and reply.tool_calls[0]["function"]["name"] == READ[0]


def test_a_bearer_key_is_sent_and_stays_out_of_what_is_printed():
    backend = OpenAI("http://127.0.0.1:1", "m", key="secret-key")
    assert backend.http.headers == {"Authorization": "Bearer secret-key"}
    assert "secret-key" not in repr(backend.http)


@pytest.mark.parametrize("name", BACKENDS)
def test_native_conversation_feeds_the_true_result_back(name):
    final = {"ollama": ollama("It says Hello.")}.get(name, chat("It says Hello."))
    call = {"ollama": ollama("", [READ])}.get(name, chat(None, [READ]))
    with serving(lambda path, body, number: final if number else call) as server:
        record = attempt(CASE, asking(BACKENDS[name](server.url, "m")), "native")
    assert record["outcome"] == "pass", record["findings"]
    second = server.requests[-1][1]["messages"]
    assert [message["role"] for message in second] == ["user", "assistant", "tool"]
    assert second[1]["content"] == ""
    assert json.loads(second[2]["content"])["data"]["content"] == "Hello"


def test_history_ids_have_nine_characters_and_match():
    with serving(lambda path, body, number: chat("ok") if number else chat(None, [READ, READ])) as server:
        ask_native(CASE, asking(OpenAI(server.url, "m")))
    messages = server.requests[-1][1]["messages"]
    ids = [call["id"] for call in messages[1]["tool_calls"]]
    assert ids == [message["tool_call_id"] for message in messages[2:]]
    assert len(set(ids)) == 2 and all(len(call_id) == 9 and call_id.isalnum() for call_id in ids)


def test_ollama_history_has_objects_and_tool_names():
    with serving(lambda path, body, number: ollama("ok") if number else ollama("", [READ])) as server:
        ask_native(CASE, asking(Ollama(server.url, "m")))
    messages = server.requests[-1][1]["messages"]
    assert messages[1]["tool_calls"] == [{"function": {"name": READ[0], "arguments": READ[1]}}]
    assert messages[2]["tool_name"] == READ[0] and "tool_call_id" not in messages[2]


def text_server(replies):
    """llama-server's two endpoints for the text form; replies[n] is the n-th generation."""

    def answer(path, body, number):
        if path == "/apply-template":
            return {"prompt": f"<user>{body['messages'][0]['content']}<assistant>"}
        return {"content": replies[number], "stop_type": "word", "tokens_predicted": 9, "tokens_evaluated": 50}

    return serving(answer)


def test_text_form_goes_on_behind_the_true_result():
    written = f"tool_call: {READ[0]}\narguments: {json.dumps(READ[1])}"
    with text_server([f"{written}\n", "It says Hello."]) as server:
        record = attempt(CASE, asking(LlamaCpp(server.url)), "text")
    assert record["outcome"] == "pass", record["findings"]
    first, second = server.asked("/completion")
    assert first["prompt"] == "<user>What is in a.md?<assistant>" and first["stop"] == ["\nResult:"]
    result = record["steps"][0]["results"][0]
    assert second["prompt"] == f"{first['prompt']}{written}\n\nResult: {json.dumps(result)}"
    assert result["data"]["content"] == "Hello"
    assert "grammar" not in first


def test_text_form_on_llama_server_is_held_to_the_schemas_and_says_so():
    written = f"tool_call: {READ[0]}\narguments: {json.dumps(READ[1])}"
    facts = {}
    for held in (True, False):
        with text_server([written, "Done."] * 2) as server:
            settings = Settings(form="text", url=server.url, grammar=held)
            facts[held] = fixed(settings, [CASE], load_toolset())["grammar"]
            backend = LlamaCpp(server.url)
            backend.grammar = text_grammar(load_toolset()) if holds_text(settings) else ""
            ask_text(CASE, asking(backend))
        assert [("grammar" in body) for body in server.asked("/completion")] == [held, held]
    assert facts == {True: True, False: False}
    assert not holds_text(Settings(form="native")) and not holds_text(Settings(form="text", backend="ollama"))


@pytest.mark.parametrize("backend", [OpenAI, Vllm, LmStudio, Ollama])
def test_text_form_on_other_servers_continues_the_assistants_message(backend):
    make = ollama if backend is Ollama else chat
    written = f"tool_call: {READ[0]}\narguments: {json.dumps(READ[1])}"
    with serving(lambda path, body, number: make("It says Hello.") if number else make(written)) as server:
        talk = ask_text(CASE, asking(backend(server.url, "m")))
    first, second = server.asked("/api/chat" if backend is Ollama else "/v1/chat/completions")
    assert len(first["messages"]) == 1 and "tools" not in first
    assert second["messages"][1]["role"] == "assistant"
    assert second["messages"][1]["content"].startswith(f"{written}\n\nResult: {{")
    assert second.get("continue_final_message") is (True if backend is Vllm else None)
    assert talk.reply == "It says Hello."


def test_fingerprints_say_what_was_asked():
    def answer(path, body, number):
        return {
            "/props": PROPS,
            "/api/tags": {"models": [{"name": "m", "digest": "d1", "details": {"quantization_level": "Q4_K_M"}}]},
            "/api/v0/models": {"data": [{"id": "m", "state": "loaded", "quantization": "Q8_0"}, {"id": "n"}]},
            "/v1/models": {"data": [{"id": "m", "max_model_len": 2048}]},
        }[path]

    with serving(answer) as server:
        llama, studio = LlamaCpp(server.url), LmStudio(server.url, "m")
        assert llama.slots() == 2
        assert llama.fingerprint()["build"] == "b1234-abcdef0" and llama.fingerprint()["context"] == 4096
        assert llama.fingerprint()["model"] == "tiny.gguf" and len(llama.fingerprint()["template_sha256"]) == 64
        assert Ollama(server.url, "m").fingerprint()["digest"] == "d1"
        assert studio.models() == ["m"] and studio.fingerprint()["quantization"] == "Q8_0"
        assert Vllm(server.url, "m").fingerprint() == {"model": "m", "context": 2048}


# ---------------------------------------------------------------- faults


def test_refused_connection_is_told_with_its_address():
    with serving(lambda path, body, number: chat("fine")) as server:
        pass
    with pytest.raises(Fault, match=f"no server listens at {server.url}"):
        Http(server.url).get("/health")


def test_retries_wait_longer_each_time():
    waits = []

    def fail():
        raise Fault("unavailable", "busy", retry=True)

    with pytest.raises(Fault):
        with_retries(fail, waits.append)
    assert waits == list(transport.RETRY_DELAYS) == sorted(waits)


# ---------------------------------------------------------------- who is to blame

LLAMA_500 = {
    "error": {"code": 500, "message": f"Failed to parse input at pos 12: {wrapped(*READ)}", "type": "server_error"}
}
OLLAMA_500 = {"error": f"error parsing tool call: raw='{wrapped(*READ)}', err=invalid character"}
WRONG_500 = {"error": {"message": 'Failed to parse input at pos 3: <tool_call>{"name": "x", '}}


@pytest.mark.parametrize("body", [LLAMA_500, OLLAMA_500])
def test_right_call_in_an_error_body_is_the_servers_loss(body):
    with serving(lambda path, sent, number: chat("done") if number else (500, body)) as server:
        record = attempt(CASE, asking(OpenAI(server.url, "m")), "native")
    assert record["outcome"] == "server_lost" and record["right_tool"] and record["valid_call"]
    assert "unparsed-reply" in record["steps"][0]["error"]


def test_wrong_call_in_an_error_body_is_the_models_failure_and_not_asked_again():
    with serving(lambda path, sent, number: chat("done") if number else (500, WRONG_500)) as server:
        record = attempt(CASE, asking(OpenAI(server.url, "m"), max_steps=1), "native")
    assert record["outcome"] == "model_fail" and "bad-json" in {found["code"] for found in record["findings"]}
    assert len(server.requests) == 1


def test_hidden_generation_is_fetched_by_asking_without_tools():
    def answer(path, body, number):
        if "tools" in body:
            return chat("done") if number > 1 else (500, {"error": {"message": HIDDEN}})
        return chat(wrapped(*READ))

    with serving(answer) as server:
        record = attempt(CASE, asking(LlamaCpp(server.url)), "native")
    assert record["outcome"] == "server_lost"
    assert ["tools" in body for body in server.asked("/v1/chat/completions")] == [True, False, True]
    assert HIDDEN in record["steps"][0]["error"]


def test_reply_that_vanished_in_the_server_is_fetched_without_tools():
    def answer(path, body, number):
        if number == 0:
            return chat("", tokens=40)
        return chat("done") if "tools" in body else chat(wrapped(*READ))

    with serving(answer) as server:
        record = attempt(CASE, asking(LmStudio(server.url, "m")), "native")
    assert record["outcome"] == "server_lost"


def test_call_left_in_the_text_is_lost_even_beside_a_delivered_one():
    other = ("vaultManager_listDirectory", {"context": CONTEXT, "path": ""})
    with serving(lambda path, body, number: chat("done") if number else chat(wrapped(*READ), [other])) as server:
        record = attempt(CASE, asking(OpenAI(server.url, "m")), "native")
    assert record["outcome"] == "server_lost"
    assert [call["source"] for call in record["calls"]] == ["tool_calls", "hermes"]


def test_call_both_delivered_and_left_in_the_text_is_one_call():
    with serving(lambda path, body, number: chat("done") if number else chat(wrapped(*READ), [READ])) as server:
        record = attempt(CASE, asking(OpenAI(server.url, "m")), "native")
    assert record["outcome"] == "pass" and len(record["calls"]) == 1


def test_prose_is_the_models_failure():
    with serving(lambda path, body, number: chat("I cannot see your files.")) as server:
        record = attempt(CASE, asking(OpenAI(server.url, "m")), "native")
    assert record["outcome"] == "model_fail" and [found["code"] for found in record["findings"]] == ["no-call"]


def test_model_that_ends_at_once_has_failed_itself():
    with serving(lambda path, body, number: chat("", tokens=1)) as server:
        record = attempt(CASE, asking(OpenAI(server.url, "m")), "native")
    assert record["outcome"] == "model_fail" and len(server.requests) == 1


def test_invalid_utf8_in_a_reply_is_read_with_replacement_marks():
    body = json.dumps(chat("caf@")).encode().replace(b"@", b"\xff")
    with serving(lambda path, sent, number: body) as server:
        talk = ask_native(CASE, asking(OpenAI(server.url, "m")))
    assert talk.reply == "caf�"


def test_model_that_calls_for_ever_stops_at_max_steps():
    with serving(lambda path, body, number: chat(None, [READ])) as server:
        record = attempt(CASE, asking(OpenAI(server.url, "m"), max_steps=3), "native")
    assert len(server.requests) == 3 and len(record["calls"]) == 3


@pytest.mark.parametrize("name", ["x\x00y", "", "no such tool", "a" * 5000])
def test_odd_tool_names_are_findings_and_go_back_to_the_model_as_an_error(name):
    with serving(lambda path, body, number: chat("sorry") if number else chat(None, [(name, {})])) as server:
        record = attempt(CASE, asking(OpenAI(server.url, "m")), "native")
    assert record["outcome"] == "model_fail"
    assert {"unknown-tool", "bad-json"} & {found["code"] for found in record["findings"]}
    assert '"success": false' in server.requests[-1][1]["messages"][2]["content"]
