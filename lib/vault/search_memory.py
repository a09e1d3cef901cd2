"""vaultLibrarian_searchMemory: a phrase looked for in traces, sessions, states and workspaces."""

from typing import NamedTuple

from lib.vault.call import Context, ToolError
from lib.vault.dates import in_range, window
from lib.vault.memory import ELAPSED_MS, cut, hint, workspace_id
from lib.vault.state import Trace, Vault

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
AROUND = 50  # characters of a text shown on either side of the hit
ANY_WORKSPACE = ("global-workspace", "default")  # the plugin's names for its own default
CAPABILITIES = {"semanticSearch": False, "workspaceFiltering": True, "memorySearch": True, "hybridSearch": False}


class Hit(NamedTuple):
    """One record that holds the phrase; texts are (weight, text), the weights of those that hold it are summed."""

    kind: str
    id: str
    time: int
    texts: list[tuple[float, str]]
    metadata: dict


def search_memory(vault: Vault, args: dict, context: Context) -> dict:
    """Records of the workspace that hold the phrase, without case, best and newest first.

    Traces are those of the current session. toolCalls is a kind of which nothing is stored.
    """
    query, phrase = args["query"], args["query"].strip().casefold()
    frame = {"query": query, "results": [], "totalResults": 0, "searchCapabilities": CAPABILITIES}
    frame["executionTime"] = ELAPSED_MS
    try:
        times = window(args.get("dateRange"))
        if not phrase:
            raise ToolError("query is blank")
        if args.get("limit", DEFAULT_LIMIT) > MAX_LIMIT:
            raise ToolError(f"limit is over {MAX_LIMIT}")
    except ToolError as fault:
        raise ToolError(f"Memory search failed: Invalid parameters: {fault.text}", data=frame) from None
    found = []
    for hit in _records(vault, args, context):
        score = round(sum(weight for weight, text in hit.texts if phrase in text.casefold()), 4)
        if score and in_range(hit.time, times):
            found.append((-score, -hit.time, hit.id, hit))
    found.sort(key=lambda entry: entry[:3])
    shown = cut(found, args.get("limit", DEFAULT_LIMIT))
    results = [_shown(hit, phrase, -score) for score, _, _, hit in shown]
    return frame | {
        "results": results,
        "totalResults": len(results),
        "recommendations": _recommendations({result["type"] for result in results}),
    }


def _records(vault: Vault, args: dict, context: Context) -> list[Hit]:
    """What there is to search: the kinds asked for, in the workspace and, with filterBySession, the session."""
    given = args["workspaceId"]
    workspace = context.workspace_id if given in ANY_WORKSPACE else workspace_id(vault, given, context)
    kinds = set(args.get("memoryTypes") or ("traces", "sessions", "states", "workspaces"))
    only = context.session_id if args.get("filterBySession", False) else None
    found: list[Hit] = []
    if "traces" in kinds:
        own = [t for t in vault.traces.values() if t.session_id == context.session_id and t.workspace_id == workspace]
        found += [_trace_hit(trace) for trace in own if _passes(trace, args.get("toolCallFilters", {}))]
    if "sessions" in kinds:
        for item in vault.sessions.values():
            if item.workspace_id == workspace and only in (None, item.id):
                found.append(_named_hit("session", item, workspace, item.created, item.id))
    if "states" in kinds:
        for item in vault.states.values():
            if item.workspace_id == workspace and only in (None, item.session_id):
                found.append(_named_hit("state", item, workspace, item.created, item.session_id))
    if "workspaces" in kinds and workspace in vault.workspaces:
        item = vault.workspaces[workspace]
        found.append(_named_hit("workspace", item, workspace, item.created, ""))
    return found


def _trace_hit(trace: Trace) -> Hit:
    metadata = {
        "workspaceId": trace.workspace_id,
        "sessionId": trace.session_id,
        "created": trace.timestamp,
        "traceType": trace.type,
        **({"tool": trace.tool, "success": trace.success} if trace.tool else {}),
    }
    return Hit("trace", trace.id, trace.timestamp, [(0.9, trace.content), (0.5, trace.type)], metadata)


def _named_hit(kind: str, item, workspace: str, created: int, session: str) -> Hit:
    metadata = {
        "workspaceId": workspace,
        **({"sessionId": session} if session else {}),
        "created": created,
        "name": item.name,
    }
    return Hit(kind, item.id, created, [(0.9, item.name), (0.8, item.description)], metadata)


def _passes(trace: Trace, filters: dict) -> bool:
    """True when a trace fits toolCallFilters by agent, mode and success; traces no tool made only fit none."""
    agent, _, mode = trace.tool.rpartition("_")
    facts = {"agent": agent, "mode": mode, "success": trace.success}
    return all(trace.tool and facts[key] == filters[key] for key in facts if key in filters)


def _shown(hit: Hit, phrase: str, score: float) -> dict:
    text = next(text for _, text in hit.texts if phrase in text.casefold())
    start = max(text.casefold().find(phrase), 0)
    end = start + len(phrase)
    before, match, after = text[max(0, start - AROUND) : start], text[start:end], text[end : end + AROUND]
    return {
        "type": hit.kind,
        "id": hit.id,
        "highlight": before + match + after,
        "metadata": hit.metadata,
        "context": {"before": before, "match": match, "after": after},
        "score": score,
    }


def _recommendations(kinds: set[str]) -> list[dict]:
    found = []
    if "state" in kinds:
        found += hint("load_state", "loadState brings back the task, files and next steps of a state found here.")
    if "session" in kinds:
        found += hint("load_session", "loadSession shows the memory of a session found here.")
    return found
