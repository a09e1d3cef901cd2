"""memoryManager_updateWorkspace: one field of a workspace set by a path such as `context.workflows[0].steps`."""

import re
from dataclasses import replace
from typing import Any

import orjson

from lib.vault import files
from lib.vault.call import Context, ToolError
from lib.vault.memory import workspace_id
from lib.vault.paths import clean
from lib.vault.state import Vault, Workspace
from lib.vault.workspaces import document

OWN_FIELDS = ("name", "description", "rootFolder", "context")
EXTRA_FIELDS = (
    "relatedFolders",
    "relatedFiles",
    "associatedNotes",
    "keyFileInstructions",
    "preferences",
    "projectPlan",
    "activityHistory",
    "checkpoints",
    "completionStatus",
)
CONTEXT_FIELDS = ("purpose", "currentGoal", "status", "workflows", "keyFiles", "preferences", "agents")
CONTEXT_TEXTS = ("purpose", "currentGoal", "status", "preferences")
MAX_INDEX = 999
MAX_PATH = 200  # characters
MAX_DEPTH = 50  # levels of a value: results that hold it must still be JSON that every reader accepts
STEP = re.compile(r"([a-zA-Z][a-zA-Z0-9_]*)|\[([0-9]+)\]")
ABSENT = object()


def update_workspace(vault: Vault, args: dict, context: Context) -> dict:
    """The workspace with one field set; the value it already has is a success with updated false."""
    wanted, path, value = args["workspaceId"], args["fieldPath"], args["newValue"]
    refused = {"workspaceId": wanted, "updated": False, "fieldPath": path, "newValue": value}
    try:
        stored = workspace_id(vault, wanted, context)
        if stored not in vault.workspaces:
            raise ToolError(f"Workspace with ID {wanted} not found")
        before = {"description": "", **document(vault.workspaces[stored])}
        steps = parse_path(path)
        old = _get(before, steps)
        changed = old is ABSENT or not _same(old, value)
        if changed:
            after = _set(orjson.loads(orjson.dumps(before)), steps, value, path)
            if _is_deep(after, MAX_DEPTH):
                raise ToolError(f"Invalid value for {path}: more than {MAX_DEPTH} levels deep")
            _store(vault, vault.workspaces[stored], after, path)
    except ToolError as refusal:
        raise ToolError(refusal.text, data=refused) from None
    return {
        "data": {
            "workspaceId": stored,
            "updated": changed,
            "fieldPath": path,
            **({} if old is ABSENT else {"oldValue": old}),
            "newValue": value,
            "workspace": document(vault.workspaces[stored]),
        }
    }


def parse_path(path: str) -> list[str | int]:
    """The steps of a field path, names and list indices; a field that may not be set is refused."""
    if len(path) > MAX_PATH:
        raise ToolError(f"Invalid field path: longer than {MAX_PATH} characters")
    steps = [name or int(index) for name, index in STEP.findall(path)]
    root = steps[0] if steps else ""
    if root not in OWN_FIELDS + EXTRA_FIELDS:
        allowed = ", ".join(OWN_FIELDS + EXTRA_FIELDS)
        raise ToolError(f"Invalid field path: {path} - the first part must be one of {allowed}")
    if root == "context" and len(steps) > 1 and steps[1] not in CONTEXT_FIELDS:
        raise ToolError(f"Invalid field path: {path} - below context it must be one of {', '.join(CONTEXT_FIELDS)}")
    if any(isinstance(step, int) and step > MAX_INDEX for step in steps):
        raise ToolError(f"Invalid field path: {path} - list indices go from 0 to {MAX_INDEX}")
    return steps


def _get(value: Any, steps: list[str | int]) -> Any:
    for step in steps:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else ABSENT
        else:
            value = value.get(step, ABSENT) if isinstance(value, dict) else ABSENT
        if value is ABSENT:
            break
    return value


def _same(old: Any, new: Any) -> bool:
    """Equality as JSON sees it: True is not 1."""
    return orjson.dumps(old, option=orjson.OPT_SORT_KEYS) == orjson.dumps(new, option=orjson.OPT_SORT_KEYS)


def _set(tree: Any, steps: list[str | int], value: Any, path: str) -> Any:
    """The tree with a value put at a place; missing lists and objects on the way are made."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if tree is None:
        tree = [] if isinstance(step, int) else {}
    if isinstance(step, int) and isinstance(tree, list):
        tree += [None] * (step + 1 - len(tree))
        tree[step] = _set(tree[step], rest, value, path)
    elif isinstance(step, str) and isinstance(tree, dict):
        tree[step] = _set(tree.get(step), rest, value, path)
    else:
        raise ToolError(f"Invalid field path: {path} - '{step}' does not fit what is stored there")
    return tree


def _is_deep(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deep(item, levels - 1) for item in inner)


def _store(vault: Vault, workspace: Workspace, after: dict, path: str) -> None:
    """Checks the changed document and stores it; a new root folder is made in the vault, the old one stays."""
    for field in ("name", "description", "rootFolder"):
        if not isinstance(after.get(field, ""), str) or (field != "description" and not after[field].strip()):
            raise ToolError(f"Invalid value for {path}: {field} must be a text")
    root = clean(after["rootFolder"])
    if root in vault.notes:
        raise ToolError(f"Root folder is a file: {root}")
    details = _checked_context(after["context"], workspace.context, path)
    files.make_folder(vault, root)
    vault.workspaces[workspace.id] = replace(
        workspace,
        name=after["name"],
        description=after.get("description", ""),
        root_folder=root or "/",
        context=details,
        extra={field: after[field] for field in EXTRA_FIELDS if field in after},
    )


def _checked_context(details: Any, before: dict, path: str) -> dict:
    if not isinstance(details, dict) or set(details) - set(CONTEXT_FIELDS) - set(before):
        raise ToolError(f"Invalid value for {path}: context holds only {', '.join(CONTEXT_FIELDS)}")
    if "dedicatedAgent" in details and details["dedicatedAgent"] != before.get("dedicatedAgent"):
        raise ToolError(f"Invalid value for {path}: the dedicated agent cannot be set here")
    for field in CONTEXT_TEXTS:
        if not isinstance(details.get(field, ""), str):
            raise ToolError(f"Invalid value for {path}: {field} must be a text")
    checked = dict(details)
    if "workflows" in details:
        checked["workflows"] = [_workflow(flow, path) for flow in _list(details["workflows"], "workflows", path)]
    if "keyFiles" in details:
        key_files = _list(details["keyFiles"], "keyFiles", path)
        if not all(isinstance(item, str) for item in key_files):
            raise ToolError(f"Invalid value for {path}: keyFiles must be a list of paths")
        checked["keyFiles"] = [clean(item) for item in key_files]
    return checked


def _list(value: Any, field: str, path: str) -> list:
    if not isinstance(value, list):
        raise ToolError(f"Invalid value for {path}: {field} must be a list")
    return value


def _workflow(flow: Any, path: str) -> dict:
    """A workflow as it is stored: a list of steps becomes one text, a step a line."""
    flow = dict(flow) if isinstance(flow, dict) else {}
    if isinstance(flow.get("steps"), list) and all(isinstance(step, str) for step in flow["steps"]):
        flow["steps"] = "\n".join(flow["steps"])
    if set(flow) != {"name", "when", "steps"} or not all(isinstance(text, str) for text in flow.values()):
        raise ToolError(f"Invalid value for {path}: a workflow has name, when and steps, all texts")
    return flow


TOOLS = {"memoryManager_updateWorkspace": update_workspace}
