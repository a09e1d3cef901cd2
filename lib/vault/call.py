"""What a tool function gets beside the vault, and how it refuses."""

from dataclasses import dataclass
from typing import Any

from lib.toolset import Toolset


class ToolError(Exception):
    """A refusal the model sees: `{"success": false, **fields, "error": text}`."""

    def __init__(self, text: str, **fields: Any):
        super().__init__(text)
        self.text = text
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Context:
    """One call's surroundings: the stored session and workspace it runs in, and the context as it was given.

    Ids in a context belong to the host: an id that is stored is taken as it is, any other
    well-formed id stands for the vault's current session or workspace. `toolset` is the one in force.
    """

    tool: str
    session_id: str
    workspace_id: str
    given: dict
    toolset: Toolset
