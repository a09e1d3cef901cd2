"""Two evaluations of the same cases, paired: what changed, whether that is noise, and what makes them unlike."""

import json
from fractions import Fraction

from evaluator.journal import LATER
from evaluator.paired import sign_flip_p, smallest_difference
from evaluator.statistics import IN_RATE, passes, rate_over
from lib.errors import CannotRun

MAX_UNCLEAN = 0.1  # share of the common cases that may lack a clean answer on one side
# Results that differ in these answer different questions, or were asked in another way.
COMPARED_SETTINGS = (
    "prompts",
    "prompts_sha256",
    "tools_sha256",
    "backend",
    "format",
    "grammar",
    "context",
    "repeats",
    "max_steps",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
)
MODEL_FACTS = ("model", "digest", "quantization", "arch", "size")  # of a fingerprint: what one means to compare
PROBED = ("repeats", "seed", "steady")  # of a probe: whether the text is the same again, and what changes it
ASKED_FACTS = ("sampling",)  # of a fingerprint: compared by the settings already


def compare(a: dict, b: dict, alpha: float = 0.05) -> dict:
    """B against A: rates, flips by case with their reasons, p, the smallest difference that could be seen, warnings.

    Only cases with a clean answer (pass or model_fail) on both sides are compared; CannotRun when there are none.
    """
    left, right = _attempts(a), _attempts(b)
    common = [case for case in left if case in right]
    clean = {case: (_clean(left[case]), _clean(right[case])) for case in common}
    pairs = {case: both for case, both in clean.items() if all(both)}
    if not pairs:
        raise CannotRun(f"{a['label']} and {b['label']} have no case in common that both answered.")
    changes = {case: _share(ours) - _share(theirs) for case, (theirs, ours) in pairs.items()}
    found = {
        "a": _side(a, [record for theirs, _ in pairs.values() for record in theirs]),
        "b": _side(b, [record for _, ours in pairs.values() for record in ours]),
        "pairs": len(pairs),
        "regressions": [_flip(case, *pairs[case]) for case, change in changes.items() if change < 0],
        "gains": [_flip(case, *pairs[case]) for case, change in changes.items() if change > 0],
        "difference": float(sum(changes.values()) / len(pairs)),
        "p": sign_flip_p(list(changes.values())),
        "alpha": alpha,
        "repeated": any(len(side) > 1 for both in pairs.values() for side in both),
        "smallest": smallest_difference(len(pairs), _churn(changes.values()), alpha),
        "common": len(common),
        "unclean": [{"id": case, "a": _outcomes(left[case]), "b": _outcomes(right[case])}
                    for case in common if case not in pairs],
        "stopped": [result["label"] for result in (a, b) if result["stopped"]],
        "only_a": [case for case in left if case not in right],
        "only_b": [case for case in right if case not in left],
        "warnings": differing([a, b]),
    }  # fmt: skip
    return found | {"sentence": sentence(found)}


def _attempts(result: dict) -> dict[str, list[dict]]:
    cases: dict[str, list[dict]] = {}
    for record in result.get("records", []):
        cases.setdefault(record["id"], []).append(record)
    return cases


def _clean(records: list[dict]) -> list[dict]:
    return [record for record in records if record["outcome"] in IN_RATE]


def _share(records: list[dict]) -> Fraction:
    return Fraction(sum(map(passes, records)), len(records))


def _side(result: dict, records: list[dict]) -> dict:
    return {"label": result["label"], "pass": rate_over(records, passes)}


def _outcomes(records: list[dict]) -> str:
    return ", ".join(dict.fromkeys(record["outcome"] for record in records))


def _flip(case: str, theirs: list[dict], ours: list[dict]) -> dict:
    """The case with what passed of A's and B's attempts, and why the worse side failed."""
    failed = next(record for record in (ours if _share(ours) < _share(theirs) else theirs) if not passes(record))
    counts = {name: f"{sum(map(passes, side))}/{len(side)}" for name, side in (("a", theirs), ("b", ours))}
    return {"id": case, **counts, "reason": reason_of(failed)}


def reason_of(record: dict) -> str:
    """The first finding against a failed attempt, with the number of the others."""
    findings = record["findings"]
    if not findings:
        return record["outcome"]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{findings[0]['code']}: {findings[0]['message']}{more}"


def _churn(changes) -> float:
    """How many cases changed against the tide: as many are expected to change both ways without any difference."""
    better = sum(change for change in changes if change > 0)
    worse = -sum(change for change in changes if change < 0)
    return float(min(better, worse))


