"""What a server made of one request, read from OpenAI's and Ollama's wire formats into one Reply."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from lib.transport import Fault


@dataclass(frozen=True)
class Sampling:
    """What is sent with every request, because the servers' own defaults differ."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_tokens: int = 512


@dataclass
class Reply:
    """One generation: its text, the calls the server made of it, and why it ended."""

    text: str = ""
    tool_calls: list = field(default_factory=list)
    finish: str = ""  # stop, length or tool_calls
    prompt_tokens: int | None = None
    reply_tokens: int | None = None
    raw: dict = field(default_factory=dict)
    truncated: bool = False  # the server says that it cut the prompt


@dataclass(frozen=True)
class Offered:
    """A model that a server offers, with what the server says of it; None for what it does not say."""

    name: str
    loaded: bool | None = None
    context: int | None = None  # tokens that one request may use, as it is loaded
    tools: bool | None = None  # whether its chat template renders tools, or it was trained to use them
    quantization: str | None = None
    facts: dict = field(default_factory=dict)  # further ones, for the fingerprint
    instances: tuple[str, ...] = ()  # names of the loaded ones, where they have their own


def as_text(value: Any) -> str:
    """A message's content, be it missing, null, a text or a list of parts."""
    if isinstance(value, list):
        return "".join(as_text(part.get("text")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""


def as_count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def as_dicts(value: Any) -> list[dict]:
    """The objects of a list, {} of everything else left out."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def known(**facts: Any) -> dict:
    """The facts that are known."""
    return {name: value for name, value in facts.items() if value is not None}


def openai_reply(body: dict) -> Reply:
    """The Reply in a /v1/chat/completions body; a Fault when there is no message, or nothing was generated."""
    choices = as_dicts(body.get("choices"))
    choice = choices[0] if choices else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Fault("empty", "the answer holds no message", 200, retry=True)
    if isinstance(message.get("content"), list):
        message = {**message, "content": as_text(message["content"])}
    if isinstance(message.get("function_call"), dict) and not message.get("tool_calls"):  # the form before tools
        message = {**message, "tool_calls": [{"type": "function", "function": message["function_call"]}]}
    usage = as_dict(body.get("usage"))
    reply = Reply(
        text=as_text(message.get("content")),
        tool_calls=message["tool_calls"] if isinstance(message.get("tool_calls"), list) else [],
        finish=as_text(choice.get("finish_reason")),
        prompt_tokens=as_count(usage.get("prompt_tokens")),
        reply_tokens=as_count(usage.get("completion_tokens")),
        raw={"message": message, "finish_reason": choice.get("finish_reason")},
    )
    return _not_empty(reply, bool(message.get("reasoning_content") or message.get("reasoning")))


def ollama_reply(body: dict) -> Reply:
    """The Reply in an /api/chat body of Ollama; a Fault when there is no message, or nothing was generated."""
    message = body.get("message")
    if not isinstance(message, dict):
        raise Fault("empty", "the answer holds no message", 200, retry=True)
    reply = Reply(
        text=as_text(message.get("content")),
        tool_calls=message["tool_calls"] if isinstance(message.get("tool_calls"), list) else [],
        finish=as_text(body.get("done_reason")),
        prompt_tokens=as_count(body.get("prompt_eval_count")),
        reply_tokens=as_count(body.get("eval_count")),
        raw={"message": message, "done_reason": body.get("done_reason")},
    )
    return _not_empty(reply, bool(message.get("thinking")))


def completion_reply(body: dict) -> Reply:
    """The Reply in a /completion body of llama-server."""
    if not isinstance(body.get("content"), str):
        raise Fault("empty", "the answer holds no content", 200, retry=True)
    return Reply(
        text=body["content"],
        finish="length" if body.get("stop_type") == "limit" else "stop",
        prompt_tokens=as_count(body.get("tokens_evaluated")),
        reply_tokens=as_count(body.get("tokens_predicted")),
        raw={name: body[name] for name in ("content", "stop_type", "stopping_word", "truncated") if name in body},
        truncated=body.get("truncated") is True,
    )


def _not_empty(reply: Reply, thought: bool) -> Reply:
    """The reply, unless nothing at all was generated; a call that was made and not handed over is something."""
    if not (reply.text or reply.tool_calls or thought or reply.reply_tokens or reply.finish == "tool_calls"):
        raise Fault("empty", "the server answered 200 without generating anything", 200, retry=True)
    return reply


def ollama_messages(messages: list[dict]) -> list[dict]:
    """The same conversation as Ollama's native API wants it: arguments as objects, `tool_name` on results."""
    names: dict[str, str] = {}
    converted = []
    for message in messages:
        message = dict(message)
        if message.get("tool_calls"):
            calls = [dict(call["function"]) for call in message["tool_calls"]]
            names |= {call["id"]: call["function"]["name"] for call in message["tool_calls"]}
            message["tool_calls"] = [
                {"function": {**call, "arguments": json.loads(call["arguments"])}} for call in calls
            ]
        if message["role"] == "tool":
            message["tool_name"] = names.get(message.pop("tool_call_id", ""), "")
        converted.append(message)
    return converted


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).lower()


def own_names(reply: Reply, tools: list[dict] | None) -> Reply:
    """The reply with the names of the tools as they were sent: LM Studio 0.3.23 shows the model snake_case ones."""
    names = [tool["function"]["name"] for tool in tools or []]
    sent = {snake_case(name): name for name in names}
    for call in as_dicts(reply.tool_calls):
        function = as_dict(call.get("function"))
        if function.get("name") not in names and function.get("name") in sent:
            function["name"] = sent[function["name"]]
    return reply


def digest(text: Any) -> str | None:
    """sha256 of a text, None of anything else."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() if isinstance(text, str) else None
