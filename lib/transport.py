"""One HTTP exchange with a model server: a JSON object, or a Fault that says what went wrong."""

import json
import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import orjson

from lib.json_text import json_bytes

MAX_REPLY_BYTES = 2_000_000  # a reply of 512 tokens has some thousand
MAX_DEPTH = 200  # levels of a reply's JSON; what lies deeper few programs can read, so it is cut out
CONNECT_TIMEOUT = 5.0  # seconds
RETRY_DELAYS = (0.5, 1.0, 2.0)  # seconds before the second, third and fourth try
LONGEST_WAIT = 60.0  # seconds that a server may ask us to stay away; for more we give up
RETRIED_STATUS = {429: "rate-limited", 502: "bad-gateway", 503: "unavailable", 504: "gateway-timeout"}

# llama.cpp and Ollama put what the model wrote into the message of a 500.
_GENERATION = (
    re.compile(r"Failed to parse input at pos \d+:\s?(?P<text>.*)", re.DOTALL),
    re.compile(r"error parsing tool call: raw='(?P<text>.*?)'(?:, err=|$)", re.DOTALL),
)
_HIDDEN = re.compile(r"model produced output that does not match the expected|Failed to parse input at pos \d+")
_WRONG_ADDRESS = re.compile(r"unexpected endpoint|returning 200 anyway", re.IGNORECASE)
_NO_TOOLS = re.compile(r"does not support tools|enable-auto-tool-choice|requires? --jinja", re.IGNORECASE)
_TOO_LONG = re.compile(r"exceed_context_size|maximum context length|exceeds? (the |its )?(available )?context", re.I)
_STATUS_CODES = {401: "unauthorized", 403: "unauthorized", 404: "not-found"}
_REFUSALS = (("context-exceeded", _TOO_LONG), ("no-tools", _NO_TOOLS))

Answer = TypeVar("Answer")
Answered = tuple[int, bytes, str | None]  # status, body and Retry-After


@dataclass(eq=False)
class Fault(Exception):
    """Why there is no answer. `text`: the generation an error body carried; `hidden`: there was one, not shown.

    wait: the seconds after which the server wants to be asked again, None when it does not say.
    """

    code: str
    message: str
    status: int | None = None
    text: str | None = None
    hidden: bool = False
    retry: bool = False
    wait: float | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass
class Http:
    """JSON over HTTP to one server, one connection per thread, each exchange within `timeout` seconds.

    tape: called as tape(path, body, key, ask) for every POST in place of ask(), which makes the exchange and gives
    (status, body, Retry-After); it may write the answer down, or have one already. key: what tells it from others.
    """

    url: str
    timeout: float = 120.0
    headers: dict[str, str] = field(default_factory=dict, repr=False)  # may hold a key
    proxies: bool = False  # whether HTTP_PROXY and its kin count: a server of one's own lies before them
    tape: Callable[[str, bytes, bytes, Callable[[], Answered]], Answered] | None = field(default=None, repr=False)
    _local: threading.local = field(default_factory=threading.local, repr=False)

    def get(self, path: str, timeout: float | None = None) -> dict:
        return self._exchange("GET", path, None, timeout or self.timeout)

    def post(self, path: str, payload: dict, timeout: float | None = None) -> dict:
        return self._exchange("POST", path, payload, timeout or self.timeout)

    def _proxy(self) -> str | None:
        if not self.proxies:
            return None
        from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

        proxy = select_proxy(self.url, get_environ_proxies(self.url))
        if proxy and not (proxy := prepend_scheme_if_needed(proxy, "http")).startswith("http://"):
            raise Fault("connection", "of the proxies that the environment may name, only http:// ones can be used")
        return proxy

    def _connection(self):
        from lib.connection import Connection

        if not hasattr(self._local, "connection"):
            headers = {"Content-Type": "application/json", **self.headers}
            self._local.connection = Connection(self.url, headers, self._proxy())
        return self._local.connection

    def _exchange(self, method: str, path: str, payload: dict | None, timeout: float) -> dict:
        body = None if payload is None else json_bytes(payload)

        def ask() -> Answered:
            return self._bytes(method, path, body, timeout)

        try:
            if self.tape and payload is not None:
                status, raw, wait = self.tape(path, body, json_bytes(payload, named=True), ask)
            else:
                status, raw, wait = ask()
            try:
                return read_body(status, raw)
            except Fault as fault:
                fault.wait = seconds_until(wait, time.time())
                raise
        except Fault as fault:
            self._hide_key(fault)
            raise

    def _bytes(self, method: str, path: str, body: bytes | None, timeout: float) -> Answered:
        """The answer of an exchange that came to its end in time."""
        from http.client import HTTPException

        deadline, connecting = time.monotonic() + timeout, min(CONNECT_TIMEOUT, timeout)
        connection = self._connection()
        try:
            try:
                connection.open(connecting)
            except TimeoutError:
                why = f"no connection to {self.url} within {connecting:g} seconds"
                raise Fault("connection", why, retry=True) from None
            answer = connection.ask(method, path, body, deadline, MAX_REPLY_BYTES + 1)
        except BaseException as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise self._late(connection.answer, timeout) from None
            if isinstance(error, HTTPException | OSError | UnicodeError):
                raise Fault("connection", _cause(error, self.url), retry=True) from None
            raise
        if len(answer.body) > MAX_REPLY_BYTES:
            raise Fault("reply-too-large", f"the reply has more than {MAX_REPLY_BYTES:,} bytes", answer.status)
        if answer.missing:
            got, announced = len(answer.body), len(answer.body) + answer.missing
            raise Fault("connection", f"the reply ended after {got} of {announced} bytes", answer.status, retry=True)
        return answer.status, answer.body, answer.headers.get("retry-after")

    def _late(self, answer: Any, timeout: float) -> Fault:
        if answer is not None:
            return Fault("timeout", "the reply was still coming when its time was over", answer.status)
        return Fault("timeout", f"no answer from {self.url} within {timeout:g} seconds")

    def _hide_key(self, fault: Fault) -> None:
        """Some servers repeat the key in their complaint."""
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if key:
            fault.message = fault.message.replace(key, "***")


