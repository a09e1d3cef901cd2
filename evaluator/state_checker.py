"""The end state of a case graded by it: is the vault as the gold plan, or one of its alternatives, leaves it?

How it got there is free: reads, failed calls and detours cost nothing. What is not free: anything that differs at the
end, and anything that was destroyed on the way and only put back.
"""

import re
from collections.abc import Sequence
from typing import Any

from evaluator.cases import Case
from evaluator.goals import differences, ids_of, run_plan, snapshot, untouched
from evaluator.reply_goals import lacking, results_text
from evaluator.values import folded
from lib.toolset import Finding, Toolset
from lib.vault import Vault, execute

OWN_WORDS = "(own words)"
MAX_FINDINGS = 5
_ID = re.compile(r"[a-z]+_\d{13}_[a-z0-9]{9}")
_RESTORED = "state_restoration"


def end_findings(case: Case, calls: Sequence, end: Vault, toolset: Toolset) -> list[Finding]:
    """Where the end differs from the nearest gold end, and what was destroyed on the way; none means as it should be.

    calls: as made, each with name and arguments (None when they were no JSON object).
    """
    found = []
    for plan in case.plans:
        wanted = case.fresh_vault()
        run_plan(wanted, list(plan), toolset)
        wrong = [Finding("wrong-state", text, "vault") for text in end_differences(case, wanted, end)]
        found.append(wrong or own_words_findings(case, wanted, end) + destroyed(case, calls, wanted, toolset))
        if not found[-1]:
            return []
    return min(found, key=len)[:MAX_FINDINGS]


def end_differences(case: Case, wanted: Vault, end: Vault) -> list[str]:
    """One short sentence for each thing that is not as this gold end has it, own words left out where they are free."""
    start = case.fresh_vault()
    before, gold, own = map(_plain_texts, _snapshots(start, wanted, end))
    for place in case.goal.get("free", {}):
        part, _, name = place.partition(".")
        if part in gold and name in _fields(gold[part]):
            for key in gold[part].keys() & own[part].keys():
                if gold[part][key] != before[part].get(key):
                    for record in (gold[part][key], own[part][key]):
                        record[name] = OWN_WORDS
        elif place in gold["notes"] and place in own["notes"]:
            gold["notes"][place] = own["notes"][place] = OWN_WORDS
    return differences(gold, own) + _seldom(start, wanted, end)


def _snapshots(start: Vault, *others: Vault) -> list[dict[str, Any]]:
    """What was touched in any of the vaults, as each has it."""
    known, same = ids_of(start), untouched(start, *others)
    return [snapshot(vault, known, same) for vault in (start, *others)]


def _plain_texts(state: dict[str, Any]) -> dict[str, Any]:
    """The snapshot with every text in one case, without blank lines and runs of blanks; lines stay lines."""

    def plain(value: Any) -> Any:
        if isinstance(value, str):
            return "\n".join(filter(None, map(folded, value.split("\n"))))
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return {part: {key: plain(item) for key, item in entries.items()} for part, entries in state.items()}


def _fields(records: dict[str, Any]) -> set[str]:
    return {name for record in records.values() if isinstance(record, dict) for name in record}


def _seldom(start: Vault, wanted: Vault, end: Vault) -> list[str]:
    """What only counts where the gold plan changes it: open notes, the current workspace, restored states."""
    found = []
    for label, of in (("open notes", _window), ("current workspace", _workspace), ("restored", _restored)):
        if of(wanted) != of(start) and of(wanted) != of(end):
            found.append(f"{label}: {of(end)} instead of {of(wanted)}")
    return found


def _window(vault: Vault) -> str:
    notes = [f"{path} ({mode}{', in front' * (path == vault.window.active)})" for path, mode in vault.window.open]
    return ", ".join(notes) or "none"


def _workspace(vault: Vault) -> str:
    return vault.current_workspace or "none"


def _restored(vault: Vault) -> str:
    traces = [trace for trace in vault.traces.values() if trace.type == _RESTORED]
    return ", ".join(sorted(f"{trace.content} ({trace.session_id})" for trace in traces)) or "none"


def own_words_findings(case: Case, wanted: Vault, end: Vault) -> list[Finding]:
    """The words that a text of the model's own should hold and does not."""
    found = []
    for place, words in case.goal.get("free", {}).items():
        if place in end.notes:
            texts = [end.notes[place].text]
        else:
            part, _, name = place.partition(".")
            states = _snapshots(case.fresh_vault(), wanted, end)
            before, gold, own = (state.get(part, {}) for state in states)
            keys = [key for key in gold.keys() & own.keys() if gold[key] != before.get(key)]
            texts = [str(own[key].get(name)) for key in keys]
        for text in texts:
            found += [
                Finding("own-words", f"{place} lacks {' or '.join(group)}", place) for group in lacking(text, words)
            ]
    return found


def destroyed(case: Case, calls: Sequence, wanted: Vault, toolset: Toolset) -> list[Finding]:
    """Things that the gold plan keeps and a call removed, although they are there again at the end."""
    changing = [call for call in calls if call.name in toolset.tools and toolset.tools[call.name].effect != "read"]
    if len(changing) < 2:  # one to remove it, one to put it back
        return []
    vault = case.fresh_vault()
    kept = _things(vault) & _things(wanted)
    found = []
    for index, call in enumerate(calls):
        if call.arguments is None or toolset.tools.get(call.name) is None:
            continue
        execute(vault, call.name, call.arguments)
        for _, thing in sorted(kept - _things(vault)):
            found.append(Finding("destroyed", f"{call.name} removed {thing}, which had to stay", f"calls[{index}]"))
            kept.discard((_, thing))
    return found


def _things(vault: Vault) -> set[tuple[str, str]]:
    """(part, path or id) of all that can be lost as a whole."""
    parts = ("notes", "folders", "workspaces", "sessions", "states", "agents")
    return {(part, key) for part in parts for key in getattr(vault, part)}


def unseen_ids(case: Case, calls: Sequence, toolset: Toolset) -> list[Finding]:
    """Ids of the vault that a call changed something by, although neither the request nor an earlier result told them.

    The ids of a call's own context are the model's to give.
    """
    known, found = ids_of(case.fresh_vault()), []
    for index, call in enumerate(calls):
        if call.result.get("success") is not True or toolset.tools[call.name].effect == "read":
            continue
        arguments = call.arguments or {}
        own = {name: value for name, value in arguments.items() if name not in ("context", "workspaceContext")}
        used = known.intersection(_ID.findall(results_text([own])))
        if not used:
            continue
        earlier = [before.result for before in calls[:index]]
        told = case.question + results_text([*earlier, arguments.get("context")])
        for unseen in sorted(used.difference(_ID.findall(told))):
            found.append(Finding("unseen-id", f"{call.name} has {unseen}, which nothing had told", f"calls[{index}]"))
    return found
