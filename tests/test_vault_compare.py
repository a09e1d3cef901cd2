"""Digest and diff: what counts as the same, and how a difference reads."""

import pytest

from lib.vault.compare import diff, digest, render_diff
from lib.vault.state import Vault
from tests.vault_support import NOTES, call, make_vault

APPEND = "contentManager_appendContent"
CREATE = "contentManager_createContent"
READ = "contentManager_readContent"
MOVE = "vaultManager_moveNote"
OPEN = "vaultManager_openNote"


def after(vault, *calls):
    """The vault after some calls, each of which must succeed."""
    changed = vault.clone()
    for tool, arguments in calls:
        assert call(changed, tool, **arguments)["success"] is True
    return changed


def summary(before, changed, **options):
    return [(change.kind, change.subject) for change in diff(before, changed, **options)]


# ------------------------------------------------------------ digest


def test_equal_vaults_have_equal_digests_and_the_clock_does_not_count():
    one, two = make_vault(), make_vault()
    two.now += 5000
    two.made += 3
    assert digest(one) == digest(two) == digest(one.clone())


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (APPEND, {"filePath": "Inbox.md", "content": "x"}),
        (CREATE, {"filePath": "a.md", "content": ""}),
        ("vaultManager_createFolder", {"path": "New"}),
        ("vaultManager_deleteFolder", {"path": "Empty"}),
        ("vaultManager_deleteNote", {"path": "Inbox.md"}),
        (MOVE, {"path": "Inbox.md", "newPath": "In.md"}),
        ("agentManager_createAgent", {"name": "A", "description": "d", "prompt": "p"}),
        ("memoryManager_createSession", {"name": "S"}),
        ("commandManager_executeCommand", {"commandId": "graph:open"}),
    ],
)
def test_a_lasting_change_changes_both_digests(tool, arguments):
    vault = make_vault()
    changed = after(vault, (tool, arguments))
    assert digest(changed) != digest(vault)
    assert digest(changed, volatile=False) != digest(vault, volatile=False)


@pytest.mark.parametrize(
    ("tool", "arguments"), [(READ, {"filePath": "Inbox.md"}), (OPEN, {"path": "Inbox.md"})], ids=["trace", "window"]
)
def test_traces_and_the_window_change_only_the_volatile_digest(tool, arguments):
    vault = make_vault()
    changed = after(vault, (tool, arguments))
    assert digest(changed) != digest(vault)
    assert digest(changed, volatile=False) == digest(vault, volatile=False)


def test_loading_a_workspace_leaves_the_end_state_alone():
    vault = make_vault(workspaces=[{"id": "ws_1700000000000_aaaaaaaaa", "name": "A"}, {"name": "B", "current": True}])
    changed = after(vault, ("memoryManager_loadWorkspace", {"id": "ws_1700000000000_aaaaaaaaa"}))
    assert digest(changed, volatile=False) == digest(vault, volatile=False)
    assert ("workspace-loaded", "A") in summary(vault, changed)
    assert summary(vault, changed, volatile=False) == []


def test_two_ways_to_one_result_have_the_same_end_state():
    vault = make_vault()
    session = ("memoryManager_createSession", {"name": "S", "description": "d", "generateContextTrace": False})
    straight = after(vault, session, (APPEND, {"filePath": "Inbox.md", "content": "x"}))
    detour = after(
        vault,
        (READ, {"filePath": "Inbox.md"}),
        (APPEND, {"filePath": "Inbox.md", "content": "y"}),
        ("contentManager_deleteContent", {"filePath": "Inbox.md", "content": "y"}),
        (APPEND, {"filePath": "Inbox.md", "content": "x"}),
        session,
    )
    assert digest(straight) != digest(detour)
    assert digest(straight, volatile=False) == digest(detour, volatile=False)
    assert diff(straight, straight) == []


def test_where_a_session_belongs_is_part_of_the_end_state():
    def vault(owner):
        return make_vault(workspaces=[{"name": "A"}, {"name": "B"}], sessions=[{"name": "S", "workspace": owner}])

    assert digest(vault("A"), volatile=False) != digest(vault("B"), volatile=False)


# ------------------------------------------------------------ diff


def test_reading_is_no_change():
    vault = make_vault()
    assert diff(vault, after(vault, (READ, {"filePath": "Inbox.md"}))) == []
    assert render_diff([]) == "no change"


def test_a_changed_note_is_shown_by_its_lines():
    vault = make_vault()
    replace = {"filePath": "Projects/Plan.md", "startLine": 2, "endLine": 2, "newContent": "1st step"}
    [change] = diff(vault, after(vault, ("contentManager_replaceByLine", replace)))
    assert (change.kind, change.subject) == ("note-changed", "Projects/Plan.md")
    assert change.detail.split("\n")[1:] == [" # Plan", "-first step", "+1st step", " second step"]


