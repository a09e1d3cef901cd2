"""Two evaluations side by side: flips with reasons, the exact test on clean pairs, warnings, gates, the sentence."""

import json

import pytest
from click.testing import CliRunner

from evaluator.compare import main
from evaluator.comparison import compare, p_text
from evaluator.results import result_file
from evaluator.statistics import summarize
from lib.errors import CannotRun

NAMES = {"p": "pass", "f": "model_fail", "l": "server_lost", "i": "infra"}


def record(case, letter, attempt=1):
    failed = {"code": "wrong-tool", "message": f"{case} took the other", "path": "calls", "severity": "error"}
    return {
        "id": case,
        "attempt": attempt,
        "set": "s",
        "tags": [],
        "tools": [],
        "outcome": NAMES[letter],
        "right_tool": letter == "p",
        "valid_call": True,
        "findings": [] if letter == "p" else [failed],
        "steps": [],
        "seconds": 1.0,
    }


def result(label, outcomes, stopped="", fingerprint=None, **settings):
    """outcomes: one letter a case, or one word a case with a letter for each attempt."""
    records = [record(f"c{n}", letter, k) for n, word in enumerate(outcomes) for k, letter in enumerate(word, start=1)]
    return {
        "label": label,
        "settings": {"format": "native", "prompts": ["s"], **settings},
        "fingerprint": fingerprint or {"model": label, "build": "b1"},
        "stopped": stopped,
        "seconds": 1.0,
        "summary": summarize(records),
        "records": records,
    }


