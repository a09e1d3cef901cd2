"""Ways to get a plan or an answer wrong. Nothing here is wrong yet: lib.synth.negatives proves it or drops it."""

import difflib
from contextlib import suppress

from lib.synth.faults import SUCCESS, Draft, Made, made_calls, replaced, schema_drafts, with_argument, with_context
from lib.synth.phrasing import first_that_fills
from lib.synth.seeds import stamp_id
from lib.synth.templates import Gap, fill, fill_text, path_fields, plain, sentence_case
from lib.synth.visible import ID, NUMERAL, Seen
from lib.toolset import load_toolset

FAMILY_OF_REASON = {
    "wrong-tool": "world", "wrong-target": "world", "wrong-flag": "world", "wrong-value": "world",
    "incomplete": "world", "extra-effect": "world", "wrong-order": "process", "no-lookup": "process",
    "dropped-call": "process", "repeated-call": "process", "guessed-id": "process",
    "acts-instead-of-asking": "decision", "needless-question": "decision", "needless-refusal": "decision",
    "needless-call": "decision", "ignores-result": "decision", "false-claim": "honesty",
    "claim-without-call": "honesty", "claims-after-error": "honesty",
}  # fmt: skip


# ------------------------------------------------------------------------------------- wrong world


def near(value, known):
    """The known names most like the value, best first."""
    return difflib.get_close_matches(value, [name for name in known if name != value], 2, 0.3)


def other_values(candidate, value):
    """(reason, value) pairs: what a careless model might write instead."""
    vault = candidate.run.before
    if isinstance(value, bool):
        yield "wrong-flag", not value
    elif isinstance(value, (int, float)):
        yield "wrong-value", value + 1
        if value > 1:
            yield "wrong-value", value - 1
    elif isinstance(value, str):
        if value in vault.notes:
            for path in near(value, vault.notes):
                yield "wrong-target", path
            yield "wrong-target", path_fields(value)["name"] if "/" in value else f"Notes/{value}"
        elif value in vault.folders:
            for path in near(value, vault.folders):
                yield "wrong-target", path
        elif ID.match(value):
            for kind in (vault.agents, vault.states, vault.sessions, vault.workspaces):
                for other in near(value, kind) if value in kind else ():
                    yield "wrong-target", other
        elif value.endswith(".md") and "/" in value:
            yield "wrong-value", value.rpartition("/")[2]
            yield "wrong-value", value.removesuffix(".md")
        elif len(value.split()) > 3:
            words = value.rstrip("\n").split(" ")
            yield "incomplete", " ".join(words[:-1]).rstrip(" ,")
    elif isinstance(value, list) and len(value) > 1:
        yield "incomplete", value[:-1]


def world_drafts(candidate):
    calls = made_calls(candidate)
    for number, call in enumerate(calls):
        for key, value in call.arguments.items():
            if key == "context":
                continue
            for reason, other in other_values(candidate, value):
                yield Draft("world", reason, replaced(calls, number, with_argument(call, key, other)))
        properties = load_toolset().tools[call.tool].parameters["properties"]
        for key in sorted(properties):
            if properties[key].get("type") == "boolean" and key in ("overwrite", "recursive"):
                flag = with_argument(call, key, not call.arguments.get(key, False))
                yield Draft("world", "wrong-flag", replaced(calls, number, flag))


# ----------------------------------------------------------------------- process, decision, honesty

REASON_OF_KIND = {"ask": "needless-question", "refuse": "needless-refusal"}
TOPICS = ("path", "filePath", "sourcePath", "rootFolder", "savePath", "name", "agent", "query", "commandId")


def process_drafts(candidate, rng):
    calls = made_calls(candidate)
    tools = load_toolset().tools
    for number, call in enumerate(calls):
        if len(calls) > 1:
            looks = candidate.intent.kind == "lookup" and number < len(calls) - 1 and tools[call.tool].effect == "read"
            reason = "no-lookup" if looks else "dropped-call"
            yield Draft("process", reason, restarted(calls[:number] + calls[number + 1 :], calls))
        yield Draft("process", "repeated-call", calls[: number + 1] + (call,) + calls[number + 1 :])
    if len(calls) > 1:
        yield Draft("process", "wrong-order", restarted(calls[1:] + calls[:1], calls))
        yield from guesses(candidate, restarted(calls[-1:], calls)[0], rng)


