"""Failed attempts as rows for KTO (label false, with the reason); never, unasked, for a request of the evaluation."""

import json
from dataclasses import dataclass, field

from evaluator.cases import PROMPTS
from evaluator.comparison import reason_of
from evaluator.conversation import heard
from lib.chat import Call, Example, Result, Text, Turn, to_text_row
from lib.diversity import normal
from lib.jsonl import read_rows
from lib.overlap import TOO_ALIKE, nearest
from lib.toolset import Toolset
from lib.validation import check_row


@dataclass
class Failures:
    """rows: what may be trained on; leaks: case ids that ask what the evaluation asks; broken: ids no row can hold."""

    rows: list[dict] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def failures(results: list[dict], toolset: Toolset, allow_evaluation_prompts: bool = False) -> Failures:
    """The failed attempts of the results, each answer once. What the server did to an answer is no failure."""
    failed = [
        (record, result["settings"]["format"])
        for result in results
        for record in result["records"]
        if record["outcome"] == "model_fail"
    ]
    leaking = set() if allow_evaluation_prompts else leaks({record["question"] for record, _ in failed})
    found, seen = Failures(), set()
    for record, form in failed:
        if record["question"] in leaking:
            found.leaks.append(record["id"])
            continue
        row = kto_row(record, form)
        if row is None or any(fault.severity == "error" for fault in check_row(row, toolset)[1]):
            found.broken.append(record["id"])
        elif (text := json.dumps(row["conversations"])) not in seen:
            seen.add(text)
            found.rows.append(row)
    return found


def leaks(questions: set[str]) -> set[str]:
    """The questions that an evaluation prompt asks, in the same words or nearly so."""
    asked = [row["question"] for path in sorted(PROMPTS.glob("*.jsonl")) for _, row in read_rows(path)]
    same = {normal(question) for question in asked}
    alike = {near.text for near in nearest(sorted(questions), asked) if near.likeness >= TOO_ALIKE}
    return alike | {question for question in questions if normal(question) in same}


def kto_row(record: dict, form: str) -> dict | None:
    """The attempt in the text form of a dataset, with its reason; None when it is no row: broken JSON, or no words."""
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
        return to_text_row(Example(turns, label=False, extra={"reason": reason_of(record)}))
    except ValueError:
        return None
