"""The five kinds of model server, each asked in its own wire format and answering as one Reply."""

import json
import os
from dataclasses import dataclass, field
from typing import Any

from lib.transport import Fault, Http


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


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class OpenAI:
    """Any server with /v1/chat/completions."""

    default_url = "http://127.0.0.1:8000"
    continuation: dict = {}  # extra fields that make a server go on with a last assistant message

    def __init__(self, url: str, model: str = "", timeout: float = 120.0, context: int = 0, key: str = ""):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = Http(url.rstrip("/").removesuffix("/v1"), timeout, headers)
        self.model = model
        self.context = context  # tokens; used where a request may set it

    def models(self) -> list[str]:
        """The names the server offers, best first."""
        listed = self.http.get("/v1/models", timeout=10).get("data")
        return [entry["id"] for entry in listed or [] if isinstance(entry, dict) and isinstance(entry.get("id"), str)]

    def ready(self) -> None:
        """Nothing, or a Fault when the server does not answer."""
        self.http.get("/v1/models", timeout=10)

    def slots(self) -> int:
        """How many requests it works on at once, as far as it says."""
        return 1

    def fingerprint(self) -> dict:
        """What identifies the server and its model."""
        for entry in self.http.get("/v1/models", timeout=10).get("data") or []:
            if isinstance(entry, dict) and entry.get("id") == self.model:
                return {"model": self.model, "context": entry.get("max_model_len")}
        return {"model": self.model}

    def chat(
        self, messages: list[dict], tools: list[dict] | None, sampling: Sampling, stop: tuple[str, ...] = ()
    ) -> Reply:
        payload = {"model": self.model, "messages": messages, "stream": False, **vars(sampling)}
        if tools:
            payload["tools"] = tools
        if stop:
            payload["stop"] = list(stop)
        return openai_reply(self.http.post("/v1/chat/completions", payload))

    def go_on(self, question: str, so_far: str, sampling: Sampling, stop: tuple[str, ...]) -> Reply:
        """The text that follows so_far in the assistant's turn."""
        messages = [{"role": "user", "content": question}]
        if so_far:
            messages.append({"role": "assistant", "content": so_far})
        payload = {"model": self.model, "messages": messages, "stream": False, "stop": list(stop), **vars(sampling)}
        if so_far:
            payload |= self.continuation
        return openai_reply(self.http.post("/v1/chat/completions", payload))


class Vllm(OpenAI):
    """vLLM, which needs to be told that the last assistant message is to be continued."""

    continuation = {"continue_final_message": True, "add_generation_prompt": False}


class LmStudio(OpenAI):
    """LM Studio: its own model list tells the loaded models from the merely downloaded ones."""

    default_url = "http://127.0.0.1:1234"

    def _listed(self) -> list[dict]:
        try:
            listed = self.http.get("/api/v0/models", timeout=10).get("data")
        except Fault:
            return []
        return [entry for entry in listed or [] if isinstance(entry, dict) and entry.get("id")]

    def models(self) -> list[str]:
        loaded = [entry["id"] for entry in self._listed() if entry.get("state") == "loaded"]
        return loaded or super().models()

    def fingerprint(self) -> dict:
        for entry in self._listed():
            if entry["id"] == self.model:
                kept = ("quantization", "arch", "loaded_context_length", "max_context_length", "capabilities")
                return {"model": self.model, **{name: entry[name] for name in kept if name in entry}}
        return super().fingerprint()


class LlamaCpp(OpenAI):
    """llama-server."""

    default_url = "http://127.0.0.1:8080"
    grammar = ""  # what a turn in the text form is held to, in GBNF; native calls are held by the server itself

    def ready(self) -> None:
        self.http.get("/health", timeout=10)

    def _props(self) -> dict:
        return self.http.get("/props", timeout=10)

    def models(self) -> list[str]:
        """The one it was started with; it answers whatever name is asked for."""
        return [os.path.basename(str(self._props().get("model_path") or "model"))]

    def slots(self) -> int:
        return _count(self._props().get("total_slots")) or 1

    def fingerprint(self) -> dict:
        import hashlib

        props = self._props()
        settings = props.get("default_generation_settings")
        template = props.get("chat_template")
        return {
            "model": self.model or os.path.basename(str(props.get("model_path", ""))),
            "build": props.get("build_info"),
            "context": settings.get("n_ctx") if isinstance(settings, dict) else None,
            "slots": props.get("total_slots"),
            "template_sha256": hashlib.sha256(template.encode()).hexdigest() if isinstance(template, str) else None,
        }

    def go_on(self, question: str, so_far: str, sampling: Sampling, stop: tuple[str, ...]) -> Reply:
        """As above, on the raw prompt: the template's own turn marks, then the very text the model trained on."""
        prompt = self.http.post("/apply-template", {"messages": [{"role": "user", "content": question}]}).get("prompt")
        if not isinstance(prompt, str):
            raise Fault("not-json", "/apply-template answered without a prompt")
        settings = {**vars(sampling), "n_predict": sampling.max_tokens}
        if self.grammar:
            settings["grammar"] = self.grammar
        body = self.http.post(
            "/completion", {"prompt": prompt + so_far, "stream": False, "stop": list(stop), **settings}
        )
        return Reply(
            text=_text(body.get("content")),
            finish="length" if body.get("stop_type") == "limit" else "stop",
            prompt_tokens=_count(body.get("tokens_evaluated")),
            reply_tokens=_count(body.get("tokens_predicted")),
            raw={name: body[name] for name in ("content", "stop_type", "stopping_word", "truncated") if name in body},
        )


