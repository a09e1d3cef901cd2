"""The vault held in memory: files, workspaces, sessions, states, agents, a clock and an id generator.

Records are frozen and shared between clones: replace a record, never change one (nor a dict inside one).
"""

from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass, field
from typing import Any

CLOCK_STEP = 1_000  # ms between two calls
ID_ALPHABET = string.digits + string.ascii_lowercase
ID_LENGTH = 9


@dataclass(frozen=True, slots=True)
class Note:
    """One file: text, or `data` when its bytes are not text (`text` is then empty). Times in ms since 1970."""

    text: str
    created: int
    modified: int
    data: bytes | None = None

    @property
    def size(self) -> int:
        return len(self.bytes)

    @property
    def bytes(self) -> bytes:
        return self.data if self.data is not None else self.text.encode("utf-8")


@dataclass(frozen=True, slots=True)
class Workspace:
    """`context` holds purpose, currentGoal, workflows, keyFiles, preferences; `extra` what else was set on the root."""

    id: str
    name: str
    root_folder: str
    created: int
    last_accessed: int
    description: str = ""
    is_active: bool = True
    context: dict = field(default_factory=dict)
    extra: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    workspace_id: str
    name: str
    created: int
    description: str = ""
    goal: str = ""
    ended: int | None = None
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class State:
    id: str
    workspace_id: str
    session_id: str
    name: str
    created: int
    description: str = ""
    active_task: str = ""
    active_files: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    reasoning: str = ""
    conversation_context: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """One line of a session's memory. `params` is the call's arguments as JSON text ("" when no call made it)."""

    id: str
    workspace_id: str
    session_id: str
    timestamp: int
    content: str
    type: str = "tool_call"
    tool: str = ""
    params: str = ""
    success: bool = True
    error: str = ""
    memory: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Agent:
    id: str
    name: str
    description: str
    prompt: str
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class Command:
    id: str
    name: str
    icon: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A language model on offer; prices in dollars per million tokens."""

    provider: str
    model: str
    name: str
    context_window: int
    max_output: int
    input_price: float = 0.0
    output_price: float = 0.0
    supports: tuple[str, ...] = ("json", "functions", "streaming")
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """What the application shows: (path, mode) per open note in order, and the path in focus ("" for none)."""

    open: tuple[tuple[str, str], ...] = ()
    active: str = ""


@dataclass(slots=True)
class Vault:
    """`folders` holds every folder, also those that only notes imply; the root is "" and not in it."""

    now: int
    seed: int = 0
    made: int = 0  # ids handed out so far
    notes: dict[str, Note] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    traces: dict[str, Trace] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()
    models: tuple[Model, ...] = ()
    commands_run: tuple[str, ...] = ()
    window: Window = Window()
    current_workspace: str = ""
    current_session: str = ""

    @classmethod
    def from_dict(cls, fixture: dict[str, Any]) -> Vault:
        """A vault from a fixture; a fault in the fixture raises CannotRun naming the key."""
        from lib.vault.fixture import vault_from_dict

        return vault_from_dict(fixture)

    def to_dict(self) -> dict[str, Any]:
        """The fixture that makes this vault again, every id and time written out."""
        from lib.vault.fixture import vault_to_dict

        return vault_to_dict(self)

    def clone(self) -> Vault:
        """An independent vault; cheap, because the frozen records are shared."""
        return Vault(
            now=self.now,
            seed=self.seed,
            made=self.made,
            notes=self.notes.copy(),
            folders=self.folders.copy(),
            workspaces=self.workspaces.copy(),
            sessions=self.sessions.copy(),
            states=self.states.copy(),
            traces=self.traces.copy(),
            agents=self.agents.copy(),
            commands=self.commands,
            models=self.models,
            commands_run=self.commands_run,
            window=self.window,
            current_workspace=self.current_workspace,
            current_session=self.current_session,
        )

    def tick(self) -> int:
        """The time of the next call, in ms."""
        self.now += CLOCK_STEP
        return self.now

    def new_id(self, kind: str, at: int | None = None) -> str:
        """A fresh `kind_<13 digits>_<9 of 0-9a-z>`; kind is ws, session, state, trace or prompt."""
        self.made += 1
        digest = hashlib.sha256(f"{self.seed}/{self.made}/{kind}".encode()).digest()
        number = int.from_bytes(digest[:8], "big")
        suffix = ""
        for _ in range(ID_LENGTH):
            number, digit = divmod(number, len(ID_ALPHABET))
            suffix += ID_ALPHABET[digit]
        return f"{kind}_{self.now if at is None else at:013d}_{suffix}"
