"""Is what will be served what was trained? The same conversations, rendered by everyone who does it, token by token.

The measure is our own renderer, which made the training tokens. Against it stand the Hugging Face tokenizer, llama.cpp
with the template it reads out of the GGUF, and the TEMPLATE of the Ollama Modelfile. Beyond the prompts: the token that
ends a turn must end a generation, and a call as it was trained must come back from llama-server as that call.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from lib import ollama, templates
from lib.errors import CannotRun
from lib.parity_cases import TOOLS, Case, cases
from lib.rendering import Layout, lay_out

HF, LLAMA, OLLAMA = "transformers", "llama.cpp", "Ollama"
CALLS, STOPS = "calls parsed", "stop tokens"
FORCE = 100.0  # added to a token's logit, it is what comes next
DAY = re.compile(r"\b\d{1,2} [A-Z][a-z]{2,8} \d{4}\b|\b\d{4}-\d\d-\d\d\b")
NO_TEMPLATE = "the Modelfile has no TEMPLATE of ours for this family; Ollama takes its own"
OWN_SCHEMAS = "Ollama writes tool schemas in its own way, so TOOLS_IN_PROMPT=full is served otherwise there"
SECONDS = 600  # for one answer of a big model on a slow machine


class ParityFailed(CannotRun):
    """The check was made and found something: exit code 1."""

    exit_code = 1


@dataclass(frozen=True)
class View:
    """A prompt as someone renders it: its text and token ids, or why there is none."""

    text: str = ""
    ids: list[int] = field(default_factory=list)
    refusal: str = ""


@dataclass(frozen=True)
class Finding:
    """fault: its name, such as 'double BOS'; view: whose rendering differs; detail: where."""

    fault: str
    view: str
    case: str
    detail: str

    def __str__(self) -> str:
        return f"{self.fault} ({self.view}, {self.case}): {self.detail}"


@dataclass
class Report:
    """agreed: view -> conversations that agree; left_out: view -> why some could not be compared."""

    conversations: int = 0
    agreed: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def note(self, view: str, finding: Finding | None) -> None:
        if finding is None:
            self.agreed[view] = self.agreed.get(view, 0) + 1
        else:
            self.agreed.setdefault(view, 0)
            self.findings.append(finding)

    def leave_out(self, view: str, case: str, reason: str) -> None:
        self.left_out.setdefault(view, {})[case] = reason

    def as_dict(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Gate:
    """Everything that renders: the trained tokenizer, its template, and a server of the GGUF."""

    tokenizer: object
    template: str
    ask: Callable[[str, dict], dict]  # path, body -> the server's answer, or {"error": ...}

    @property
    def mode(self) -> str:
        """How much of the tools is in a trained prompt: none, names or full."""
        known = templates.name_of(self.template)
        return known[1] if known else templates.split(self.template)[0] or "full"


def check(gate: Gate, found_template: str | None) -> Report:
    """What agrees and what does not; found_template is the one that the GGUF carries."""
    report = Report()
    report.findings += template_faults(gate.template, found_template)
    go, ends = ollama.template_text(gate.template), set()
    mark = ollama.call_mark(go) if go else ""
    for case in cases():
        report.conversations += 1
        try:
            layout = lay_out([*case.messages, case.answer], gate.tokenizer, None if gate.mode == "none" else TOOLS)
        except CannotRun as error:
            if is_about_ids(error.message):
                report.findings.append(Finding("wrong id length", "our renderer", case.name, error.message))
            for view in (HF, LLAMA, OLLAMA):
                report.leave_out(view, case.name, error.message)  # Llama's templates take one call in a turn
            continue
        expected = trained_prompt(layout)
        for view, found in renderings(gate, case, go).items():
            if found is None:
                report.leave_out(view, case.name, NO_TEMPLATE if go is None else OWN_SCHEMAS)
            else:
                report.note(view, difference(gate, view, case, expected, found))
        end = end_token(layout)
        if end not in ends:
            ends.add(end)
            report.note(STOPS, stop_fault(gate, case, expected.ids, end))
        if case.answer.get("tool_calls"):
            report.note(CALLS, call_fault(gate, case, layout, end))
            answer = layout.text[slice(*layout.spans[-1])]
            if mark not in answer:
                detail = f"Ollama reads calls only behind {mark!r}, which does not stand in {answer[:60]!r}"
                report.findings.append(Finding("call lost", OLLAMA, case.name, detail))
    return report


def template_faults(template: str, found: str | None) -> list[Finding]:
    """What can be said of the GGUF's template without rendering it."""
    faults = []
    if found != template:
        where = "it has none" if found is None else first_difference(template, found)
        faults.append(Finding("template replaced", LLAMA, "the file's metadata", where))
    if templates.NOW.search(found or ""):
        detail = "the template writes today's date into the prompt; training knew another"
        faults.append(Finding("date drift", LLAMA, "the file's metadata", detail))
    return faults


