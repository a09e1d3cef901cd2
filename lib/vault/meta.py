"""get_tools: the toolset looked up by the model itself."""

from typing import Any

from lib.toolset import Tool
from lib.vault.call import Context, ToolError
from lib.vault.state import Vault

HIDDEN = ("context", "workspaceContext", "sessionId")  # the host fills these in
AGENTS = {
    "agentManager": "Custom agents, prompts run by language models, and images",
    "commandManager": "Commands of the application's palette",
    "contentManager": "Reading, making and editing the text of notes",
    "memoryManager": "Sessions, saved states and workspaces",
    "vaultLibrarian": "Search in notes, folders and memory",
    "vaultManager": "Files and folders: list, make, move, rename, copy, delete, open",
}
OVERVIEW_INSTRUCTION = "Call get_tools again with names like agent_mode to see what a tool takes."
LOOKUP_INSTRUCTION = "Call a tool by its full name, with context as the first argument."


def get_tools(vault: Vault, args: dict, context: Context) -> dict:
    """The agents and their modes for an empty list; otherwise the schemas of the tools named, unknown ones skipped."""
    tools = {name: tool for name, tool in context.toolset.tools.items() if tool.agent != "meta"}
    wanted = args["tools"]
    if not wanted:
        overview: dict[str, dict] = {}
        for tool in tools.values():
            about = AGENTS.get(tool.agent, f"Tools of {tool.agent}")
            overview.setdefault(tool.agent, {"description": about, "modes": []})["modes"].append(tool.mode)
        return {"overview": overview, "instruction": OVERVIEW_INSTRUCTION}
    found = [_entry(tools[name]) for name in dict.fromkeys(wanted) if name in tools]
    if not found:
        raise ToolError(f"No valid tools found for the requested names: {', '.join(wanted)}")
    return {
        "tools": found,
        "requestedTools": wanted,
        "toolCount": len(found),
        "instruction": LOOKUP_INSTRUCTION,
    }


def _entry(tool: Tool) -> dict:
    return {"name": tool.name, "description": tool.description, "inputSchema": _visible(tool.parameters)}


def _visible(schema: dict) -> dict[str, Any]:
    """The schema without what the host fills in; alternatives that ask for a hidden parameter go too."""
    shown = {key: value for key, value in schema.items() if key != "$defs"}
    shown["properties"] = {name: part for name, part in schema.get("properties", {}).items() if name not in HIDDEN}
    shown["required"] = [name for name in schema.get("required", ()) if name not in HIDDEN]
    if "anyOf" in schema:
        shown["anyOf"] = [part for part in schema["anyOf"] if not set(part.get("required", ())) & set(HIDDEN)]
    return shown


TOOLS = {"get_tools": get_tools}
