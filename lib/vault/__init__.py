"""The executable vault: all tools of configs/tools.json, run on notes and memory held in a `Vault`."""

from lib.vault.compare import Change, diff, digest, render_diff
from lib.vault.execute import execute
from lib.vault.state import Note, Vault
from lib.vault.storage import load_folder, save_folder

__all__ = ["Change", "Note", "Vault", "diff", "digest", "execute", "load_folder", "render_diff", "save_folder"]