def differing(results: list[dict]) -> list[str]:
    """One sentence for each setting, server fact and unfinished run that makes the results hard to compare."""
    warnings = [f"{result['label']} is not complete: {result['stopped']}" for result in results if result["stopped"]]
    settings = [LATER | result["settings"] for result in results]
    servers = [result.get("fingerprint") or {} for result in results]
    facts = dict.fromkeys(name for server in servers for name in server if name not in MODEL_FACTS + ASKED_FACTS)
    for dicts, names, what in ((settings, COMPARED_SETTINGS, ""), (servers, facts, "the server's ")):
        for name in names:
            values = list(dict.fromkeys(_shown(each.get(name)) for each in dicts))
            if len(values) > 1:
                warnings.append(f"the results differ in {what}{name}: {', '.join(values)}")
    return warnings + _other_weights(results, servers) + _unsteady(results)


def _other_weights(results: list[dict], servers: list[dict]) -> list[str]:
    """A model that was pulled or made again under the same name on a server that is not ours."""
    named = {server.get("model") for server in servers}
    digests = {server.get("digest") for server in servers} - {None}
    if len(named) > 1 or len(digests) < 2 or any(result["settings"].get("gguf") for result in results):
        return []
    return [f"the name {named.pop()} stands for different weights: {', '.join(sorted(map(_shown, digests)))}"]


def _unsteady(results: list[dict]) -> list[str]:
    """What the probes of the servers found, where that differs, or where a text may be another one the next time."""
    probes = [(result["label"], result["probe"]) for result in results if result.get("probe")]
    if len({tuple(found[name] for name in PROBED) for _, found in probes}) > 1:
        said = "; ".join(f"{label}: {found['says']}" for label, found in probes)
        return [f"the probes found {said}"]
    shaky = dict.fromkeys(label for label, found in probes if found["repeats"] is False)
    return [f"{' and '.join(shaky)} may give another text each time: --repeats tells noise apart"] if shaky else []


def _shown(value: object) -> str:
    """A value as JSON; a digest shortened."""
    return json.dumps(value[:12] if isinstance(value, str) and len(value) == 64 else value)


def p_text(p: float) -> str:
    """ "p = .63", "p < .001" or "p = 1"."""
    return "p < .001" if p < 0.001 else f"p = {p + 1e-12:.2g}".replace("0.", ".", 1)  # .625 is .63


def judgement(found: dict) -> str:
    """ "noise (p = .63)", "a gain beyond noise (p = .02)" or "a loss beyond noise (p = .02)"."""
    kind = "noise" if found["p"] > found["alpha"] else f"a {'gain' if found['difference'] > 0 else 'loss'} beyond noise"
    return f"{kind} ({p_text(found['p'])})"


def sentence(found: dict) -> str:
    """What the comparison shows, for one who does not know the test."""
    more, fewer = len(found["gains"]), len(found["regressions"])
    how = f"more often in {more} and less often in {fewer}" if found["repeated"] else f"{more} more and {fewer} fewer"
    same = found["a"]["label"] == found["b"]["label"]
    one, other = ("B", "A") if same else (found["b"]["label"], found["a"]["label"])
    text = f"{one} passes {how} of {found['pairs']} than {other}: {judgement(found)}"
    if found["smallest"] is None:
        return f"{text}; this set is too small to show a difference."
    most = "at most " if found["repeated"] else ""
    return f"{text}; this set shows differences from {most}{found['smallest']} cases up."


def faults(found: dict, max_drop: float | None, max_regressions: int | None) -> list[str]:
    """Why B must not replace A: a loss beyond noise, and each limit that it breaks."""
    worse = found["difference"] < 0 and found["p"] <= found["alpha"]
    said = [f"B is worse than A: {judgement(found)}"] if worse else []
    if max_drop is not None and -found["difference"] > max_drop + 1e-9:
        said.append(f"the pass rate drops by {-found['difference']:.3f}, more than --max-drop {max_drop:g}")
    if max_regressions is not None and len(found["regressions"]) > max_regressions:
        said.append(f"{len(found['regressions'])} cases regress, more than --max-regressions {max_regressions}")
    return said


def too_unclean(found: dict) -> str:
    """Why the comparison is no measurement, "" when it is one."""
    if found["stopped"]:
        return f"{' and '.join(found['stopped'])} did not come to an end"
    missing = len(found["unclean"])
    if missing <= MAX_UNCLEAN * found["common"]:
        return ""
    return f"{missing} of {found['common']} common cases have no clean answer on one side (lost by the server, or none)"
