"""A teacher: any OpenAI-compatible chat model, asked with patience, within a budget, and never twice for one answer."""

import re
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lib.cassette import Cassette
from lib.errors import CannotRun
from lib.transport import Fault, Http

KEY_NAMES = ("TEACHER_API_KEY", "OPENAI_API_KEY")
DELAYS = (1.0, 2.0, 4.0, 8.0)  # seconds before the second to fifth try
LONGEST_WAIT = 120.0  # seconds a server may ask us to stay away; for more the run stops
LOST_IN_A_ROW = 3  # questions without an answer, one after the other, from which the server counts as gone
BYTES_A_TOKEN = 2  # fewer than in any prompt of ours, so that an estimate is never below the bill
HOPELESS = {401: "refuses the key", 402: "wants to be paid", 403: "refuses the key", 404: "does not know the model"}
# What a server may refuse as such; the answer is then taken without it.
OPTIONAL = ("response_format", "seed", "temperature", "max_tokens")


class NoAnswer(Exception):
    """This question has no answer; others may have one."""


class Stopped(Exception):
    """No further question will be asked in this run."""


@dataclass(frozen=True)
class Settings:
    """What decides an answer beside the messages."""

    model: str
    temperature: float = 0.9
    max_tokens: int = 1500


@dataclass(frozen=True)
class Answer:
    """What the model wrote; cut: it ended at the limit of tokens, not by itself."""

    text: str
    cut: bool


@dataclass
class Ledger:
    """Calls, tokens and money of one run; prices and amounts in one currency, prices for a million tokens."""

    price_in: float = 0.0
    price_out: float = 0.0
    budget: float | None = None
    calls: int = 0
    replayed: int = 0  # answers that the cassette had
    tokens_in: int = 0
    tokens_out: int = 0
    unmetered: int = 0  # answers whose tokens the server did not count; estimated
    reserved: float = field(default=0.0, repr=False)  # for calls under way

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6

    @property
    def spent(self) -> float:
        return self.cost(self.tokens_in, self.tokens_out)

    def allows(self, most: float) -> bool:
        """Whether a call that costs this much at most stays within the budget, whatever the calls under way cost."""
        return self.budget is None or self.spent + self.reserved + most <= self.budget

    def book(self, usage: dict, estimate: tuple[int, int]) -> None:
        """Add one answered call."""
        counted = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        known = all(type(count) is int and count >= 0 for count in counted)
        tokens_in, tokens_out = counted if known else estimate
        self.calls += 1
        self.unmetered += not known
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out

    def to_dict(self) -> dict:
        names = ("calls", "replayed", "tokens_in", "tokens_out", "unmetered", "price_in", "price_out", "budget")
        return {name: getattr(self, name) for name in names} | {"spent": round(self.spent, 6)}


