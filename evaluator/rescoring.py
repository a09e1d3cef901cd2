"""Old answers judged again: a journal's replies parsed, run and checked by today's code, without the model."""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

from evaluator.bfcl import Question
from evaluator.cases import Case, load_cases
from evaluator.conversation import Conversation, heard
from evaluator.files import write_files
from evaluator.journal import LATER, read_journal
from evaluator.own_tools import load_tools
from evaluator.results import JOURNAL, RESULTS
from evaluator.runner import verdict_on
from evaluator.settings import judged_by
from evaluator.statistics import summarize
from lib.errors import CannotRun
from lib.toolset import Toolset


@dataclass(frozen=True)
class Rescored:
    """One evaluation judged again.

    changed: {"id", "attempt", "was", "is", "finding"}; kept: (id, why) of what could not be judged again;
    other_results: ids whose calls give other results now than those the model was shown; result: as results.json.
    """

    folder: Path
    changed: list[dict]
    kept: list[tuple[str, str]]
    other_results: list[str]
    result: dict


def rescore(folder: Path, toolset: Toolset, prompts: list[str] | None = None) -> Rescored:
    """The verdicts of today; prompts names the sets where the journal's own names do not find them."""
    told = read_journal(folder / JOURNAL)
    settings = told.settings
    if settings is None:
        raise CannotRun(f"{folder / JOURNAL}: its first line holds no settings, so it is no evaluation's journal.")
    settings = LATER | settings
    if "tools" in settings:
        toolset = load_tools(Path(settings["tools"]))
    answers = Path(settings["answers"]) if "answers" in settings else None
    cases = load_cases(prompts or settings["prompts"], toolset, settings["limit"], answers)
    known = {case.id: case for case in cases}
    changed, kept, other_results, records = [], [], [], {}
    for key, old in told.attempts.items():
        if why := cannot_judge(old, known.get(old["id"])):
            kept.append((old["id"], why))
            records[key] = old
            continue
        new, same = judged_again(known[old["id"]], old, settings["format"], toolset)
        records[key] = new
        if not same:
            other_results.append(old["id"])
        if new["outcome"] != old["outcome"]:
            changed.append(change(old, new))
    order = {case.id: place for place, case in enumerate(cases)}
    ranked = sorted(records, key=lambda key: (order.get(key[0], len(order)), key[1]))
    result = as_result(folder, settings | judged_by(cases, toolset), [records[key] for key in ranked])
    return Rescored(folder, changed, kept, other_results, result)


def judged_again(case: Case | Question, old: dict, form: str, toolset: Toolset) -> tuple[dict, bool]:
    """(the record with today's verdict, whether the calls give the results that the model was shown)."""
    talk, same = replay(case, old, form)
    return old | verdict_on(case, talk, toolset), same


def cannot_judge(record: dict, case: Case | Question | None) -> str:
    """Why an attempt keeps its verdict, "" when it is judged again."""
    if record["outcome"] == "infra":
        return "there was no answer"
    if case is None:
        return "the case is no longer in its set"
    return "" if case.question == record["question"] else "the case asks something else now"


def replay(case: Case | Question, record: dict, form: str) -> tuple[Conversation, bool]:
    """(the conversation with its calls found and run again, whether every result is the one the model was shown)."""
    talk, same = Conversation(case.fresh_vault(), case.runs), True
    for step in record["steps"]:
        message = step["reply"].get("message", step["reply"])
        text = message["content"] if isinstance(message.get("content"), str) else ""
        tool_calls = message["tool_calls"] if isinstance(message.get("tool_calls"), list) else []
        delivered, left = heard(text, tool_calls, form)
        calls = [talk.run(found) for found in delivered + left]
        same &= json.loads(json.dumps([call.result for call in calls])) == step["results"]
        talk.lost |= bool(left)
        talk.reply = text
        talk.cut_off = step["finish"] == "length" and (form == "native" or not calls)
    return talk, same


def change(old: dict, new: dict) -> dict:
    """What became of a verdict, and the finding that is new, or that is gone."""
    pair = (new, old) if new["outcome"] == "model_fail" else (old, new)
    codes = {finding["code"] for finding in pair[1]["findings"]}
    telling = [finding for finding in pair[0]["findings"] if finding["code"] not in codes] or pair[0]["findings"]
    word = "now" if pair[0] is new else "no longer"
    said = f"{word} {telling[0]['code']}: {telling[0]['message']}" if telling else "a call that the server lost"
    return {"id": old["id"], "attempt": old["attempt"], "was": old["outcome"], "is": new["outcome"], "finding": said}


def as_result(folder: Path, settings: dict, records: list[dict]) -> dict:
    """The old results.json with today's records and summary; from the journal alone where there is none."""
    path = folder / RESULTS
    stopped = "no results.json was there, only the journal"
    old = {"label": settings["model"] or settings["gguf"] or folder.name, "fingerprint": {}, "stopped": stopped}
    old |= {"settings": {}, "seconds": sum(record["seconds"] for record in records)}
    if path.is_file():
        old |= json.loads(path.read_text(encoding="utf-8"))
    new = {"settings": old["settings"] | settings, "summary": summarize(records), "records": records}
    return old | {"rescored": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")} | new


def write(rescored: Rescored) -> None:
    """Results and reports anew; the journal stays as it is."""
    write_files(rescored.folder, rescored.result)