def seconds_until(moment: str | None, now: float) -> float | None:
    """What a Retry-After header asks for, given as seconds or as a date; None when there is none or no sense in it."""
    if moment is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", moment):
        return float(moment)
    try:
        return max(0.0, parsedate_to_datetime(moment).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _cause(error: Exception, url: str) -> str:
    text = str(error)
    if "refused" in text:
        return f"no server listens at {url}"
    return f"the connection to {url} broke: {text[:200]}"


def read_body(status: int, raw: bytes) -> dict:
    """The JSON object of a good reply; a Fault for everything else."""
    text = raw.decode("utf-8", errors="replace")
    if status in RETRIED_STATUS:
        raise Fault(RETRIED_STATUS[status], _error_text(text), status, retry=True)
    if 300 <= status < 400:
        raise Fault("redirect", "the server sends us elsewhere; give its final address with --url", status)
    if status == 500:
        raise _server_error(text, status)
    if status >= 400:
        code = next((code for code, said in _REFUSALS if said.search(text)), None)
        raise Fault(code or _STATUS_CODES.get(status, f"http-{status}"), _error_text(text), status)
    if not text.strip():
        raise Fault("empty", "the server answered 200 with nothing in it", status, retry=True)
    try:
        body = _loaded(text)
    except (ValueError, RecursionError):
        raise Fault("not-json", f"the server answered with something else than JSON: {text[:80]!r}", status) from None
    if not isinstance(body, dict):
        raise Fault("not-json", f"the server answered with a JSON {type(body).__name__}, not an object", status)
    if body.get("error"):
        raise _server_error(text, status)
    return body


def _loaded(text: str) -> Any:
    """The JSON value, only of what every file and further request takes."""
    try:
        value = orjson.loads(text)
        return _plain(value) if text.count("{") + text.count("[") > MAX_DEPTH else value
    except ValueError:
        return _plain(json.loads(text))


def _plain(value: Any, depth: int = 0) -> Any:
    """The value with question marks for half surrogate pairs, null for NaN and Infinity, and no endless nesting."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict | list) and depth > MAX_DEPTH:
        return "nested too deep"
    if isinstance(value, dict):
        return {_plain(key): _plain(item, depth + 1) for key, item in value.items()}
    return [_plain(item, depth + 1) for item in value] if isinstance(value, list) else value


def _server_error(text: str, status: int) -> Fault:
    """The Fault of a 500, or of a 200 that holds an error; the model's words where they are in it."""
    message = _error_text(text, limit=MAX_REPLY_BYTES)
    for pattern in _GENERATION:
        if (found := pattern.search(message)) and found["text"].strip():
            return Fault("unparsed-reply", message[:300], status, text=found["text"])
    if _HIDDEN.search(message):
        return Fault("unparsed-reply", message[:300], status, hidden=True)
    return Fault("wrong-address" if _WRONG_ADDRESS.search(message) else "server-error", message[:300], status)


def _error_text(text: str, limit: int = 300) -> str:
    """What an error body says, whichever of the usual shapes it has."""
    try:
        body = _plain(json.loads(text))
    except (ValueError, RecursionError):
        return text.strip()[:limit] or "no text"
    error = body.get("error", body.get("message", body)) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message", error)
    return str(error)[:limit]


def with_retries(
    ask: Callable[[], Answer], sleep: Callable[[float], None] = time.sleep, delays: tuple[float, ...] = RETRY_DELAYS
) -> Answer:
    """What ask() gives, tried again after each delay while its Fault allows it; the last Fault otherwise.

    A server that names a longer wait (Retry-After) gets it, up to LONGEST_WAIT.
    """
    for delay in delays:
        try:
            return ask()
        except Fault as fault:
            if not fault.retry or (fault.wait or 0.0) > LONGEST_WAIT:
                raise
            pause = max(delay, fault.wait or 0.0)
        sleep(pause)
    return ask()
