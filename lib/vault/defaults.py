"""What a vault has when its fixture is silent: time, names, the command palette, the language models."""

from lib.vault.state import Command, Model

NOW = "2025-11-03T09:00:00Z"
WORKSPACE_NAME = "Default Workspace"
SESSION_NAME = "Current session"

COMMANDS = (
    Command("app:delete-file", "Delete current file", "trash-2"),
    Command("app:go-back", "Navigate back", "arrow-left"),
    Command("app:go-forward", "Navigate forward", "arrow-right"),
    Command("app:open-settings", "Open settings", "settings"),
    Command("app:reload", "Reload app without saving"),
    Command("app:toggle-left-sidebar", "Toggle left sidebar", "panel-left"),
    Command("app:toggle-right-sidebar", "Toggle right sidebar", "panel-right"),
    Command("backlink:open", "Backlinks: Show backlinks", "links-coming-in"),
    Command("command-palette:open", "Command palette: Open command palette", "terminal"),
    Command("daily-notes", "Daily notes: Open today's daily note", "calendar"),
    Command("editor:focus", "Focus on last note"),
    Command("editor:fold-all", "Fold all headings and lists"),
    Command("editor:save-file", "Save current file", "save"),
    Command("editor:toggle-bold", "Toggle bold", "bold"),
    Command("editor:toggle-checklist-status", "Toggle checkbox status", "check-square"),
    Command("editor:unfold-all", "Unfold all headings and lists"),
    Command("file-explorer:duplicate-file", "Make a copy of the current file", "files"),
    Command("file-explorer:new-file", "Create new note", "file-plus"),
    Command("file-explorer:new-folder", "Files: Create new folder", "folder-plus"),
    Command("file-explorer:reveal-active-file", "Files: Reveal current file in navigation"),
    Command("global-search:open", "Search: Search in all files", "search"),
    Command("graph:open", "Graph view: Open graph view", "git-fork"),
    Command("insert-current-date", "Templates: Insert current date", "calendar-plus"),
    Command("insert-template", "Templates: Insert template", "layout-template"),
    Command("markdown:toggle-preview", "Toggle reading view", "book-open"),
    Command("outline:open", "Outline: Show outline", "list-tree"),
    Command("switcher:open", "Quick switcher: Open quick switcher", "navigation"),
    Command("tag-pane:open", "Tags view: Show tags", "tags"),
    Command("theme:toggle-light-dark", "Toggle light/dark mode", "sun-moon"),
    Command("workspace:close", "Close current tab", "x"),
    Command("workspace:close-others", "Close all other tabs"),
    Command("workspace:split-vertical", "Split right", "separator-vertical"),
)

MODELS = (
    Model("openai", "gpt-5-mini", "GPT-5 mini", 400_000, 128_000, 0.25, 2.0, is_default=True),
    Model("openai", "gpt-5", "GPT-5", 400_000, 128_000, 1.25, 10.0, ("json", "images", "functions", "streaming")),
    Model("anthropic", "claude-haiku-4-5", "Claude Haiku 4.5", 200_000, 64_000, 1.0, 5.0),
    Model(
        "anthropic", "claude-sonnet-4-5", "Claude Sonnet 4.5", 200_000, 64_000, 3.0, 15.0,
        ("json", "images", "functions", "streaming", "thinking"),
    ),
    Model("google", "gemini-2.5-flash", "Gemini 2.5 Flash", 1_048_576, 65_536, 0.3, 2.5),
    Model(
        "google", "gemini-2.5-pro", "Gemini 2.5 Pro", 1_048_576, 65_536, 1.25, 10.0,
        ("json", "images", "functions", "streaming", "thinking"),
    ),
    Model("openrouter", "mistralai/mistral-small", "Mistral Small", 128_000, 32_000, 0.1, 0.3),
    Model("ollama", "llama3.1:8b", "Llama 3.1 8B", 131_072, 8_192),
    Model("lmstudio", "mistral-7b-instruct-v0.3", "Mistral 7B Instruct v0.3", 32_768, 8_192),
)  # fmt: skip
