"""Commands and models that a vault offers when its fixture names none."""

from lib.vault.state import Command, Model

NOW = "2025-11-03T09:00:00Z"
WORKSPACE_NAME = "Default Workspace"
SESSION_NAME = "Current session"

COMMANDS = (
    Command("app:go-back", "Navigate back", "arrow-left"),
    Command("app:open-settings", "Open settings", "settings"),
    Command("app:reload", "Reload app without saving"),
    Command("app:toggle-left-sidebar", "Toggle left sidebar", "panel-left"),
    Command("app:toggle-right-sidebar", "Toggle right sidebar", "panel-right"),
    Command("backlink:open", "Backlinks: Show backlinks", "links-coming-in"),
    Command("command-palette:open", "Command palette: Open command palette", "terminal"),
    Command("daily-notes", "Daily notes: Open today's daily note", "calendar"),
    Command("editor:save-file", "Save current file", "save"),
    Command("editor:toggle-bold", "Toggle bold", "bold"),
    Command("editor:toggle-checklist-status", "Toggle checkbox status", "check-square"),
    Command("global-search:open", "Search: Search in all files", "search"),
    Command("graph:open", "Graph view: Open graph view", "git-fork"),
    Command("insert-template", "Templates: Insert template", "files"),
    Command("markdown:toggle-preview", "Toggle reading view", "book-open"),
    Command("switcher:open", "Quick switcher: Open quick switcher", "navigation"),
    Command("tag-pane:open", "Tags view: Show tags", "tags"),
    Command("workspace:close", "Close current tab", "x"),
    Command("workspace:split-vertical", "Split right", "separator-vertical"),
)

MODELS = (
    Model("openai", "gpt-4o-mini", "GPT-4o mini", 128_000, 16_384, 0.15, 0.60, is_default=True),
    Model("openai", "gpt-4.1", "GPT-4.1", 1_047_576, 32_768, 2.0, 8.0, ("json", "functions", "streaming", "images")),
    Model(
        "anthropic",
        "claude-3-5-haiku-latest",
        "Claude 3.5 Haiku",
        200_000,
        8_192,
        0.80,
        4.0,
        ("functions", "streaming", "images"),
    ),
    Model(
        "google",
        "gemini-2.5-flash",
        "Gemini 2.5 Flash",
        1_048_576,
        65_536,
        0.30,
        2.50,
        ("json", "functions", "streaming", "images", "thinking"),
    ),
    Model("ollama", "llama3.1:8b", "Llama 3.1 8B (local)", 131_072, 8_192),
)
