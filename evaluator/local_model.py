"""A model loaded in this process, asked like a server: chat with tools, and the text form turn by turn."""

import json

from evaluator.replies import Reply, Sampling


class LocalModel:
    """What a conversation wants of a backend. model: a lib.answer_torch.Model; tools: those its prompt shows, or None.

    Calls are left in the text, where the conversation finds them.
    """

    window = 0
    more_context = "the model is asked without a server, so nothing cuts its prompt"

    def __init__(self, model, tools: list[dict] | None):
        self.model, self.tools = model, tools

    def chat(
        self, messages: list[dict], tools: list[dict] | None, sampling: Sampling, stop: tuple[str, ...] = ()
    ) -> Reply:
        return self._answer(self.model.prompt(with_objects(messages), self.tools), sampling, stop)

    def bare(self, messages: list[dict], tools: list[dict], sampling: Sampling) -> Reply:
        return self.chat(messages, tools, sampling)

    def go_on(self, question: str, so_far: str, sampling: Sampling, stop: tuple[str, ...]) -> Reply:
        """The text that follows so_far in the assistant's turn."""
        prompt = self.model.prompt([{"role": "user", "content": question}], self.tools)
        return self._answer(prompt + so_far, sampling, stop)

    def _answer(self, prompt: str, sampling: Sampling, stop: tuple[str, ...]) -> Reply:
        text, cut_off, read, written = self.model.complete(prompt, sampling, stop)
        return Reply(text, [], "length" if cut_off else "stop", read, written, {"content": text})


def with_objects(messages: list[dict]) -> list[dict]:
    """The messages with the calls' arguments as objects, as chat templates want them."""
    changed = []
    for message in messages:
        if calls := message.get("tool_calls"):
            objects = [call["function"] | {"arguments": json.loads(call["function"]["arguments"])} for call in calls]
            new = [call | {"function": function} for call, function in zip(calls, objects, strict=True)]
            message = message | {"tool_calls": new}
        changed.append(message)
    return changed
