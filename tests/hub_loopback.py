"""A Hugging Face Hub on this machine that speaks the real client's protocol: preupload, LFS, PUT, commit, digests.

It keeps what it is sent, and can drop, refuse or spoil it.
"""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

REGULAR = 1000  # bytes; the Hub stores larger files, and those of binary kinds, apart (LFS)
BINARY = (".safetensors", ".gguf")
ORGS = [{"name": "our-lab", "roleInOrg": "write"}, {"name": "readers", "roleInOrg": "read"}]
WRITER = {"displayName": "laptop", "role": "write"}


@dataclass
class Repo:
    """A repository: path -> (content, stored apart?), and its commits' messages."""

    private: bool | None
    files: dict[str, tuple[bytes, bool]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


class Hub:
    """The running server. tokens: token -> its accessToken entry; drops: how many PUTs are cut in the middle; chunk:
    bytes a part of a multi-part upload, 0 for one piece; refused: path -> (status, message) that it answers with."""

    def __init__(self):
        self.tokens: dict[str, dict] = {"hf_writer": WRITER}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.stored: dict[str, bytes] = {}  # LFS objects by sha256
        self.parts: dict[str, dict[int, bytes]] = {}
        self.requests: list[str] = []
        self.put: list[str] = []  # oid of each PUT that arrived whole
        self.drops, self.chunk, self.spoil = 0, 0, False
        self.refused: dict[str, tuple[int, str]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def repo(self, name: str, kind: str = "models") -> Repo:
        return self.repos[kind, name]

    def content(self, name: str, kind: str = "models") -> dict[str, bytes]:
        return {path: data for path, (data, _) in self.repo(name, kind).files.items()}


@contextmanager
def hub() -> Iterator[Hub]:
    running = Hub()
    try:
        yield running
    finally:
        running.server.shutdown()
        running.server.server_close()


class Refusal(Exception):
    """An answer that is no success: status, message, and the Hub's error code."""

    def __init__(self, status: int, message: str, code: str = ""):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def handler(hub: Hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self):
            path = urlsplit(self.path).path
            hub.requests.append(f"{self.command} {path}")
            try:
                if path in hub.refused:
                    raise Refusal(*hub.refused[path])
                if path.startswith("/lfs/") and self.command == "PUT":
                    self.receive(path)
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send(200, route(hub, self.command, path, body, self.headers))
            except Refusal as refusal:
                headers = {"X-Error-Message": refusal.message}
                headers |= {"X-Error-Code": refusal.code} if refusal.code else {}
                self.send(refusal.status, {"error": refusal.message}, headers)

        do_GET = do_POST = do_PUT = do_HEAD = answer

        def receive(self, path: str):
            """Takes the bytes of an LFS object or of one part of it; a drop closes the connection in the middle."""
            length = int(self.headers.get("Content-Length") or 0)
            if not length and "chunked" in (self.headers.get("Transfer-Encoding") or ""):
                raise Refusal(501, "a file must be sent with its length")
            if hub.drops:
                hub.drops -= 1
                self.rfile.read(length // 2)
                self.close_connection = True
                self.connection.close()
                return
            data = self.rfile.read(length)
            oid, _, part = path.removeprefix("/lfs/").partition("/")
            if part:
                hub.parts.setdefault(oid, {})[int(part)] = data
            else:
                keep(hub, oid, data)
            self.send(200, {}, {"ETag": f'"{hashlib.md5(data).hexdigest()}"'})

        def send(self, status: int, body, headers=()):
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


def keep(hub: Hub, oid: str, data: bytes) -> None:
    """Stores an object under its digest; a wrong one is refused unless the Hub is to spoil files."""
    if hashlib.sha256(data).hexdigest() != oid:
        raise Refusal(400, "the content does not have this digest")
    hub.put.append(oid)
    hub.stored[oid] = data


def route(hub: Hub, method: str, path: str, body: bytes, headers) -> object:
    """The answer to everything but a PUT; the token is looked at first."""
    token = (headers.get("Authorization") or "").removeprefix("Bearer ")
    steps = [unquote(step) for step in path.strip("/").split("/")]
    if path.startswith("/complete/"):  # its address is secret enough, the client sends no token
        oid, parts = steps[1], hub.parts.pop(steps[1])
        wanted = [part["partNumber"] for part in json.loads(body)["parts"]]
        keep(hub, oid, b"".join(parts[number] for number in wanted))
        return {}
    if path.startswith("/cas/"):
        return stored_by_xet(hub, path, body)
    if token not in hub.tokens:
        raise Refusal(401, "Invalid credentials in Authorization header")
    if path == "/api/whoami-v2":
        auth = {"type": "access_token", "accessToken": hub.tokens[token]}
        return {"type": "user", "name": "me", "orgs": ORGS, "auth": auth}
    if path == "/api/validate-yaml":
        return validated(json.loads(body))
    if path == "/api/repos/create":
        return created(hub, hub.tokens[token], json.loads(body))
    if path.endswith("/info/lfs/objects/batch"):
        return batch(hub, json.loads(body))
    if path == "/verify":
        if json.loads(body)["oid"] not in hub.stored:
            raise Refusal(404, "no such object")
        return {}
    kind, name = steps[1], "/".join(steps[2:4])
    if (kind, name) not in hub.repos:
        raise Refusal(404, "Repository not found", "RepoNotFound")
    return of_repo(hub, hub.repos[kind, name], kind, name, steps[4:], body)


def of_repo(hub: Hub, repo: Repo, kind: str, name: str, steps: list[str], body: bytes) -> object:
    if not steps or steps[0] == "revision":
        return info(repo, name)
    if steps[0] == "preupload":
        return {"files": [preupload(repo, file) for file in json.loads(body)["files"]]}
    if steps[0] == "xet-write-token":
        return {"accessToken": "for xet alone", "exp": int(time.time()) + 3600, "casUrl": f"{hub.url}/cas"}
    if steps[0] == "commit":
        return committed(hub, repo, kind, name, body)
    if steps[0] == "paths-info":
        paths = parse_qs(body.decode())["paths"]
        return [entry(path, *repo.files[path]) for path in paths if path in repo.files]
    raise Refusal(404, f"no such question: {'/'.join(steps)}")


def stored_by_xet(hub: Hub, path: str, body: bytes) -> dict:
    """The storage that hf_xet talks to, in the first version of its protocol: no chunk is known, blocks are taken."""
    if path.startswith("/cas/v1/xorbs/"):
        data = unpacked(body)
        keep(hub, hashlib.sha256(data).hexdigest(), data)
        return {"was_inserted": True}
    if path == "/cas/v1/shards":
        return {"result": 1}
    raise Refusal(404, "no such chunk, or a newer version of the protocol")


def unpacked(block: bytes) -> bytes:
    """The bytes in a block of chunks that were not compressed: version, length (3 bytes), scheme, length, content."""
    data, position = b"", 0
    while position < len(block):
        version, scheme = block[position], block[position + 4]
        length = int.from_bytes(block[position + 1 : position + 4], "little")
        if version or scheme:
            raise Refusal(400, "this storage reads no compressed chunks")
        data += block[position + 8 : position + 8 + length]
        position += 8 + length
    return data


def validated(asked: dict) -> dict:
    front = asked["content"].split("---\n")[1]
    data = yaml.safe_load(front)
    if asked["repoType"] == "model" and not data.get("license"):
        return {"errors": [], "warnings": [{"message": "license is missing"}]}
    return {"errors": [], "warnings": []}


def created(hub: Hub, token: dict, asked: dict) -> dict:
    if token["role"] == "read":
        raise Refusal(403, "You don't have the rights to create a model under this namespace")
    kind = f"{asked.get('type') or 'model'}s"
    name = f"{asked.get('organization') or 'me'}/{asked['name']}"
    if (kind, name) in hub.repos:
        raise Refusal(409, "You already created this model repo")
    private = asked.get("private", asked.get("visibility") == "private")
    hub.repos[kind, name] = Repo(private, {".gitattributes": (b"*.gguf filter=lfs\n", False)})
    return {"url": f"{hub.url}/{'' if kind == 'models' else kind + '/'}{name}"}


def info(repo: Repo, name: str) -> dict:
    card = repo.files.get("README.md", (b"", False))[0].decode()
    data = yaml.safe_load(card.split("---\n")[1]) if card.startswith("---\n") else None
    siblings = [{"rfilename": path} for path in repo.files]
    sha = hashlib.sha1(str(len(repo.commits)).encode()).hexdigest()
    return {"id": name, "sha": sha, "private": repo.private, "siblings": siblings, "cardData": data}


def preupload(repo: Repo, file: dict) -> dict:
    large = file["size"] > REGULAR or file["path"].endswith(BINARY)
    found = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
    if file["path"] in repo.files:
        data, lfs = repo.files[file["path"]]
        found["oid"] = hashlib.sha256(data).hexdigest() if lfs else blob(data)
    return found


def batch(hub: Hub, asked: dict) -> dict:
    """LFS's batch answer: where to put what is not there yet; of what is there nothing is wanted."""
    objects = []
    for each in asked["objects"]:
        oid, size = each["oid"], each["size"]
        found = {"oid": oid, "size": size}
        if oid not in hub.stored:
            upload = {"href": f"{hub.url}/lfs/{oid}"}
            if hub.chunk and size > hub.chunk:
                count = -(-size // hub.chunk)
                urls = {str(number): f"{hub.url}/lfs/{oid}/{number}" for number in range(1, count + 1)}
                upload = {"href": f"{hub.url}/complete/{oid}", "header": {"chunk_size": str(hub.chunk), **urls}}
            found["actions"] = {"upload": upload, "verify": {"href": f"{hub.url}/verify"}}
        objects.append(found)
    return {"transfer": "basic", "objects": objects}


def committed(hub: Hub, repo: Repo, kind: str, name: str, body: bytes) -> dict:
    """A commit's lines: a header, small files in base64, large ones by the digest of what was put before."""
    lines = [json.loads(line) for line in body.splitlines()]
    for line in lines[1:]:
        value = line["value"]
        if line["key"] == "file":
            repo.files[value["path"]] = (base64.b64decode(value["content"]), False)
        elif value["oid"] not in hub.stored:
            raise Refusal(400, f"{value['path']}: its content was never sent")
        else:
            data = hub.stored[value["oid"]]
            repo.files[value["path"]] = (data[:-1] + b"!" if hub.spoil else data, True)
    repo.commits.append(lines[0]["value"]["summary"])
    oid = hashlib.sha1(body).hexdigest()
    return {"commitUrl": f"{hub.url}/{name}/commit/{oid}", "commitOid": oid, "pullRequestUrl": None}


def entry(path: str, data: bytes, lfs: bool) -> dict:
    """A file as paths-info tells it."""
    found = {"type": "file", "path": path, "size": len(data), "oid": blob(data)}
    if lfs:
        found["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return found


def blob(data: bytes) -> str:
    """Git's digest of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
