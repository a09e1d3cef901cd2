"""HTTP exchanges that end at a deadline, whatever the server does: one that drips its headers or chunks is cut off.

A socket's own timeout begins anew with every byte that arrives; here a timer shuts the socket down under the reader.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_thread = threading.local()  # .exchange: the one this thread is in, if it has a deadline


class _Exchange:
    """The sockets of one exchange, and whether its time is over."""

    def __init__(self):
        self.sockets: list[socket.socket] = []
        self.over = False

    def use(self, sock: socket.socket | None) -> None:
        if sock is not None:
            self.sockets.append(sock)
        if self.over:
            self.cut()

    def cut(self) -> None:
        self.over = True
        for sock in list(self.sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _note(connection: HTTPConnection) -> None:
    exchange = getattr(_thread, "exchange", None)
    if exchange is not None:
        exchange.use(connection.sock)


class _Plain(HTTPConnection):
    def getresponse(self):
        _note(self)
        return super().getresponse()


class _Tls(HTTPSConnection):
    def getresponse(self):
        _note(self)
        return super().getresponse()


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args, **settings) -> None:
        super().init_poolmanager(*args, **settings)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}


def session() -> requests.Session:
    """A session whose exchanges `cut_off_after` can end; those through a proxy only their own timeouts end."""
    made = requests.Session()
    made.mount("http://", _Adapter())
    made.mount("https://", _Adapter())
    return made


@contextlib.contextmanager
def cut_off_after(seconds: float) -> Iterator[None]:
    """Breaks the connection of an exchange that this thread is still in after so many seconds."""
    exchange = _thread.exchange = _Exchange()
    timer = threading.Timer(seconds, exchange.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _thread.exchange = None
