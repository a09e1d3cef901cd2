"""Runs one call on a vault: schema check, tool function, result envelope, memory trace."""

from typing import Any

import orjson

from lib.toolset import Finding, Toolset, load_toolset
from lib.vault import (
    agents,
    commands,
    content,
    folders,
    librarian,
    meta,
    sessions,
    states,
    workspace_fields,
    workspaces,
)
from lib.vault.call import Context, ToolError
from lib.vault.state import Trace, Vault

# Every tool: (vault, args without "context", Context) -> result body; refuses by raising ToolError.
TOOLS = {
    **folders.TOOLS,
    **content.TOOLS,
    **sessions.TOOLS,
    **states.TOOLS,
    **workspaces.TOOLS,
    **workspace_fields.TOOLS,
    **librarian.TOOLS,
    **agents.TOOLS,
    **commands.TOOLS,
    **meta.TOOLS,
}


def execute(vault: Vault, name: str, arguments: Any, toolset: Toolset | None = None) -> dict:
    """The result of one call, as the model sees it; a call that fails its check changes nothing.

    Never raises on what a model may write: every fault is `{"success": false, "error": ...}`.
    """
    toolset = toolset or load_toolset()
    try:
        arguments = _copy(arguments)
    except (TypeError, RecursionError) as fault:
        return {"success": False, "error": f"The arguments cannot be written as JSON: {fault}"}
    tool = toolset.tools.get(name) if isinstance(name, str) else None
    for place in tool.path_places if tool else ():
        arguments = _without_slash(arguments, place)
    findings = toolset.check(name, arguments)
    if findings:
        return _envelope({"success": False, "error": _sentence(findings[0])}, _given(arguments))
    if name not in TOOLS:
        return {"success": False, "error": f"{name} has a schema but cannot be run here"}
    given = arguments.pop("context")
    context = _context(vault, name, given, toolset)
    vault.tick()
    try:
        result = {"success": True, **TOOLS[name](vault, arguments, context)}
    except ToolError as refusal:
        result = {"success": False, **refusal.fields, "error": refusal.text}
    _remember(vault, context, arguments, result)
    return _envelope(_copy(result), given)


def _copy(value: Any) -> Any:
    """The value written as JSON and read back: nothing of the vault is shared, nothing JSON cannot carry passes."""
    return orjson.loads(orjson.dumps(value))


def _context(vault: Vault, name: str, given: dict, toolset: Toolset) -> Context:
    session = vault.sessions.get(given["sessionId"])
    workspace = given["workspaceId"]
    return Context(
        tool=name,
        session_id=session.id if session else vault.current_session,
        workspace_id=workspace if workspace in vault.workspaces else vault.current_workspace,
        given=given,
        toolset=toolset,
    )


def _remember(vault: Vault, context: Context, arguments: dict, result: dict) -> None:
    """Adds the call to the session's memory, which searchMemory and the load tools show later."""
    trace_id = vault.new_id("trace")
    places = context.toolset.tools[context.tool].path_places
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
        files=tuple(dict.fromkeys(path for place in places for path in _paths_at(arguments, place))),
    )


def _without_slash(value: Any, place: tuple[str, ...]) -> Any:
    """The arguments with "/Notes" at this place made "Notes"; only one slash goes, so "//server" stays refused."""
    if not place:
        return value[1:] if isinstance(value, str) and value.startswith("/") and value != "/" else value
    step, rest = place[0], place[1:]
    if step == "*":
        return [_without_slash(item, rest) for item in value] if isinstance(value, list) else value
    if not isinstance(value, dict) or step not in value:
        return value
    return {**value, step: _without_slash(value[step], rest)}


def _paths_at(value: Any, place: tuple[str, ...]) -> list[str]:
    """The paths at this place of the arguments."""
    if not place:
        return [value] if isinstance(value, str) else []
    step, rest = place[0], place[1:]
    if step == "*":
        parts = value if isinstance(value, list) else []
    else:
        parts = [value[step]] if isinstance(value, dict) and step in value else []
    return [path for part in parts for path in _paths_at(part, rest)]


def _sentence(finding: Finding) -> str:
    """One finding as a sentence that names the parameter."""
    where = finding.path.removeprefix("arguments.")
    return (
        finding.message if finding.code == "unknown-tool" or where in finding.message else f"{where}: {finding.message}"
    )


def _given(arguments: Any) -> dict:
    given = arguments.get("context") if isinstance(arguments, dict) else None
    return given if isinstance(given, dict) else {}


def _envelope(result: dict, given: dict) -> dict:
    """The result with the ids the call gave, so that a chat can go on with them."""
    return {**result, **{key: given[key] for key in ("sessionId", "workspaceId") if isinstance(given.get(key), str)}}
