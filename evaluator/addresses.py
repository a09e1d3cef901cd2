"""The address of a model server, from flags, environment variables or the backend's usual port."""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from lib.errors import CannotRun

USUAL_PORT = {"llamacpp": 8080, "ollama": 11434, "lmstudio": 1234, "vllm": 8000, "openai": 8000}


def server_url(
    backend: str, url: str = "", host: str = "", port: int = 0, environment: Mapping[str, str] = os.environ
) -> str:
    """The address to ask: a given URL, else host and port (flags before environment), else this machine."""
    if url:
        return normal(url, USUAL_PORT[backend])
    if backend == "ollama" and not (host or port):
        host = environment.get("OLLAMA_HOST", "").strip().strip("\"'")
    if backend == "lmstudio":
        host = host or environment.get("LMSTUDIO_HOST", "").strip()
        port = port or _port(environment.get("LMSTUDIO_PORT", "").strip())
    base = urlsplit(normal(host or "127.0.0.1", USUAL_PORT[backend]))
    return f"{base.scheme}://{_bracketed(base.hostname)}:{port or base.port}{base.path}"


def _port(text: str) -> int:
    if text and not (text.isdigit() and 0 < int(text) < 65536):
        raise CannotRun(f"LMSTUDIO_PORT={text} is not a port number.")
    return int(text or 0)


def normal(address: str, usual_port: int) -> str:
    """scheme://host:port[/path] from a host, host:port, :port, an IPv6 address, 0.0.0.0 or a whole URL.

    As Ollama reads OLLAMA_HOST: a scheme without a port means that scheme's port, no scheme means the usual one.
    """
    scheme, mark, rest = address.strip().partition("://")
    if not mark:
        scheme, rest = "http", scheme
        if rest.count(":") > 1 and "[" not in rest:
            rest = f"[{rest}]"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port
    except ValueError:
        raise CannotRun(f"{address} is no server address. Give one like http://127.0.0.1:{usual_port}.") from None
    if parts.scheme not in ("http", "https"):
        raise CannotRun(f"{address}: only http and https servers can be asked.")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", None: "127.0.0.1"}.get(parts.hostname, parts.hostname)
    if port is None:
        port = {"http": 80, "https": 443}[parts.scheme] if mark else usual_port
    return f"{parts.scheme}://{_bracketed(host)}:{port}{parts.path.rstrip('/')}"


def _bracketed(host: str | None) -> str:
    return f"[{host}]" if host and ":" in host else host or "127.0.0.1"
