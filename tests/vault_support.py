"""A small vault and a short way to call it, shared by the vault's tests."""

from lib.vault.execute import execute
from lib.vault.state import Vault

SESSION = "session_1762160400000_a1b2c3d4e"
WORKSPACE = "ws_1762160400000_z9y8x7w6v"
CONTEXT = {
    "sessionId": SESSION,
    "workspaceId": WORKSPACE,
    "sessionDescription": "Tidy the plans",
    "sessionMemory": "Nothing done yet",
    "toolContext": "The plan must be read",
    "primaryGoal": "Tidy vault",
    "subgoal": "Look at the plan",
}
NOTES = {
    "Projects/Plan.md": "# Plan\nfirst step\nsecond step\n",
    "Projects/Archive/Old.md": "old",
    "Inbox.md": "call Ann\ncall Bob\n",
}


def make_vault(**parts) -> Vault:
    """The notes above and one empty folder, unless other parts are given."""
    return Vault.from_dict({"seed": 1, "notes": NOTES, "folders": ["Empty"], **parts})


def call(vault: Vault, tool: str, **arguments) -> dict:
    """The result of one call with a well-formed context."""
    return execute(vault, tool, {"context": CONTEXT, **arguments})


def body(result: dict) -> dict:
    """A result without the ids that every result carries; their presence is checked on the way."""
    assert (result["sessionId"], result["workspaceId"]) == (SESSION, WORKSPACE)
    assert next(iter(result)) == "success"
    return {key: value for key, value in result.items() if key not in ("sessionId", "workspaceId")}


def succeeds(vault: Vault, tool: str, **arguments) -> dict:
    """The body of a call that must succeed, without "success"."""
    result = body(call(vault, tool, **arguments))
    assert result.pop("success") is True, result
    return result


def refused(vault: Vault, tool: str, **arguments) -> dict:
    """The body of a call that must fail and leave the vault as it was, without "success"."""
    before = vault.to_dict()
    result = body(call(vault, tool, **arguments))
    assert result.pop("success") is False, result
    after = vault.to_dict()
    for clocked in ("now", "made", "traces"):
        del before[clocked], after[clocked]
    assert after == before
    return result
