"""searchMemory of vaultLibrarian."""

import pytest

from tests.vault_memory_support import (
    BEDS,
    CLAY,
    GARDEN,
    SEEDS,
    SPRING,
    STUDIO,
    SUMMER,
    UNKNOWN_WORKSPACE,
    kinds,
    make_memory_vault,
)
from tests.vault_support import WORKSPACE, refused, succeeds


def memory(vault, query, workspace=GARDEN, **arguments):
    return succeeds(vault, "vaultLibrarian_searchMemory", query=query, workspaceId=workspace, **arguments)


def test_a_memory_hit_shows_the_phrase_in_its_surroundings():
    result = memory(make_memory_vault(), "WALKED")
    assert result["results"] == [
        {
            "type": "trace",
            "id": "trace_1750000000010_walk00000",
            "highlight": "Walked the beds",
            "metadata": {
                "workspaceId": GARDEN,
                "sessionId": SUMMER,
                "created": result["results"][0]["metadata"]["created"],
                "traceType": "note",
            },
            "context": {"before": "", "match": "Walked", "after": " the beds"},
            "score": 0.9,
        }
    ]
    assert (result["query"], result["totalResults"], result["recommendations"]) == ("WALKED", 1, [])
    assert result["searchCapabilities"]["memorySearch"] is True


@pytest.mark.parametrize(
    ("query", "arguments", "found"),
    [
        ("summer", {}, {SUMMER}),
        ("bed plan", {}, {SPRING, "trace_1750000000011_read00000"}),
        ("seeds", {}, {SEEDS}),
        ("draw the beds", {}, {BEDS}),
        ("allotment", {}, {GARDEN}),
        ("clay", {"workspace": STUDIO}, {CLAY}),
        ("clay", {}, set()),
        ("beds", {"memoryTypes": ["states"]}, {BEDS}),
        ("beds", {"memoryTypes": ["toolCalls"]}, set()),
        ("beds", {"memoryTypes": ["traces"]}, {"trace_1750000000010_walk00000"}),
        ("bed plan", {"filterBySession": True}, {"trace_1750000000011_read00000"}),
        ("the", {"toolCallFilters": {"agent": "contentManager"}}, {GARDEN, BEDS, "trace_1750000000011_read00000"}),
        ("the", {"toolCallFilters": {"mode": "openNote"}}, {GARDEN, BEDS}),
        ("bed plan", {"dateRange": {"start": "2025-11-03"}}, {"trace_1750000000011_read00000"}),
        ("bed plan", {"dateRange": {"end": "2025-06-15"}}, {SPRING}),
        ("no such thing", {}, set()),
        ("clay", {"workspace": UNKNOWN_WORKSPACE}, set()),
        ("summer", {"workspace": WORKSPACE}, {SUMMER}),
        ("summer", {"workspace": "global-workspace"}, {SUMMER}),
    ],
)  # fmt: skip
def test_memory_is_searched_by_kind_workspace_session_and_date(query, arguments, found):
    result = memory(make_memory_vault(), query, **arguments)
    assert {hit["id"] for hit in result["results"]} == found


def test_traces_of_other_sessions_are_not_searched():
    result = memory(make_memory_vault(), "beds", STUDIO, memoryTypes=["traces"])
    assert result["results"] == []


def test_name_and_description_add_up_and_the_newer_of_equals_comes_first():
    vault = make_memory_vault(
        sessions=[
            {"name": "frost", "description": "frost", "workspace": GARDEN, "created": 1},
            {"name": "frost", "workspace": GARDEN, "created": 2},
            {"name": "frost", "workspace": GARDEN, "created": 3},
        ],
        states=[],
        traces=[],
    )
    result = memory(vault, "frost")
    assert [(hit["score"], hit["metadata"]["created"]) for hit in result["results"]] == [(1.7, 1), (0.9, 3), (0.9, 2)]
    assert memory(vault, "frost", limit=1)["totalResults"] == 1


def test_states_and_sessions_among_the_hits_bring_recommendations():
    assert kinds(memory(make_memory_vault(), "beds")["recommendations"]) == ["load_state"]
    assert kinds(memory(make_memory_vault(), "summer")["recommendations"]) == ["load_session"]


def test_an_executed_call_is_found_afterwards():
    vault = make_memory_vault()
    succeeds(vault, "contentManager_readContent", filePath="Garden/Beds.md")
    hits = memory(vault, "contentManager_readContent: Look")["results"]
    assert [hit["metadata"]["tool"] for hit in hits] == ["contentManager_readContent"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"query": "  "}, "query is blank"),
        (
            {"query": "a", "dateRange": {"start": "2025-11-03", "end": "2025-11-02"}},
            "dateRange.start is later than dateRange.end",
        ),
    ],
)
def test_a_memory_search_with_bad_parameters_is_refused(arguments, fault):
    result = refused(make_memory_vault(), "vaultLibrarian_searchMemory", workspaceId=GARDEN, **arguments)
    assert result["error"] == f"Memory search failed: Invalid parameters: {fault}"
    assert (result["data"]["results"], result["data"]["totalResults"]) == ([], 0)


def test_a_memory_limit_over_a_hundred_is_refused():
    result = refused(make_memory_vault(), "vaultLibrarian_searchMemory", workspaceId=GARDEN, query="a", limit=101)
    assert "limit" in result["error"]
