"""Evaluation results for the tests of the reports, with everything that a hostile model might write."""

from evaluator.statistics import summarize

HOSTILE = (
    '</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1"> \'"><svg onload=hacked=1> '
    "<!--<script> ]]> & \x00\x07\x1b[31m\x85\u202egnp.exe\u2028 \ud800 " + "x" * 400
)
LETTERS = {"p": "pass", "f": "model_fail", "l": "server_lost", "i": "infra"}


def record(case: str, outcome: str, attempt: int = 1, text: str = "All done.", **more) -> dict:
    """One attempt as a run writes it; text stands wherever a model can put its words."""
    failed = {"code": "wrong-tool", "message": f"called {text[:900]}", "path": "calls[0]", "severity": "error"}
    call = {"name": f"manager_{text[:40]}", "arguments": {"path": text, "n": [1, None]}, "source": "tool_calls"}
    reply = {"message": {"role": "assistant", "content": text, "reasoning_content": f"Hm, {text}"}}
    step = {"sent": [], "reply": reply, "finish": "stop", "calls": [call], "results": [{"success": True, "said": text}]}
    step |= {"prompt_tokens": 50, "reply_tokens": 20, "seconds": 0.5, "delivered": 0 if outcome == "server_lost" else 1}
    return {
        "id": case,
        "attempt": attempt,
        "set": "baseline",
        "tags": ["write"] if case in ("c0", "c1") else ["read", "2 calls"],
        "tools": ["manager_write"] if case in ("c0", "c1") else ["manager_read"],
        "question": f"Please do {case}.",
        "outcome": outcome,
        "right_tool": outcome == "pass",
        "valid_call": True,
        "lost": outcome == "server_lost",
        "findings": [] if outcome in ("pass", "server_lost") else [failed],
        "calls": [call],
        "reply": text,
        "steps": [] if outcome == "infra" else [step],
        **({} if outcome == "infra" else {"used": 1, "minimum": 2}),
        "changes": f"note created: {text}\n    +{text}\n    -old",
        "wanted": "note created: Wanted.md",
        "seconds": 1.5,
    } | more


def result(label: str, outcomes: str, text: str = "All done.", **more) -> dict:
    """A result with one letter (p, f, l, i) a case, or one word a case with a letter an attempt."""
    words = outcomes.split() if " " in outcomes else outcomes
    records = [
        record(f"c{n}", LETTERS[letter], k, text) for n, word in enumerate(words) for k, letter in enumerate(word, 1)
    ]
    return {
        "label": label,
        "finished": "2025-11-22T09:00:00+00:00",
        "settings": {"format": "native", "prompts": ["baseline"], "temperature": 0.0},
        "fingerprint": {"model": label, "build": "b1"},
        "seconds": 3.0,
        "stopped": "",
        "summary": summarize(records),
        "records": records,
    } | more
