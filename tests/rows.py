"""Valid rows to plant faults in."""

import json

CONTEXT = {
    "sessionId": "session_1762160400000_a1b2c3d4e",
    "workspaceId": "ws_1762160400000_f5g6h7i8j",
    "sessionDescription": "Tidying the garden notes",
    "sessionMemory": "The user asked for the spring plan; nothing has been changed yet.",
    "toolContext": "The plan has to be read before it can be changed",
    "primaryGoal": "Update the spring plan",
    "subgoal": "Read the plan",
}


def arguments(**more) -> dict:
    """Arguments with a fresh context, which comes first."""
    return {"context": dict(CONTEXT), **more}


def call_text(
    name="contentManager_readContent", args=None, result='{"success": true, "data": {"content": "Dig."}}'
) -> str:
    """One call and its result in the text form; args may be JSON text."""
    args = arguments(filePath="Garden/Plan.md") if args is None else args
    written = args if isinstance(args, str) else json.dumps(args, ensure_ascii=False)
    return f"tool_call: {name}\narguments: {written}\n\nResult: {result}"


def row(assistant=None, user="What is in the spring plan?", **more) -> dict:
    """A valid row in the text form, with whatever is given instead."""
    text = f"{call_text()}\n\nIt says: dig." if assistant is None else assistant
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": text}]
    return {"conversations": turns, "label": True} | more


def native_row() -> dict:
    """A valid row in the native form: two calls at once, their results, closing words."""
    calls = [
        {"id": "call00001", "type": "function", "function": {"name": "agentManager_listModels", "arguments": ""}},
        {"id": "call00002", "type": "function", "function": {"name": "contentManager_readContent", "arguments": ""}},
    ]
    calls[0]["function"]["arguments"] = json.dumps(arguments())
    calls[1]["function"]["arguments"] = json.dumps(arguments(filePath="Garden/Plan.md"))
    messages = [
        {"role": "system", "content": "You look after a vault."},
        {"role": "user", "content": "Which models are there, and what does the plan say?"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call00001", "content": '{"success": true, "data": {"models": []}}'},
        {"role": "tool", "tool_call_id": "call00002", "content": '{"success": true, "data": {"content": "Dig."}}'},
        {"role": "assistant", "content": "None, and: dig."},
    ]
    return {"messages": messages, "label": True}
