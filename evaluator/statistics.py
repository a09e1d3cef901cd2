"""Counts and rates of a run, each rate with an interval that takes the attempts at one case as one cluster."""

from collections import Counter
from collections.abc import Callable, Sequence
from math import comb, sqrt
from statistics import NormalDist

CONFIDENCE = 0.95
OUTCOMES = ("pass", "model_fail", "server_lost", "infra")
IN_RATE = ("pass", "model_fail")


def wilson(successes: float, trials: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Wilson score interval of a rate; (0, 1) without trials. Trials may be an effective number of them."""
    if not trials:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = successes / trials, z * z / trials
    middle = (share + weight / 2) / (1 + weight)
    half = sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    return 0.0 if successes <= 0 else middle - half, 1.0 if successes >= trials else middle + half


def clustered(
    successes: Sequence[float], trials: Sequence[float], most: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The Wilson interval of sum(successes) / sum(trials), one entry a case, at the effective number of trials.

    That number comes from how much the cases differ, by the ratio estimator's variance with Student's t for few cases
    (Korn and Graubard). It is at least the number of cases (as if every attempt said the same as the first) and at
    most `most` (as if all attempts were independent).
    """
    cases, total = len(trials), sum(trials)
    if not total:
        return 0.0, 1.0
    share = sum(successes) / total
    apart = sum((passed - share * of) ** 2 for passed, of in zip(successes, trials, strict=True))
    size = float(cases)
    if apart and 0 < share < 1 and cases > 1:
        from scipy.stats import t

        variance = cases / (cases - 1) * apart / total**2
        shrink = NormalDist().inv_cdf((1 + confidence) / 2) / float(t.ppf((1 + confidence) / 2, cases - 1))
        size = min(max(share * (1 - share) / variance * shrink**2, cases), most)
    return wilson(share * size, size, confidence)


def rate(successes: int, trials: int) -> dict:
    """{"passed", "of", "rate", "low", "high"} of attempts at different cases; the rate is None without trials."""
    low, high = wilson(successes, trials)
    value = successes / trials if trials else None
    return {"passed": successes, "of": trials, "rate": value, "low": low, "high": high}


def rate_over(records: Sequence[dict], holds: Callable[[dict], bool]) -> dict:
    """The rate of the records that `holds` is true of, its interval clustered where a case has several attempts."""
    cases = by_case(records, holds)
    found = rate(sum(passed for passed, _ in cases.values()), len(records))
    if len(records) > len(cases):
        low, high = clustered(*zip(*cases.values(), strict=True), most=len(records))
        found |= {"low": low, "high": high}
    return found


def by_case(records: Sequence[dict], holds: Callable[[dict], bool]) -> dict[str, tuple[int, int]]:
    """Case id -> (records that `holds` is true of, records)."""
    counts: dict[str, tuple[int, int]] = {}
    for record in records:
        passed, of = counts.get(record["id"], (0, 0))
        counts[record["id"]] = passed + bool(holds(record)), of + 1
    return counts


def pass_at(attempts: int, passed: int, k: int) -> float:
    """The chance that one of k attempts passes, without bias from `passed` of `attempts`: 1 - C(n-c, k) / C(n, k)."""
    return 1 - comb(attempts - passed, k) / comb(attempts, k)


def pass_all(attempts: int, passed: int, k: int) -> float:
    """The chance that k attempts all pass, without bias: C(c, k) / C(n, k)."""
    return comb(passed, k) / comb(attempts, k)


def repeated(records: Sequence[dict]) -> dict:
    """{"pass@k", "pass^k"}: k -> {"cases", "value", "low", "high"}, over the cases with k attempts that count."""
    cases = by_case(records, passes).values()
    found: dict[str, dict] = {"pass@k": {}, "pass^k": {}}
    for k in range(1, max((of for _, of in cases), default=0) + 1):
        enough = [(of, passed) for passed, of in cases if of >= k]
        for name, estimate in (("pass@k", pass_at), ("pass^k", pass_all)):
            values = [estimate(*case, k) for case in enough]
            low, high = clustered(values, [1] * len(values), most=sum(of for of, _ in enough))
            found[name][str(k)] = {"cases": len(values), "value": sum(values) / len(values), "low": low, "high": high}
    return found


def passes(record: dict) -> bool:
    return record["outcome"] == "pass"


def summarize(records: list[dict]) -> dict:
    """What a run's records add up to: overall, by set, by tag, by expected tool, and failures by code."""
    counted = [record for record in records if record["outcome"] in IN_RATE]
    answered = [record for record in records if record["outcome"] != "infra"]
    times = sorted(record["seconds"] for record in answered)
    steps = [step for record in answered for step in record["steps"]]
    cases = {record["id"] for record in records}
    return {
        "cases": len(cases),
        "attempts": len(records),
        "outcomes": {outcome: sum(record["outcome"] == outcome for record in records) for outcome in OUTCOMES},
        "pass": rate_over(counted, passes),
        **({"repeats": repeated(counted)} if len(records) > len(cases) else {}),
        # What the model wrote, whether or not the server passed it on, and what arrived as a call.
        "model": rate_over(answered, lambda record: record["outcome"] in ("pass", "server_lost")),
        "delivered": rate_over(answered, passes),
        "right_tool": rate_over(answered, lambda record: record["right_tool"]),
        "valid_call": rate_over(answered, lambda record: record["valid_call"]),
        "by_set": _by(counted, lambda record: [record["set"]]),
        "by_tag": _by(counted, lambda record: record["tags"]),
        "by_tool": _by(counted, lambda record: sorted(set(record["tools"]))),
        "codes": dict(
            Counter(
                code
                for record in records
                if record["outcome"] != "pass"
                for code in sorted({finding["code"] for finding in record["findings"]})
            ).most_common()
        ),
        "calls": calls_used(records),
        "seconds_p50": _quantile(times, 0.5),
        "seconds_p95": _quantile(times, 0.95),
        "prompt_tokens": sum(step["prompt_tokens"] or 0 for step in steps),
        "reply_tokens": sum(step["reply_tokens"] or 0 for step in steps),
    }


def calls_used(records: list[dict]) -> dict[str, int]:
    """Calls that the passed attempts made, and the fewest that would have done; {} for results without these fields."""
    passed = [record for record in records if passes(record) and "minimum" in record]
    found = {name: sum(record[name] for record in passed) for name in ("used", "minimum")}
    return found if passed else {}


def speed(records: list[dict], seconds: float, parallel: int) -> dict:
    """How fast the records were made that took so many seconds: {"parallel", "requests", "seconds_p50", "seconds_p95",
    "tokens_per_second"}. The quantiles are of single requests; the tokens are those that the model wrote."""
    steps = [step for record in records for step in record["steps"]]
    times = sorted(step["seconds"] for step in steps)
    written = sum(step["reply_tokens"] or 0 for step in steps)
    return {
        "parallel": parallel,
        "requests": len(steps),
        "seconds_p50": _quantile(times, 0.5),
        "seconds_p95": _quantile(times, 0.95),
        "tokens_per_second": round(written / seconds, 1) if written and seconds else None,
    }


def _by(records: list[dict], keys) -> dict[str, dict]:
    groups: dict[str, list[dict]] = {}
    for record in records:
        for key in keys(record):
            groups.setdefault(key, []).append(record)
    return {key: rate_over(group, passes) for key, group in groups.items()}


def _quantile(values: list[float], share: float) -> float | None:
    return values[min(len(values) - 1, int(share * len(values)))] if values else None