def restarted(calls, original):
    """The calls, the first of them with the memory of a first call: it cannot know what was left out."""
    if not calls or calls[0] is original[0]:
        return calls
    memory = original[0].arguments["context"]["sessionMemory"]
    first = with_context(calls[0], {**calls[0].arguments["context"], "sessionMemory": memory})
    return (first, *calls[1:])


def guesses(candidate, call, rng):
    """The last call alone, with the id or path that a lookup would have shown made up."""
    said = Seen(candidate.request)
    for key, value in call.arguments.items():
        if key == "context" or not isinstance(value, str) or said.holds(value):
            continue
        if ID.match(value):
            kind, moment, _ = value.rsplit("_", 2)
            invented = stamp_id(kind, int(moment) - rng.randrange(1, 10**9), rng)
            yield Draft("process", "guessed-id", (with_argument(call, key, invented),))
        elif value in candidate.run.before.notes and not said.holds_path(value):
            guess = path_fields(value)["name"] if "/" in value else f"Notes/{value}"
            yield Draft("process", "no-lookup", (with_argument(call, key, guess),))


def target_of(candidate):
    """What the request is about, in a word or two, for a question that was not needed."""
    for step in reversed(candidate.run.steps):
        for key, value in step.arguments.items():
            if key in TOPICS and isinstance(value, str) and 2 < len(value) < 60:
                return path_fields(value)["title"] or value
    return ""


def some(options, most, rng):
    """That many of the options, or all when there are fewer."""
    options = list(options or ())
    return rng.sample(options, min(most, len(options)))


def decision_drafts(candidate, words, rng):
    """Questions and refusals where the request held all that was needed, or where a question was due."""
    needless = words.get("needless") or {}
    if not candidate.run.steps:
        if candidate.intent.kind in ("direct", "cannot"):
            for plan in some(words.get("detours"), 6, rng):
                yield Draft("decision", "needless-call", (), plan=tuple(plan))
        kinds = {"direct": ("ask", "refuse"), "ask": ("refuse",)}.get(candidate.intent.kind, ())
        for kind in kinds:
            for text in some(needless.get(f"{kind}_{candidate.intent.kind}"), 2, rng):
                yield Draft("decision", REASON_OF_KIND[kind], (), sentence_case(text))
        return
    if candidate.intent.kind not in ("act", "lookup"):
        return
    scope = {"target": target_of(candidate) or None, "request": candidate.request}
    agent = candidate.tool.split("_")[0]
    for kind, reason in REASON_OF_KIND.items():
        if kind == "ask" and "delete" in candidate.tool:
            continue  # to make sure before something is lost is no mistake
        bank = needless.get(kind) or {}
        texts = [*bank.get(candidate.tool, ()), *bank.get(agent, ()), *bank.get("any", ())]
        with suppress(Gap):
            yield Draft("decision", reason, (), sentence_case(first_that_fills(texts, scope, rng)))


def honesty_drafts(candidate, words, rng):
    """Answers that say what no result shows."""
    calls = made_calls(candidate)
    done = [sentence_case(text) for text in some((words.get("needless") or {}).get("done"), 2, rng)]
    if not calls:
        if candidate.intent.kind in ("cannot", "ask"):
            yield from (Draft("honesty", "claim-without-call", (), text) for text in done)
        return
    if not candidate.run.steps[-1].ok:
        yield from (Draft("honesty", "claims-after-error", calls, text, claims=SUCCESS) for text in done)
    claims = [Draft("honesty", "false-claim", calls, answer) for answer in false_answers(candidate, rng)]
    used = {call.tool for call in calls}
    for tool, texts in some(sorted((words.get("extras") or {}).items()), 2, rng):
        if tool not in used:
            more = f"{candidate.answer} {rng.choice(texts)}"
            claims.append(Draft("honesty", "false-claim", calls, more, claims=tool))
    yield from some(claims, len(claims), rng)
    bare = [text for text in candidate.intent.closes if "result" not in text]
    with suppress(Gap):
        yield Draft("honesty", "claim-without-call", (), sentence_case(first_that_fills(bare, candidate.scope, rng)))
    for number, call in reversed(list(enumerate(calls))):
        for key, value in call.arguments.items():
            if key != "context" and isinstance(value, str) and value in candidate.run.before.notes:
                typo = value.replace(".md", "s.md") if rng.random() < 0.5 else value.replace("/", " - ", 1)
                broken = replaced(calls, number, with_argument(call, key, typo))
                stops = number == len(calls) - 1 or rng.random() < 0.5
                yield Draft(
                    "honesty", "claims-after-error", broken[: number + 1] if stops else broken, candidate.answer
                )


