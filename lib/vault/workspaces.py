"""Three workspace tools of memoryManager: create, list, load."""

from dataclasses import replace

from lib.vault import files
from lib.vault.call import Context, ToolError
from lib.vault.frontmatter import frontmatter
from lib.vault.memory import ELAPSED_MS, cut, missing_fields, workspace_id
from lib.vault.paths import clean, is_inside, name_of, parent
from lib.vault.state import Vault, Workspace

KEY_NAMES = ("index", "readme", "summary", "moc", "overview")
RECENT_FILES = 5
DEFAULT_SHOWN = 3
REQUIREMENTS = {
    "name": "a name that is not blank",
    "rootFolder": "a folder of the vault",
    "purpose": "what the workspace is for",
    "currentGoal": "what is being done now",
    "workflows": "at least one, each with name, when and steps filled in",
}
SORT_KEYS = {
    "name": lambda workspace: (workspace.name.casefold(), workspace.id),
    "created": lambda workspace: (workspace.created, workspace.id),
    "lastAccessed": lambda workspace: (workspace.last_accessed, workspace.id),
}


def create_workspace(vault: Vault, args: dict, context: Context) -> dict:
    """A new workspace on its root folder, which is made if missing; it does not become the current one."""
    _require_filled(args)
    root = clean(args["rootFolder"])
    if root in vault.notes:
        raise ToolError(f"Root folder is a file: {root}")
    agent = vault.agents.get(args.get("dedicatedAgentId", ""))
    if args.get("dedicatedAgentId") and agent is None:
        raise ToolError(f'Agent with ID "{args["dedicatedAgentId"]}" not found')
    given = [path for path in (clean(path) for path in args.get("keyFiles", ())) if path]
    files.make_folder(vault, root)
    details = {
        "purpose": args["purpose"],
        "currentGoal": args["currentGoal"],
        "workflows": [{key: flow[key] for key in ("name", "when", "steps")} for flow in args["workflows"]],
        "keyFiles": list(dict.fromkeys([*given, *found_key_files(vault, root)])),
        "preferences": args.get("preferences", ""),
    }
    if agent:
        details["dedicatedAgent"] = {"agentId": agent.id, "agentName": agent.name}
    workspace = Workspace(
        id=vault.new_id("ws"),
        name=args["name"],
        root_folder=root or "/",
        created=vault.now,
        last_accessed=vault.now,
        description=args.get("description", ""),
        context=details,
    )
    vault.workspaces[workspace.id] = workspace
    return {
        "data": {
            "workspaceId": workspace.id,
            "workspace": {**document(workspace), "sessions": {}},
            "validationPrompt": "Go through purpose, goal and workflows with the user; updateWorkspace corrects them.",
        }
    }


def _require_filled(args: dict) -> None:
    missing = [field for field in ("name", "rootFolder", "purpose", "currentGoal") if not args[field].strip()]
    if not all(flow[key].strip() for flow in args["workflows"] for key in ("name", "when", "steps")):
        missing.append("workflows")
    if missing:
        text = f"Validation error - {', '.join(missing)}: must be given and not empty"
        raise missing_fields(text, missing, REQUIREMENTS, args, "Ask the user for what is missing.")


def found_key_files(vault: Vault, folder: str) -> list[str]:
    """The Markdown files directly in a folder that are key by name or by `key: true` in their frontmatter."""
    here = [path for path in sorted(vault.notes) if parent(path) == folder and path.lower().endswith(".md")]
    return [
        path
        for path in here
        if name_of(path)[:-3].lower() in KEY_NAMES or frontmatter(vault.notes[path].text).get("key") is True
    ]


def document(workspace: Workspace) -> dict:
    """The workspace as the tools show it."""
    return {
        "id": workspace.id,
        "name": workspace.name,
        **({"description": workspace.description} if workspace.description else {}),
        "rootFolder": workspace.root_folder,
        "created": workspace.created,
        "lastAccessed": workspace.last_accessed,
        "isActive": workspace.is_active,
        "context": workspace.context,
        **workspace.extra,
    }


def list_workspaces(vault: Vault, args: dict, context: Context) -> dict:
    """Every workspace, the last used first unless told otherwise."""
    key = SORT_KEYS[args.get("sortBy", "lastAccessed")]
    found = sorted(vault.workspaces.values(), key=key, reverse=args.get("order", "desc") == "desc")
    shown = cut(found, args.get("limit"))
    return {
        "data": {
            "workspaces": [
                {
                    "id": workspace.id,
                    "name": workspace.name,
                    **({"description": workspace.description} if workspace.description else {}),
                    "rootFolder": workspace.root_folder,
                    "lastAccessed": workspace.last_accessed,
                    "status": "active",
                }
                for workspace in shown
            ],
            "performance": {
                "totalDuration": ELAPSED_MS,
                "serviceAccessTime": ELAPSED_MS,
                "queryTime": ELAPSED_MS,
                "workspaceCount": len(shown),
            },
        }
    }


