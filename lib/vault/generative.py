"""executePrompt and batchExecutePrompt: simulated answers, really written where `action` says."""

from lib.vault import content, files
from lib.vault.answers import NOTICE, answer, usage_and_cost
from lib.vault.call import Context, ToolError
from lib.vault.images import BATCH_MODELS, make_images
from lib.vault.memory import ELAPSED_MS, hint, workspace_id
from lib.vault.paths import clean
from lib.vault.state import Agent, Vault

NOT_RETURNED = "[Content not returned]"
NO_AGENT = "default"
FIRST_GROUP = "default"
SIMULATION = hint("simulation", NOTICE)


def execute_prompt(vault: Vault, args: dict, context: Context) -> dict:
    """One simulated answer; a write that fails is told in actionPerformed, the call itself succeeds."""
    if not args["prompt"].strip():
        raise ToolError("Prompt is required")
    data = _run_text(vault, {**args, "contextFiles": args.get("filepaths", [])}, [], context)
    if not args.get("returnContent", True):
        data["response"] = NOT_RETURNED
    return {"data": data, "recommendations": SIMULATION}


def _run_text(vault: Vault, request: dict, earlier: list[tuple[str, str]], context: Context) -> dict:
    """The data of one text request. earlier: (id, answer) of the steps that are fed in."""
    agent = _agent(vault, request.get("agent", ""))
    _require_provider(vault, request["provider"])
    sources = [*earlier, *_workspace_source(vault, request, context), *_file_sources(vault, request, context)]
    response = answer(request["prompt"], sources, agent.name if agent else "", request.get("maxTokens"))
    known = (
        model for model in vault.models if (model.provider, model.model) == (request["provider"], request["model"])
    )
    given = "\n".join([agent.prompt if agent else "", *(text for _, text in sources), request["prompt"]])
    data = {
        "response": response,
        "model": request["model"],
        "provider": request["provider"],
        "agentUsed": agent.name if agent else NO_AGENT,
        **usage_and_cost(given, response, next(known, None)),
    }
    if request.get("contextFiles"):
        data["filesIncluded"] = [clean(path) for path in request["contextFiles"]]
    if "action" in request:
        data["actionPerformed"] = _write(vault, request["action"], response, context)
    return data


def _agent(vault: Vault, name: str) -> Agent | None:
    if not name:
        return None
    agent = next((agent for agent in vault.agents.values() if agent.name == name), None)
    if agent is None:
        raise ToolError(f"Custom prompt agent '{name}' not found")
    if not agent.is_enabled:
        raise ToolError(f"Custom prompt agent '{name}' is disabled")
    return agent


def _require_provider(vault: Vault, provider: str) -> None:
    available = list(dict.fromkeys(model.provider for model in vault.models))
    if provider not in available:
        names = ", ".join(available) or "none"
        raise ToolError(f"Provider '{provider}' is not available. Available providers: {names}")


def _file_sources(vault: Vault, request: dict, context: Context) -> list[tuple[str, str]]:
    return [
        (clean(path), content.read_content(vault, {"filePath": path}, context)["data"]["content"])
        for path in request.get("contextFiles", ())
    ]


def _workspace_source(vault: Vault, request: dict, context: Context) -> list[tuple[str, str]]:
    if not request.get("workspace"):
        return []
    workspace = vault.workspaces.get(workspace_id(vault, request["workspace"], context))
    if workspace is None:
        raise ToolError(f"Workspace not found: {request['workspace']}")
    facts = [workspace.context.get(key) or "" for key in ("purpose", "currentGoal")]
    return [(f"workspace {workspace.name}", "\n".join(facts))]


def _write(vault: Vault, action: dict, text: str, context: Context) -> dict:
    """What became of the answer's write."""
    performed = {"type": action["type"], "targetPath": action["targetPath"]}
    try:
        WRITERS[action["type"]](vault, action, text, context)
    except ToolError as refusal:
        return performed | {"success": False, "error": refusal.text}
    return performed | {"success": True}


def _create(vault: Vault, action: dict, text: str, context: Context) -> None:
    content.create_content(vault, {"filePath": action["targetPath"], "content": text}, context)


def _append(vault: Vault, action: dict, text: str, context: Context) -> None:
    content.append_content(vault, {"filePath": action["targetPath"], "content": text}, context)


def _prepend(vault: Vault, action: dict, text: str, context: Context) -> None:
    content.prepend_content(vault, {"filePath": action["targetPath"], "content": text}, context)


