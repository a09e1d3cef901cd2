"""One case asked to the end: request, calls, their results from the simulator fed back, until the model stops calling.

`native` sends `tools` and takes `tool_calls`; what the server left in the text is parsed too, so that the model's view
and the delivered view can be told apart. `text` lets the model write our `tool_call:` form, stops it at `Result:` and
puts the true result there.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from evaluator.cases import Case
from evaluator.checkers import MadeCall
from evaluator.openai_server import OpenAI
from evaluator.parsing import FoundCall, delivered_calls, find_calls
from evaluator.replies import Reply, Sampling
from evaluator.truncation import context_for, cut
from lib.chat import dump_arguments
from lib.toolset import Toolset
from lib.transport import Fault, with_retries
from lib.vault import Vault, execute

STOP_AT_RESULT = ("\nResult:",)
SUSPICIOUS_TOKENS = 3  # generated, yet nothing delivered: the server may have swallowed a call


@dataclass(frozen=True)
class Asking:
    """How every case of a run is asked."""

    backend: OpenAI
    toolset: Toolset
    sampling: Sampling
    max_steps: int = 6
    sleep: Callable[[float], None] = time.sleep


@dataclass
class Conversation:
    """What was said and done. `lost`: the server did not deliver a call that the model's text holds."""

    vault: Vault
    runs: bool = True  # whether calls are run; without it they have no results
    calls: list[MadeCall] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    reply: str = ""
    cut_off: bool = False
    lost: bool = False

    def run(self, found: FoundCall) -> MadeCall:
        """The call with its result; one that is not even JSON is not run."""
        if not self.runs:
            result = {}
        elif found.arguments is None or found.problem:
            result = {"success": False, "error": found.problem or "arguments must be a JSON object"}
        else:
            result = execute(self.vault, found.name, found.arguments)
        call = MadeCall(found.name, found.arguments, result, found.source, found.problem)
        self.calls.append(call)
        return call

    def record(self, sent: object, reply: Reply, started: float, calls: list[MadeCall], **more: object) -> None:
        self.steps.append(
            {
                "sent": sent,
                "reply": reply.raw or {"content": reply.text},
                "finish": reply.finish,
                "calls": [{"name": call.name, "arguments": call.arguments, "source": call.source} for call in calls],
                "results": [call.result for call in calls],
                "prompt_tokens": reply.prompt_tokens,
                "reply_tokens": reply.reply_tokens,
                "seconds": round(time.monotonic() - started, 3),
                **more,
            }
        )


def heard(text: str, tool_calls: list, form: str) -> tuple[list[FoundCall], list[FoundCall]]:
    """(delivered calls, calls that the server left in the text) of one reply; the text form knows one call a reply.

    Beside a delivered call JSON in a code fence only shows what was called.
    """
    if form == "text":
        return find_calls(text)[:1], []
    delivered = delivered_calls(tool_calls)
    left = [call for call in find_calls(text) if not (delivered and call.source == "fenced")]
    if not left:
        return delivered, []
    seen = {(call.name, _key(call.arguments)) for call in delivered}
    return delivered, [call for call in left if (call.name, _key(call.arguments)) not in seen]


def ask_native(case: Case, asking: Asking) -> Conversation:
    """The case asked with `tools` in the request."""
    talk = Conversation(case.fresh_vault(), case.runs)
    messages: list[dict] = list(case.messages)
    tools = list(case.functions) or asking.toolset.openai_tools()
    read = 0
    for _ in range(asking.max_steps):
        started = time.monotonic()
        reply, error = _served(asking, messages, tools, read)
        read = reply.prompt_tokens or 0
        delivered, left = heard(reply.text, reply.tool_calls, "native")
        talk.lost |= bool(left)
        calls = [talk.run(found) for found in delivered + left]
        more = {"error": error} if error else {}
        talk.record(list(messages), reply, started, calls, delivered=len(delivered), **more)
        talk.reply, talk.cut_off = reply.text, reply.finish == "length"
        if not calls or talk.cut_off or not case.runs:
            break
        messages += _exchange(len(messages), "" if left else reply.text, calls)
    return talk


