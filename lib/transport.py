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

MAX_REPLY_BYTES = 2_000_000  # a reply of 512 tokens has some thousand
CONNECT_TIMEOUT = 5.0  # seconds
RETRY_DELAYS = (0.5, 1.0, 2.0)  # seconds before the second, third and fourth try
RETRIED_STATUS = {429: "rate-limited", 502: "bad-gateway", 503: "unavailable", 504: "gateway-timeout"}

# llama.cpp and Ollama put what the model wrote into the message of a 500.
_GENERATION = (
    re.compile(r"Failed to parse input at pos \d+: (?P<text>.+)", re.DOTALL),
    re.compile(r"error parsing tool call: raw='(?P<text>.*?)'(?:, err=|$)", re.DOTALL),
)
_HIDDEN = "model produced output that does not match the expected"
_WRONG_ADDRESS = re.compile(r"unexpected endpoint|returning 200 anyway", re.IGNORECASE)

Answer = TypeVar("Answer")


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
    """JSON over HTTP to one server, one connection pool per thread, each exchange within `timeout` seconds."""

    url: str
    timeout: float = 120.0
    headers: dict[str, str] = field(default_factory=dict, repr=False)  # may hold a key
    proxies: bool = False  # whether HTTP_PROXY and its kin count: a server of one's own lies before them
    _local: threading.local = field(default_factory=threading.local, repr=False)

    def get(self, path: str, timeout: float | None = None) -> dict:
        return self._exchange("GET", path, None, timeout or self.timeout)

    def post(self, path: str, payload: dict) -> dict:
        return self._exchange("POST", path, payload, self.timeout)

    def _session(self):
        import requests

        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False  # neither a proxy unasked for, nor .netrc in place of our key
            if self.proxies:
                self._local.session.proxies = requests.utils.get_environ_proxies(self.url)
        return self._local.session

    def _exchange(self, method: str, path: str, payload: dict | None, timeout: float) -> dict:
        import orjson
        import requests
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        deadline = time.monotonic() + timeout
        body = None if payload is None else orjson.dumps(payload)
        headers = {"Content-Type": "application/json", **self.headers}
        try:
            with self._session().request(
                method,
                self.url + path,
                data=body,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(min(CONNECT_TIMEOUT, timeout), timeout),
            ) as response:
                raw = _bytes_within(response, deadline)
                try:
                    return read_body(response.status_code, raw)
                except Fault as fault:
                    fault.wait = seconds_until(response.headers.get("Retry-After"), time.time())
                    raise
        except (requests.Timeout, ReadTimeoutError):
            raise Fault("timeout", f"no answer from {self.url} within {timeout:g} seconds") from None
        except (requests.RequestException, HTTPError, OSError) as error:
            raise Fault("connection", _cause(error, self.url), retry=True) from None


def seconds_until(moment: str | None, now: float) -> float | None:
    """What a Retry-After header asks for, given as seconds or as a date; None when there is none or no sense in it."""
    if moment is None:
        return None
    if moment.strip().isdigit():
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


def _bytes_within(response: Any, deadline: float) -> bytes:
    """The whole body; a Fault when it is too large or still dripping at the deadline."""
    parts, size = [], 0
    while chunk := response.raw.read1(65536, decode_content=True):
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_REPLY_BYTES:
            raise Fault("reply-too-large", f"the reply has more than {MAX_REPLY_BYTES:,} bytes", response.status_code)
        if time.monotonic() > deadline:
            raise Fault("timeout", "the reply was still coming when its time was over", response.status_code)
    expected = response.headers.get("Content-Length")
    if expected and expected.isdigit() and size < int(expected) and "Content-Encoding" not in response.headers:
        raise Fault("connection", f"the reply ended after {size} of {expected} bytes", response.status_code, retry=True)
    return b"".join(parts)


def read_body(status: int, raw: bytes) -> dict:
    """The JSON object of a good reply; a Fault for everything else."""
    text = raw.decode("utf-8", errors="replace")
    if status in RETRIED_STATUS:
        raise Fault(RETRIED_STATUS[status], _error_text(text), status, retry=True)
    if 300 <= status < 400:
        raise Fault("redirect", "the server sends us elsewhere; give its final address with --url", status)
    if status == 500:
        raise _server_error(text)
    if status >= 400:
        codes = {401: "unauthorized", 403: "unauthorized", 404: "not-found"}
        code = "context-exceeded" if "exceed_context_size" in text else codes.get(status, f"http-{status}")
        raise Fault(code, _error_text(text), status)
    if not text.strip():
        raise Fault("empty", "the server answered 200 with nothing in it", status, retry=True)
    try:
        body = _loaded(text)
    except (ValueError, RecursionError):
        raise Fault("not-json", f"the server answered with something else than JSON: {text[:80]!r}", status) from None
    if not isinstance(body, dict):
        raise Fault("not-json", f"the server answered with a JSON {type(body).__name__}, not an object", status)
    if body.get("error"):
        message = _error_text(text)
        code = "wrong-address" if _WRONG_ADDRESS.search(message) else "server-error"
        raise Fault(code, message, status)
    return body


def _loaded(text: str) -> Any:
    """The JSON value, only of what every file and further request takes."""
    import orjson

    try:
        return orjson.loads(text)
    except ValueError:
        return _plain(json.loads(text))


def _plain(value: Any) -> Any:
    """The value with question marks for half surrogate pairs and null for NaN and Infinity."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _server_error(text: str) -> Fault:
    message = _error_text(text, limit=MAX_REPLY_BYTES)
    for pattern in _GENERATION:
        if found := pattern.search(message):
            return Fault("unparsed-reply", message[:300], 500, text=found["text"])
    return Fault(
        "unparsed-reply" if _HIDDEN in message else "server-error", message[:300], 500, hidden=_HIDDEN in message
    )


def _error_text(text: str, limit: int = 300) -> str:
    """What an error body says, whichever of the usual shapes it has."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()[:limit] or "no text"
    error = body.get("error", body.get("message", body)) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message", error)
    return str(error)[:limit]


def with_retries(
    ask: Callable[[], Answer], sleep: Callable[[float], None] = time.sleep, delays: tuple[float, ...] = RETRY_DELAYS
) -> Answer:
    """What ask() gives, tried again after each delay while its Fault allows it; the last Fault otherwise."""
    for delay in delays:
        try:
            return ask()
        except Fault as fault:
            if not fault.retry:
                raise
        sleep(delay)
    return ask()