def _replace(vault: Vault, action: dict, text: str, context: Context) -> None:
    """Puts the answer in the place of line `position`, or of the whole text."""
    path = action["targetPath"]
    if "position" in action:
        line = int(action["position"])
        arguments = {"filePath": path, "newContent": text, "startLine": line, "endLine": line}
        content.replace_by_line(vault, arguments, context)
    else:
        content.read_content(vault, {"filePath": path}, context)  # refuses what is no text file
        files.write_text(vault, clean(path), text)


def _find_replace(vault: Vault, action: dict, text: str, context: Context) -> None:
    if not action.get("findText"):
        raise ToolError("findText is required for findReplace")
    options = {key: action[key] for key in ("replaceAll", "caseSensitive", "wholeWord") if key in action}
    arguments = {"filePath": action["targetPath"], "findText": action["findText"], "replaceText": text, **options}
    if not content.find_replace_content(vault, arguments, context)["data"]["replacements"]:
        raise ToolError("findText not found in file")


WRITERS = {
    "create": _create,
    "append": _append,
    "prepend": _prepend,
    "replace": _replace,
    "findReplace": _find_replace,
}


def batch_execute_prompt(vault: Vault, args: dict, context: Context) -> dict:
    """The answers of many requests, in the order they ran; one that fails does not fail the call."""
    requests = [{"id": f"request_{number}", **item} for number, item in enumerate(args["prompts"], 1)]
    faults = [f"prompts[{index}]: {fault}" for index, item in enumerate(requests) if (fault := _fault(item))]
    if faults:
        raise ToolError(f"Parameter validation failed: {'; '.join(faults)}")
    results: list[dict] = []
    for request in sorted(requests, key=_place):  # a stable sort: members of a group keep their order
        results.append(_run_one(vault, request, results, context))
    failed = sum(not result["success"] for result in results)
    used = sum(result["usage"]["totalTokens"] for result in results if "usage" in result)
    data = {"success": True}
    if args.get("mergeResponses", False):
        data["merged"] = _merged(results)
    else:
        data["results"] = results
    data["stats"] = {
        "totalExecutionTimeMS": ELAPSED_MS,
        "promptsExecuted": len(results) - failed,
        "promptsFailed": failed,
        "avgExecutionTimeMS": ELAPSED_MS,
        "tokensUsed": used,
    }
    return {"data": data, "recommendations": SIMULATION}


def _fault(request: dict) -> str:
    if not request["prompt"].strip():
        return "prompt is blank"
    if request["type"] == "image" and request["model"] not in BATCH_MODELS:
        return f"model must be {' or '.join(BATCH_MODELS)} for images"
    return ""


def _place(request: dict) -> tuple[int, bool, str]:
    """Where a request runs: its round, then the group called default, then the others A-Z."""
    group = request.get("parallelGroup") or FIRST_GROUP
    return request.get("sequence", 0), group != FIRST_GROUP, group


def _run_one(vault: Vault, request: dict, results: list[dict], context: Context) -> dict:
    frame = {"type": request["type"], "id": request["id"], "prompt": request["prompt"]}
    echo = {key: request[key] for key in ("sequence", "parallelGroup") if key in request}
    try:
        if request["type"] == "image":
            made = make_images(vault, request)
            body = {"imagePath": made["imagePath"], "provider": made["provider"], "model": made["model"]}
        else:
            body = _run_text(vault, request, _earlier(request, results), context)
            used = body.pop("agentUsed")
            body |= {"agent": used} if used != NO_AGENT else {}
    except ToolError as refusal:
        return {**frame, "success": False, "error": refusal.text, "executionTime": ELAPSED_MS, **echo}
    return {**frame, "success": True, **body, "executionTime": ELAPSED_MS, **echo}


def _earlier(request: dict, results: list[dict]) -> list[tuple[str, str]]:
    """(id, answer) of the earlier rounds with includePreviousResults, and of the steps in contextFromSteps."""
    this_round = request.get("sequence", 0)
    named = set(request.get("contextFromSteps", ()))
    every = request.get("includePreviousResults", False)
    return [
        (result["id"], result["response"])
        for result in results
        if "response" in result and (result["id"] in named or (every and result.get("sequence", 0) < this_round))
    ]


def _merged(results: list[dict]) -> dict:
    done = [result for result in results if result["success"]]
    texts = [result.get("response") or f"Image: {result['imagePath']}" for result in done]
    return {
        "totalPrompts": len(results),
        "successfulPrompts": len(done),
        "combinedResponse": "\n\n".join(texts),
        "providersUsed": list(dict.fromkeys(result["provider"] for result in done)),
    }


TOOLS = {
    "agentManager_executePrompt": execute_prompt,
    "agentManager_batchExecutePrompt": batch_execute_prompt,
}
