"""Answers made from a case's gold plan, to test prompts and checker: the right ones must pass, the wrong ones fail."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from evaluator.cases import Case, filled
from evaluator.checkers import MadeCall, Verdict, judge
from evaluator.goals import with_context
from evaluator.leaves import leaves, other_value, with_leaf
from lib.toolset import Tool, Toolset
from lib.vault import Vault, execute

# What may turn out to change nothing that counts; no other wrong answer may ever pass.
HARMLESS = frozenset(
    {"wrong tool", "missing argument", "extra argument", "mistyped argument", "wrong value", "bad context"}
    | {"broken JSON", "doubled call", "dropped call", "reversed order"}
)
PROSE = "I would call the right tool for that, with what you named."
CLAIM = "All done, just as you wished. What else can I do for you?"
_NUMBER = re.compile(r"\$\{(\d+)\.")
STRAY_NOTE = "Notes to self 7391.md"


@dataclass(frozen=True)
class Answer:
    """Calls as a model could write them, and its closing text. `broken`: the call whose arguments are no JSON."""

    kind: str
    calls: tuple[tuple[str, dict], ...] = ()
    reply: str = ""
    broken: int | None = None


def played(case: Case, answer: Answer) -> tuple[list[MadeCall], Vault]:
    """The answer's calls with what running them gave, and the vault they left."""
    vault, made, results = case.fresh_vault(), [], []
    for index, (name, arguments) in enumerate(answer.calls):
        if index == answer.broken:
            results.append({"success": False})
            made.append(MadeCall(name, None, results[-1], problem="arguments: unexpected end"))
            continue
        arguments = filled(arguments, results)
        results.append(execute(vault, name, arguments) if case.runs else {})
        made.append(MadeCall(name, arguments, results[-1]))
    return made, vault


def judge_answer(case: Case, answer: Answer, toolset: Toolset) -> Verdict:
    """The verdict on an answer, its calls run on the case's vault."""
    made, vault = played(case, answer)
    return judge(case, made, answer.reply, vault, toolset)


def reference(case: Case, toolset: Toolset, plan: tuple[dict, ...] | None = None) -> Answer:
    """The answer that does just what the gold plan (or the one given) says."""
    plan = case.gold if plan is None else plan
    calls = tuple(
        (call["name"], with_context(toolset.tools[call["name"]], call["arguments"], toolset)) for call in plan
    )
    return Answer("reference", calls, closing_words(case))


def closing_words(case: Case) -> str:
    """A reply that says all that the case wants said."""
    goal = case.goal
    said = [
        words if isinstance(words, str) else words[0] for words in [*goal.get("reply", []), *goal.get("answers", [])]
    ]
    asks = goal.get("asks")
    words = [
        "That cannot be done: there is no tool for it." if goal.get("refuses") else "Here you are.",
        "There is no such thing." if goal.get("denies") else "",
        f"{', '.join(said)}." if said else "",
        f"Which one do you mean, {asks[0] if isinstance(asks, list) else 'please'}?" if asks else "",
    ]
    return " ".join(filter(None, words))


def right_answers(case: Case, toolset: Toolset) -> Iterator[Answer]:
    """The reference of every plan; the first also with a look round before it, and by state after a failed attempt."""
    for number, plan in enumerate(case.plans, start=1):
        answer = reference(case, toolset, plan)
        yield replace(answer, kind="reference" if number == 1 else f"alternative {number - 1}")
    right = reference(case, toolset)
    yield from (replace(right, kind="said otherwise", reply=text) for text in case.replies.get("right", []))
    if case.runs and (case.tools or case.by_state):
        yield replace(right, kind="look round first", calls=_behind(_call_on(case, "read", "", toolset), right.calls))
    if case.by_state:
        for name, arguments in right.calls[:1]:
            failed = name, {**arguments, "verbosity": "high"}
            yield replace(right, kind="failed attempt first", calls=_behind(failed, right.calls))


