"""lib.connection: replies as bytes on the wire, read as requests reads them; what it keeps, drops and refuses."""

import socket
import threading
import time
from contextlib import contextmanager
from http.client import HTTPException

import pytest
import requests

from lib.connection import Connection

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def wire(*replies: bytes, hang: bool = False):
    """(address, questions): each connection gets the next reply for each question, after the last one its end."""
    questions, waiting = [], list(replies)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as lines:
                while waiting and (first := lines.readline()):
                    head = [first, *iter(lines.readline, b"\r\n")]
                    size = next((int(line.split(b":")[1]) for line in head if line.startswith(b"Content-Length")), 0)
                    questions.append((head, lines.read(size)))
                    peer.sendall(waiting.pop(0))
                    if b"close" in questions[-1][1]:
                        break
                if hang:
                    time.sleep(1)

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", questions


def ask(connection: Connection, body: bytes | None = b"{}", seconds: float = 5.0, most: int = 1000):
    connection.open(1.0)
    return connection.ask("POST", "/v1/x", body, time.monotonic() + seconds, most)


@pytest.mark.parametrize(
    "reply",
    [
        PLAIN,
        b"HTTP/1.1 404 Not Found\r\ncontent-length:4\r\nX-A:  b\r\n\r\nnope",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nuntil the end",
        b"HTTP/1.1 200\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"0a;name=value\r\n0123456789\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n",
    ],
)
def test_replies_are_read_as_requests_reads_them(reply):
    with wire(reply, reply) as (url, _), requests.Session() as session:
        session.trust_env = False
        expected = session.post(url + "/v1/x", data=b"close", timeout=5)
        found = ask(Connection(url, {}), b"close")
    assert (found.status, found.body, found.missing) == (expected.status_code, expected.content, 0)
    assert dict(found.headers.items()) == dict(expected.headers)


def test_a_question_says_where_it_goes_and_how_long_it_is():
    with wire(PLAIN, PLAIN) as (url, questions):
        connection = Connection(url + "/base dir", {"Content-Type": "application/json"})
        assert ask(connection, b'{"a": 1}').body == ask(connection, None).body == b"ok"
    (head, body), (second, nothing) = questions
    assert head[0] == b"POST /base%20dir/v1/x HTTP/1.1\r\n" and (body, nothing) == (b'{"a": 1}', b"")
    assert {f"Host: {url[7:]}\r\n".encode(), b"Content-Type: application/json\r\n", b"Content-Length: 8\r\n"} < set(
        head
    )
    assert not any(line.startswith(b"Content-Length") for line in second)


def test_a_proxy_is_told_the_whole_address():
    with wire(PLAIN) as (url, questions):
        assert ask(Connection("http://there.example:81/v2", {}, url)).body == b"ok"
    assert questions[0][0][:2] == [b"POST http://there.example:81/v2/v1/x HTTP/1.1\r\n", b"Host: there.example:81\r\n"]


def test_a_connection_is_used_again_and_opened_anew_when_the_server_has_closed_it():
    with wire(PLAIN, PLAIN, PLAIN) as (url, _):
        connection = Connection(url, {})
        ask(connection)
        first = connection._line.sock
        ask(connection, b"close")
        assert connection._line.sock is first
        first.settimeout(5)
        assert first.recv(1, socket.MSG_PEEK) == b""
        assert ask(connection).body == b"ok" and connection._line.sock is not first


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"220 mail.example ready\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        CHUNKED + b"5\r\nabc",
        CHUNKED + b"2\r\nok\r\n",
        CHUNKED + b"two\r\nok\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_whole_reply_is_an_error(reply):
    with wire(reply) as (url, _), pytest.raises((HTTPException, OSError)):
        ask(Connection(url, {}))


@pytest.mark.parametrize("kind", [b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_body_is_read_no_further_than_asked(kind):
    with wire(kind + b"x" * 5000, CHUNKED + b"1388\r\n" + b"x" * 5000) as (url, _):
        for _ in range(2):
            connection = Connection(url, {})
            assert ask(connection, b"close").body == b"x" * 1000 and connection._line.sock is None


def test_a_body_that_ends_early_is_told():
    with wire(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc") as (url, _):
        answer = ask(Connection(url, {}))
    assert (answer.body, answer.missing) == (b"abc", 6)


def test_a_body_that_stops_coming_ends_at_the_deadline():
    with wire(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", hang=True) as (url, _):
        connection = Connection(url, {})
        with pytest.raises(TimeoutError):
            ask(connection, seconds=0.2)
        assert connection.answer.status == 200
