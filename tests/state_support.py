"""A small vault, and cases over it that are graded by its end state."""

from evaluator.cases import Case
from evaluator.goals import reference_context
from lib.toolset import load_toolset

TOOLSET = load_toolset()
CONTEXT = reference_context(TOOLSET)
HELPER = "prompt_1740000000000_aaaaaaaaa"
VAULT = {
    "notes": {"Inbox/Plan.md": "one\ntwo", "Inbox/Old.md": "old", "Ideas.md": "# Ideas\n\n- first"},
    "agents": [{"id": HELPER, "name": "Helper", "description": "d", "prompt": "p", "isEnabled": False}],
    "workspaces": [
        {"id": "ws_1730000000000_aaaaaaaaa", "name": "First", "rootFolder": "/", "current": True},
        {"id": "ws_1740000000000_bbbbbbbbb", "name": "Second", "rootFolder": "Inbox"},
    ],
}
READ, LIST, APPEND = "contentManager_readContent", "vaultManager_listDirectory", "contentManager_appendContent"
REPLACE, FIND_REPLACE = "contentManager_replaceContent", "contentManager_findReplaceContent"
CREATE, DELETE, MOVE = "contentManager_createContent", "vaultManager_deleteNote", "vaultManager_moveNote"
OPEN, LOAD, TOGGLE = "vaultManager_openNote", "memoryManager_loadWorkspace", "agentManager_toggleAgent"
SESSION = "memoryManager_createSession"


def do(tool, /, **arguments):
    return tool, {"context": CONTEXT, **arguments}


def plan(*calls):
    return tuple({"name": name, "arguments": {k: v for k, v in args.items() if k != "context"}} for name, args in calls)


def case(*gold, goal=None, alternatives=()):
    names = tuple(name for name, _ in gold)
    others = tuple(plan(*calls) for calls in alternatives)
    return Case("c", "q", (), (), names, (), plan(*gold), goal or {}, VAULT, "state", others)


SWAP = do(REPLACE, filePath="Inbox/Plan.md", oldContent="two", newContent="three")
SWAPPED = case(SWAP)
