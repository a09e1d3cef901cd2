"""Evaluation results for the tests of the reports, with all that a hostile model might write; and a reader of pages."""

from html.parser import HTMLParser

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


FETCHING = ("src", "href", "xlink:href", "srcset", "action", "data")
VOID = ("meta", "input", "br", "wbr")


class Reader(HTMLParser):
    """Notes tags, addresses, handlers and the text of script and style elements; knows which tags stay open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.fetched, self.handlers, self.inside = [], [], [], [], {}
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes if name in FETCHING]
        self.handlers += [name for name, _ in attributes if name.startswith("on") or name == "style"]
        if dict(attributes).get("http-equiv"):
            self.policy = dict(attributes)["content"]
        if tag not in VOID:
            self.open.append(tag if tag != "script" else f"script {dict(attributes).get('type', '')}".strip())

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop().split()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1].startswith(("script", "style")):
            self.inside[self.open[-1]] = self.inside.get(self.open[-1], "") + data
