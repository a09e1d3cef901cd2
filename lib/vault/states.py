"""The four state tools of memoryManager: save, list, load and change a checkpoint of the work in hand."""

from dataclasses import replace

from lib.vault.call import Context, ToolError
from lib.vault.memory import (
    ELAPSED_MS,
    add_session,
    add_trace,
    cut,
    hint,
    iso,
    missing_fields,
    scope,
    scope_workspace,
    session_id,
)
from lib.vault.paths import clean
from lib.vault.state import State, Vault

FILES_SHOWN = 20
REQUIREMENTS = {
    "name": "a title that is not blank",
    "conversationContext": "what was going on, not blank",
    "activeTask": "the task in hand, not blank",
    "activeFiles": "at least one path",
    "nextSteps": "at least one step",
    "reasoning": "why the state is saved now, not blank",
}


def create_state(vault: Vault, args: dict, context: Context) -> dict:
    """A checkpoint filed under targetSessionId or the current session; files are noted by path, not copied."""
    _require_filled(args)
    workspace = scope_workspace(vault, args, context)
    session = _target_session(vault, args, context, workspace.id)
    state = State(
        id=vault.new_id("state"),
        workspace_id=workspace.id,
        session_id=session,
        name=args["name"],
        created=vault.now,
        description=f"{args['activeTask']} - {args['reasoning']}",
        active_task=args["activeTask"],
        active_files=tuple(clean(path) for path in args["activeFiles"]),
        next_steps=tuple(args["nextSteps"]),
        reasoning=args["reasoning"],
        conversation_context=args["conversationContext"],
        tags=tuple(dict.fromkeys(args.get("tags", ()))),
    )
    vault.states[state.id] = state
    data = {
        "stateId": state.id,
        "name": state.name,
        "workspaceId": workspace.id,
        "sessionId": session,
        "timestamp": state.created,
        "created": state.created,
        "summary": f'Saved "{state.name}": {state.description}',
        "metadata": {
            "persistenceVerified": True,
            "workspaceName": workspace.name,
            "totalActiveFiles": len(state.active_files),
            "nextStepsCount": len(state.next_steps),
        },
        "capturedContext": {
            "summary": state.description,
            "conversationContext": state.conversation_context,
            "activeFiles": list(state.active_files),
            "nextSteps": list(state.next_steps),
        },
        "performance": {"totalDuration": ELAPSED_MS, "persistenceVerified": True},
    }
    message = "If the work has moved on, bring the workspace's currentGoal up to date with updateWorkspace."
    return {"data": data, "recommendations": hint("workspace_update", message)}


def _require_filled(args: dict) -> None:
    missing = [field for field in REQUIREMENTS if not _is_filled(args.get(field))]
    if missing:
        text = f"Validation failed: {', '.join(missing)} - each must be given and not empty"
        suggestion = "Say what was done, what comes next and which files are in use."
        raise missing_fields(text, missing, REQUIREMENTS, args, suggestion, expectedParams=list(REQUIREMENTS))


def _is_filled(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else bool(value)


def _target_session(vault: Vault, args: dict, context: Context, workspace: str) -> str:
    """The session to file a state under; one named by the call must lie in the workspace."""
    wanted = args.get("targetSessionId") or context.session_id
    session = session_id(vault, wanted, context)
    found = vault.sessions.get(session)
    if found is None or (session != context.session_id and found.workspace_id != workspace):
        raise ToolError(f"Session {wanted} not found in workspace {workspace}")
    return session


def list_states(vault: Vault, args: dict, context: Context) -> dict:
    """The current session's states, whatever session is named, newest first unless order is asc; any tag will do."""
    workspace = scope(vault, args, context)
    session = context.session_id
    order = args.get("order", "desc")
    states = [s for s in vault.states.values() if s.session_id == session and s.workspace_id == workspace]
    wanted = set(args.get("tags", ()))
    kept = [state for state in states if not wanted or wanted & set(state.tags)]
    kept.sort(key=lambda state: (state.created, state.id), reverse=order == "desc")
    shown = cut(kept, args.get("limit"))
    filters = {"sessionId": session, "order": order}
    filters |= {key: args[key] for key in ("tags", "limit", "includeContext") if key in args}
    return {
        "data": {
            "states": [_listed(vault, state, args.get("includeContext", False)) for state in shown],
            "total": len(states),
            "filtered": len(shown),
            "workspaceId": workspace,
            "filters": filters,
        }
    }


def _listed(vault: Vault, state: State, include_context: bool) -> dict:
    item = {
        "id": state.id,
        "name": state.name,
        "created": state.created,
        "snapshot": {
            "sessionId": state.session_id,
            "description": state.description,
            "conversationContext": state.conversation_context,
            "activeTask": state.active_task,
            "activeFiles": list(state.active_files),
            "nextSteps": list(state.next_steps),
            "reasoning": state.reasoning,
        },
        "workspaceName": vault.workspaces[state.workspace_id].name,
    }
    if include_context:
        item["context"] = {
            "files": list(state.active_files),
            "traceCount": 0,
            "tags": list(state.tags),
            "summary": state.description,
        }
    return item


def _stored(vault: Vault, wanted: str) -> State:
    if wanted not in vault.states:
        raise ToolError(f"State not found: {wanted}")
    return vault.states[wanted]


def load_state(vault: Vault, args: dict, context: Context) -> dict:
    """A checkpoint's task, files, steps and reasoning, to go on in its session or a new one; files stay as they are."""
    state = _stored(vault, args["stateId"])
    session = vault.sessions[state.session_id]
    if not args.get("continueExistingSession", True):
        name = args.get("sessionName") or f'Restored from "{state.name}"'
        text = args.get("sessionDescription") or f'Goes on from the state "{state.name}".'
        session = add_session(vault, state.workspace_id, name, text)
    goal = args.get("restorationGoal", "")
    files = list(state.active_files[:FILES_SHOWN])
    add_trace(vault, session, "state_restoration", f'Loaded the state "{state.name}".', tuple(files))
    return {
        "data": {
            "stateId": state.id,
            "name": state.name,
            "workspaceId": state.workspace_id,
            "sessionId": state.session_id,
            "created": state.created,
            "newSessionId": session.id,
            "restoredContext": {
                "summary": state.description,
                "associatedNotes": files,
                "stateCreatedAt": iso(state.created),
                "originalSessionId": state.session_id,
                "conversationContext": state.conversation_context,
                "activeTask": state.active_task,
                "activeFiles": files,
                "nextSteps": list(state.next_steps),
                "reasoning": state.reasoning,
                **({"restorationGoal": goal} if goal else {}),
            },
        }
    }


def update_state(vault: Vault, args: dict, context: Context) -> dict:
    """The state with name and description overwritten, tags added, then tags removed."""
    state = _stored(vault, args["stateId"])
    changes = {key: args[key] for key in ("name", "description") if key in args}
    if args.get("addTags") or args.get("removeTags"):
        tags = dict.fromkeys([*state.tags, *args.get("addTags", ())])
        changes["tags"] = tuple(tag for tag in tags if tag not in args.get("removeTags", ()))
    if not changes:
        raise ToolError("No updates provided for state")
    state = replace(state, **changes)
    vault.states[state.id] = state
    return {
        "data": {
            "stateId": state.id,
            "name": state.name,
            "description": state.description,
            "timestamp": vault.now,
            "workspaceId": state.workspace_id,
            "tags": list(state.tags),
        }
    }


TOOLS = {
    "memoryManager_createState": create_state,
    "memoryManager_listStates": list_states,
    "memoryManager_loadState": load_state,
    "memoryManager_updateState": update_state,
}
