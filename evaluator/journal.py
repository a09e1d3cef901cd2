"""The journal of a run, which only grows: each answer of the server and each judged attempt is a line, flushed at once.

    {"settings": {...}}                                                             the first line
    {"server": {...}}, {"probe": {...}}                                             what was found before the first case
    {"id", "attempt", "path", "request", "status", "seconds", "reply"}              one exchange; request: its SHA-256
    {"id", "attempt", "path", "request", "fault", "seconds"}                        one that got no answer
    {"id", "attempt", "outcome", ...}                                               an attempt, judged
    {"end": time}                                                                   nothing is left to ask

A killed run has lost the calls in flight and nothing else: those that were answered are not made again.
"""

import contextlib
import datetime
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lib.errors import CannotRun
from lib.json_text import json_bytes
from lib.jsonl import read_lines
from lib.transport import RETRIED_STATUS, Answered, Fault

KEPT = ("pass", "model_fail", "server_lost")  # outcomes that stand; infra is asked again
LATER = {"repeats": 1, "limit": None}  # settings that older journals do not name, and what they were
SAME_SERVER = ("model", "digest", "build", "template_sha256", "quantization")  # facts that decide the answers


@dataclass
class Told:
    """What a journal says. attempts: the last record of each (case, number); replies: (status, body) of the exchanges
    of attempts without a record, in their order, by (case, number, request)."""

    settings: dict | None = None
    server: dict | None = None
    probe: dict | None = None
    attempts: dict[tuple[str, int], dict] = field(default_factory=dict)
    replies: dict[tuple[str, int, str], list[tuple[int, str]]] = field(default_factory=dict)
    ended: bool = False

    def add(self, row: dict) -> None:
        """Takes one more line in."""
        self.ended = "end" in row
        if "outcome" in row:
            key = row["id"], row.setdefault("attempt", 1)
            self.attempts[key] = row
            self.replies = {called: replies for called, replies in self.replies.items() if called[:2] != key}
        elif "reply" in row and row["status"] not in RETRIED_STATUS:
            key = row["id"], row["attempt"], row["request"]
            self.replies.setdefault(key, []).append((row["status"], row["reply"]))
        else:
            self.server, self.probe = row.get("server", self.server), row.get("probe", self.probe)


def read_journal(path: Path) -> Told:
    """What the file says; lines that are no JSON are left out. Without settings in its first line, nothing."""
    told = Told()
    if not path.stat().st_size:
        return told
    for number, line in read_lines(path):
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and number == 1:
                told.settings = row.get("settings")
            elif isinstance(row, dict):
                told.add(row)
    return told if isinstance(told.settings, dict) else Told()


class Journal:
    """DIR/journal.jsonl, held by one run at a time.

    go_on: whether an earlier run in the folder is taken up; None: if it did not come to its end. Refused when its
    settings were others. told: what it said.
    """

    def __init__(self, folder: Path, settings: dict, go_on: bool | None):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.jsonl"
        self.told = Told()
        self._lock = threading.Lock()
        self._handle = open(self.path, "ab+", buffering=0)  # noqa: SIM115
        try:
            _hold(self._handle, self.path)
            told = read_journal(self.path)
            if not (told.attempts or told.replies or told.server) or not (go_on or (go_on is None and not told.ended)):
                self._handle.truncate(0)
                self.add({"settings": settings})
            else:
                _refuse_changed(self.path, LATER | told.settings, LATER | settings)
                _drop_torn_line(self._handle)
                self.told = told
        except BaseException:
            self._handle.close()
            raise

    @property
    def done(self) -> dict[tuple[str, int], dict]:
        """The attempts of the earlier run that stand, by (case, number)."""
        return {key: row for key, row in self.told.attempts.items() if row["outcome"] in KEPT}

    def add(self, row: dict) -> None:
        """The row as a line on its own, whichever thread it comes from."""
        line = json_bytes(row) + b"\n"
        with self._lock:
            while line:
                line = line[self._handle.write(line) :]

    def end(self) -> None:
        self.add({"end": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")})

    def met(self, server: dict) -> None:
        """Notes what was found at the server's address; CannotRun when the earlier run asked another model or build."""
        if self.told.server:
            earlier, now = ({name: facts.get(name) for name in SAME_SERVER} for facts in (self.told.server, server))
            _refuse_changed(self.path, earlier, now)
        else:
            self.add({"server": server})

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()


class Calls:
    """The tape of a run's exchanges: each becomes a line; those that the earlier run made are not made again.

    secret: the server's key, which a complaint may repeat.
    """

    def __init__(self, journal: Journal, secret: str = ""):
        self.journal = journal
        self.secret = secret
        self._local = threading.local()

    @contextlib.contextmanager
    def of(self, case_id: str, number: int) -> Iterator[None]:
        """What this thread asks in the block belongs to that attempt."""
        self._local.attempt = {"id": case_id, "attempt": number}
        try:
            yield
        finally:
            self._local.attempt = None

    def __call__(self, path: str, body: bytes, key: bytes, ask: Callable[[], Answered]) -> Answered:
        attempt = getattr(self._local, "attempt", None)
        if attempt is None:
            return ask()
        request = hashlib.sha256(path.encode() + b"\n" + key).hexdigest()
        earlier = self.journal.told.replies.get((*attempt.values(), request))
        if earlier:
            status, text = earlier.pop(0)
            return status, text.encode(), None
        started = time.monotonic()
        row = attempt | {"path": path, "request": request}
        try:
            status, raw, wait = ask()
        except Fault as fault:
            self.journal.add(row | {"fault": str(fault), "seconds": round(time.monotonic() - started, 3)})
            raise
        text = raw.decode("utf-8", errors="replace")
        if status >= 400 and self.secret:
            text = text.replace(self.secret, "***")
        self.journal.add(row | {"status": status, "seconds": round(time.monotonic() - started, 3), "reply": text})
        return status, raw, wait


def _hold(handle, path: Path) -> None:
    """Keeps a second run out of the folder for as long as the file is open; Windows has no such lock."""
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CannotRun(
                f"{path.parent}: another evaluation is writing there. Wait, or give another --out."
            ) from None


def _drop_torn_line(handle) -> None:
    """Cuts off what a killed run left of its last line."""
    end = handle.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        handle.seek(start)
        newline = handle.read(end - start).rfind(b"\n")
        if newline >= 0:
            handle.truncate(start + newline + 1)
            return
        end = start
    handle.truncate(0)


def _refuse_changed(path: Path, earlier: dict, now: dict) -> None:
    changed = [name for name in sorted({*earlier, *now}) if earlier.get(name) != now.get(name)]
    if changed:
        shown = ", ".join(f"{name} was {earlier.get(name)!r}, is {now.get(name)!r}" for name in changed)
        raise CannotRun(
            f"{path}: the settings have changed since that evaluation began ({shown}). "
            "Start again with --fresh, or give another --out."
        )
