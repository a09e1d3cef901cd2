"""Counts and rates of a run, each rate with its Wilson interval."""

from collections import Counter

CONFIDENCE = 0.95
OUTCOMES = ("pass", "model_fail", "server_lost", "infra")
IN_RATE = ("pass", "model_fail")


def wilson(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Wilson score interval of a rate; (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def rate(successes: int, trials: int) -> dict:
    """{"passed", "of", "rate", "low", "high"}; the rate is None without trials."""
    low, high = wilson(successes, trials)
    value = successes / trials if trials else None
    return {"passed": successes, "of": trials, "rate": value, "low": low, "high": high}


def summarize(records: list[dict]) -> dict:
    """What a run's records add up to: overall, by set, by tag, by expected tool, and failures by code."""
    counted = [record for record in records if record["outcome"] in IN_RATE]
    answered = [record for record in records if record["outcome"] != "infra"]
    times = sorted(record["seconds"] for record in answered)
    steps = [step for record in answered for step in record["steps"]]
    return {
        "cases": len(records),
        "outcomes": {outcome: sum(record["outcome"] == outcome for record in records) for outcome in OUTCOMES},
        "pass": rate(sum(record["outcome"] == "pass" for record in counted), len(counted)),
        # What the model wrote, whether or not the server passed it on, and what arrived as a call.
        "model": rate(sum(record["outcome"] in ("pass", "server_lost") for record in answered), len(answered)),
        "delivered": rate(sum(record["outcome"] == "pass" for record in answered), len(answered)),
        "right_tool": rate(sum(record["right_tool"] for record in answered), len(answered)),
        "valid_call": rate(sum(record["valid_call"] for record in answered), len(answered)),
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
        "seconds_p50": _quantile(times, 0.5),
        "seconds_p95": _quantile(times, 0.95),
        "prompt_tokens": sum(step["prompt_tokens"] or 0 for step in steps),
        "reply_tokens": sum(step["reply_tokens"] or 0 for step in steps),
    }


def _by(records: list[dict], keys) -> dict[str, dict]:
    groups: dict[str, list[bool]] = {}
    for record in records:
        for key in keys(record):
            groups.setdefault(key, []).append(record["outcome"] == "pass")
    return {key: rate(sum(passed), len(passed)) for key, passed in groups.items()}


def _quantile(values: list[float], share: float) -> float | None:
    return values[min(len(values) - 1, int(share * len(values)))] if values else None