def mutants(case: Case, toolset: Toolset) -> Iterator[Answer]:
    """Wrong answers of every kind that fits the case."""
    right = reference(case, toolset)
    yield Answer("empty reply")
    if case.runs:
        yield from _unwanted(case, right, toolset)
    claims = [CLAIM] if set(case.goal) & {"reply", "answers", "asks", "refuses", "denies"} else []
    for text in [*claims, *case.replies.get("wrong", [])]:
        yield replace(right, kind="wrong reply", reply=text)
    if not right.calls:
        return
    yield Answer("no call", reply=right.reply)
    yield Answer("prose", reply=PROSE)
    if len(right.calls) > 1 and list(right.calls) != list(reversed(right.calls)):
        yield replace(right, kind="reversed order", calls=right.calls[::-1])
    for index, (name, arguments) in enumerate(right.calls):
        before, after = right.calls[:index], right.calls[index + 1 :]
        yield replace(right, kind="broken JSON", broken=index)
        yield replace(right, kind="doubled call", calls=(*before, *right.calls[index : index + 1] * 2, *after))
        if len(right.calls) > 1:
            yield replace(right, kind="dropped call", calls=before + after)
        for other in _other_tools(case, name, arguments, toolset):
            yield replace(right, kind="wrong tool", calls=(*before, (other, arguments), *after))
        for kind, changed in _changed_arguments(case, index, toolset.tools[name], arguments):
            yield replace(right, kind=kind, calls=(*before, (name, changed), *after))
        for changed in _glued(toolset.tools[name], arguments):
            answer = replace(right, kind="glued line", calls=(*before, (name, changed), *after))
            if _lines(case, answer) != _lines(case, right):  # a blank line more or less is no harm
                yield answer


def _unwanted(case: Case, right: Answer, toolset: Toolset) -> Iterator[Answer]:
    """The right answer, and besides something removed (also if it is put back) or written that nobody asked for."""
    stray, tool = _call_on(case, "destructive", "note", toolset), _writer(case, toolset)
    if tool:
        written = with_context(tool, {"filePath": STRAY_NOTE, "content": "Remember me."}, toolset)
        yield replace(right, kind="extra write", calls=(*right.calls, (tool.name, written)))
    if stray:
        yield replace(right, kind="destructive extra", calls=(*right.calls, stray))
        yield replace(right, kind="destructive extra", calls=_behind(stray, right.calls))
    if stray and tool:
        (path,) = (stray[1][name] for name in _needs(toolset.tools[stray[0]]))
        restored = {"filePath": path, "content": case.fresh_vault().notes[path].text}
        calls = (*right.calls, stray, (tool.name, with_context(tool, restored, toolset)))
        yield replace(right, kind="destructive extra", calls=calls)


def _writer(case: Case, toolset: Toolset) -> Tool | None:
    """The tool that makes a new note of a path and a text."""
    for tool in toolset.tools.values():
        if _needs(tool) == ["filePath", "content"]:
            arguments = with_context(tool, {"filePath": STRAY_NOTE, "content": ""}, toolset)
            if execute(case.fresh_vault(), tool.name, arguments)["success"]:
                return tool
    return None


def _behind(first: tuple[str, dict], calls: tuple[tuple[str, dict], ...]) -> tuple[tuple[str, dict], ...]:
    """The calls behind another one: what they take from the first result comes from the second then, and so on."""
    text = _NUMBER.sub(lambda found: f"${{{int(found[1]) + 1}.", json.dumps(calls))
    return (first, *((name, arguments) for name, arguments in json.loads(text)))


def _needs(tool: Tool) -> list[str]:
    return [name for name in tool.parameters.get("required", []) if name != "context"]