def run(tmp_path, a, b, *options):
    for name, content in (("a", a), ("b", b)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "results.json").write_text(json.dumps(content))
    done = CliRunner().invoke(main, [str(tmp_path / "a"), str(tmp_path / "b"), *map(str, options)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_three_more_and_one_fewer_of_47_are_noise(tmp_path):
    code, out, err = run(tmp_path, result("SFT", "p" * 20 + "f" * 27), result("KTO", "f" + "p" * 22 + "f" * 24))
    assert code == 0 and err == ""
    lines = out.splitlines()
    assert lines[0].startswith("A  SFT  20/47 (43 %, 30 %–57 %)") and lines[1].startswith("B  KTO  22/47")
    assert lines[lines.index("Passed in A, fails in B:") + 1] == "  c0  wrong-tool: c0 took the other"
    assert lines[lines.index("Failed in A, passes in B:") + 1] == "  c20  wrong-tool: c20 took the other"
    assert lines[-1] == (
        "KTO passes 3 more and 1 fewer of 47 than SFT: noise (p = .63); this set shows differences from 10 cases up."
    )


def test_six_more_and_none_fewer_are_no_noise():
    found = compare(result("a", "f" * 20), result("b", "p" * 6 + "f" * 14))
    assert found["p"] == pytest.approx(2 / 64) and "a gain beyond noise (p = .031)" in found["sentence"]


def test_only_clean_pairs_count():
    """A server that ate an answer, or gave none, is no regression of the model."""
    found = compare(result("a", "ppppp"), result("b", "plifp"))
    assert [flip["id"] for flip in found["regressions"]] == ["c3"]
    assert found["pairs"] == 3 and found["a"]["pass"]["of"] == 3
    assert found["unclean"] == [
        {"id": "c1", "a": "pass", "b": "server_lost"},
        {"id": "c2", "a": "pass", "b": "infra"},
    ]


def test_too_many_unclean_cases_are_no_comparison(tmp_path):
    code, out, err = run(tmp_path, result("a", "p" * 10), result("b", "ii" + "p" * 8))
    assert code == 2 and "2 of 10 common cases have no clean answer" in err and "c0  A: pass, B: infra" in out


def test_an_unfinished_result_is_no_comparison(tmp_path):
    code, _, err = run(tmp_path, result("a", "pp"), result("b", "p", stopped="interrupted"))
    assert code == 2 and "b did not come to an end" in err


def test_results_without_a_common_case_are_refused(tmp_path):
    other = result("b", "p")
    other["records"][0]["id"] = "elsewhere"
    code, _, err = run(tmp_path, result("a", "p"), other)
    assert code == 2 and "no case in common" in err


def test_shared_cases_of_different_sets_are_compared_and_the_rest_is_named(tmp_path):
    code, out, _ = run(tmp_path, result("a", "ppp"), result("b", "pp"))
    assert code == 0 and "Only in A: 1 cases, such as c2" in out


@pytest.mark.parametrize(
    "options, code, words",
    [
        ([], 0, ""),
        (["--max-regressions", 2], 0, ""),
        (["--max-regressions", 1], 1, "2 cases regress"),
        (["--max-drop", 0.1], 0, ""),
        (["--max-drop", 0.09], 1, "drops by 0.100"),
        (["--alpha", 0.5], 1, "a loss beyond noise (p = .5)"),
    ],
)
def test_gates(tmp_path, options, code, words):
    done = run(tmp_path, result("a", "p" * 10 + "f" * 10), result("b", "ff" + "p" * 8 + "f" * 10), *options)
    assert done[0] == code and words in done[2]


def test_a_loss_beyond_noise_fails_without_any_gate(tmp_path):
    code, _, err = run(tmp_path, result("a", "p" * 20), result("b", "f" * 6 + "p" * 14))
    assert code == 1 and "B is worse than A: a loss beyond noise (p = .031)" in err


def test_several_attempts_are_compared_by_case():
    """c0 loses one of two, c1 gains one of three: shares, and the signs of two cases cannot convince."""
    found = compare(result("a", ["pp", "fff", "p"]), result("b", ["pf", "fpf", "pp"], repeats=2))
    assert found["difference"] == pytest.approx((-1 / 2 + 1 / 3) / 3) and found["p"] == 1
    assert found["regressions"][0] | {"reason": ""} == {"id": "c0", "a": "2/2", "b": "1/2", "reason": ""}
    assert "more often in 1 and less often in 1 of 3" in found["sentence"]
    assert "too small to show a difference" in found["sentence"]


def test_what_makes_results_unlike_is_named(tmp_path):
    a = result("a", "pp", prompts_sha256="1" * 64, temperature=0.0, repeats=1)
    server = {"model": "b", "build": "b2"}
    b = result("b", "pp", prompts_sha256="2" * 64, temperature=0.7, fingerprint=server)
    _, _, err = run(tmp_path, a, b)
    assert 'differ in prompts_sha256: "111111111111", "222222222222"' in err
    assert "differ in temperature: 0.0, 0.7" in err and 'differ in the server\'s build: "b1", "b2"' in err
    assert "model" not in err and "repeats" not in err


def test_json_holds_it_all(tmp_path):
    code, out, _ = run(tmp_path, result("a", "pf"), result("b", "fp"), "--max-regressions", 0, "--json")
    found = json.loads(out)
    assert found["exit"] == code == 1 and found["faults"] and found["a"]["path"].endswith("a/results.json")
    assert {"pairs", "p", "smallest", "sentence", "regressions", "gains", "warnings"} <= found.keys()


def test_the_page_shows_both_flips_first(tmp_path):
    code, _, err = run(tmp_path, result("SFT", "ppf"), result("KTO", "pfp"), "--page", tmp_path / "both.html")
    text = (tmp_path / "both.html").read_text()
    assert code == 0 and "both.html" in err and "KTO against SFT" in text
    assert text.index('"id":"c1"') < text.index('"id":"c2"') < text.index('"id":"c0"')


def test_models_of_one_name_are_told_apart():
    assert compare(result("m", "p"), result("m", "p"))["sentence"].startswith("B passes 0 more and 0 fewer of 1 than A")


@pytest.mark.parametrize("p, text", [(1.0, "p = 1"), (0.625, "p = .63"), (0.0390625, "p = .039"), (0.0001, "p < .001")])
def test_p_is_written_short(p, text):
    assert p_text(p) == text


def test_a_run_stands_for_its_evaluation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_folder = tmp_path / "runs" / "20251122_090000-sft-tiny"
    for name in ("m-f16-native", "m-Q8_0-native"):
        (run_folder / "eval" / name).mkdir(parents=True)
        (run_folder / "eval" / name / "results.json").write_text("{}")
    assert result_file(run_folder).parent.name == "m-f16-native"
    assert result_file("20251122_090000-sft-tiny").parent.name == "m-f16-native"
    (run_folder / "eval" / "m-f16-text").mkdir()
    (run_folder / "eval" / "m-f16-text" / "results.json").write_text("{}")
    with pytest.raises(CannotRun, match="name one: .*m-f16-native, .*m-f16-text"):
        result_file(run_folder)
