"""One question to a run's GGUF, adapter or merged model: the call is printed, run on request, and the change shown."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluator import single
from evaluator.goals import reference_context
from evaluator.local_model import LocalModel, with_objects
from evaluator.replies import Sampling
from lib.errors import CannotRun
from lib.toolset import in_schema_order, load_toolset
from scripts.ask import main
from tests.ship_support import write_run
from tests.told_model import write_told_run

NAME = "vaultManager_createFolder"
ARGUMENTS = {"path": "Ideas"}


def call_text(arguments=ARGUMENTS):
    given = {"context": reference_context(load_toolset()), **arguments}
    ordered = in_schema_order(given, load_toolset().tools[NAME].parameters)
    return f"<tool_call>\n{json.dumps({'name': NAME, 'arguments': ordered})}\n</tool_call>"


def ask(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def told(llama, tmp_path_factory):
    """A run whose GGUF makes the folder Ideas, whatever it is asked."""
    return write_told_run(tmp_path_factory.mktemp("told"), "native", call_text())


def test_the_call_is_printed_and_nothing_is_run(told):
    answer = ask("--run", told, "Make a folder Ideas", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert [call["name"] for call in found["calls"]] == [NAME]
    assert found["calls"][0]["arguments"]["path"] == "Ideas" and "changes" not in found
    assert found["prompt_tokens"][0] < 60


def test_on_request_the_call_is_run_and_the_change_is_shown(told):
    answer = ask("--run", told, "Make a folder Ideas", "--execute")
    assert answer.exit_code == 0, answer.output
    assert f"call: {NAME}" in answer.stdout and '"path": "Ideas"' in answer.stdout
    assert '"success": true' in answer.stdout.replace('"success":true', '"success": true')
    changes = answer.stdout.partition("In the vault:")[2]
    assert "Ideas" in changes and "folder" in changes


def test_a_folder_of_notes_is_read_and_never_written(told, tmp_path):
    vault = tmp_path / "vault"
    (vault / "Plans").mkdir(parents=True)
    (vault / "Plans" / "A.md").write_text("# A\n")
    before = sorted(str(path) for path in vault.rglob("*"))
    answer = ask("--model", told / "gguf" / "told-f16.gguf", "Make a folder Ideas", "--execute", "--vault", vault)
    assert answer.exit_code == 0 and "Ideas" in answer.stdout.partition("In the vault:")[2]
    assert sorted(str(path) for path in vault.rglob("*")) == before


@pytest.fixture(scope="module")
def trained(tiny_base, tmp_path_factory):
    """A run with a real tiny adapter on a random base."""
    home = tmp_path_factory.mktemp("trained")
    (home / "rows.jsonl").write_text("{}\n")
    return write_run(home, tiny_base, "20261101_100000-sft-tiny", home / "rows.jsonl")


def test_adapter_and_merged_model_say_the_same(trained):
    flags = ("--run", trained, "What is in Parts?", "--max-tokens", 12, "--json")
    adapter = ask(*flags, "--with", "adapter")
    assert adapter.exit_code == 0, adapter.output
    merged = ask(*flags, "--with", "merged")
    assert merged.exit_code == 0, merged.output
    found = [json.loads(answer.stdout) for answer in (adapter, merged)]
    assert found[0]["model"].endswith("final_model") and found[1]["model"].endswith("merged_16bit")
    # A random model babbles; bf16 rounding may part the two later on, so only the beginning is compared.
    assert found[0]["reply"][:3] == found[1]["reply"][:3] and found[0]["reply_tokens"] != [0]
    assert found[0]["prompt_tokens"] == found[1]["prompt_tokens"]


def test_the_local_model_stops_where_it_is_told_and_never_repeats_the_prompt(trained, tiny_base):
    answer_torch = pytest.importorskip("lib.answer_torch")
    model = answer_torch.Model(tiny_base, trained / "final_model", "cpu")
    prompt = model.prompt([{"role": "user", "content": "Hi"}], None)
    warm = Sampling(temperature=1.0, seed=5, max_tokens=40)
    whole, cut_off, read, written = model.complete(prompt, warm, ())
    assert cut_off == (written == 40) and read == len(model.tokenizer(prompt)["input_ids"])
    mark = next(letter for letter in whole[1:] if letter.isascii() and letter.isprintable() and letter != whole[0])
    shorter, cut_off, _, _ = model.complete(prompt, warm, (mark,))
    assert shorter == whole[: whole.index(mark)] != "" and not cut_off
    sampled = [model.complete(prompt, Sampling(temperature=1.0, seed=seed, max_tokens=10), ())[0] for seed in (1, 1, 2)]
    assert sampled[0] == sampled[1] != sampled[2]


class Scripted:
    """Stands for a loaded model: notes its prompts, says what it is given."""

    def __init__(self, *answers):
        self.answers, self.prompts, self.messages = list(answers), [], []

    def prompt(self, messages, tools):
        self.messages.append(messages)
        return "|".join(f"{message['role']}:{message['content']}" for message in messages) + "|assistant:"

    def complete(self, prompt, sampling, stop):
        self.prompts.append(prompt)
        text = self.answers.pop(0)
        return text.split(stop[0])[0] if stop else text, False, len(prompt), 5


def local_answer(monkeypatch, form, *answers):
    import contextlib

    model = Scripted(*answers)
    monkeypatch.setattr(single, "opened", lambda source, form: contextlib.nullcontext(LocalModel(model, None)))
    source = single.Source("adapter", single.Path("x"), None)
    fixture = {"notes": {"A.md": "Hello"}}
    return single.ask("Make a folder Ideas", source, form, fixture, Sampling()), model


def test_results_are_fed_back_until_the_model_is_done(monkeypatch):
    answer, model = local_answer(monkeypatch, "native", call_text(), "The folder is there.")
    assert answer["reply"] == "The folder is there." and answer["results"][0]["success"] is True
    assert "Ideas" in answer["changes"]
    assert model.messages[1][1]["tool_calls"][0]["function"]["arguments"]["path"] == "Ideas", (
        "an object for the template"
    )


def test_the_text_form_is_asked_turn_by_turn(monkeypatch):
    arguments = json.dumps({"context": reference_context(load_toolset()), **ARGUMENTS})
    call = f"tool_call: {NAME}\narguments: {arguments}\n\nResult: made up"
    answer, model = local_answer(monkeypatch, "text", call, "\n\nIt is there.")
    assert answer["results"][0]["success"] is True and "made up" not in model.prompts[1]
    assert '\n\nResult: {"success": true' in model.prompts[1] and answer["reply"].strip() == "It is there."


def test_arguments_become_objects_and_other_messages_stay():
    message = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "1", "function": {"name": "x", "arguments": "{}"}}],
    }
    assert with_objects([{"role": "user", "content": "a"}, message])[1]["tool_calls"][0]["function"]["arguments"] == {}
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize("arguments, told", [
    (["  "], "the question is empty"),
    (["--vault", "nowhere", "--execute", "x"], "nor one of: archive"),
    (["--model", "nope.gguf", "x"], "nope.gguf: no such model file"),
    (["--run", "runs/nope", "x"], "no run directory"),
])  # fmt: skip
def test_what_cannot_be_asked_is_a_sentence(arguments, told):
    answer = ask(*arguments)
    assert answer.exit_code == 2 and told in answer.output and "Traceback" not in answer.output


def test_a_fixture_that_is_no_json_is_a_sentence(tmp_path):
    (tmp_path / "v.json").write_text("{")
    with pytest.raises(CannotRun, match="v.json: not JSON"):
        single.fixture_of(str(tmp_path / "v.json"))


def test_a_missing_kind_is_named_with_what_makes_it(trained):
    answer = ask("--run", trained, "--with", "gguf", "x")
    assert answer.exit_code == 2 and f"has no f16 GGUF. Make one: make gguf RUN={trained}" in answer.output


def test_make_hands_question_and_paths_over_as_they_are():
    settings = [
        "PYTHON=py",
        "PLATFORM=cpu",
        'Q=-what\'s in "it"?',
        "EXECUTE=1",
        "VAULT=Ann's own notes",
        "MODEL=~/a b.gguf",
    ]
    line = ["make", "-n", "ask", *settings]
    shown = subprocess.run(line, capture_output=True, text=True).stdout.replace("\\\n", " ")
    printed = shown.replace("py -m scripts.ask", "printf '%s\\n'")
    words = subprocess.run(["sh", "-c", printed], capture_output=True, text=True).stdout.splitlines()
    assert words[-1] == '-what\'s in "it"?' and words[words.index("--vault") + 1] == "Ann's own notes"
    assert words[words.index("--model") + 1] == str(Path.home() / "a b.gguf")
