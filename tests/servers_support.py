"""What the tests of the servers share: one case, its right call, and how it is asked without waiting."""

import json

from evaluator.cases import Case
from evaluator.conversation import Asking
from evaluator.replies import Sampling
from lib.toolset import load_toolset

SAMPLING = Sampling(max_tokens=64)
CONTEXT = {
    "sessionId": "session_1731000000000_abcdefghi",
    "workspaceId": "ws_1731000000000_abcdefghi",
    "sessionDescription": "d",
    "sessionMemory": "m",
    "toolContext": "t",
    "primaryGoal": "p",
    "subgoal": "s",
}
READ = ("contentManager_readContent", {"context": CONTEXT, "filePath": "a.md"})
CASE = Case(
    id="read",
    question="What is in a.md?",
    tools=(READ[0],),
    gold=({"name": READ[0], "arguments": {"filePath": "a.md"}},),
    vault={"notes": {"a.md": "Hello"}},
)


def no_sleep(seconds):
    """Retries need no pause here."""


def asking(backend, max_steps=4):
    return Asking(backend, load_toolset(), SAMPLING, max_steps, no_sleep)


def wrapped(name, arguments):
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"