def load_workspace(vault: Vault, args: dict, context: Context) -> dict:
    """A workspace's briefing, by id; it becomes the current workspace."""
    wanted = workspace_id(vault, args["id"], context)
    if wanted not in vault.workspaces:
        text = f"Workspace with ID '{args['id']}' not found"
        raise ToolError(text, data=_nothing_loaded(text))
    workspace = replace(vault.workspaces[wanted], last_accessed=vault.now)
    vault.workspaces[wanted] = workspace
    vault.current_workspace = wanted
    limit = args.get("limit", DEFAULT_SHOWN)
    root = clean(workspace.root_folder)
    inside = sorted(path for path in vault.notes if is_inside(path, root))
    recent = sorted(inside, key=lambda path: (-vault.notes[path].modified, path))[:RECENT_FILES]
    data = {
        "context": _briefing(vault, workspace, limit),
        "workflows": [_workflow_text(flow) for flow in workspace.context.get("workflows", ())],
        "workspaceStructure": [path[len(root) + 1 :] if root else path for path in inside],
        "recentFiles": [{"path": path, "modified": vault.notes[path].modified} for path in recent],
        "keyFiles": _by_name(workspace.context.get("keyFiles", ())),
        "preferences": workspace.context.get("preferences") or "No preferences set",
        "sessions": _sessions(vault, wanted, limit),
        "states": _states(vault, wanted, limit),
        **_agent(vault, workspace),
    }
    return {"data": data, "workspaceContext": {"workspaceId": wanted, "workspacePath": [workspace.root_folder]}}


def _nothing_loaded(text: str) -> dict:
    return {
        "context": {"name": "Unknown", "rootFolder": "", "recentActivity": [text]},
        "workflows": [],
        "workspaceStructure": [],
        "recentFiles": [],
        "keyFiles": {},
        "preferences": "",
        "sessions": [],
        "states": [],
    }


def _briefing(vault: Vault, workspace: Workspace, limit: float) -> dict:
    """Name and purpose, with the session memories of the latest calls, newest first and each once."""
    traces = [trace for trace in vault.traces.values() if trace.workspace_id == workspace.id]
    traces.sort(key=lambda trace: (trace.timestamp, trace.id), reverse=True)
    activity = list(dict.fromkeys(trace.memory for trace in traces if trace.memory))
    purpose = workspace.context.get("purpose")
    return {
        "name": workspace.name,
        **({"description": workspace.description} if workspace.description else {}),
        **({"purpose": purpose} if purpose else {}),
        "rootFolder": workspace.root_folder,
        "recentActivity": cut(activity, limit),
    }


def _workflow_text(flow: dict) -> str:
    return f"**{flow['name']}** ({flow['when']}):\n{flow['steps']}"


def _by_name(paths) -> dict[str, str]:
    """Paths by file name without extension; a name that comes up again is given its path instead."""
    named: dict[str, str] = {}
    for path in paths:
        name = name_of(path).rpartition(".")[0] or name_of(path)
        named[path if name in named else name] = path
    return named


def _sessions(vault: Vault, workspace: str, limit: float) -> list[dict]:
    found = [session for session in vault.sessions.values() if session.workspace_id == workspace]
    found.sort(key=lambda session: (session.created, session.id), reverse=True)
    return [
        {
            "id": session.id,
            "name": session.name,
            **({"description": session.description} if session.description else {}),
            "created": session.created,
            "workspaceId": workspace,
        }
        for session in cut(found, limit)
    ]


def _states(vault: Vault, workspace: str, limit: float) -> list[dict]:
    found = [state for state in vault.states.values() if state.workspace_id == workspace]
    found.sort(key=lambda state: (state.created, state.id), reverse=True)
    return [
        {
            "id": state.id,
            "name": state.name,
            **({"description": state.description} if state.description else {}),
            "sessionId": state.session_id,
            "created": state.created,
            "tags": list(state.tags),
            "workspaceId": workspace,
        }
        for state in cut(found, limit)
    ]


def _agent(vault: Vault, workspace: Workspace) -> dict:
    bound = workspace.context.get("dedicatedAgent")
    agent = vault.agents.get(bound.get("agentId", "")) if isinstance(bound, dict) else None
    return {"agent": {"id": agent.id, "name": agent.name, "systemPrompt": agent.prompt}} if agent else {}


TOOLS = {
    "memoryManager_createWorkspace": create_workspace,
    "memoryManager_listWorkspaces": list_workspaces,
    "memoryManager_loadWorkspace": load_workspace,
}
