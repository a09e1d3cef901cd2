"""A llama-server that lives exactly as long as a `with` block: free port, health check, always stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib import llama_cpp
from lib.errors import CannotRun
from lib.steps import ends_with_us, in_plain_words

HOST = "127.0.0.1"
START_SECONDS = 300
STOP_SECONDS = 10


@dataclass(frozen=True)
class Server:
    """A running llama-server: its base URL, process and log file."""

    url: str
    process: subprocess.Popen
    log_path: Path

    def alive(self) -> bool:
        """Whether the process still runs: False after a crash in mid-run."""
        return self.process.poll() is None

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, without blank lines."""
        text = self.log_path.read_text(encoding="utf-8", errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


@contextlib.contextmanager
def serve(
    gguf, context: int = 4096, parallel: int = 4, threads: int | None = None, port: int = 0, extra: Sequence[str] = ()
):
    """A Server for the model file, ready to answer; stopped however the block ends.

    context is what one request may use; parallel requests are answered at once. On Linux the server also ends with the
    thread that called this.
    """
    gguf = Path(gguf)
    if not gguf.is_file():
        raise CannotRun(f"{gguf}: no such model file. Make one: make gguf.")
    port = free_port(port)
    command = [str(llama_cpp.tools().server), "--model", str(gguf), "--host", HOST, "--port", str(port), "--jinja"]
    command += ["--no-webui", "--ctx-size", str(context * parallel), "--parallel", str(parallel)]
    command += ["--threads", str(threads)] if threads else []
    handle, name = tempfile.mkstemp(prefix="llama-server-", suffix=".log")
    with os.fdopen(handle, "wb") as log, ended_by_sigterm():
        server = Server(f"http://{HOST}:{port}", start([*command, *extra], log), Path(name))
        try:
            wait_until_ready(server, gguf)
            yield server
        finally:
            stop(server.process)
    Path(name).unlink(missing_ok=True)  # after a failure it stays: the error names it


def free_port(port: int = 0) -> int:
    """The port when nobody listens on it, or any free one for 0; CannotRun when it is taken."""
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just closed is free again
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise CannotRun(f"port {port} cannot be used ({error}). Name another, or leave it out.") from error
        return probe.getsockname()[1]


def start(command: list[str], log) -> subprocess.Popen:
    """The started process. It has its own session, so that Ctrl-C reaches it through us, after we kept our results."""
    # A setting left in the shell (LLAMA_ARG_CTX_SIZE, ...) must not change what is measured.
    env = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_ARG_")}
    settings = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT, "env": env}
    try:
        return subprocess.Popen(command, start_new_session=True, **settings, **ends_with_us())
    except OSError as error:
        raise CannotRun(f"{command[0]} does not start ({error.strerror}).") from error


def wait_until_ready(server: Server, gguf: Path) -> None:
    """Return once /health says ok; CannotRun with the log's last lines when the server dies or takes too long."""
    import requests

    deadline = time.monotonic() + START_SECONDS
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no business between us and our own server
        while server.alive() and time.monotonic() < deadline:
            try:
                if session.get(f"{server.url}/health", timeout=5).status_code == 200:
                    return
            except requests.RequestException:
                pass  # not listening yet
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(timeout=0.1)
    what = f"is not ready after {START_SECONDS} s" if server.alive() else f"ended with code {server.process.returncode}"
    said = server.log_path.read_text(encoding="utf-8", errors="replace")
    raise CannotRun(
        f"llama-server {what} while loading {gguf}: {in_plain_words(said) or 'it does not say why.'}\n"
        f"Its last words:\n{server.last_words()}\n"
        f"The whole log: {server.log_path}"
    )


def stop(process: subprocess.Popen) -> None:
    """End the process: asked first, killed when it does not listen."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def ended_by_sigterm():
    """Turns SIGTERM into SystemExit while the block runs, so that its `finally` parts are reached."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number, _frame):
        sys.exit(128 + number)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