def false_answers(candidate, rng):
    """The answer with a number, a path or a name in it replaced by one that neither request nor result shows."""
    answer, vault = candidate.answer, candidate.run.before
    seen = Seen(candidate.request, candidate.run.steps)
    for match in NUMERAL.finditer(answer):
        if match.group().isdigit():
            wrong = str(int(match.group()) + rng.choice((1, 2, 3, 10)))
            if not seen.holds(wrong):
                yield answer[: match.start()] + wrong + answer[match.end() :]
    for path in sorted(vault.notes):
        if "/" in path and path in answer:
            yield from (
                answer.replace(path, other) for other in near(path, vault.notes)[:1] if not seen.holds_path(other)
            )
    records = (vault.agents, vault.sessions, vault.states, vault.workspaces)
    kinds = [{path_fields(path)["title"] for path in vault.notes}]
    kinds += [{record.name for record in records_of_kind.values()} for records_of_kind in records]
    for names in kinds:
        for name in sorted(names):
            if len(name) > 3 and name in answer:
                others = [other for other in sorted(names) if other != name and not seen.holds(other)]
                yield from (answer.replace(name, other) for other in some(others, 1, rng))


# ------------------------------------------------------------------------------- the writer's own


def written_drafts(candidate):
    """The mistakes that the intent's author listed under `wrong`."""
    calls = made_calls(candidate)
    for mistake in candidate.intent.wrong:
        reason = mistake.get("reason", "wrong-value")
        family = FAMILY_OF_REASON.get(reason, "world")
        closes = tuple(map(str, [mistake["close"]] if "close" in mistake else mistake.get("closes", ())))
        try:
            if "plan" in mistake:
                yield Draft(family, reason, (), plan=tuple(mistake["plan"]), closes=closes)
                continue
            if calls and ("change" in mistake or "tool" in mistake):
                number = mistake.get("call", len(calls)) - 1
                scope = {**candidate.scope, **candidate.run.scope}
                changes = plain(fill(mistake.get("change") or {}, scope))
                call = calls[number]
                arguments = {**call.arguments, **changes}
                arguments = {key: value for key, value in arguments.items() if value is not None}
                call = Made(mistake.get("tool", call.tool), arguments, call.name)
                yield Draft(family, reason, replaced(calls, number, call), closes=closes)
                continue
            if closes:
                scope = {**candidate.scope, **candidate.run.scope}
                yield Draft(family, reason, calls, sentence_case(fill_text(closes[0], scope)), claims=SUCCESS)
        except Gap:
            continue


def twin_drafts(candidate):
    """What would be right in the vault of a twin."""
    for other in candidate.intent.others:
        yield Draft("decision", "ignores-result", (), plan=other.plan, closes=other.closes)


def all_drafts(candidate, words, rng):
    """Every suspected mistake for one positive, the author's first where there are calls to get wrong."""
    if not candidate.run.steps:
        drafts = [*written_drafts(candidate), *honesty_drafts(candidate, words, rng)]
        drafts += decision_drafts(candidate, words, rng)
        yield from some(drafts, len(drafts), rng)
        return
    yield from written_drafts(candidate)
    yield from twin_drafts(candidate)
    yield from world_drafts(candidate)
    yield from process_drafts(candidate, rng)
    yield from schema_drafts(candidate, words, rng)
    yield from honesty_drafts(candidate, words, rng)
    yield from decision_drafts(candidate, words, rng)
