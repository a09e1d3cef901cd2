"""What the calls did to the vault, against what the gold plan does to it."""

import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from evaluator.cases import Case, filled
from evaluator.reply_goals import looking_findings, reply_findings
from evaluator.values import folded, is_exact, may_be_left_out
from lib.toolset import Finding, Tool, Toolset
from lib.vault import Vault, execute

_ID = re.compile(r"([a-z]+)_\d{13}_[a-z0-9]{9}")
# A fixture's clock and id generator move with every call, also with a harmless one.
_TIMES = frozenset({"created", "modified", "last_accessed", "ended"})
_RECORDS = ("workspaces", "sessions", "states", "agents")


def reference_context(toolset: Toolset) -> dict[str, str]:
    """A context that every schema and rule accepts, for calls that no model made."""
    known = {"sessionId": "session_1762160400000_e0v1a2l3r", "workspaceId": "ws_1762160400000_e0v1a2l3w"}
    return {name: known.get(name, "Reference run of a gold plan.") for name in toolset.context_fields}


def with_context(tool: Tool, arguments: dict, toolset: Toolset) -> dict:
    """The arguments with a reference context in front, when the tool takes one."""
    return {"context": reference_context(toolset), **arguments} if tool.takes_context else arguments


def run_plan(vault: Vault, plan: list[dict], toolset: Toolset) -> list[dict]:
    """Runs the calls on the vault, results of earlier ones filled into later ones, and gives their results."""
    results: list[dict | None] = []
    for call in plan:
        arguments = with_context(toolset.tools[call["name"]], filled(call["arguments"], results), toolset)
        results.append(execute(vault, call["name"], arguments))
    return results


def adapted_plan(case: Case, made: list[dict], toolset: Toolset) -> list[dict]:
    """The gold plan with the model's own words wherever the case accepts more than one value.

    made: the arguments of the model's calls, one per gold call. What the case fixes stays as the gold has it, so the
    end state of this plan is the one that these calls ought to reach.
    """
    plan = []
    for index, (gold, own) in enumerate(zip(case.gold, made, strict=True)):
        properties = toolset.tools[gold["name"]].parameters.get("properties", {})
        arguments = {}
        for key, rule in case.accepted(index).items():
            names, fixed = key.split("|"), gold["arguments"]
            given = [name for name in names if name in own]
            for name in names:
                if name in own and (name not in fixed or not is_exact(rule, properties.get(name, {}))):
                    arguments[name] = own[name]
                elif name in fixed and (name in own or not given and not may_be_left_out(rule)):
                    arguments[name] = fixed[name]
        plan.append({"name": gold["name"], "arguments": arguments})
    return plan


@cache
def _compared_fields(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass but for its times; None for another type."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind) if field.name not in _TIMES)


def untouched(*vaults: Vault) -> dict[str, Collection[str]]:
    """By part, the keys whose record is the very same in all of the vaults, so that it cannot differ between them."""
    same = {}
    for part in ("notes", *_RECORDS):
        first, *others = (getattr(vault, part) for vault in vaults)
        same[part] = first.keys()
        for other in others:
            same[part] = {key for key in same[part] if other.get(key) is first[key]}
    return same


def snapshot(vault: Vault, known_ids: set[str], without: Mapping[str, Collection[str]]) -> dict[str, Any]:
    """The part of the vault that counts, without times; ids that the fixture did not hold become their kind.

    without: by part, the keys to leave out.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, str):  # first, since most are
            if "_" not in value:
                return value
            return _ID.sub(lambda found: found[0] if found[0] in known_ids else f"new {found[1]}", value)
        if isinstance(value, dict):
            return {plain(key): plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        names = _compared_fields(type(value))
        return value if names is None else {name: plain(getattr(value, name)) for name in names}

    state: dict[str, Any] = {
        "notes": plain({path: note for path, note in vault.notes.items() if path not in without["notes"]}),
        "folders": dict(Counter(vault.folders)),
        "commands_run": dict(Counter(vault.commands_run)),
    }
    for part in _RECORDS:
        touched = [entry for key, entry in getattr(vault, part).items() if key not in without[part]]
        entries = sorted(map(plain, touched), key=repr)
        seen: Counter = Counter()
        state[part] = {}
        for entry in entries:
            name = f"{entry['id']} {entry['name']}"
            seen[name] += 1
            state[part][f"{name} ({seen[name]})" if seen[name] > 1 else name] = entry
    return state


def ids_of(vault: Vault) -> set[str]:
    """Every id the vault holds."""
    return {key for part in (vault.workspaces, vault.sessions, vault.states, vault.agents) for key in part}


def differences(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """One short sentence for each thing that is not as expected."""
    found = []
    for part, wanted in expected.items():
        have = actual[part]
        label = part.replace("_", " ")
        found += [f"{label}: {key} is missing" for key in wanted.keys() - have.keys()]
        found += [f"{label}: {key} should not be there" for key in have.keys() - wanted.keys()]
        found += [f"{label}: {key} differs" for key in wanted.keys() & have.keys() if wanted[key] != have[key]]
    return sorted(found)


def state_findings(case: Case, made: list[dict] | None, end: Vault, toolset: Toolset) -> list[Finding]:
    """Where the end state is not the gold plan's. made: arguments per gold call; None when the calls do not pair up."""
    if made is None or case.goal.get("state") == "free" or (case.tools and not case.gold):
        return []
    start = case.fresh_vault()
    known = ids_of(start)
    run_plan(start, adapted_plan(case, made, toolset), toolset)
    same = untouched(start, end)
    wrong = differences(snapshot(start, known, same), snapshot(end, known, same))
    return [Finding("wrong-state", text, "vault") for text in wrong[:5]]


def goal_findings(case: Case, calls: Sequence, end: Vault, reply: str, toolset: Toolset) -> list[Finding]:
    """What the case demands of the vault, of what the calls showed and of the closing text, beside the gold plan."""
    goal, findings = case.goal, []
    for path in goal.get("exists", []):
        if path not in end.notes and path not in end.folders:
            findings.append(Finding("goal-missing", f"{path} should exist", path))
    for path in goal.get("missing", []):
        if path in end.notes or path in end.folders:
            findings.append(Finding("goal-present", f"{path} should be gone", path))
    for key, wanted in (("contains", True), ("lacks", False)):
        for path, parts in goal.get(key, {}).items():
            text = folded(end.notes[path].text) if path in end.notes else ""
            for part in [parts] if isinstance(parts, str) else parts:
                if (folded(part) in text) is not wanted:
                    findings.append(Finding("goal-text", f"{path} {'lacks' if wanted else 'still has'} {part!r}", path))
    return findings + looking_findings(case, calls, toolset) + reply_findings(goal, reply)