class Ollama(OpenAI):
    """Ollama through its native API, the only one that takes a context length."""

    default_url = "http://127.0.0.1:11434"

    def models(self) -> list[str]:
        listed = self.http.get("/api/tags", timeout=10).get("models")
        return [
            entry["name"] for entry in listed or [] if isinstance(entry, dict) and isinstance(entry.get("name"), str)
        ]

    def ready(self) -> None:
        self.http.get("/api/tags", timeout=10)

    def fingerprint(self) -> dict:
        found: dict[str, Any] = {"model": self.model, "context": self.context or None}
        for entry in self.http.get("/api/tags", timeout=10).get("models") or []:
            if isinstance(entry, dict) and entry.get("name") == self.model:
                details = entry.get("details")
                found["digest"] = entry.get("digest")
                found["quantization"] = details.get("quantization_level") if isinstance(details, dict) else None
        return found

    def chat(
        self, messages: list[dict], tools: list[dict] | None, sampling: Sampling, stop: tuple[str, ...] = ()
    ) -> Reply:
        options: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "num_predict": sampling.max_tokens,
        }
        if self.context:
            options["num_ctx"] = self.context
        if stop:
            options["stop"] = list(stop)
        payload = {"model": self.model, "messages": ollama_messages(messages), "stream": False, "options": options}
        if tools:
            payload["tools"] = tools
        return ollama_reply(self.http.post("/api/chat", payload))

    def go_on(self, question: str, so_far: str, sampling: Sampling, stop: tuple[str, ...]) -> Reply:
        messages = [{"role": "user", "content": question}]
        if so_far:
            messages.append({"role": "assistant", "content": so_far})
        return self.chat(messages, None, sampling, stop)


BACKENDS = {"llamacpp": LlamaCpp, "ollama": Ollama, "lmstudio": LmStudio, "vllm": Vllm, "openai": OpenAI}


def openai_reply(body: dict) -> Reply:
    """The Reply in a /v1/chat/completions body; a Fault when there is no message, or nothing was generated."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Fault("empty", "the answer holds no message", 200, retry=True)
    usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
    reply = Reply(
        text=_text(message.get("content")),
        tool_calls=message["tool_calls"] if isinstance(message.get("tool_calls"), list) else [],
        finish=choice["finish_reason"] if isinstance(choice.get("finish_reason"), str) else "",
        prompt_tokens=_count(usage.get("prompt_tokens")),
        reply_tokens=_count(usage.get("completion_tokens")),
        raw={"message": message, "finish_reason": choice.get("finish_reason")},
    )
    return _not_empty(reply, bool(message.get("reasoning_content") or message.get("reasoning")))


def ollama_reply(body: dict) -> Reply:
    """The Reply in an /api/chat body of Ollama; a Fault when there is no message, or nothing was generated."""
    message = body.get("message")
    if not isinstance(message, dict):
        raise Fault("empty", "the answer holds no message", 200, retry=True)
    reply = Reply(
        text=_text(message.get("content")),
        tool_calls=message["tool_calls"] if isinstance(message.get("tool_calls"), list) else [],
        finish=body["done_reason"] if isinstance(body.get("done_reason"), str) else "",
        prompt_tokens=_count(body.get("prompt_eval_count")),
        reply_tokens=_count(body.get("eval_count")),
        raw={"message": message, "done_reason": body.get("done_reason")},
    )
    return _not_empty(reply, bool(message.get("thinking")))


def _not_empty(reply: Reply, thought: bool) -> Reply:
    if not (reply.text or reply.tool_calls or thought or reply.reply_tokens):
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
