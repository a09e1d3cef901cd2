"""Evaluations of model files by command, and whether an earlier one still holds: what the demo and the ladder share."""

import json
import subprocess
import sys
from pathlib import Path

from evaluator.results import JOURNAL
from lib.cli import log

LONGEST_ANSWER = 320  # tokens: right answers have up to 240, and a model that rambles should not take all day
# What a verdict rests on beside the model: results older than one of these are made again.
JUDGES = ("configs/tools.json", "evaluator/*.py", "lib/vault/*.py")
# How the command below asks; a result that was asked in another way is no rung of a ladder.
ASKED = {"max_tokens": LONGEST_ANSWER, "temperature": 0.0, "repeats": 1, "limit": None}


def place_of(gguf: Path, form: str) -> Path:
    """The folder for a model file's evaluation."""
    return gguf.parent.parent / "eval" / f"{gguf.stem}-{form}"


def evaluation(label: str, gguf: Path, form: str, prompts: str, resume: bool) -> list[str]:
    """The command that evaluates a model file into its folder; resume: go on with what was stopped there.

    Of a result that holds but for cases without an answer, only these are asked. Without the probe: these results
    serve to be looked at side by side soon.
    """
    out = place_of(gguf, form)
    resume = (resume and was_stopped(out, gguf)) or unanswered(out / "results.json", gguf, prompts) is not None
    line = [sys.executable, "-m", "evaluator", "--gguf", str(gguf), "--prompts", prompts, "--format", form]
    line += ["--label", label, "--out", str(out), "--max-tokens", str(LONGEST_ANSWER), "--no-probe"]
    return [*line, "--resume" if resume else "--fresh"]


def call(line: list[str], capture: bool, advice: str) -> tuple[int, str | None]:
    """(exit code, stdout when captured) of a command; Ctrl-C waits for it to save its work, then says the advice."""
    with subprocess.Popen(line, stdout=subprocess.PIPE if capture else None, text=True) as process:
        try:
            text, _ = process.communicate()
        except KeyboardInterrupt:
            process.communicate()
            log(advice)
            raise
    return process.returncode, text


def was_stopped(out: Path, gguf: Path) -> bool:
    """Whether an evaluation of this model file began here and did not come to its end."""
    from evaluator.journal import read_journal  # not above: --help runs where orjson is not installed

    journal = out / JOURNAL
    if not journal.is_file() or journal.stat().st_mtime < gguf.stat().st_mtime:
        return False
    return not read_journal(journal).ended


def is_current(results: Path, gguf: Path, prompts: str) -> bool:
    """Whether there is a result of these prompts, newer than the model and all that judges it, each case answered."""
    return unanswered(results, gguf, prompts) == 0


def unanswered(results: Path, gguf: Path, prompts: str) -> int | None:
    """How many cases of such a result got no answer; None where no result holds."""
    if not results.is_file():
        return None
    result = json.loads(results.read_text(encoding="utf-8"))
    settings = result["settings"]
    if (
        result["stopped"]
        or result.get("settled")
        or settings["prompts"] != [Path(name).stem for name in prompts.split(",")]
    ):
        return None
    if any(settings.get(name, value) != value for name, value in ASKED.items()):
        return None
    sets = [name if name.endswith(".jsonl") else f"evaluator/prompts/{name}.jsonl" for name in prompts.split(",")]
    sources = [gguf, *map(Path, sets), *(path for pattern in JUDGES for path in Path().glob(pattern))]
    if results.stat().st_mtime <= max(path.stat().st_mtime for path in sources):
        return None
    return result["summary"]["outcomes"]["infra"]
