"""llama-server: asked over /v1, and in the text form by the raw prompt."""

import os
import re
import time
from typing import Any

from evaluator.openai_server import OpenAI
from evaluator.replies import Offered, Reply, Sampling, as_count, as_dict, completion_reply, digest, known
from lib.transport import Fault

LOADING_SECONDS = 300.0  # that a llama-server may take to load its model
# Marks of tool calls that llama-server would leave out of a raw completion, were they not named.
CALL_MARKS = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>", "<think>", "</think>"]
_QUANT = re.compile(r"(?:^|[-._])(I?Q\d\w*|B?F16|F32|MXFP4)(?=[-._]|$)", re.IGNORECASE)


class LlamaCpp(OpenAI):
    """llama-server."""

    grammar = ""  # what a turn in the text form is held to, in GBNF; native calls are held by the server itself
    more_context = "a model file that is served here gets it by --context {tokens}, a running llama-server by -c"

    def ready(self) -> None:
        """As above; a server that still loads its model is waited for."""
        deadline = time.monotonic() + LOADING_SECONDS
        while True:
            try:
                self.http.get("/health", timeout=10)
                return
            except Fault as fault:
                if fault.code != "unavailable" or time.monotonic() > deadline:
                    raise
            time.sleep(1)

    def _props(self) -> dict:
        return self.http.get("/props", timeout=10)

    def offered(self) -> list[Offered]:
        """The one it was started with; it answers whatever name is asked for."""
        props = self._props()
        name = os.path.basename(str(props.get("model_path") or "model"))
        quantization = _QUANT.search(name.removesuffix(".gguf"))
        window = as_count(as_dict(props.get("default_generation_settings")).get("n_ctx"))
        tools = as_dict(props.get("chat_template_caps")).get("supports_tools")
        return [Offered(name, True, window, tools, quantization[1] if quantization else None)]

    def slots(self) -> int:
        return as_count(self._props().get("total_slots")) or 1

    def fingerprint(self) -> dict:
        props = self._props()
        (model,) = self.offered()
        template = props.get("chat_template")
        return {
            "model": self.model or model.name,
            "build": props.get("build_info"),
            "context": model.context,
            "slots": props.get("total_slots"),
            "template_sha256": digest(template),
            **known(quantization=model.quantization),
        }

    def _prompt(self, question: dict) -> str:
        prompt = self.http.post("/apply-template", question).get("prompt")
        if not isinstance(prompt, str):
            raise Fault("not-json", "/apply-template answered without a prompt")
        return prompt

    def _complete(self, prompt: str, sampling: Sampling, **more: Any) -> Reply:
        settings = {**vars(sampling), "n_predict": sampling.max_tokens, **more}
        return completion_reply(self.http.post("/completion", {"prompt": prompt, "stream": False, **settings}))

    def bare(self, messages: list[dict], tools: list[dict], sampling: Sampling) -> Reply:
        """What the model says to the very prompt with the tools in it; as above where the server has no raw prompts."""
        try:
            prompt = self._prompt({"messages": messages, "tools": tools})
            return self._complete(prompt, sampling, preserved_tokens=CALL_MARKS)
        except Fault:
            return super().bare(messages, tools, sampling)

    def go_on(self, question: str, so_far: str, sampling: Sampling, stop: tuple[str, ...]) -> Reply:
        """As above, on the raw prompt: the template's own turn marks, then the very text the model trained on."""
        prompt = self._prompt({"messages": [{"role": "user", "content": question}]})
        held = {"grammar": self.grammar} if self.grammar else {}
        return self._complete(prompt + so_far, sampling, stop=list(stop), **held)
