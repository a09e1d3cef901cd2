"""A small library of notes to search in, shared by the tests of the search tools."""

from lib.vault.state import Vault
from tests.vault_support import make_vault

DAY = 86_400_000
NOV_1 = 1_761_955_200_000  # 2025-11-01 in UTC, ms
LIBRARY = {
    "Books/Tide Tables.md": {
        "text": "---\nstatus: read\ntags: [sea, maps]\n---\nHigh water at noon.\nSpring tides rise.\nEnd.",
        "created": NOV_1 - DAY,
        "modified": NOV_1,
    },
    "Books/Harbour.md": {"text": "The tide turns; water is high. #sea", "created": NOV_1, "modified": NOV_1 + DAY},
    "Books/Maps/Coast.md": {"text": "Rocks.", "created": NOV_1, "modified": NOV_1 + 2 * DAY},
    "Notes.txt": {"text": "high water", "created": NOV_1, "modified": NOV_1},
    "Sketch.png": {"base64": "AAEC", "created": NOV_1, "modified": NOV_1},
    "Tidal Flats.md": {"text": "Mud.", "created": NOV_1, "modified": NOV_1 + 3 * DAY},
}


def make_library(**parts) -> Vault:
    """The library below, with one empty folder, unless other parts are given."""
    return make_vault(**{"notes": LIBRARY, "folders": ["Books/Empty"], **parts})
