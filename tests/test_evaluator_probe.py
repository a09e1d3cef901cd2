"""The determinism probe: each kind of server gives its own finding, which decides how many requests go out at once."""

import itertools
import json
import threading

import pytest
from click.testing import CliRunner

from evaluator.__main__ import main
from evaluator.cases import load_cases
from evaluator.comparison import differing
from evaluator.llama_server import LlamaCpp
from evaluator.openai_server import OpenAI
from evaluator.probe import TOKENS, Probe, probe
from evaluator.results import read_result
from lib.toolset import load_toolset
from tests.loopback import PROPS, chat, serving
from tests.servers_support import asking

CASES = load_cases(["full_coverage"], load_toolset(), 6)
CHAT = "/v1/chat/completions"


class Model:
    """A served model whose text depends on what it is told to depend on."""

    def __init__(self, honours_seed=True, minds_company=False, forgets=False, sure=False):
        self.honours_seed, self.minds_company, self.forgets, self.sure = honours_seed, minds_company, forgets, sure
        self.count, self.inside, self.most = itertools.count(), 0, 0
        self.lock, self.company = threading.Lock(), threading.Event()

    def __call__(self, path, body, number):
        if path in ("/health", "/props"):
            return PROPS
        if path == "/v1/models":
            return {"data": [{"id": "m"}]}
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside > 1:
                self.company.set()
        # Whoever comes alone has nobody to wait for; in company it lasts until another one has come.
        together = self.company.wait(0.05)
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.company.clear()
        return chat(self.text(body, together))

    def text(self, body, together):
        said = [body["messages"][0]["content"]]
        if body["temperature"] > 0 and not self.sure:
            said.append(body["seed"] if self.honours_seed else next(self.count))
        if self.minds_company and together:
            said.append("in company")
        if self.forgets:
            said.append(next(self.count))
        return " ".join(map(str, said))


def found(model, parallel=4, form="native", backend=OpenAI, cases=CASES):
    with serving(model) as server:
        return probe(cases, asking(backend(server.url, "m")), form, parallel), server


@pytest.mark.parametrize(
    ("model", "expected", "parallel", "says"),
    [
        (Model(), Probe(True, True, True, 4), 4, "a seed is honoured, 4 requests at once change no text"),
        (Model(honours_seed=False), Probe(True, False, True, 4), 4, "a seed is ignored"),
        (Model(minds_company=True), Probe(True, True, False, 4), 1, "4 requests at once change the text"),
        (Model(forgets=True), Probe(False, False, False, 4), 4, "the same request gives another text at times"),
        (Model(sure=True), Probe(True, None, True, 4), 4, "the same text again, 4 requests"),
    ],
)
def test_each_kind_of_server_is_told_apart_and_decides_the_concurrency(model, expected, parallel, says):
    seen, server = found(model)
    assert seen == expected and seen.parallel(4) == parallel and says in seen.says()
    assert model.most > 1 and all(body["max_tokens"] <= TOKENS for body in server.asked(CHAT))


def test_one_slot_needs_no_company():
    model = Model(minds_company=True)
    seen, server = found(model, parallel=1)
    assert seen == Probe(True, True, None, 1) and seen.parallel(1) == 1 and model.most == 1
    assert "at once" not in seen.says() and len({body["messages"][0]["content"] for body in server.asked(CHAT)}) == 1


def test_the_text_form_is_probed_as_it_is_asked():
    def answer(path, body, number):
        if path == "/apply-template":
            return {"prompt": body["messages"][0]["content"]}
        return {"content": f"{body['prompt']} {body['seed'] if body['temperature'] else ''}", "stop_type": "eos"}

    seen, server = found(answer, form="text", backend=LlamaCpp)
    assert seen == Probe(True, True, True, 4) and server.asked("/completion")[0]["stop"] == ["\nResult:"]


