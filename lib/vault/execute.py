"""Runs one call on a vault: schema check, tool function, result envelope, memory trace."""

from typing import Any

import orjson

from lib.toolset import Toolset, load_toolset
from lib.vault import content, folders
from lib.vault.call import Context, ToolError
from lib.vault.state import Trace, Vault

# Every tool: (vault, args without "context", Context) -> result body; refuses by raising ToolError.
TOOLS = {**folders.TOOLS, **content.TOOLS}

PATH_PARAMETERS = ("path", "newPath", "filePath", "sourcePath", "targetPath", "savePath", "rootFolder")


def execute(vault: Vault, name: str, arguments: Any, toolset: Toolset | None = None) -> dict:
    """The result of one call, as the model sees it; a call that fails its check changes nothing.

    Never raises on what a model may write: every fault is `{"success": false, "error": ...}`.
    """
    toolset = toolset or load_toolset()
    try:
        # The copy keeps the vault apart from the caller's objects and refuses what JSON cannot carry.
        arguments = orjson.loads(orjson.dumps(arguments))
    except TypeError:
        return {"success": False, "error": "arguments must be a JSON object"}
    findings = toolset.check(name, arguments)
    if findings:
        return _envelope({"success": False, "error": _sentence(findings)}, _given(arguments))
    given = arguments.pop("context")
    context = _context(vault, name, given)
    vault.tick()
    try:
        result = {"success": True, **TOOLS[name](vault, arguments, context)}
    except ToolError as refusal:
        result = {"success": False, **refusal.fields, "error": refusal.text}
    _remember(vault, context, arguments, result)
    return _envelope(result, given)


def _context(vault: Vault, name: str, given: dict) -> Context:
    session = vault.sessions.get(given["sessionId"])
    workspace = given["workspaceId"]
    return Context(
        tool=name,
        session_id=session.id if session else vault.current_session,
        workspace_id=workspace if workspace in vault.workspaces else vault.current_workspace,
        given=given,
    )


def _remember(vault: Vault, context: Context, arguments: dict, result: dict) -> None:
    """Adds the call to the session's memory, which searchMemory and the load tools show later."""
    trace_id = vault.new_id("trace")
    vault.traces[trace_id] = Trace(
        id=trace_id,
        workspace_id=context.workspace_id,
        session_id=context.session_id,
        timestamp=vault.now,
        content=f"{context.tool}: {context.given['subgoal'] or context.given['toolContext']}",
        tool=context.tool,
        params=orjson.dumps(arguments).decode(),
        success=result["success"],
        error=result.get("error", "") if not result["success"] else "",
        memory=context.given["sessionMemory"],
        files=tuple(value for key in PATH_PARAMETERS if isinstance(value := arguments.get(key), str)),
    )


def _sentence(findings: list) -> str:
    first = findings[0]
    return f"{first.path}: {first.message}" if first.path else first.message


def _given(arguments: Any) -> dict:
    given = arguments.get("context") if isinstance(arguments, dict) else None
    return given if isinstance(given, dict) else {}


def _envelope(result: dict, given: dict) -> dict:
    """The result with the ids the call gave, so that a chat can go on with them."""
    return {**result, **{key: given[key] for key in ("sessionId", "workspaceId") if isinstance(given.get(key), str)}}
