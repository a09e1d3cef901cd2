"""Failed attempts as rows for KTO (label false, with the reason), of prompt sets that are held back for training.

What a model is measured with must not be trained on. So only the failures of sets that were named as held back become
rows, and no request that is like one of another set; the trainers refuse the shipped evaluation prompts once more.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, field

from evaluator.comparison import reason_of
from evaluator.conversation import heard
from lib.chat import Call, Example, Result, Text, Turn, to_text_row
from lib.contamination import load_prompts, look
from lib.errors import CannotRun
from lib.toolset import Toolset
from lib.validation import check_row


@dataclass
class Failures:
    """rows: what may be trained on; measured: case ids of sets that are not held back; leaks: of those that are, yet
    ask what an evaluation asks; broken: ids that no row can hold."""

    rows: list[dict] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def failures(results: list[dict], toolset: Toolset, held_back: Collection[str] = ()) -> Failures:
    """The failed attempts of the results, each answer once. What the server did to an answer is no failure.

    held_back: names of the prompt sets that are for training; CannotRun for a shipped one.
    """
    asked = load_prompts()
    if shipped := sorted({name.split(":")[0] for name in asked} & set(held_back)):
        raise CannotRun(f"{', '.join(shipped)} is what models are measured with. Hold back a set of your own.")
    records = [(record, result["settings"]["format"]) for result in results for record in result["records"]]
    asked |= {
        f"{record['set']}:{record['id']}": record["question"] for record, _ in records if record["set"] not in held_back
    }
    failed = [(record, form) for record, form in records if record["outcome"] == "model_fail"]
    leaking = leaks({record["question"] for record, _ in failed if record["set"] in held_back}, asked)
    found, seen = Failures(), set()
    for record, form in failed:
        if record["set"] not in held_back or record["question"] in leaking:
            (found.leaks if record["set"] in held_back else found.measured).append(record["id"])
            continue
        row = kto_row(record, form)
        if row is None or any(fault.severity == "error" for fault in check_row(row, toolset)[1]):
            found.broken.append(record["id"])
        elif (text := json.dumps(row["conversations"])) not in seen:
            seen.add(text)
            found.rows.append(row)
    return found


def leaks(questions: set[str], asked: dict[str, str]) -> set[str]:
    """The questions that one of the prompts (set:id -> question) asks, in the same words or nearly so."""
    report = look((("", number, question) for number, question in enumerate(sorted(questions))), asked)
    return {leak.text for leak in report.leaks}


def kto_row(record: dict, form: str) -> dict | None:
    """The attempt in the text form of a dataset, with its reason and its prompt's set and id.

    None when it is no row: broken JSON, or no words.
    """
    parts: list = []
    for step in record["steps"]:
        message = step["reply"].get("message", step["reply"])
        text = message["content"] if isinstance(message.get("content"), str) else ""
        calls = step["calls"]
        if any(call["arguments"] is None for call in calls):
            return None
        # A call that the server left in the text is told as a call below, and its words are not told twice.
        words = text if not calls or not any(heard(text, [], form)) else ""
        parts += [Text(words.strip())] if words.strip() else []
        for call, result in zip(calls, step["results"], strict=True):
            parts += [Call(call["name"], call["arguments"]), Result(result)]
    if not parts:
        return None
    turns = Turn("user", (Text(record["question"]),)), Turn("assistant", tuple(parts))
    try:
        told = {"reason": reason_of(record), "prompt": f"{record['set']}:{record['id']}"}
        return to_text_row(Example(turns, label=False, extra=told))
    except ValueError:
        return None