def trained_prompt(layout: Layout) -> View:
    """The prompt before the last answer, as it was tokenized for training."""
    start = layout.spans[-1][0]
    return View(layout.text[:start], layout.input_ids[: layout.prompt_length(-1)])


def end_token(layout: Layout) -> int:
    """The token that closes the last answer."""
    end = layout.spans[-1][1]
    return next(token for token, (low, high) in zip(layout.input_ids, layout.offsets, strict=True) if low < end == high)


def renderings(gate: Gate, case: Case, go: str | None) -> dict[str, View | None]:
    """The prompt as each of the others renders it, with all tools in the request; None: cannot be compared."""
    comparable = go is not None and gate.mode != "full"
    return {
        HF: by_transformers(gate.tokenizer, case),
        LLAMA: by_llama(gate, case),
        OLLAMA: by_ollama(gate, case, go) if comparable else None,
    }


def by_transformers(tokenizer, case: Case) -> View:
    settings = {"tools": TOOLS, "add_generation_prompt": True}
    try:
        text = tokenizer.apply_chat_template(case.messages, tokenize=False, **settings)
        ids = tokenizer.apply_chat_template(case.messages, tokenize=True, return_dict=False, **settings)
    except Exception as error:  # jinja raises what the template's author chose
        return View(refusal=str(error))
    return View(text, list(ids))


def by_llama(gate: Gate, case: Case) -> View:
    answer = gate.ask("/apply-template", {"messages": on_the_wire(case.messages), "tools": TOOLS})
    if "prompt" not in answer:
        return View(refusal=json.dumps(answer, ensure_ascii=False)[:300])
    return tokenized(gate, answer["prompt"])


def by_ollama(gate: Gate, case: Case, go: str) -> View:
    try:
        return tokenized(gate, ollama.render(go, case.messages, TOOLS))
    except CannotRun as error:
        return View(refusal=error.message)


def tokenized(gate: Gate, prompt: str) -> View:
    """The prompt as llama.cpp tokenizes it for a completion."""
    answer = gate.ask("/tokenize", {"content": prompt, "add_special": True, "parse_special": True})
    return View(prompt, answer["tokens"]) if "tokens" in answer else View(refusal=json.dumps(answer)[:300])


def on_the_wire(messages: list[dict]) -> list[dict]:
    """The messages as clients send them: arguments as JSON text."""
    found = json.loads(json.dumps(messages))
    for call in (call for message in found for call in message.get("tool_calls") or ()):
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    return found


def difference(gate: Gate, view: str, case: Case, expected: View, found: View) -> Finding | None:
    """None for the same token ids, otherwise the fault with its name."""
    if found.refusal:
        fault = "wrong id length" if is_about_ids(found.refusal) else "refused"
        return Finding(fault, view, case.name, found.refusal[:200])
    if found.ids == expected.ids:
        return None
    fault, detail = named(gate.tokenizer, expected, found)
    return Finding(fault, view, case.name, detail)


def is_about_ids(refusal: str) -> bool:
    """Whether a template refuses a call's id: Mistral's take nine letters and digits alone."""
    return "length 9" in refusal


