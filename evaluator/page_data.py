"""What the page holds of each case: prompt, and for every run the findings, the conversation and the changed vault."""

from collections.abc import Sequence
from fractions import Fraction

from evaluator.shown import shown
from evaluator.statistics import IN_RATE, by_case, passes

MOST = 40  # steps of an attempt, calls of a step and findings that are shown; results.json has them all
SHORT = 600
# What became of a case, in the order of the list; the first three only where several runs are compared.
KINDS = ("lost", "gained", "changed", "failed", "passed")


def page_data(results: Sequence[dict]) -> dict:
    """{"runs": labels, "cases": [...]}: every text shortened and visible; cases that changed first, then the failed."""
    attempts = [grouped(result.get("records", [])) for result in results]
    ids = list(dict.fromkeys(case for run in attempts for case in run))
    shares = [pass_shares(result.get("records", [])) for result in results]
    cases = [case_of([run.get(case) for run in attempts], [share.get(case) for share in shares]) for case in ids]
    cases.sort(key=lambda case: KINDS.index(case["kind"]))  # stable: within a kind as they were asked
    return {"runs": [shown(result.get("label", ""), 80) for result in results], "cases": cases}


def grouped(records: Sequence[dict]) -> dict[str, list[dict]]:
    """Case id -> its attempts."""
    cases: dict[str, list[dict]] = {}
    for record in records:
        cases.setdefault(record["id"], []).append(record)
    return cases


def pass_shares(records: Sequence[dict]) -> dict[str, Fraction]:
    """Case id -> the share of its attempts with a clean answer (pass or model_fail) that pass."""
    clean = [record for record in records if record["outcome"] in IN_RATE]
    return {case: Fraction(passed, of) for case, (passed, of) in by_case(clean, passes).items()}


def case_of(runs: Sequence[list[dict] | None], shares: Sequence[Fraction | None]) -> dict:
    """One case with its attempts in each run (None where it was not asked)."""
    first = next(run[0] for run in runs if run)
    return {
        "id": shown(first["id"], SHORT),
        "set": shown(first.get("set", ""), SHORT),
        "tags": [shown(tag, SHORT) for tag in first.get("tags", [])],
        "tools": [shown(tool, SHORT) for tool in first.get("tools", [])],
        "question": shown(first.get("question", "")),
        "kind": kind_of(runs, shares),
        "runs": [run and [attempt_of(record) for record in run] for run in runs],
    }


def kind_of(runs: Sequence[list[dict] | None], shares: Sequence[Fraction | None]) -> str:
    """One of KINDS. lost and gained are between two runs that both answered; changed is among more of them."""
    known = [share for share in shares if share is not None]
    if len(set(known)) > 1:
        return "changed" if len(runs) > 2 else "lost" if known[1] < known[0] else "gained"
    return "passed" if all(passes(record) for run in runs if run for record in run) else "failed"


def attempt_of(record: dict) -> dict:
    """One attempt: outcome, findings, steps, what the calls changed in the vault, and what ought to have changed."""
    findings = [
        [shown(finding.get("code", ""), 80), shown(finding.get("message", ""), SHORT)]
        for finding in cut(record.get("findings", []))
    ]
    more = len(record.get("findings", [])) - MOST
    if more > 0:
        findings.append(["…", f"{more} more, in results.json"])
    return {
        "outcome": record["outcome"],
        "number": record.get("attempt", 1),
        "seconds": record.get("seconds"),
        "calls": [record["used"], record["minimum"]] if "minimum" in record else None,  # made, and the fewest that do
        "findings": findings,
        "steps": [step_of(step) for step in cut(record.get("steps", []))] or told(record),
        "changes": shown(record.get("changes", "")),
        "wanted": shown(record.get("wanted", "")),
    }


def at(items: list, place: int) -> object:
    """The item there, None beyond the end."""
    return items[place] if place < len(items) else None


def cut(items: list) -> list:
    """The first of many items."""
    return items[:MOST]


def step_of(step: dict) -> dict:
    """One answer of the model: its text, what it thought aloud, its calls with their results, and how it ended."""
    reply = step.get("reply") if isinstance(step.get("reply"), dict) else {}
    message = reply.get("message") if isinstance(reply.get("message"), dict) else reply
    thought = message.get("reasoning_content") or message.get("reasoning") or message.get("thinking") or ""
    results, raw = step.get("results", []), raw_arguments(message)
    return {
        "text": shown(message.get("content") or ""),
        "thought": shown(thought),
        "calls": [
            call_of(call, at(results, place), at(raw, place)) for place, call in enumerate(cut(step.get("calls", [])))
        ],
        "note": step_note(step),
    }


def step_note(step: dict) -> str:
    """What was out of the ordinary about an answer: an error of the server, calls that it left in the text, a cut."""
    notes = [f"the server said: {shown(step['error'], SHORT)}"] if step.get("error") else []
    calls, delivered = len(step.get("calls", [])), step.get("delivered")
    if delivered is not None and delivered < calls:
        notes.append(f"{calls - delivered} of {calls} calls were found in the text; the server delivered {delivered}")
    if calls > MOST:
        notes.append(f"{calls} calls, of which {MOST} are shown")
    if step.get("finish") == "length":
        notes.append("cut off at --max-tokens")
    return "; ".join(notes)


def call_of(call: dict, result: object, raw: object = None) -> dict:
    """A call with its arguments, their context apart, and its result as text; raw: what stood for broken arguments."""
    arguments, context = call.get("arguments"), None
    if isinstance(arguments, dict):
        context, arguments = arguments.get("context"), {key: arguments[key] for key in arguments if key != "context"}
    return {
        "name": shown(call.get("name", ""), 200),
        "arguments": shown(raw if arguments is None and raw is not None else arguments),
        "context": "" if context is None else shown(context, SHORT * 2),
        "result": "" if result is None else shown(result, SHORT * 2),
    }


def raw_arguments(message: dict) -> list:
    """What the server delivered as arguments, call by call."""
    calls = message.get("tool_calls") if isinstance(message.get("tool_calls"), list) else []
    functions = [call.get("function") if isinstance(call, dict) else None for call in calls]
    return [function.get("arguments") if isinstance(function, dict) else None for function in functions]


def told(record: dict) -> list[dict]:
    """Calls and reply of a record that holds no steps, as the steps of one conversation."""
    calls = [call_of(call, None) for call in cut(record.get("calls", []))]
    text = shown(record.get("reply") or "")
    return [{"text": text, "thought": "", "calls": calls, "note": ""}] if text or calls else []
