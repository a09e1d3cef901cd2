"""What is trained is what is served: native calls to OpenAI's own client, the text form up to Result:, and what desktop
programs are given."""

import json
import os
import signal
import subprocess
import sys

import openai
import pytest

from evaluator.goals import reference_context
from lib import desktop
from lib.chat import dump_arguments
from lib.server import serve
from lib.templates import template_for
from lib.toolset import in_schema_order, load_toolset
from tests.told_model import pieces_of, write_told_gguf, write_told_run

NAME = "contentManager_readContent"
QUESTION = [{"role": "user", "content": "What does the plan say?"}]


def arguments():
    """A valid call's arguments, in the order in which a model learns them."""
    toolset = load_toolset()
    given = {"context": reference_context(toolset), "filePath": "Projects/Plan.md"}
    return in_schema_order(given, toolset.tools[NAME].parameters)


def native_answer():
    return f"<tool_call>\n{json.dumps({'name': NAME, 'arguments': arguments()}, ensure_ascii=False)}\n</tool_call>"


def text_answer():
    body = dump_arguments(arguments())
    return f'tool_call: {NAME}\narguments: {body}\n\nResult: {{"success": true}}\n\nIt says nothing.'


def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120)


@pytest.fixture(scope="module")
def native(llama, tmp_path_factory):
    """A run's folder whose GGUF answers with a native call."""
    return write_told_run(tmp_path_factory.mktemp("native"), "native", native_answer())


@pytest.fixture(scope="module")
def text(llama, tmp_path_factory):
    return write_told_run(tmp_path_factory.mktemp("text"), "text", text_answer())


def test_the_told_model_is_made_of_pieces_that_differ():
    pieces = pieces_of(native_answer())
    assert "".join(pieces) == native_answer() and len(set(pieces)) == len(pieces) > 20


def test_the_official_client_gets_tool_calls_while_47_tools_cost_no_prompt(native):
    tools = load_toolset().openai_tools()
    with serve(native / "gguf" / "told-f16.gguf", parallel=1) as server:
        answer = client(server.url).chat.completions.create(
            model="told", messages=QUESTION, tools=tools, temperature=0, max_tokens=400
        )
    (choice,) = answer.choices
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls" and not choice.message.content
    assert call.type == "function" and call.function.name == NAME
    assert json.loads(call.function.arguments) == arguments()
    # ChatML's marks and the question, a token a letter; the tools alone are some 90,000 letters.
    assert len(tools) == 47 and answer.usage.prompt_tokens < 60 < 90_000 < len(json.dumps(tools))


def test_streamed_calls_add_up_to_the_same(native):
    with serve(native / "gguf" / "told-f16.gguf", parallel=1) as server:
        stream = client(server.url).chat.completions.create(
            model="told", messages=QUESTION, tools=load_toolset().openai_tools(), temperature=0, stream=True
        )
        deltas = [delta for part in stream if part.choices for delta in part.choices[0].delta.tool_calls or []]
    assert "".join(delta.function.name or "" for delta in deltas) == NAME
    assert json.loads("".join(delta.function.arguments or "" for delta in deltas)) == arguments()


def test_with_tools_in_the_prompt_the_same_request_is_long(llama, tmp_path):
    gguf = write_told_gguf(tmp_path / "full.gguf", template_for("full"), native_answer())
    tools = load_toolset().openai_tools()[:3]
    with serve(gguf, context=32768, parallel=1) as server:
        answer = client(server.url).chat.completions.create(
            model="told", messages=QUESTION, tools=tools, temperature=0, max_tokens=400
        )
    assert answer.usage.prompt_tokens > 5000


def served(run, *options):
    """(process of scripts.serve, the lines it printed before it waits)."""
    line = [sys.executable, "-m", "scripts.serve", "--run", str(run), "--port", "0", *options]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    return process, [process.stdout.readline().strip() for _ in range(2)]


def stop(process):
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and "Stopped." in errors and "Traceback" not in errors


def asked_with_curl(line):
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["choices"][0]


