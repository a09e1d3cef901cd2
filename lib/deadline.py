"""HTTP connections whose exchanges end at a deadline, whatever the server does: one that drips its headers is cut off.

A socket's own timeout begins anew with every byte that arrives; here a timer shuts the socket down under the reader.
urllib3 without requests on top: an evaluation makes thousands of small exchanges, and half of requests' time is spent
on what none of them has (cookies, redirects, hooks).
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

import requests.certs
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
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


def connections(proxy: str | None = None) -> PoolManager:
    """Connections whose exchanges `cut_off_after` can end; those through a proxy only their own timeouts end."""
    if proxy:
        return ProxyManager(proxy, ca_certs=requests.certs.where())
    made = PoolManager(ca_certs=requests.certs.where())
    made.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
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