def test_calls_count_and_their_ids_do_not():
    count = itertools.count()

    def answer(path, body, number):
        reply = chat(None, [("get_tools", {"tools": [str(body["seed"])] if body["temperature"] else []})])
        reply["choices"][0]["message"]["tool_calls"][0]["id"] = str(next(count))
        return reply

    assert found(answer)[0] == Probe(True, True, True, 4)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda path, body, number: "close", Probe(None, None, None, 1)),
        (lambda path, body, number: (503, {"error": "busy"}), Probe(None, None, None, 1)),
        (lambda path, body, number: (500, {"error": "Failed to parse input at pos 3: {"}), Probe(True, None, True, 4)),
        (lambda path, body, number: chat("a") if number == 0 else "close", Probe(None, None, None, 4)),
    ],
)
def test_a_server_that_gives_no_text_is_not_judged(answer, expected):
    seen = found(answer)[0]
    assert seen == expected and seen.parallel(4) == 4
    assert expected.repeats or seen.says() == "the server could not be probed"


# ---------------------------------------------------------------- in a run


pytestmark = pytest.mark.usefixtures("retries_at_once")


def run(server, out, *more):
    options = ["--backend", "llamacpp", "--url", server.url, "--out", str(out), "--limit", "6", *more]
    done = CliRunner().invoke(main, options, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return read_result(out), done.stderr


def test_a_run_asks_one_at_a_time_where_company_changes_the_text(tmp_path):
    with serving(Model(minds_company=True)) as server:
        result, err = run(server, tmp_path / "a")
        named, _ = run(server, tmp_path / "b", "--parallel", "2")
        unasked, quiet = run(server, tmp_path / "c", "--no-probe")
    assert result["settings"]["parallel"] == 1 and result["probe"]["steady"] is False
    assert "2 requests at once change the text. So one at a time; --parallel 2 is faster." in err
    assert named["settings"]["parallel"] == 2 and named["probe"]["steady"] is False
    assert unasked["probe"] is None and unasked["settings"]["parallel"] == 2 and "Probe" not in quiet
    assert "change the text" in (tmp_path / "a" / "report.md").read_text()
    assert "change the text" in (tmp_path / "a" / "report.html").read_text()


def test_what_was_found_is_kept_for_an_evaluation_that_goes_on(tmp_path):
    with serving(Model(minds_company=True)) as server:
        run(server, tmp_path)
        path = tmp_path / "journal.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        asked = [number for number, line in enumerate(lines) if "outcome" in json.loads(line)]
        path.write_text("".join(lines[: asked[1] + 1]))
        server.requests.clear()
        result, err = run(server, tmp_path)
        assert len(server.asked(CHAT)) == 4 and "2 of 6 cases are done already" in err
    assert result["settings"]["parallel"] == 1 and result["probe"]["steady"] is False


def test_nothing_of_it_is_an_attempt(tmp_path):
    with serving(Model()) as server:
        result, _ = run(server, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert len([row for row in rows if "request" in row]) == 6 == len(result["records"])
    assert [row["probe"] for row in rows if "probe" in row] == [
        {"repeats": True, "seed": True, "steady": True, "asked": 2}
    ]


def test_comparing_servers_that_behave_otherwise_warns():
    def result(label, **found):
        seen = Probe(**{"repeats": True, "seed": True, "steady": True, "asked": 4} | found)
        return {"label": label, "settings": {}, "stopped": "", "probe": {**vars(seen), "says": seen.says()}}

    assert differing([result("a"), result("b")]) == []
    (warning,) = differing([result("a"), result("b", seed=False)])
    assert (
        warning.startswith("the probes found a: ")
        and "b: the same request gives the same text again, a seed is ig" in warning
    )
    assert len(differing([result("a"), result("a", seed=False)])) == 1  # one model, two servers
    (warning,) = differing([result("a", repeats=False), result("b", repeats=False)])
    assert warning == "a and b may give another text each time: --repeats tells noise apart"
    assert differing([result("a"), {"label": "old", "settings": {}, "stopped": ""}]) == []
