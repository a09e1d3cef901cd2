"""scripts.demo: every stage once, nothing twice, and one table of four models at the end."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluator.statistics import summarize
from scripts import demo

STATE = Path("build/cpu-tiny-native-none")
PASSED = {"base": 0, "SFT": 7, "KTO": 8, "KTO Q4_K_M": 6}


def option_of(line, name):
    return line[line.index(name) + 1]


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """run(*options) -> click's answer, on a folder where commands only write the files that the real ones would."""
    monkeypatch.chdir(tmp_path)
    for path in ("configs/tools.json", "evaluator/prompts/full_coverage.jsonl", "evaluator/prompts/baseline.jsonl"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("{}\n")
        os.utime(path, (1, 1))
    calls, had, fail = [], set(), {}

    def make(target):
        if target == "validate":
            report = Path("build/validated/sft.json")
            if not report.exists():
                report.parent.mkdir(parents=True)
                report.write_text("{}")
        elif not (STATE / f"{target}.run").exists():
            (STATE / f"{target}.run").write_text(f"runs/{target}\n")

    def gguf(line):
        folder = Path("build/toolset-tiny-base" if "--base" in line else option_of(line, "--run")) / "gguf"
        files = []
        for kind in ("f16", *option_of(line, "--quants").split()):
            path = folder / f"model-{kind}.gguf"
            files.append({"type": kind, "path": str(path), "bytes": 1, "made": not path.exists()})
            path.parent.mkdir(parents=True, exist_ok=True)
            if files[-1]["made"]:
                path.write_text("x")
        return json.dumps({"files": files})

    def evaluate(line):
        label, out = option_of(line, "--label"), Path(option_of(line, "--out"))
        records = [record(number, number < PASSED[label]) for number in range(10)]
        settings = {"format": option_of(line, "--format"), "prompts": option_of(line, "--prompts").split(",")}
        result = {"label": label, "settings": settings, "stopped": "", "seconds": 12.0, "summary": summarize(records)}
        out.mkdir(parents=True, exist_ok=True)
        (out / "results.json").write_text(json.dumps(result))

    def call(line, capture):
        name = line[2]
        had.add(name)
        calls.append(name if name != "evaluator" else f"eval {option_of(line, '--label')}")
        if name in fail:
            return fail[name], None
        text = {"scripts.gguf": gguf, "evaluator": evaluate, "scripts.llama_cpp": lambda _: ""}.get(
            name, lambda _: make(line[2])
        )(line)
        return 0, text

    monkeypatch.setattr(demo, "call", call)
    monkeypatch.setattr("lib.llama_cpp.find", lambda: "here" if "scripts.llama_cpp" in had else None)

    def run(*options):
        calls.clear()
        return CliRunner().invoke(demo.main, options)

    run.calls, run.fail = calls, fail
    return run


def record(number, passed):
    return {
        "id": f"case {number}",
        "outcome": "pass" if passed else "model_fail",
        "seconds": 1.0,
        "steps": [],
        "right_tool": passed,
        "valid_call": True,
        "set": "full_coverage",
        "tags": [],
        "tools": [],
        "findings": [],
    }


EVERYTHING = [
    "scripts.llama_cpp",
    "validate",
    "sft",
    "kto",
    *["scripts.gguf"] * 3,
    *[f"eval {name}" for name in PASSED],
]


def test_the_demo_ends_with_one_row_a_model(pipeline):
    answer = pipeline()
    assert answer.exit_code == 0, answer.output
    assert pipeline.calls == EVERYTHING
    cells = [[cell.strip() for cell in line.split("│")] for line in answer.stdout.splitlines() if "│" in line]
    passes = {row[1]: row[3].split(" ")[0] for row in cells if row[1] in PASSED}
    assert passes == {label: f"{passed}/10" for label, passed in PASSED.items()}
    assert "0/10 (0 %, 0 %–28 %)" in answer.stdout


def test_the_demo_names_every_file_it_made_and_they_exist(pipeline):
    lines = pipeline().stdout.splitlines()
    files = [line for line in lines if "/" in line and " " not in line]
    assert "runs/kto/gguf/model-Q8_0.gguf" in files
    assert "runs/kto/eval/model-Q4_K_M-native/report.md" in files
    assert str(STATE / "demo.html") in files
    of_evaluations = ("report.md", "report.html", "junit.xml")  # the stand-in for an evaluation writes no reports
    missing = [path for path in files if not Path(path).exists() and not path.endswith(of_evaluations)]
    assert missing == []


def test_a_second_demo_reuses_everything_and_still_shows_the_times(pipeline):
    pipeline()
    tally = (STATE / "demo.json").read_text()
    answer = pipeline()
    assert [name for name in pipeline.calls if name.startswith("eval")] == []
    assert (STATE / "demo.json").read_text() == tally
    assert answer.stdout.count("reused") == len(EVERYTHING)
    assert "7/10" in answer.stdout


def test_a_new_model_is_measured_again_and_only_that_one(pipeline):
    pipeline()
    later = Path("runs/kto/eval/model-f16-native/results.json").stat().st_mtime + 5
    os.utime("runs/kto/gguf/model-f16.gguf", (later, later))
    pipeline()
    assert [name for name in pipeline.calls if name.startswith("eval")] == ["eval KTO"]


@pytest.mark.parametrize(
    "source", ["evaluator/prompts/full_coverage.jsonl", "configs/tools.json", "evaluator/checkers.py"]
)
def test_new_judges_measure_everything_again(pipeline, source):
    pipeline()
    later = Path("runs/kto/eval/model-f16-native/results.json").stat().st_mtime + 5
    Path(source).touch()
    os.utime(source, (later, later))
    pipeline()
    assert [name for name in pipeline.calls if name.startswith("eval")] == [f"eval {name}" for name in PASSED]


def test_other_prompts_are_not_answered_by_old_results(pipeline):
    pipeline()
    pipeline("--prompts", "baseline")
    assert len([name for name in pipeline.calls if name.startswith("eval")]) == 4


def test_a_stopped_evaluation_does_not_count(pipeline):
    pipeline()
    path = Path("runs/sft/eval/model-f16-native/results.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stopped": "interrupted"}))
    pipeline()
    assert [name for name in pipeline.calls if name.startswith("eval")] == ["eval SFT"]


def test_a_failing_stage_is_named_and_ends_the_demo(pipeline):
    pipeline.fail["kto"] = 2
    answer = pipeline()
    assert answer.exit_code == 2
    assert "kto failed with exit code 2" in answer.stderr
    assert pipeline.calls[-1] == "kto"


def test_two_demos_at_once_are_refused(pipeline):
    with demo.alone(STATE):
        answer = pipeline()
    assert answer.exit_code == 2
    assert "another make demo is at work" in answer.stderr
    assert pipeline.calls == []


def test_without_quants_three_models_are_compared(pipeline):
    answer = pipeline("--quants", "")
    assert answer.exit_code == 0, answer.output
    assert pipeline.calls[-1] == "eval KTO"
