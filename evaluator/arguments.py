"""Which calls serve which expected ones, and what is wrong with names, arguments, order and extras; pure functions."""

from collections.abc import Callable, Mapping
from typing import Any

from evaluator.values import MISSING, may_be_left_out, same_json, why_not
from lib.findings import Finding

MAX_STEPS = 20_000  # of the search for an order; no sane case needs a hundredth of it
_NO_PAIR = 1e9


def place(index: int) -> str:
    return f"calls[{index}]"


def argument_faults(
    accepted: Mapping[tuple[str, ...], Any], arguments: dict, properties: dict
) -> list[tuple[str, str, str]]:
    """(code, parameter, why) for each argument that is missing, wrong or was not asked for.

    accepted: a rule for each parameter; one for several names holds for any of them, of which one at least must be
    there. properties: their schemas; a value equal to its schema's default is no difference.
    """
    wrong = []
    for names, rule in accepted.items():
        given = [name for name in names if name in arguments]
        key = "|".join(names)
        if not given and not may_be_left_out(rule) and not same_json(_default(properties, key), rule):
            wrong.append(("missing-argument", key, "was left out"))
        for name in given:
            if why := why_not(rule, arguments[name], properties.get(name, {})):
                wrong.append(("wrong-argument", name, why))
    known = {name for names in accepted for name in names}
    for name, value in arguments.items():
        if name not in known and not same_json(_default(properties, name), value):
            wrong.append(("unexpected-argument", name, "was not asked for"))
    return wrong


def _default(properties: dict, name: str) -> Any:
    return properties.get(name, {}).get("default", MISSING)


def tool_findings(expected: list[str], called: list[str], pairs: list[int | None]) -> list[Finding]:
    """The expected tools that no call serves, and whether it was the order or the tool that was wrong."""
    findings = []
    for name, index in zip(expected, pairs, strict=True):
        if index is not None:
            continue
        if not called:
            findings.append(Finding("no-call", f"{name} was not called, nor any other tool", "calls"))
        elif called.count(name) >= expected.count(name):
            findings.append(Finding("wrong-order", f"{name} was called out of order", "calls"))
        elif name in called:
            findings.append(Finding("missing-call", f"{name} was called too few times", "calls"))
        else:
            code = "wrong-tool" if len(expected) == 1 else "missing-call"
            findings.append(Finding(code, f"{name} was not called, but {', '.join(called)}", "calls"))
    return findings


def extra_findings(
    called: list[str], pairs: list[int | None], effects: Mapping[str, str], policy: str
) -> list[Finding]:
    """Calls nobody asked for that the policy (forbid, read_only_ok or any) minds; a destructive one always is.

    effects: "read", "write" or "destructive" of each known tool; an unknown one is a finding of its own already.
    """
    findings = []
    for index, name in enumerate(called):
        effect = effects.get(name)
        if index in pairs or effect is None:
            continue
        if effect == "destructive":
            findings.append(Finding("destructive-extra", f"{name} was not asked for", place(index)))
        elif policy == "forbid" or (policy == "read_only_ok" and effect != "read"):
            findings.append(Finding("extra-call", f"{name} was not asked for", place(index)))
    return findings


def assign(expected: int, calls: int, faults: Callable[[int, int], int | None]) -> list[int | None]:
    """For each expected call the index of the call that serves it, in no order: most pairs, then fewest faults.

    faults(i, j): how many faults call j has as expected call i; None when it cannot be that call at all.
    """
    if not expected or not calls:
        return [None] * expected
    costs = [
        [_NO_PAIR if (cost := faults(i, j)) is None else min(cost, 1000) for j in range(calls)] for i in range(expected)
    ]
    if expected == 1:
        chosen = [(0, min(range(calls), key=lambda j: costs[0][j]))]
    else:
        from scipy.optimize import linear_sum_assignment

        chosen = zip(*(part.tolist() for part in linear_sum_assignment(costs)), strict=True)
    pairs: list[int | None] = [None] * expected
    for i, j in chosen:
        if costs[i][j] < _NO_PAIR:
            pairs[i] = j
    return pairs


def in_order(pairs: list[int | None], order: list[tuple[int, int]]) -> bool:
    """Whether each pair (i, j) of the order has the call for i before the call for j; unserved ones do not count."""
    return not misplaced(pairs, order)


def misplaced(pairs: list[int | None], order: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs of the order that the calls break."""
    return [
        (first, then) for first, then in order if None not in (pairs[first], pairs[then]) and pairs[first] > pairs[then]
    ]


def assign_in_order(fits: list[list[int]], order: list[tuple[int, int]]) -> list[int | None] | None:
    """A faultless assignment that keeps the order, or None when there is none. fits[i]: the calls that can be i."""
    pairs: list[int | None] = [None] * len(fits)
    steps = 0

    def place_from(position: int) -> bool:
        nonlocal steps
        if position == len(fits):
            return True
        for call in fits[position]:
            steps += 1
            if steps > MAX_STEPS:
                return False
            if call in pairs:
                continue
            pairs[position] = call
            if in_order(pairs, order) and place_from(position + 1):
                return True
            pairs[position] = None
        return False

    return pairs if place_from(0) else None
