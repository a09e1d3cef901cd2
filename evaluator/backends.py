"""The five kinds of model server, each asked in its own wire format and answering as one Reply."""

import os
from dataclasses import replace
from typing import Any

from evaluator import lmstudio
from evaluator.llama_server import LlamaCpp
from evaluator.openai_server import OpenAI, Vllm
from evaluator.replies import (
    Offered,
    Reply,
    Sampling,
    as_count,
    as_dict,
    as_dicts,
    as_text,
    digest,
    known,
    ollama_messages,
    ollama_reply,
    own_names,
)
from lib.transport import Fault

__all__ = ["BACKENDS", "LlamaCpp", "LmStudio", "Ollama", "OpenAI", "Reply", "Sampling", "Vllm"]


class LmStudio(OpenAI):
    """LM Studio: its own API tells loaded models from downloaded ones, loads and unloads; /v1 answers."""

    more_context = "load the model with more: --context {tokens}"
    instance = ""  # the loaded one that is asked, where it has a name of its own
    ours = ""  # the instance that we loaded

    def offered(self) -> list[Offered]:
        return lmstudio.offered(self.http) or super().offered()

    def models(self) -> list[str]:
        """The loaded ones, or all when none is loaded."""
        found = self.offered()
        return [model.name for model in found if model.loaded] or [model.name for model in found]

    def named(self, name: str, names: list[str]) -> str:
        return name if name in names or any(name in model.instances for model in self.offered()) else ""

    def usual(self, offered: list[Offered]) -> str:
        """One of several that are merely downloaded would be taken at random, and loaded."""
        return "" if len(offered) > 1 and offered[0].loaded is False else offered[0].name

    def _mine(self) -> Offered | None:
        return next((m for m in self.offered() if self.model == m.name or self.model in m.instances), None)

    def prepare(self) -> None:
        """A loaded model is taken as it is, unless its context is smaller than the one asked for."""
        model = self._mine()
        if model is None or model.loaded is None:
            return
        if model.loaded and (model.context is None or model.context >= self.context):
            own = self.model in model.instances or not model.instances
            self.instance = self.model if own else model.instances[0]
            return
        self.instance, context = lmstudio.load(self.http, model.name, self.context)
        self.ours, self.window = self.instance, context or 0

    def release(self) -> None:
        if self.ours:
            lmstudio.unload(self.http, self.ours)
            self.ours = ""

    def slots(self) -> int:
        model = self._mine()
        return (model.facts.get("parallel") if model else None) or 1

    def fingerprint(self) -> dict:
        model = self._mine()
        if model is None or model.loaded is None:
            return super().fingerprint()
        facts = {name: value for name, value in model.facts.items() if name != "parallel"}
        said = known(context=self.window or model.context, quantization=model.quantization, tools=model.tools)
        return {"model": self.model, **said, **facts}

    def payload(self, messages: list[dict], sampling: Sampling, stop: tuple[str, ...]) -> dict:
        return super().payload(messages, sampling, stop) | ({"model": self.instance} if self.instance else {})

    def chat(
        self, messages: list[dict], tools: list[dict] | None, sampling: Sampling, stop: tuple[str, ...] = ()
    ) -> Reply:
        return own_names(super().chat(messages, tools, sampling, stop), tools)


class Ollama(OpenAI):
    """Ollama through its native API, the only one that takes a context length."""

    more_context = "give it more: --context {tokens} (num_ctx)"
    looked = False  # for the context of the loaded model

    def offered(self) -> list[Offered]:
        loaded = {as_text(entry.get("name")): entry for entry in as_dicts(self._told("/api/ps").get("models"))}
        found = [
            Offered(
                name=entry["name"],
                loaded=entry["name"] in loaded,
                context=as_count(loaded.get(entry["name"], {}).get("context_length")),
                quantization=as_dict(entry.get("details")).get("quantization_level"),
                facts=known(digest=entry.get("digest")),
            )
            for entry in as_dicts(self.http.get("/api/tags", timeout=10).get("models"))
            if isinstance(entry.get("name"), str)
        ]
        return sorted(found, key=lambda model: not model.loaded)

    def described(self, model: Offered) -> Offered:
        """The same with its capabilities and the digest of its template."""
        shown = self._told("/api/show", {"model": model.name})
        able = shown.get("capabilities")
        facts = known(template_sha256=digest(shown.get("template")), parameters_sha256=digest(shown.get("parameters")))
        tools = "tools" in able if isinstance(able, list) else None
        return replace(model, tools=tools, facts=model.facts | facts)

    def named(self, name: str, names: list[str]) -> str:
        """A name without a tag means the tag latest."""
        return next((known_name for known_name in (name, f"{name}:latest") if known_name in names), "")

    def ready(self) -> None:
        self.http.get("/api/tags", timeout=10)

    def slots(self) -> int:
        """Only the server's own environment says it; where it runs on this machine that may be ours."""
        given = os.environ.get("OLLAMA_NUM_PARALLEL", "")
        return max(1, int(given)) if given.isdecimal() else 1

    def fingerprint(self) -> dict:
        found: dict[str, Any] = {"model": self.model, "context": self.context or None}
        for model in self.offered():
            if model.name == self.model:
                model = self.described(model)
                found |= {"context": self.context or model.context, "quantization": model.quantization, **model.facts}
                found |= known(tools=model.tools)
        return found | known(build=as_text(self._told("/api/version").get("version")) or None)

    def payload(self, messages: list[dict], sampling: Sampling, stop: tuple[str, ...]) -> dict:
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
        return {"model": self.model, "messages": ollama_messages(messages), "stream": False, "options": options}

    def chat(
        self, messages: list[dict], tools: list[dict] | None, sampling: Sampling, stop: tuple[str, ...] = ()
    ) -> Reply:
        payload = self.payload(messages, sampling, stop) | ({"tools": tools} if tools else {})
        reply = ollama_reply(self.http.post("/api/chat", payload))
        if not (self.window or self.context or self.looked):  # it is loaded now, so the server knows its context
            self.looked = True
            self.window = next((m.context for m in self._loaded() if m.name == self.model), None) or 0
        return reply

    def _loaded(self) -> list[Offered]:
        try:
            return self.offered()
        except Fault:
            return []

    def go_on(self, question: str, so_far: str, sampling: Sampling, stop: tuple[str, ...]) -> Reply:
        messages = [{"role": "user", "content": question}]
        if so_far:
            messages.append({"role": "assistant", "content": so_far})
        return self.chat(messages, None, sampling, stop)


BACKENDS = {"llamacpp": LlamaCpp, "ollama": Ollama, "lmstudio": LmStudio, "vllm": Vllm, "openai": OpenAI}