def test_make_serve_prints_a_url_and_a_curl_line_that_works(native):
    process, (told, curl) = served(native)
    try:
        assert told.startswith(f"Serving {native}/gguf/told-f16.gguf at http://127.0.0.1:")
        choice = asked_with_curl(curl)
    finally:
        stop(process)
    assert choice["message"]["tool_calls"][0]["function"]["name"] == NAME


def test_a_text_model_is_served_up_to_result(text):
    process, (told, curl) = served(text)
    try:
        choice = asked_with_curl(curl)
        url = told.split(" at ")[1].removesuffix("/v1")
        again = client(url).chat.completions.create(model="told", messages=QUESTION, temperature=0)
    finally:
        stop(process)
    said = text_answer().partition("\nResult:")[0]
    assert choice["message"]["content"] == again.choices[0].message.content == said
    assert choice["finish_reason"] == "stop"


def test_the_text_stop_is_never_inside_the_arguments():
    assert desktop.HAND_OVER not in json.dumps({"content": "\nResult: 3"})


@pytest.mark.parametrize(
    "form, stops", [("native", ("<|im_end|>", "<|im_start|>")), ("text", ("<|im_end|>", "<|im_start|>", "\nResult:"))]
)
def test_the_stops_are_the_end_of_turn_and_the_word_to_the_host(tmp_path, form, stops):
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|im_end|>"}}')
    assert desktop.stops_for(tmp_path, template_for(), form) == stops
    assert desktop.stops_for(tmp_path / "none", "[INST]", "native") == ()


def values_of(modelfile):
    """(command, value) of a Modelfile, read by Ollama's rules: a comment line, a word, a value, maybe in quotes."""
    found, lines = [], modelfile.split("\n")
    while lines:
        line = lines.pop(0)
        if not line or line.startswith("#"):
            continue
        command, _, rest = line.partition(" ")
        name, _, value = rest.partition(" ") if command == "PARAMETER" else ("", "", rest)
        if value.startswith('"""'):
            value = value[3:]
            while not value.endswith('"""'):
                value += "\n" + lines.pop(0)
            value = value[:-3]
        found.append((f"{command} {name}".strip(), value.strip('"') if value.startswith('"') else value))
    return found


def test_a_modelfile_reads_back_as_it_was_meant():
    stops = ("<|im_end|>", "\nResult:")
    found = values_of(desktop.modelfile("toolset", "toolset-Q4_K_M.gguf", template_for("names"), stops))
    assert found[0] == ("FROM", "./toolset-Q4_K_M.gguf")
    assert [value for name, value in found if name == "PARAMETER stop"] == [*stops, "<|im_start|>"]
    template = dict(found)["TEMPLATE"]
    assert ".Tools" in template and ".ToolCalls" in template and template.endswith("assistant\n")
    assert dict(found)["PARAMETER temperature"] == "0"
    others = values_of(desktop.modelfile("x", "x.gguf", "{{ messages }}", ("</s>",)))
    assert "TEMPLATE" not in dict(others), "Ollama knows other families itself"


def test_lm_studio_finds_publisher_model_and_file_without_a_copy(tmp_path):
    gguf = tmp_path / "toolset-Q8_0.gguf"
    for content in (b"GGUF", b"GGUF made again"):
        gguf.unlink(missing_ok=True)
        gguf.write_bytes(content)
        desktop.write(tmp_path, "toolset", [gguf], gguf, "{{ messages }}", ())
        linked = tmp_path / "lmstudio" / "models" / desktop.PUBLISHER / "toolset" / gguf.name
        assert linked.read_bytes() == content and linked.samefile(gguf)
    line = (tmp_path / "lmstudio" / "README.txt").read_text()
    assert line == f"cp -r {tmp_path}/lmstudio/models/. ~/.lmstudio/models/ && lms load toolset\n"
    home = {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}
    copy = f"mkdir -p ~/.lmstudio/models; {line.split(' && ')[0]}"
    done = subprocess.run(["sh", "-c", copy], env=home)
    assert done.returncode == 0
    assert (tmp_path / "home/.lmstudio/models" / desktop.PUBLISHER / "toolset" / gguf.name).read_bytes() == content
