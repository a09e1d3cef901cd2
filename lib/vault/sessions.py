"""The four session tools of memoryManager: create, list, load, update."""

import re
from dataclasses import replace

from lib.vault.call import Context, ToolError
from lib.vault.memory import (
    add_session,
    add_trace,
    cut,
    iso,
    named_session,
    scope,
    scope_workspace,
    session_id,
    session_traces,
    traced_files,
)
from lib.vault.state import Session, Trace, Vault, Workspace

SESSION_ID = re.compile(r"session_[0-9]{13}_[a-z0-9]{9}")
TRACES_SHOWN = 10


def create_session(vault: Vault, args: dict, context: Context) -> dict:
    """A new session in the workspace; the current session stays what it is."""
    workspace = scope_workspace(vault, args, context)
    session = args.get("newSessionId", "")
    if session and not SESSION_ID.fullmatch(session):
        raise ToolError(f"Invalid session ID: {session}")
    if session in vault.sessions:
        raise ToolError(f"Session already exists: {session}")
    previous = None
    if args.get("previousSessionId"):
        previous = vault.sessions.get(session_id(vault, args["previousSessionId"], context))
        if previous is None:
            raise ToolError(f"Session not found: {args['previousSessionId']}")
    name = args.get("name") or f"Session {iso(vault.now)[:19].replace('T', ' ')}"
    made = add_session(vault, workspace.id, name, args.get("description", ""), session, args.get("sessionGoal", ""))
    summary = _creation_summary(vault, made, workspace, previous, args.get("contextDepth", "standard"))
    if args.get("generateContextTrace", True):
        add_trace(vault, made, "session_creation", summary)
    return {
        "data": {
            "sessionId": made.id,
            "name": made.name,
            "description": made.description,
            "workspaceId": workspace.id,
            "sessionContext": {
                "summary": summary,
                "associatedNotes": [],
                "sessionCreatedAt": iso(made.created),
            },
        }
    }


def _creation_summary(vault: Vault, made: Session, workspace: Workspace, previous: Session | None, depth: str) -> str:
    """One sentence at depth minimal; standard adds goal and predecessor, comprehensive what the workspace is for."""
    parts = [f'Session "{made.name}" started in workspace "{workspace.name}".']
    if depth != "minimal":
        parts += [f"{made.description.rstrip('.')}."] if made.description else []
        parts += [f"Goal: {made.goal.rstrip('.')}."] if made.goal else []
        parts += [f'Follows "{previous.name}".'] if previous else []
    if depth == "comprehensive":
        purpose, goal = (str(workspace.context.get(key) or "").rstrip(".") for key in ("purpose", "currentGoal"))
        others = sum(session.workspace_id == workspace.id for session in vault.sessions.values()) - 1
        parts += [f"Workspace purpose: {purpose}."] if purpose else []
        parts += [f"Workspace goal: {goal}."] if goal else []
        parts += [f"Other sessions in it: {others}."]
    return " ".join(parts)


def list_sessions(vault: Vault, args: dict, context: Context) -> dict:
    """The workspace's sessions by name, Z-A unless order is asc, with traces and states counted."""
    workspace = scope(vault, args, context)
    order = args.get("order", "desc")
    sessions = [session for session in vault.sessions.values() if session.workspace_id == workspace]
    sessions.sort(key=lambda session: (session.name.casefold(), session.id), reverse=order == "desc")
    shown = cut(sessions, args.get("limit"))
    return {
        "data": {
            "sessions": [_listed(vault, session) for session in shown],
            "total": len(sessions),
            "filtered": len(shown),
            "workspaceId": workspace,
            "filters": {"order": order, **({"limit": args["limit"]} if "limit" in args else {})},
        }
    }


def _listed(vault: Vault, session: Session) -> dict:
    return {
        "id": session.id,
        "name": session.name,
        "description": session.description,
        "startTime": session.created,
        **({"endTime": session.ended} if session.ended is not None else {}),
        "isActive": session.is_active,
        "memoryTraces": sum(trace.session_id == session.id for trace in vault.traces.values()),
        "states": sum(state.session_id == session.id for state in vault.states.values()),
        "workspaceId": session.workspace_id,
        "workspaceName": vault.workspaces[session.workspace_id].name,
    }


def load_session(vault: Vault, args: dict, context: Context) -> dict:
    """A session's memory; unless told otherwise also a new session that continues it."""
    session = named_session(vault, args, context)
    traces = session_traces(vault, session.id)
    notes = traced_files(traces)
    summary = _load_summary(vault, session, traces)
    data = {
        "sessionId": session.id,
        "name": session.name,
        "workspaceId": session.workspace_id,
        "startTime": session.created,
        **({"endTime": session.ended} if session.ended is not None else {}),
        "isActive": session.is_active,
    }
    if args.get("createContinuationSession", True):
        name = args.get("sessionName") or f'Continuation of "{session.name}"'
        text = args.get("sessionDescription") or f'Continues the session "{session.name}".'
        made = add_session(vault, session.workspace_id, name, text, goal=session.goal)
        add_trace(vault, made, "session_continuation", f'Continues "{session.name}" ({session.id}).')
        data["newSessionId"] = made.id
    data["sessionContext"] = {
        "summary": summary,
        "associatedNotes": notes,
        "sessionCreatedAt": iso(session.created),
        "originalSessionId": session.id,
        "traces": [_shown_trace(trace) for trace in traces[:TRACES_SHOWN]],
        "tags": [],
    }
    data["restoredContext"] = {
        "summary": summary,
        "associatedNotes": notes,
        "stateCreatedAt": iso(session.created),
        "originalSessionId": session.id,
        "tags": [],
    }
    return {"data": data}


def _load_summary(vault: Vault, session: Session, traces: list[Trace]) -> str:
    states = sum(state.session_id == session.id for state in vault.states.values())
    parts = [f'Session "{session.name}" with {len(traces)} memory traces and {states} saved states.']
    parts += [f"{session.description.rstrip('.')}."] if session.description else []
    parts += [f"Goal: {session.goal.rstrip('.')}."] if session.goal else []
    return " ".join(parts)


def _shown_trace(trace: Trace) -> dict:
    return {
        "id": trace.id,
        "timestamp": trace.timestamp,
        "type": trace.type,
        "content": trace.content,
        **({"tool": trace.tool, "success": trace.success} if trace.tool else {}),
    }


def update_session(vault: Vault, args: dict, context: Context) -> dict:
    """The session with name, description or goal overwritten; the other parameters change nothing."""
    session = named_session(vault, args, context)
    fields = {"name": "name", "description": "description", "goal": "sessionGoal"}
    changes = {field: args[parameter] for field, parameter in fields.items() if parameter in args}
    if not changes:
        raise ToolError("No updates provided for session")
    session = replace(session, **changes)
    vault.sessions[session.id] = session
    return {
        "data": {
            "sessionId": session.id,
            "name": session.name,
            "description": session.description,
            "workspaceId": session.workspace_id,
        }
    }


TOOLS = {
    "memoryManager_createSession": create_session,
    "memoryManager_listSessions": list_sessions,
    "memoryManager_loadSession": load_session,
    "memoryManager_updateSession": update_session,
}
