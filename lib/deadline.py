"""HTTP connections whose exchanges end at a deadline, whatever the server does: one that drips its headers is cut off.

A socket's own timeout begins anew with every byte that arrives; here one thread for all exchanges shuts the socket of a
late one down under its reader.
urllib3 without requests on top: an evaluation makes thousands of small exchanges, and half of requests' time is spent
on what none of them has (cookies, redirects, hooks).
"""

import contextlib
import heapq
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import requests.certs
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

_thread = threading.local()  # .exchange: the one this thread is in, if it has a deadline
_due: list[tuple[float, int, "_Exchange"]] = []  # a heap: when, number, exchange; those that ended are still in it
_numbers = itertools.count()
_news = threading.Condition()  # held to touch the heap, and to cut or end an exchange
_watchers: list[threading.Thread] = []


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


def _watch() -> None:
    """Cuts every exchange whose time is over."""
    with _news:
        while True:
            while _due and _due[0][0] <= time.monotonic():
                heapq.heappop(_due)[2].cut()
            _news.wait(max(0.0, _due[0][0] - time.monotonic()) if _due else None)


def _start_watching() -> None:
    if not (_watchers and _watchers[-1].is_alive()):  # the first exchange, or the first after a fork
        _watchers[:] = [threading.Thread(target=_watch, daemon=True)]
        _watchers[0].start()


@contextlib.contextmanager
def cut_off_after(seconds: float) -> Iterator[None]:
    """Breaks the connection of an exchange that this thread is still in after so many seconds."""
    exchange = _thread.exchange = _Exchange()
    with _news:
        heapq.heappush(_due, (time.monotonic() + seconds, next(_numbers), exchange))
        _start_watching()
        if _due[0][2] is exchange:
            _news.notify()
    try:
        yield
    finally:
        _thread.exchange = None
        with _news:
            exchange.sockets = []  # they go to the next exchange
