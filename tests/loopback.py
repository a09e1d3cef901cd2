"""Model servers for tests: scripted answers in the documented wire formats, on a free port of this machine."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from evaluator.cases import filled
from evaluator.goals import reference_context
from evaluator.mutants import reference
from lib.chat import Result, dump_arguments, parse_text
from lib.toolset import load_toolset

Answer = tuple[int, bytes | dict] | tuple[int, bytes | dict, dict] | bytes | dict | str  # status, body, headers


class Loopback:
    """A running server: `url`, the `requests` it got as (path, body), and `close()` to make it die."""

    def __init__(self, answer: Callable[[str, dict | None, int], Answer]):
        self.requests: list[tuple[str, dict | None]] = []
        self.headers: list[dict[str, str]] = []  # of each request
        self.answer = answer
        self.hold = threading.Event()  # what a hanging answer waits for; set when the server closes
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    def asked(self, path: str) -> list[dict]:
        """The bodies sent to one path."""
        return [body for seen, body in self.requests if seen == path and body is not None]

    def _handler(outer):  # noqa: N805 - the inner class needs its own self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: two of them wait 40 ms for each other

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.reply(None)

            def do_POST(self):
                self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def reply(self, body):
                with outer._lock:
                    number = sum(path == self.path for path, _ in outer.requests)
                    outer.requests.append((self.path, body))
                    outer.headers.append(dict(self.headers))
                answer = outer.answer(self.path, body, number)
                if answer == "hang":
                    outer.hold.wait()
                    self.close_connection = True
                elif answer == "close":
                    self.close_connection = True
                elif answer == "drip":
                    self.send_response(200)
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    self.close_connection = True
                    with suppress(OSError):  # until the other side has enough
                        while not outer.hold.wait(0.02):
                            self.wfile.write(b" ")
                            self.wfile.flush()
                elif answer == "drip head":
                    self.close_connection = True
                    with suppress(OSError):
                        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                        while not outer.hold.wait(0.02):
                            self.wfile.write(b"a")
                            self.wfile.flush()
                elif answer == "early close":
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    self.wfile.write(b'{"choices": [')
                    self.close_connection = True
                elif answer == "redirect":
                    self.send_response(302)
                    self.send_header("Location", "http://127.0.0.1:9/")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                else:
                    status, content, *headers = answer if isinstance(answer, tuple) else (200, answer)
                    content = counted(body, content)
                    content = content if isinstance(content, bytes) else json.dumps(content).encode()
                    self.send_response(status)
                    for name, value in (headers[0] if headers else {}).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

        return Handler


def counted(body: dict | None, content: bytes | dict) -> bytes | dict:
    """The answer with as many prompt tokens as were sent, where it was scripted with the 50 of `chat` and `ollama`."""
    if not isinstance(content, dict) or not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return content
    if "tools" not in body and {message.get("role") for message in body["messages"]} <= {"user", "system"}:
        return content
    tokens = max(50, sum(len(str(message.get("content"))) for message in body["messages"]) // 2)
    if content.get("prompt_eval_count") == 50:
        content = content | {"prompt_eval_count": tokens}
    usage = content.get("usage")
    if isinstance(usage, dict) and usage.get("prompt_tokens") == 50:
        content = content | {"usage": usage | {"prompt_tokens": tokens}}
    return content


@contextmanager
def serving(answer: Callable[[str, dict | None, int], Answer]) -> Iterator[Loopback]:
    """A loopback server; answer(path, body, how many times that path was asked before) says what it replies."""
    server = Loopback(answer)
    try:
        yield server
    finally:
        server.close()


def chat(content: str | None = None, calls: list[tuple[str, dict | str]] = (), **more) -> dict:
    """A /v1/chat/completions body as llama.cpp and LM Studio write it: arguments as text, no content beside calls."""
    message: dict = {"role": "assistant"}
    if content is not None:
        message["content"] = content
    if calls:
        message["tool_calls"] = [
            {
                "id": f"id{index}",
                "type": "function",
                "function": {"name": name, "arguments": args if isinstance(args, str) else json.dumps(args)},
            }
            for index, (name, args) in enumerate(calls)
        ]
    finish = more.pop("finish", "tool_calls" if calls else "stop")
    usage = {"prompt_tokens": 50, "completion_tokens": more.pop("tokens", 20)}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage, **more}


def ollama(content: str = "", calls: list[tuple[str, dict]] = ()) -> dict:
    """An /api/chat body as Ollama writes it: arguments as objects."""
    message: dict = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {"function": {"index": i, "name": n, "arguments": a}} for i, (n, a) in enumerate(calls)
        ]
    return {
        "model": "m",
        "message": message,
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 50,
        "eval_count": 9,
    }


CONTEXT = reference_context(load_toolset())
PROPS = {
    "default_generation_settings": {"n_ctx": 4096},
    "total_slots": 2,
    "model_path": "/models/tiny.gguf",
    "chat_template": "{{ messages }}",
    "build_info": "b1234-abcdef0",
}


def closing(case) -> str:
    """What to say at the end of a case."""
    return reference(case, load_toolset()).reply


def perfect(cases: list) -> Callable[[str, dict | None, int], Answer]:
    """A model that does what the gold plan of the asked case says, one call a turn, over /v1/chat/completions."""
    plans = {case.question: case for case in cases}

    def answer(path: str, body: dict | None, number: int) -> Answer:
        if path == "/v1/models":
            return {"data": [{"id": "perfect"}]}
        case = plans[body["messages"][0]["content"]]
        results = [json.loads(message["content"]) for message in body["messages"] if message["role"] == "tool"]
        if len(results) == len(case.gold):
            return chat(closing(case))
        call = case.gold[len(results)]
        return chat(None, [(call["name"], {"context": CONTEXT, **filled(call["arguments"], results)})])

    return answer


def perfect_text(cases: list) -> Callable[[str, dict | None, int], Answer]:
    """The same model in the text form, over llama-server's raw prompts."""
    plans = {case.question: case for case in cases}

    def answer(path: str, body: dict | None, number: int) -> Answer:
        if path in ("/health", "/props"):
            return PROPS
        if path == "/apply-template":
            return {"prompt": f"{body['messages'][0]['content']}<assistant>"}
        question, _, said = body["prompt"].partition("<assistant>")
        case, results = plans[question], [part.content for part in parse_text(said)[0] if isinstance(part, Result)]
        if len(results) == len(case.gold):
            return {"content": closing(case), "stop_type": "eos", "tokens_predicted": 5}
        call = case.gold[len(results)]
        arguments = {"context": CONTEXT, **filled(call["arguments"], results)}
        text = f"tool_call: {call['name']}\narguments: {dump_arguments(arguments)}\n"
        return {"content": text, "stop_type": "word", "stopping_word": "\nResult:", "tokens_predicted": 50}

    return answer