def named(tokenizer, expected: View, found: View) -> tuple[str, str]:
    """(name of the fault, what it looks like)."""
    bos, token = tokenizer.bos_token_id, tokenizer.bos_token or ""
    if bos is not None and found.ids[:2] == [bos, bos] != expected.ids[:2]:
        return "double BOS", f"the prompt begins with {token} twice"
    if bos is not None and [bos, *found.ids] == expected.ids:
        return "missing BOS", f"the prompt does not begin with {token}"
    texts = expected.text.removeprefix(token), found.text.removeprefix(token)
    where = first_difference(*texts)
    if DAY.sub("", texts[0]) == DAY.sub("", texts[1]) and texts[0] != texts[1]:
        return "date drift", where
    shown = [sum(tool["function"]["name"] in text for tool in TOOLS) for text in texts]
    if shown[0] != shown[1]:
        name = "tools dropped" if shown[1] < shown[0] else "tools added"
        return name, f"{shown[0]} of {len(TOOLS)} tools are in the trained prompt, {shown[1]} in this one; {where}"
    if texts[0] == texts[1]:
        return "tokenizer differs", f"the same text gives {len(found.ids)} tokens instead of {len(expected.ids)}"
    return "text differs", where


def first_difference(expected: str, found: str) -> str:
    """Both texts around the first place where they differ."""
    place = next(
        (at for at, (one, other) in enumerate(zip(expected, found, strict=False)) if one != other),
        min(len(expected), len(found)),
    )
    start = max(place - 20, 0)
    return f"character {place}: trained {expected[start : place + 30]!r}, served {found[start : place + 30]!r}"


def stop_fault(gate: Gate, case: Case, prompt: list[int], end: int) -> Finding | None:
    """None when a generation ends at the token that closes a trained answer."""
    body = {"prompt": prompt, "n_predict": 2, "temperature": 0, "logit_bias": [[end, FORCE]], "cache_prompt": True}
    answer = gate.ask("/completion", body)
    if answer.get("stop_type") == "eos":
        return None
    token = gate.tokenizer.convert_ids_to_tokens(end)
    detail = f"{token} (token {end}) closes the trained answers, but the server goes on after it"
    return Finding("missing stop", STOPS, case.name, detail)


def call_fault(gate: Gate, case: Case, layout: Layout, end: int) -> Finding | None:
    """None when llama-server reads the trained text of the call as the same name and arguments."""
    start, stop = layout.spans[-1]
    text = layout.text[start:stop].removesuffix(gate.tokenizer.convert_ids_to_tokens(end))
    messages = [*on_the_wire(case.messages), {"role": "assistant", "content": text}]
    body = {"messages": messages, "tools": TOOLS, "max_tokens": 2, "temperature": 0, "logit_bias": [[end, FORCE]]}
    answer = gate.ask("/v1/chat/completions", body)
    try:
        message = answer["choices"][0]["message"]
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        found = [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in calls]
    except (KeyError, IndexError, TypeError, ValueError):
        return Finding("call lost", CALLS, case.name, json.dumps(answer, ensure_ascii=False)[:300])
    wanted = [call["function"] for call in case.answer["tool_calls"]]
    if found == wanted:
        return None
    fault = "call changed" if found else "call lost"
    got = found or message.get("content")
    return Finding(fault, CALLS, case.name, f"{json.dumps(got, ensure_ascii=False)[:200]} for {text[:200]!r}")


def lines(report: dict) -> list[str]:
    """The report's figures, a line for each view."""
    total, found = report["conversations"], []
    for view, count in report["agreed"].items():
        faults = sum(finding["view"] == view for finding in report["findings"])
        out = report["left_out"].get(view, {})
        note = f"; {len(out)} not compared ({next(iter(out.values()))})" if out else ""
        found.append(f"{view}: {count} of {count + faults} agree{note}")
    found += [
        f"{view}: none of {total} compared ({next(iter(out.values()))})"
        for view, out in report["left_out"].items()
        if view not in report["agreed"]
    ]
    return found