def test_created_and_deleted_notes_and_folders_are_named():
    vault = make_vault()
    changed = after(
        vault,
        (CREATE, {"filePath": "Made/a.md", "content": "one\ntwo"}),
        ("vaultManager_deleteNote", {"path": "Inbox.md"}),
        ("vaultManager_deleteFolder", {"path": "Empty"}),
    )
    assert summary(vault, changed) == [
        ("note-deleted", "Inbox.md"),
        ("note-created", "Made/a.md"),
        ("folder-deleted", "Empty"),
        ("folder-created", "Made"),
    ]
    assert "note created: Made/a.md\n    +one\n    +two" in render_diff(diff(vault, changed))


def test_a_moved_note_is_one_change_and_its_new_text_another():
    vault = make_vault()
    move = (MOVE, {"path": "Inbox.md", "newPath": "In.md"})
    assert render_diff(diff(vault, after(vault, move))) == "note moved: Inbox.md (to In.md)"
    edited = after(vault, move, (APPEND, {"filePath": "In.md", "content": "x"}))
    assert summary(vault, edited) == [("note-moved", "Inbox.md"), ("note-changed", "In.md")]


def test_a_note_moved_onto_another_says_so():
    vault = make_vault()
    move = {"path": "Inbox.md", "newPath": "Projects/Plan.md", "overwrite": True}
    [change] = diff(vault, after(vault, (MOVE, move)))
    assert (change.kind, change.detail) == ("note-moved", "to Projects/Plan.md, replacing the note there")


@pytest.mark.parametrize("target", ["Work", "Store/Deep/Work"])
def test_a_moved_folder_is_one_change(target):
    vault = make_vault()
    changed = after(vault, ("vaultManager_moveFolder", {"path": "Projects", "newPath": target}))
    [first, *rest] = diff(vault, changed)
    assert (first.kind, first.subject, first.detail) == ("folder-moved", "Projects", f"to {target}")
    assert {change.kind for change in rest} <= {"folder-created"}


def test_a_lone_empty_folder_is_seen_to_move():
    vault = make_vault()
    changed = after(vault, ("vaultManager_editFolder", {"path": "Empty", "newPath": "Void"}))
    assert summary(vault, changed) == [("folder-moved", "Empty")]


def test_bytes_are_compared_by_size():
    vault = make_vault(notes={"p.png": {"base64": "AAE="}})
    other = make_vault(notes={"p.png": {"base64": "AAEC"}})
    assert render_diff(diff(vault, other)) == "note changed: p.png (2 bytes -> 3 bytes)"


def test_a_long_change_is_cut():
    vault = make_vault()
    changed = after(vault, (APPEND, {"filePath": "Inbox.md", "content": "\n".join(map(str, range(100)))}))
    [change] = diff(vault, changed)
    assert change.detail.count("\n") == 12
    assert change.detail.endswith(" more lines")


def test_records_are_named_with_the_fields_that_changed():
    vault = make_vault(
        agents=[{"id": "a", "name": "Editor", "description": "d", "prompt": "p"}],
        sessions=[{"name": "Old", "description": "d", "current": True}],
    )
    changed = after(
        vault,
        ("agentManager_toggleAgent", {"id": "a"}),
        ("agentManager_createAgent", {"name": "New", "description": "about", "prompt": "p"}),
        ("memoryManager_updateSession", {"sessionId": vault.current_session, "name": "Renamed"}),
    )
    text = render_diff(diff(vault, changed))
    assert "session changed: Old" in text and '"Old" -> "Renamed"' in text
    assert "agent changed: Editor" in text and "isEnabled: true -> false" in text
    assert 'agent created: New\n    description: "about"' in text
    gone = after(changed, ("agentManager_deleteAgent", {"id": "a"}))
    assert ("agent-deleted", "Editor") in summary(changed, gone)


def test_the_window_and_commands_are_changes():
    vault = make_vault()
    changed = after(
        vault,
        (OPEN, {"path": "Inbox.md"}),
        ("commandManager_executeCommand", {"commandId": "graph:open"}),
    )
    kinds = summary(vault, changed)
    assert ("note-opened", "Inbox.md") in kinds
    assert ("focus-moved", "Inbox.md") in kinds
    assert ("command-run", "graph:open") in kinds
    assert summary(vault, changed, volatile=False) == [("command-run", "graph:open")]


def test_comparing_changes_neither_vault():
    vault = make_vault()
    changed = after(vault, (MOVE, {"path": "Inbox.md", "newPath": "In.md"}))
    kept = vault.to_dict(), changed.to_dict()
    diff(vault, changed), digest(vault), digest(changed, volatile=False)
    assert (vault.to_dict(), changed.to_dict()) == kept
    assert Vault.from_dict(kept[1]) == changed
    assert NOTES["Inbox.md"] == changed.notes["In.md"].text
