"""A vault with two workspaces, their sessions, states and agents, shared by the tests of the memory and agent tools."""

from lib.vault.state import Vault

GARDEN, STUDIO = "ws_1750000000000_garden000", "ws_1750000000000_studio000"
SPRING, SUMMER = "session_1750000000001_spring000", "session_1750000000002_summer000"
CLAY = "session_1750000000003_clay00000"
BEDS, SEEDS, KILN = "state_1750000000004_beds00000", "state_1750000000005_seeds0000", "state_1750000000006_kiln00000"
EDITOR, CRITIC = "prompt_1750000000007_editor000", "prompt_1750000000008_critic000"
UNKNOWN_SESSION, UNKNOWN_WORKSPACE = "session_1750000000009_nobody000", "ws_1750000000009_nowhere00"

PARTS = {
    "notes": {
        "Garden/Index.md": {
            "text": "# Garden\nStart here.",
            "modified": 1_760_000_003_000,
            "created": 1_750_000_000_000,
        },
        "Garden/Beds.md": {"text": "Two beds of beans.", "modified": 1_760_000_005_000, "created": 1_750_000_000_000},
        "Garden/Old/Frost.md": {"text": "First frost.", "modified": 1_760_000_001_000, "created": 1_750_000_000_000},
        "Studio/Kiln.md": {"text": "Cone 6.", "modified": 1_760_000_002_000, "created": 1_750_000_000_000},
    },
    "workspaces": [
        {
            "id": GARDEN,
            "name": "Garden",
            "description": "The allotment",
            "rootFolder": "Garden",
            "created": 1_750_000_000_000,
            "lastAccessed": 1_750_000_100_000,
            "purpose": "Grow vegetables",
            "currentGoal": "Plan the spring beds",
            "workflows": [{"name": "Weekly walk", "when": "on Sundays", "steps": ["look", "note"]}],
            "keyFiles": ["Garden/Index.md"],
            "current": True,
        },
        {
            "id": STUDIO,
            "name": "Studio",
            "rootFolder": "Studio",
            "created": 1_750_000_050_000,
            "lastAccessed": 1_750_000_200_000,
            "purpose": "Make pots",
            "preferences": "Metric only",
            "dedicatedAgent": {"agentId": CRITIC, "agentName": "Critic"},
        },
    ],
    "sessions": [
        {"id": SPRING, "workspace": GARDEN, "name": "Spring", "description": "Bed plan", "created": 1_750_000_000_001},
        {
            "id": SUMMER,
            "workspace": GARDEN,
            "name": "Summer",
            "description": "Watering",
            "goal": "Less waste",
            "created": 1_750_000_000_002,
            "current": True,
        },
        {"id": CLAY, "workspace": STUDIO, "name": "Clay", "created": 1_750_000_000_003, "ended": 1_750_000_900_000},
    ],
    "states": [
        {
            "id": BEDS,
            "session": SUMMER,
            "name": "Beds drawn",
            "created": 1_750_000_000_004,
            "activeTask": "Draw the beds",
            "activeFiles": ["Garden/Beds.md"],
            "nextSteps": ["Order seeds"],
            "reasoning": "Stopping for today",
            "conversationContext": "Beans go north",
            "tags": ["beds", "draft"],
        },
        {"id": SEEDS, "session": SUMMER, "name": "Seeds listed", "created": 1_750_000_000_005, "tags": ["seeds"]},
        {"id": KILN, "session": CLAY, "name": "Kiln loaded", "created": 1_750_000_000_006},
    ],
    "traces": [
        {
            "id": "trace_1750000000010_walk00000",
            "sessionId": SUMMER,
            "content": "Walked the beds",
            "type": "note",
            "memory": "Beds walked",
            "files": ["Garden/Beds.md", "Garden/Index.md"],
        },
        {
            "id": "trace_1750000000011_read00000",
            "sessionId": SUMMER,
            "content": "contentManager_readContent: Read the bed plan",
            "tool": "contentManager_readContent",
            "memory": "Bed plan read",
            "files": ["Garden/Beds.md"],
        },
        {
            "id": "trace_1750000000012_glaze0000",
            "sessionId": CLAY,
            "content": "Mixed the beds glaze",
            "memory": "Glaze",
        },
    ],
    "agents": [
        {"id": EDITOR, "name": "Editor", "description": "Shortens", "prompt": "Cut every text by half."},
        {"id": CRITIC, "name": "Critic", "description": "Doubts", "prompt": "Ask why.", "isEnabled": False},
    ],
}


def make_memory_vault(**parts) -> Vault:
    """The garden and the studio; the session Summer in the garden is the current one."""
    return Vault.from_dict({"now": "2025-11-03T09:00:00Z", "seed": 2, **PARTS, **parts})


def kinds(recommendations: list[dict]) -> list[str]:
    """The types of a list of recommendations, each of which must say something."""
    assert all(set(entry) == {"type", "message"} and entry["message"] for entry in recommendations)
    return [entry["type"] for entry in recommendations]
