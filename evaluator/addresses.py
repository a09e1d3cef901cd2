"""Where a model server is and what key it wants, from flags, environment variables or the backend's usual port."""

import os
import re
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from lib.env import key_from
from lib.errors import CannotRun

USUAL_PORT = {"llamacpp": 8080, "ollama": 11434, "lmstudio": 1234, "vllm": 8000, "openai": 8000}
# The variables that may hold the key of a server, as its own documents name them.
KEY_NAMES = {
    "llamacpp": ("LLAMA_API_KEY",),
    "ollama": ("OLLAMA_API_KEY",),
    "lmstudio": ("LM_API_TOKEN",),
    "vllm": ("VLLM_API_KEY", "OPENAI_API_KEY"),
    "openai": ("OPENAI_API_KEY",),
}


def server_url(
    backend: str, url: str = "", host: str = "", port: int = 0, environment: Mapping[str, str] = os.environ
) -> str:
    """The address to ask: a given URL, else host and port (flags before environment), else this machine."""
    if url:
        return normal(url, USUAL_PORT[backend])
    if backend == "ollama" and not (host or port):
        host = ollama_host(environment.get("OLLAMA_HOST", ""))
    if backend == "lmstudio":
        host = host or environment.get("LMSTUDIO_HOST", "").strip()
        port = port or _port(environment.get("LMSTUDIO_PORT", "").strip())
    base = urlsplit(normal(host or "127.0.0.1", USUAL_PORT[backend]))
    return f"{base.scheme}://{_bracketed(base.hostname)}:{port or base.port}{base.path}"


def server_key(backend: str, environment: Mapping[str, str] = os.environ) -> str:
    """The key to send, "" without one."""
    return key_from(KEY_NAMES[backend], environment)


def ollama_host(given: str) -> str:
    """OLLAMA_HOST as Ollama itself reads it: quotes and blanks off, a port that is none gives way to the usual one."""
    address = given.strip().strip("\"'").strip()
    if address in ("ollama.com", "ollama.com/"):
        return "https://ollama.com"
    scheme, mark, rest = address.rpartition("://")
    place, slash, path = rest.partition("/")
    found = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*):([^:]*)", place)
    if found and not (found[2].isdecimal() and 0 < int(found[2]) < 65536):
        place = found[1]
    return f"{scheme}{mark}{place}{slash}{path}"


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
    if parts.username or parts.password:
        raise CannotRun("The address holds a password. Put the key into the environment or into .env instead.")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", None: "127.0.0.1"}.get(parts.hostname, parts.hostname)
    if port is None:
        port = {"http": 80, "https": 443}[parts.scheme] if mark else usual_port
    return f"{parts.scheme}://{_bracketed(host)}:{port}{parts.path.rstrip('/')}"


def _bracketed(host: str | None) -> str:
    return f"[{host}]" if host and ":" in host else host or "127.0.0.1"


def windows_host(proc: Path = Path("/proc")) -> str:
    """The address of Windows as seen from WSL 2: its default gateway; "" where this is no WSL, or has none."""
    try:
        if "microsoft" not in (proc / "version").read_text(encoding="utf-8", errors="replace").lower():
            return ""
        rows = [line.split() for line in (proc / "net" / "route").read_text(encoding="utf-8").splitlines()[1:]]
        gateway = next(row[2] for row in rows if row[1] == "00000000" and row[2] != "00000000")
        return socket.inet_ntoa(struct.pack("<I", int(gateway, 16)))
    except (OSError, StopIteration, IndexError, ValueError, struct.error):
        return ""
