"""Answers made from a case's gold plan, to test prompts and checker: one must pass, the wrong ones must fail."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from evaluator.cases import Case, filled
from evaluator.checkers import MadeCall, Verdict, judge
from evaluator.goals import with_context
from evaluator.values import why_not
from lib.toolset import Tool, Toolset
from lib.vault import execute


@dataclass(frozen=True)
class Answer:
    """Calls as a model could write them, and its closing text. `broken`: the last call's arguments are no JSON."""

    kind: str
    calls: tuple[tuple[str, dict], ...] = ()
    reply: str = ""
    broken: bool = field(default=False)


def judge_answer(case: Case, answer: Answer, toolset: Toolset) -> Verdict:
    """The verdict on an answer, its calls run on the case's vault."""
    vault, made, results = case.fresh_vault(), [], []
    for index, (name, arguments) in enumerate(answer.calls):
        if answer.broken and index == len(answer.calls) - 1:
            made.append(MadeCall(name, None, {"success": False}, problem="arguments: unexpected end"))
            continue
        arguments = filled(arguments, results)
        results.append(execute(vault, name, arguments))
        made.append(MadeCall(name, arguments, results[-1]))
    return judge(case, made, answer.reply, vault, toolset)


def reference(case: Case, toolset: Toolset) -> Answer:
    """The answer that does just what the gold plan says."""
    calls = tuple(
        (call["name"], with_context(toolset.tools[call["name"]], call["arguments"], toolset)) for call in case.gold
    )
    wanted = [words if isinstance(words, str) else words[0] for words in case.goal.get("reply", [])]
    closing = " ".join(["Done.", *wanted, "Which one do you mean?" if case.goal.get("asks") else ""])
    return Answer("reference", calls, closing.strip())


def mutants(case: Case, toolset: Toolset) -> Iterator[Answer]:
    """Wrong answers of every kind that fits the case."""
    right = reference(case, toolset)
    yield Answer("empty reply")
    stray = _harmful(case, toolset)
    if stray:
        yield Answer("destructive extra", (*right.calls, stray), right.reply)
    if not right.calls:
        return
    yield Answer("prose", reply="I would call the right tool for that, with the path you named.")
    yield Answer("broken JSON", right.calls, right.reply, broken=True)
    other = next(tool for tool in toolset.tools.values() if tool.name not in case.tools)
    yield Answer("wrong tool", (*right.calls[:-1], (other.name, right.calls[-1][1])), right.reply)
    if len(right.calls) > 1:
        yield Answer("dropped call", right.calls[:-1], right.reply)
        if list(case.tools) != list(reversed(case.tools)):
            yield Answer("reversed order", tuple(reversed(right.calls)), right.reply)
    for index, (name, arguments) in enumerate(right.calls):
        tool = toolset.tools[name]
        if tool.effect != "read":
            doubled = (*right.calls[: index + 1], right.calls[index], *right.calls[index + 1 :])
            yield Answer("doubled call", doubled, right.reply)
        for kind, changed in _changed_arguments(case, index, tool, arguments):
            yield Answer(kind, (*right.calls[:index], (name, changed), *right.calls[index + 1 :]), right.reply)


def _harmful(case: Case, toolset: Toolset) -> tuple[str, dict] | None:
    """A call that removes a note of the vault, by whichever tool needs just a path for it."""
    for tool in toolset.tools.values():
        needed = [name for name in tool.parameters.get("required", []) if name != "context"]
        if tool.effect == "destructive" and len(needed) == 1 and (needed[0],) in tool.path_places:
            for path in case.vault.get("notes", {}):
                arguments = with_context(tool, {needed[0]: path}, toolset)
                if execute(case.fresh_vault(), tool.name, arguments)["success"]:
                    return tool.name, arguments
    return None


def _changed_arguments(case: Case, index: int, tool: Tool, arguments: dict) -> Iterator[tuple[str, dict]]:
    properties, rules = tool.parameters["properties"], case.accepted(index)
    yield "unknown argument", {**arguments, "verbosity": "high"}
    if tool.takes_context:
        yield "no context", {name: value for name, value in arguments.items() if name != "context"}
        yield "empty memory", {**arguments, "context": {**arguments["context"], "sessionMemory": ""}}
        if len(arguments) > 1:
            yield (
                "context last",
                {
                    **{name: value for name, value in arguments.items() if name != "context"},
                    "context": arguments["context"],
                },
            )
    for name, value in arguments.items():
        if name == "context":
            continue
        required = name in tool.parameters.get("required", [])
        rule = next((rule for key, rule in rules.items() if name in key.split("|")), None)
        if required or not (isinstance(rule, dict) and rule.get("optional")):
            yield f"missing {name}", {key: item for key, item in arguments.items() if key != name}
        yield f"mistyped {name}", {**arguments, name: [value] if isinstance(value, str) else str(value)}
        wrong = _wrong_value(value)
        if why_not(rule, wrong, properties.get(name, {})):
            yield f"wrong {name}", {**arguments, name: wrong}


def _wrong_value(value: object) -> object:
    """A value of the same type that is not meant."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        stem, dot, ending = value.rpartition(".")
        return f"{stem} 2.{ending}" if dot and " " not in ending and stem else f"Other {value[: len(value) // 2]}"
    if isinstance(value, list):
        return value[:-1] if len(value) > 1 else [_wrong_value(item) for item in value]
    if isinstance(value, dict):
        return {key: _wrong_value(item) for key, item in value.items()}
    return value