def teacher_url(address: str) -> str:
    """The address below which /chat/completions lies; /v1 is added where the address names no path."""
    parts = urlsplit(address.strip())
    if parts.username or parts.password:
        raise CannotRun(f"The address holds a password. Put the key into {KEY_NAMES[0]} instead, in .env for example.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise CannotRun("The teacher's address must look like http://127.0.0.1:8080/v1 or https://host/v1.")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


class Teacher:
    """Answers from the cassette, else from the server. Safe to be asked by several threads at once."""

    def __init__(self, http: Http | None, settings: Settings, cassette: Cassette, ledger: Ledger, sleep=None):
        self.http = http  # None: only the cassette is asked
        self.settings = settings
        self.cassette = cassette
        self.ledger = ledger
        self.stopped = ""  # why nothing more is asked
        self.failed = False  # whether that is because the server cannot be asked
        self._stop = threading.Event()
        self._sleep = sleep or self._stop.wait
        self._lock = threading.Lock()
        self._dropped: set[str] = set()  # optional settings that this server refuses
        self._not_before = 0.0  # on the monotonic clock
        self._lost = 0

    def ask(self, messages: list[dict], schema: dict, seed: int) -> Answer:
        """What the model answers, held to the schema where the server can; NoAnswer or Stopped when it does not."""
        question = {
            "model": self.settings.model,
            "messages": messages,
            "temperature": self.settings.temperature,
            "max_tokens": self.settings.max_tokens,
            "seed": seed,
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
        }
        kept = self.cassette.find(question)
        if kept is not None:
            with self._lock:
                self.ledger.replayed += 1
        else:
            kept = self._fetch(question)
        return Answer(kept["text"], kept["cut"])

    def stop(self, reason: str, failed: bool = False) -> None:
        """Ask nothing more: calls under way come to their end, waits are over."""
        with self._lock:
            if not self.stopped:
                self.stopped, self.failed = reason, failed
        self._stop.set()

    # ------------------------------------------------------------------------------------ one call

    def _fetch(self, question: dict) -> dict:
        """The answer of the server, kept on disk and booked."""
        if self.http is None:
            raise NoAnswer("the answer is not in the cassette, and --offline asks nobody")
        estimate = self._estimate(question)
        most = self.ledger.cost(*estimate)
        with self._lock:
            if not self.stopped and not self.ledger.allows(most):
                self.stopped = f"the next call could pass the budget of {self.ledger.budget:g}"
                self._stop.set()
            if self.stopped:
                raise Stopped(self.stopped)
            self.ledger.reserved += most
        answer = None
        try:
            answer = self._answer_of(self._patiently(question))
            self.cassette.keep(question, answer)
        except NoAnswer as lost:
            self._note_loss(str(lost))
            raise
        finally:
            with self._lock:
                self.ledger.reserved -= most
                if answer:
                    self._lost = 0
                    self.ledger.book(answer["usage"], estimate)
        return answer

    def _estimate(self, question: dict) -> tuple[int, int]:
        """At least as many tokens, in and out, as the call will take."""
        size = sum(len(str(message["content"]).encode("utf-8")) for message in question["messages"])
        return size // BYTES_A_TOKEN + 100, question["max_tokens"]

    def _note_loss(self, why: str) -> None:
        with self._lock:
            self._lost += 1
            gone = self._lost >= LOST_IN_A_ROW
        if gone:
            self.stop(f"{LOST_IN_A_ROW} questions in a row had no answer, the last: {why}", failed=True)

    def _patiently(self, question: dict) -> dict:
        """The body of a good reply, tried again after growing waits where that can help."""
        delays = iter(DELAYS)
        refused: set[str] = set()  # settings refused for this question alone
        while True:
            self._wait_turn()
            payload = self._payload(question, refused)
            try:
                return self.http.post("/chat/completions", payload)
            except Fault as fault:
                message = self._without_key(fault.message)
                self._stop_if_hopeless(fault, message)
                if self._refusal(fault, payload, refused):
                    continue
                delay = next(delays, None) if can_pass(fault) else None
                if delay is None:
                    raise NoAnswer(f"{fault.code}: {message}") from None
                self._wait(fault, delay)

    def _payload(self, question: dict, refused: set[str]) -> dict:
        """The question as this server takes it."""
        left_out = self._dropped | refused
        payload = {name: value for name, value in question.items() if name not in left_out}
        if "max_tokens" in left_out:
            payload["max_completion_tokens"] = question["max_tokens"]  # the name that newer models want
        return payload

    def _refusal(self, fault: Fault, payload: dict, refused: set[str]) -> bool:
        """Whether the server refused a setting it can do without; that setting is then left out from now on."""
        if fault.status not in (400, 422, 500, 501):
            return False
        named = [name for name in OPTIONAL if name in payload and re.search(rf"\b{name}\b", fault.message)]
        if named:
            with self._lock:
                self._dropped.add(named[0])
            return True
        # A server that cannot make a grammar of this one schema does not always say so.
        if "response_format" in payload and (fault.status != 500 or re.search("schema|grammar", fault.message, re.I)):
            refused.add("response_format")
            return True
        return False

    def _stop_if_hopeless(self, fault: Fault, message: str) -> None:
        """Stop the run where no further question can do better."""
        where = f"{self.http.url} "
        if fault.status in HOPELESS:
            hint = f". Set {KEY_NAMES[0]} in the environment or in .env" if "key" in HOPELESS[fault.status] else ""
            reason = f"{where}{HOPELESS[fault.status]} ({message}){hint}"
        elif fault.code in ("redirect", "wrong-address"):
            reason = f"{where}is not the final address ({message})"
        elif fault.code == "connection" and "no server listens" in message and not self.ledger.calls:
            reason = message
        elif fault.wait is not None and fault.wait > LONGEST_WAIT:
            reason = f"{where}asks to be left alone for {fault.wait:.0f} seconds ({message})"
        else:
            return
        self.stop(reason, failed=True)
        raise Stopped(self.stopped)

    def _wait(self, fault: Fault, delay: float) -> None:
        """Wait before the next try; after a rate limit all threads do."""
        pause = delay if fault.wait is None else fault.wait
        if fault.status == 429 or fault.wait is not None:
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + pause)
        else:
            self._sleep(pause)

    def _wait_turn(self) -> None:
        """Wait until the rate limit is over; a stop ends the wait."""
        pause = self._not_before - time.monotonic()
        if pause > 0:
            self._sleep(pause)
        if self.stopped:
            raise Stopped(self.stopped)

    def _answer_of(self, body: dict) -> dict:
        """What is kept of a reply's body: text, cut, usage."""
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
        message = choice.get("message") if choice else None
        if not isinstance(message, dict):
            raise NoAnswer("no-choices: the reply holds no message")
        content = message.get("content")
        if isinstance(content, list):  # in parts, as some servers send it
            content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
        text = self._without_key(content) if isinstance(content, str) else ""
        usage = body["usage"] if isinstance(body.get("usage"), dict) else {}
        usage = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")}
        return {"text": text, "cut": choice.get("finish_reason") == "length", "usage": usage}

    def _without_key(self, text: str) -> str:
        """The text, should a server repeat our key in it, without the key."""
        key = self.http.headers.get("Authorization", "").removeprefix("Bearer ")
        return text.replace(key, "***") if key else text


def can_pass(fault: Fault) -> bool:
    """Whether the same question may well be answered a little later."""
    return fault.retry or fault.code == "timeout" or fault.status == 408 or (fault.status or 0) >= 500


def make_teacher(url: str, settings: Settings, cassette: Cassette, ledger: Ledger, key: str, timeout: float) -> Teacher:
    """A teacher at an address; each try of a call ends within `timeout` seconds."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Teacher(Http(teacher_url(url), timeout, headers, proxies=True), settings, cassette, ledger)