def _key(arguments: dict | None) -> str:
    return json.dumps(arguments, sort_keys=True)


def _served(asking: Asking, messages: list[dict], tools: list[dict], read: int) -> tuple[Reply, str]:
    """The server's reply, and the error it gave in its place, if the model's words could still be had.

    read: prompt tokens of the step before.
    """
    try:
        reply = with_retries(lambda: asking.backend.chat(messages, tools, asking.sampling), asking.sleep)
    except Fault as fault:
        if fault.text is not None:
            return Reply(text=_whole_call(fault.text), finish="error"), str(fault)
        if not fault.hidden:
            raise
        return _without_tools(asking, messages, tools), str(fault)
    # Thoughts of earlier turns are dropped by some templates, so only what the model did not write must be there.
    _refuse_cut(asking, reply, [each["content"] for each in messages if each["role"] != "assistant"], tools, read)
    vanished = (reply.reply_tokens or 0) > SUSPICIOUS_TOKENS or reply.finish == "tool_calls"
    if not reply.text and not reply.tool_calls and vanished and reply.finish != "length":
        return _without_tools(asking, messages, tools), "the server generated text but delivered none of it"
    return reply, ""


def _whole_call(text: str) -> str:
    """The rest of a call that an error body begins behind its opening mark gets the mark back."""
    return f"<tool_call>{text}" if text.lstrip().startswith("{") and not find_calls(text) else text


def _without_tools(asking: Asking, messages: list[dict], tools: list[dict]) -> Reply:
    """The same conversation asked once more so that the server passes the text on as it is."""
    return with_retries(lambda: asking.backend.bare(messages, tools, asking.sampling), asking.sleep)


def _refuse_cut(asking: Asking, reply: Reply, texts: list[str], tools: list[dict] | None, before: int) -> None:
    """A Fault when the server has not read all that was sent: the answer is then not the model's to answer for."""
    backend = asking.backend
    why, needed = cut(reply, texts, tools, backend.window, before)
    if why:
        tokens = max(context_for(needed, asking.sampling.max_tokens), 2 * backend.window)
        raise Fault("truncated", f"{why}; {backend.more_context.format(tokens=tokens)}")


def _exchange(turn: int, text: str, calls: list[MadeCall]) -> list[dict]:
    """The assistant's message with its calls and one message per result; ids as Mistral's template demands them."""
    ids = [f"call{turn:02d}{index:03d}" for index in range(len(calls))]
    tool_calls = [
        {
            "id": call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": dump_arguments(call.arguments or {})},
        }
        for call_id, call in zip(ids, calls, strict=True)
    ]
    results = [
        {"role": "tool", "tool_call_id": call_id, "content": dump_arguments(call.result)}
        for call_id, call in zip(ids, calls, strict=True)
    ]
    return [{"role": "assistant", "content": text, "tool_calls": tool_calls}, *results]


def ask_text(case: Case, asking: Asking) -> Conversation:
    """The case asked as plain text; every true result goes where the model's own would have stood."""
    talk = Conversation(case.fresh_vault(), case.runs)
    so_far = ""
    for _ in range(asking.max_steps):
        started = time.monotonic()
        written = so_far
        reply = with_retries(
            lambda written=written: asking.backend.go_on(case.question, written, asking.sampling, STOP_AT_RESULT),
            asking.sleep,
        )
        _refuse_cut(asking, reply, [case.question, so_far], None, 0)
        found, _ = heard(reply.text, [], "text")
        calls = [talk.run(call) for call in found]
        talk.record({"question": case.question, "so_far": so_far}, reply, started, calls)
        talk.reply, talk.cut_off = reply.text, reply.finish == "length" and not found
        if not found or found[0].problem or not case.runs:
            break
        # The blank line behind a result is the model's own: a prompt that ends in it is split into other tokens.
        so_far += "" if not so_far or reply.text.startswith("\n") else "\n\n"
        so_far += f"{reply.text[: found[0].end].rstrip()}\n\nResult: {dump_arguments(calls[0].result)}"
    return talk


FORMATS = {"native": ask_native, "text": ask_text}
