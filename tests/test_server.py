"""The managed llama-server: ready when it says so, gone when the block ends, and clear about what went wrong."""

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import requests

from lib import server as server_module
from lib.errors import CannotRun
from lib.server import free_port, serve
from lib.templates import template_for
from tests.gguf_support import write_toy_gguf

FAKE_SERVER = """\
#!{python}
import http.server, os, sys
print("arguments", *sys.argv[1:], flush=True)
print("leftover", [name for name in os.environ if name.startswith("LLAMA_ARG_")], flush=True)
if {dies}:
    sys.exit("cannot load this")
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Makes LLAMA_CPP a folder with a stand-in llama-server; returns (model file, function that makes it die)."""
    folder = tmp_path / "llama"
    folder.mkdir()
    (folder / "llama-quantize").touch()

    def write(dies):
        (folder / "llama-server").write_text(FAKE_SERVER.format(python=sys.executable, dies=dies))
        (folder / "llama-server").chmod(0o755)

    write(False)
    monkeypatch.setenv("LLAMA_CPP", str(folder))
    model = tmp_path / "model.gguf"
    model.touch()
    return model, lambda: write(True)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_server_is_ready_in_the_block_and_gone_after_it(fake):
    with serve(fake[0]) as server:
        assert requests.get(f"{server.url}/health", timeout=5).status_code == 200
        assert server.alive()
    assert not server.alive() and not server.log_path.exists()


def test_the_server_is_stopped_when_the_block_fails(fake):
    with pytest.raises(KeyboardInterrupt), serve(fake[0]) as server:
        raise KeyboardInterrupt
    assert not server.alive()
    server.log_path.unlink()


def test_each_of_the_parallel_requests_may_use_the_whole_context(fake):
    with serve(fake[0], context=1000, parallel=3, extra=["--seed", "1"]) as server:
        arguments = server.last_words(50).splitlines()[0]
    assert "--ctx-size 3000 --parallel 3" in arguments and arguments.endswith("--seed 1")


def test_settings_left_in_the_shell_do_not_reach_the_server(fake, monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "64")
    with serve(fake[0]) as server:
        assert "leftover []" in server.last_words(50)


def test_a_server_that_dies_at_start_is_quoted(fake):
    fake[1]()
    message = "ended with code 1 while loading(.|\n)*cannot load this(.|\n)*The whole log"
    with pytest.raises(CannotRun, match=message), serve(fake[0]):
        pass


def test_a_server_that_never_gets_ready_is_given_up_and_stopped(fake, monkeypatch):
    monkeypatch.setattr(server_module, "START_SECONDS", 0)
    with pytest.raises(CannotRun, match="is not ready after 0 s"), serve(fake[0]):
        pass


def test_a_server_that_dies_in_mid_run_is_noticed(fake):
    with serve(fake[0]) as server:
        server.process.kill()
        server.process.wait()
        assert not server.alive()


def test_a_port_in_use_is_refused():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotRun, match=f"port {port} cannot be used"):
            free_port(port)


def test_a_missing_model_file_is_refused(tmp_path):
    with pytest.raises(CannotRun, match="no such model file. Make one: make gguf"), serve(tmp_path / "none.gguf"):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's parent-death signal for SIGKILL")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_the_server_ends_with_the_process_that_started_it(fake, number, root):
    code = f"""
        from lib.server import serve
        with serve({str(fake[0])!r}) as server:
            print(server.process.pid, flush=True)
            server.process.wait()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=root
    )
    pid = int(parent.stdout.readline())
    handle = os.pidfd_open(pid)
    parent.send_signal(number)
    assert parent.wait(20) != 0
    assert select.select([handle], [], [], 10)[0], "llama-server outlives its parent"
    assert not is_running(pid)


def test_llama_server_loads_and_answers(llama, tmp_path):
    model = write_toy_gguf(tmp_path / "toy.gguf", template_for())
    with serve(model, context=256, parallel=1) as server:
        answer = requests.post(f"{server.url}/completion", json={"prompt": "a", "n_predict": 3}, timeout=60).json()
        assert answer["tokens_predicted"] >= 1
