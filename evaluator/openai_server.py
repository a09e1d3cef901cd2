"""Any server with /v1/chat/completions, and vLLM, which needs little more."""

from evaluator.replies import Offered, Reply, Sampling, as_count, as_dicts, as_text, known, openai_reply
from lib.transport import Fault, Http

VLLM_REQUESTS = 8


class OpenAI:
    """Any server with /v1/chat/completions."""

    continuation: dict = {}  # extra fields that make a server go on with a last assistant message
    more_context = "give the server a context of {tokens} tokens"  # what to do about a prompt that was cut
    window: int = 0  # tokens that one request may use; 0: unknown

    def __init__(self, url: str, model: str = "", timeout: float = 120.0, context: int = 0, key: str = ""):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = Http(url.rstrip("/").removesuffix("/v1"), timeout, headers)
        self.key = key
        self.model = model
        self.context = context  # tokens; used where a request may set it

    def _told(self, path: str, question: dict | None = None) -> dict:
        """What the server says at a path that not every version has; {} when it has none."""
        try:
            return self.http.get(path, timeout=10) if question is None else self.http.post(path, question, timeout=10)
        except Fault:
            return {}

    def offered(self) -> list[Offered]:
        """What the server offers, best first."""
        listed = as_dicts(self.http.get("/v1/models", timeout=10).get("data"))
        return [
            Offered(entry["id"], context=as_count(entry.get("max_model_len")))
            for entry in listed
            if isinstance(entry.get("id"), str)
        ]

    def described(self, model: Offered) -> Offered:
        """The same with what takes a question for each model."""
        return model

    def models(self) -> list[str]:
        """The names the server offers, best first."""
        return [model.name for model in self.offered()]

    def named(self, name: str, names: list[str]) -> str:
        """The one of the names that is meant, "" when there is none; some servers answer to any name."""
        return name

    def usual(self, offered: list[Offered]) -> str:
        """The model that is asked when none is named, "" when that is not for us to choose."""
        return offered[0].name

    def ready(self) -> None:
        """Nothing, or a Fault when nobody answers; a refusal is an answer too."""
        try:
            self.http.get("/v1/models", timeout=10)
        except Fault as fault:
            if fault.status is None:
                raise

    def prepare(self) -> None:
        """Load the model where that is ours to do; CannotRun when it does not load."""

    def release(self) -> None:
        """Unload what prepare loaded."""

    def slots(self) -> int:
        """How many requests it works on at once, as far as it says."""
        return 1

    def fingerprint(self) -> dict:
        """What identifies the server and its model."""
        for model in self.offered():
            if model.name == self.model:
                return {"model": self.model, **known(context=model.context, build=self.build())}
        return {"model": self.model, **known(build=self.build())}

    def build(self) -> str | None:
        """The server's version."""
        return None

    def payload(self, messages: list[dict], sampling: Sampling, stop: tuple[str, ...]) -> dict:
        said = {"model": self.model, "messages": messages, "stream": False, **vars(sampling)}
        return said | ({"stop": list(stop)} if stop else {})

    def chat(
        self, messages: list[dict], tools: list[dict] | None, sampling: Sampling, stop: tuple[str, ...] = ()
    ) -> Reply:
        payload = self.payload(messages, sampling, stop) | ({"tools": tools} if tools else {})
        return openai_reply(self.http.post("/v1/chat/completions", payload))

    def bare(self, messages: list[dict], tools: list[dict], sampling: Sampling) -> Reply:
        """The model's words where the server hid them: asked once without `tools`, so that nothing is parsed."""
        return self.chat(messages, None, sampling)

    def go_on(self, question: str, so_far: str, sampling: Sampling, stop: tuple[str, ...]) -> Reply:
        """The text that follows so_far in the assistant's turn."""
        messages = [{"role": "user", "content": question}]
        if so_far:
            messages.append({"role": "assistant", "content": so_far})
        payload = self.payload(messages, sampling, stop) | (self.continuation if so_far else {})
        return openai_reply(self.http.post("/v1/chat/completions", payload))


class Vllm(OpenAI):
    """vLLM, which needs to be told that the last assistant message is to be continued."""

    continuation = {"continue_final_message": True, "add_generation_prompt": False}
    more_context = "start vLLM with --max-model-len {tokens}"

    def slots(self) -> int:
        """It batches whatever comes, and does not say how much: as many as one card does not feel yet."""
        return VLLM_REQUESTS

    def build(self) -> str | None:
        return as_text(self._told("/version").get("version")) or None

    def named(self, name: str, names: list[str]) -> str:
        return name if name in names else ""
