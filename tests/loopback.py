"""Model servers for tests: they speak the documented wire formats on a free port of this machine, from scripted answers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, bytes | dict] | bytes | dict | str


class Loopback:
    """A running server: `url`, the `requests` it got as (path, body), and `close()` to make it die."""

    def __init__(self, answer: Callable[[str, dict | None, int], Answer]):
        self.requests: list[tuple[str, dict | None]] = []
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
                answer = outer.answer(self.path, body, number)
                if answer == "hang":
                    outer.hold.wait()
                    self.close_connection = True
                elif answer == "close":
                    self.close_connection = True
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
                    status, content = answer if isinstance(answer, tuple) else (200, answer)
                    content = content if isinstance(content, bytes) else json.dumps(content).encode()
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

        return Handler


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
        message["tool_calls"] = [{"function": {"index": i, "name": n, "arguments": a}} for i, (n, a) in enumerate(calls)]
    return {"model": "m", "message": message, "done": True, "done_reason": "stop", "prompt_eval_count": 50, "eval_count": 9}


PROPS = {
    "default_generation_settings": {"n_ctx": 4096},
    "total_slots": 2,
    "model_path": "/models/tiny.gguf",
    "chat_template": "{{ messages }}",
    "build_info": "b1234-abcdef0",
}
