"""What the session, state and workspace tools share: what an id means, new sessions and traces, times as text."""

from datetime import UTC, datetime

import orjson

from lib.vault.call import Context, ToolError
from lib.vault.state import Session, Trace, Vault, Workspace

ELAPSED_MS = 0  # the simulated clock stands still inside a call


def iso(ms: int) -> str:
    """A time of the vault as ISO 8601 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def hint(kind: str, message: str) -> list[dict]:
    """A `recommendations` list with one entry."""
    return [{"type": kind, "message": message}]


def missing_fields(
    text: str, missing: list[str], requirements: dict[str, str], args: dict, suggestion: str, **more: object
) -> ToolError:
    """The refusal of blank texts and empty lists, all at once, with a hint for each."""
    faults = [{"field": field, "value": args.get(field), "requirement": requirements[field]} for field in missing]
    data = {
        "error": text,
        "validationErrors": faults,
        "parameterHints": "; ".join(f"{field}: {requirements[field]}" for field in missing),
        "suggestions": [suggestion],
        "providedParams": sorted(args),
    }
    return ToolError(text, data=data | more)


def workspace_id(vault: Vault, given: str, context: Context) -> str:
    """The stored id that a workspace id in the arguments means; the context's own id means the current workspace."""
    if given in vault.workspaces or given != context.given["workspaceId"]:
        return given
    return context.workspace_id


def session_id(vault: Vault, given: str, context: Context) -> str:
    """The stored id that a session id in the arguments means; the context's own id means the current session."""
    if given in vault.sessions or given != context.given["sessionId"]:
        return given
    return context.session_id


def scope(vault: Vault, args: dict, context: Context) -> str:
    """The workspace id a memory call works in: that of `workspaceContext`, else the context's. It may be unknown."""
    given = args.get("workspaceContext")
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError:
            given = None
        if not isinstance(given, dict):
            raise ToolError("workspaceContext must be an object, or that object as JSON text")
    named = (given or {}).get("workspaceId")
    return workspace_id(vault, named, context) if isinstance(named, str) and named else context.workspace_id


def scope_workspace(vault: Vault, args: dict, context: Context) -> Workspace:
    """The workspace a memory call works in; an unknown one is refused."""
    wanted = scope(vault, args, context)
    if wanted not in vault.workspaces:
        raise ToolError(f"Workspace not found: {wanted}")
    return vault.workspaces[wanted]


def named_session(vault: Vault, args: dict, context: Context) -> Session:
    """The session of targetSessionId, else of sessionId, else the current one; others must lie in the workspace."""
    wanted = args.get("targetSessionId") or args.get("sessionId") or context.session_id
    found = vault.sessions.get(session_id(vault, wanted, context))
    if found and (found.id == context.session_id or found.workspace_id == scope(vault, args, context)):
        return found
    raise ToolError(f"Session not found: {wanted}")


def add_session(
    vault: Vault, workspace: str, name: str, description: str, session: str = "", goal: str = ""
) -> Session:
    """The new session, stored; it does not become the current one."""
    made = Session(
        id=session or vault.new_id("session"),
        workspace_id=workspace,
        name=name,
        created=vault.now,
        description=description,
        goal=goal,
    )
    vault.sessions[made.id] = made
    return made


def add_trace(vault: Vault, session: Session, kind: str, content: str, files: tuple[str, ...] = ()) -> None:
    """Notes something in a session's memory that is no tool call of its own."""
    trace_id = vault.new_id("trace")
    vault.traces[trace_id] = Trace(
        id=trace_id,
        workspace_id=session.workspace_id,
        session_id=session.id,
        timestamp=vault.now,
        content=content,
        type=kind,
        files=files,
    )


def session_traces(vault: Vault, session: str) -> list[Trace]:
    """A session's traces, oldest first."""
    return sorted(
        (trace for trace in vault.traces.values() if trace.session_id == session), key=lambda t: (t.timestamp, t.id)
    )


def traced_files(traces: list[Trace]) -> list[str]:
    """The files that traces name, each once, in the order they came up."""
    return list(dict.fromkeys(path for trace in traces for path in trace.files))


def cut(items: list, limit: float | None) -> list:
    """The first `limit` items; all without a limit or with one below 1."""
    return items[: int(limit)] if limit and limit >= 1 else items