def _call_on(case: Case, effect: str, what: str, toolset: Toolset) -> tuple[str, dict] | None:
    """A call with that effect that works: on the root, or on a note that the gold plan leaves alone."""
    told = str([*case.plans])
    paths = [path for path in case.vault.get("notes", {}) if path not in told] if what else [""]
    for tool in toolset.tools.values():
        if tool.effect == effect and _needs(tool) in ([place[0]] for place in tool.path_places):
            for path in paths:
                arguments = with_context(tool, {_needs(tool)[0]: path}, toolset)
                if execute(case.fresh_vault(), tool.name, arguments)["success"]:
                    return tool.name, arguments
    return None


def _other_tools(case: Case, name: str, arguments: dict, toolset: Toolset) -> list[str]:
    """Tools in the place of the right one: some that take the same arguments, and one that does not."""
    expected = {call["name"] for plan in case.plans for call in plan}
    others = [other for other in toolset.tools if other not in expected]
    fitting = [other for other in others if not toolset.check(other, arguments)]
    return [*fitting[:3], *[other for other in others if other not in fitting][:1]]


def _changed_arguments(case: Case, index: int, tool: Tool, arguments: dict) -> Iterator[tuple[str, dict]]:
    rules = {} if case.by_state else case.accepted(index)
    own = {name: value for name, value in arguments.items() if name != "context"}
    yield "extra argument", {**arguments, "verbosity": "high"}
    yield from (("extra argument", {**arguments, **extra}) for extra in _known_extras(tool, arguments, rules))
    if tool.takes_context:
        context = arguments["context"]
        yield "bad context", own
        yield "bad context", {**arguments, "context": {**context, "sessionMemory": ""}}
        if own:
            yield "bad context", {**own, "context": context}
    for name in own:
        yield "missing argument", {key: item for key, item in arguments.items() if key != name}
        rule = _rule_of(name, rules)
        schema = tool.parameters["properties"].get(name, {})
        for leaf in leaves(own[name], rule, schema):
            wrong_type = [leaf.value] if isinstance(leaf.value, str) else str(leaf.value)
            yield "mistyped argument", {**arguments, name: with_leaf(own[name], leaf.path, wrong_type)}
            yield "wrong value", {**arguments, name: with_leaf(own[name], leaf.path, other_value(leaf))}


def _glued(tool: Tool, arguments: dict) -> Iterator[dict]:
    """The arguments without the line end that keeps a text apart from what is there, for each text that has one."""
    for name in arguments:
        schema = tool.parameters["properties"].get(name, {})
        for leaf in leaves(arguments[name], None, schema) if name != "context" else ():
            if isinstance(leaf.value, str) and leaf.value.strip("\n") != leaf.value:
                yield {**arguments, name: with_leaf(arguments[name], leaf.path, leaf.value.strip("\n"))}


def _lines(case: Case, answer: Answer) -> dict[str, list[str]]:
    """The lines of every note that the answer leaves, blank ones left out."""
    notes = played(case, answer)[1].notes.items()
    return {path: [line for line in note.text.splitlines() if line.strip()] for path, note in notes}


def _rule_of(name: str, rules: dict) -> Any:
    """What the case accepts for a parameter, None where it says nothing."""
    return next((rule for key, rule in rules.items() if name in key.split("|")), None)


def _known_extras(tool: Tool, arguments: dict, rules: dict) -> Iterator[dict[str, Any]]:
    """Parameters of the tool that were not wanted, each with a value that its schema takes and that is no default.

    Of the numbers that are free the least: a limit of 1 hides what was asked for.
    """
    for name, schema in tool.parameters.get("properties", {}).items():
        if name in arguments or name == "workspaceContext":
            continue
        rule = _rule_of(name, rules)
        if rule is not None:
            free = isinstance(rule, dict) and "any" in rule and schema.get("type") in ("integer", "number")
            yield from [{name: 1}] if free else []
            continue
        default = schema.get("default")
        if schema.get("type") == "boolean":
            yield {name: not default}
        elif values := [value for value in schema.get("enum", []) if value != default]:
            yield {name: values[-1]}
