"""An HTTP connection that is kept open, and whose every exchange ends at a deadline, whatever the server does.

A socket's own timeout begins anew with every byte that arrives, so a server that drips is never late; here each read
gets what is left of the time.

Neither requests nor urllib3: for one exchange with a body of 40 kB and a pause of 20 ms, requests takes .95 ms of CPU
time, urllib3 .62, http.client .32 and this .18. An evaluation makes thousands, and may take 2 ms a case with its share.
"""

import http.client
import io
import re
import socket
import ssl
import time
import weakref
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

PORTS = {"http": 80, "https": 443}
MAX_LINE, MAX_HEADERS = 65536, 100  # bytes of a line of the head, and lines
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: |\r|\n)")
_SIZE, _CHUNK_SIZE = re.compile("[0-9]{1,18}"), re.compile(rb"[0-9A-Fa-f]{1,15}")
_LINE_ENDS = (b"\r\n", b"\n", b"")
_AS_IT_IS = "".join(map(chr, range(33, 127)))  # characters of a path that need no escape


@dataclass
class Answer:
    """status, headers by name in small letters, body; missing: the bytes of it that were announced and did not come."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    missing: int = 0


class _Incoming(io.RawIOBase):
    """What a socket receives before the deadline, which is of time.monotonic; TimeoutError after it."""

    def __init__(self, sock: socket.socket, deadline: float):
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)


def _left(deadline: float) -> float:
    """The seconds up to the deadline; TimeoutError when there are none, since 0 would mean to a socket not to wait."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Connection:
    """A connection to the server of a URL, through a proxy where one is given; opened when it is needed.

    headers go with every question. answer: what has come of the present one, None before its head is there.
    """

    def __init__(self, url: str, headers: dict[str, str], proxy: str | None = None):
        there, near = urlsplit(url), urlsplit(proxy or url)
        place = near.hostname, near.port or PORTS[near.scheme]
        if there.scheme == "https":
            from requests.certs import where

            self._line = http.client.HTTPSConnection(*place, context=ssl.create_default_context(cafile=where()))
            if proxy:
                self._line.set_tunnel(there.hostname, there.port or PORTS["https"])
        else:
            self._line = http.client.HTTPConnection(*place)
        self._base = url if proxy and there.scheme == "http" else there.path
        lines = {"Host": there.netloc, "Accept-Encoding": "identity", **headers}
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.answer: Answer | None = None
        weakref.finalize(self, self._line.close)  # when the thread that asked has ended

    def open(self, seconds: float) -> None:
        """Connects within so many seconds, unless the connection of the last exchange still stands."""
        self.answer = None
        if self._line.sock is not None and _dropped(self._line.sock):
            self.close()
        if self._line.sock is None:
            self._line.timeout = seconds
            self._line.connect()

    def ask(self, method: str, path: str, body: bytes | None, deadline: float, most: int) -> Answer:
        """The answer, its body cut behind so many bytes; TimeoutError at the deadline, other OSErrors for the rest."""
        size = "" if body is None else f"Content-Length: {len(body)}\r\n"
        head = f"{method} {quote(self._base + path, safe=_AS_IT_IS)} HTTP/1.1\r\n{self._lines}{size}\r\n"
        self._line.sock.settimeout(_left(deadline))
        self._line.sock.sendall(head.encode("latin-1") + (body or b""))
        coming = io.BufferedReader(_Incoming(self._line.sock, deadline))
        self.answer, kept = _read_head(coming)
        while self.answer.status < 200:  # such as 100, continue
            self.answer, kept = _read_head(coming)
        whole = _read_body(self.answer, coming, most)
        if not (kept and whole):
            self.close()
        return self.answer

    def close(self) -> None:
        self._line.close()


def _read_head(coming: io.BufferedReader) -> tuple[Answer, bool]:
    """(the answer without its body, whether the server keeps the connection)."""
    first = coming.readline(MAX_LINE)
    status = _STATUS.match(first)
    if not status:
        said = f"something else than HTTP: {first[:40]!r}" if first else "nothing"
        raise ConnectionError(f"the server answered with {said}")
    headers: dict[str, str] = {}
    for _ in range(MAX_HEADERS):
        line = coming.readline(MAX_LINE)
        if line in _LINE_ENDS:
            break
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    else:
        raise ConnectionError(f"the answer has more than {MAX_HEADERS} headers")
    wish = headers.get("connection", "").lower()
    kept = "close" not in wish if status[1] == b"1" else "keep-alive" in wish
    return Answer(int(status[2]), headers), kept


def _read_body(answer: Answer, coming: io.BufferedReader, most: int) -> bool:
    """Reads it into the answer. Whether its end is known to be there, so that another answer can follow."""
    if answer.status in (204, 304):
        return True
    if "chunked" in answer.headers.get("transfer-encoding", "").lower():
        return _read_chunks(answer, coming, most)
    if not _SIZE.fullmatch(answer.headers.get("content-length", "")):
        answer.body = coming.read(most)
        return False
    size = int(answer.headers["content-length"])
    answer.body = coming.read(min(size, most))
    answer.missing = min(size, most) - len(answer.body)
    return len(answer.body) == size


def _read_chunks(answer: Answer, coming: io.BufferedReader, most: int) -> bool:
    """As _read_body, of a body in chunks: each its size in a line, so many bytes and a line end; the last has none."""
    body = bytearray()
    while len(body) < most:
        line = coming.readline(MAX_LINE).partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(line):
            raise ConnectionError("the reply broke off between two chunks")
        size = int(line, 16)
        if not size:
            while coming.readline(MAX_LINE) not in _LINE_ENDS:  # further headers
                pass
            answer.body = bytes(body)
            return True
        wanted = min(size, most - len(body))
        chunk = coming.read(wanted)
        if len(chunk) < wanted:
            raise ConnectionError("the reply broke off within a chunk")
        body += chunk
        coming.readline(MAX_LINE)
    answer.body = bytes(body)
    return False


def _dropped(sock: socket.socket) -> bool:
    """Whether the server has closed a connection on which nothing is awaited."""
    sock.settimeout(0)
    try:
        sock.recv(1)  # the end of the stream, or bytes that nobody asked for
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        pass
    return True
