"""batch of vaultLibrarian."""

import pytest

from tests.vault_library_support import LIBRARY, make_library
from tests.vault_support import make_vault, refused, succeeds


def batch(vault, *searches, **arguments):
    return succeeds(vault, "vaultLibrarian_batch", searches=list(searches), **arguments)


def test_each_search_is_answered_by_category():
    result = batch(make_library(), {"query": "sea"}, {"query": "high water", "limit": 1})
    assert result["stats"] == {
        "totalExecutionTimeMS": 0,
        "queriesExecuted": 2,
        "queriesFailed": 0,
        "avgExecutionTimeMS": 0,
    }
    sea, water = result["searches"]
    assert set(sea["categories"]) == {"files", "content", "tags", "properties"}
    assert sea["categories"]["tags"]["results"] == [
        {"id": "#sea", "tag": "sea", "files": ["Books/Harbour.md", "Books/Tide Tables.md"], "score": 1.0}
    ]
    assert [hit["property"] for hit in sea["categories"]["properties"]["results"]] == ["tags"]
    assert water["categories"]["content"] == {
        "count": 2,
        "results": [
            {
                "id": "Books/Tide Tables.md",
                "path": "Books/Tide Tables.md",
                "title": "Tide Tables",
                "snippet": LIBRARY["Books/Tide Tables.md"]["text"],
                "score": 0.9,
            }
        ],
        "hasMore": True,
        "searchMethod": "keyword",
        "semanticAvailable": False,
    }
    assert water["totalResults"] == 1


def test_the_files_category_is_of_names_and_any_file_type():
    [answer] = batch(make_library(), {"query": "sketch"})["searches"]
    assert [hit["path"] for hit in answer["categories"]["files"]["results"]] == ["Sketch.png"]


@pytest.mark.parametrize(
    ("options", "category", "expected"),
    [
        ({"excludeCategories": ["content"]}, "content", []),
        ({"paths": ["Books/H"]}, "content", ["Books/Harbour.md"]),
    ],
)
def test_a_search_can_leave_out_categories_and_paths(options, category, expected):
    [answer] = batch(make_library(), {"query": "high water", **options})["searches"]
    assert [hit["id"] for hit in answer["categories"][category]["results"]] == expected


def test_without_content_a_batch_shows_no_snippets():
    [answer] = batch(make_library(), {"query": "high water", "includeContent": False})["searches"]
    assert {hit["snippet"] for hit in answer["categories"]["content"]["results"]} == {""}


def test_merged_results_are_joined_by_id_and_ten_at_most():
    notes = {f"Log {n:02}.md": "high water at the pier" for n in range(12)}
    merged = batch(make_vault(notes=notes), {"query": "high water"}, {"query": "pier"}, mergeResults=True)["merged"]
    found = merged["combinedCategories"]["content"]
    assert (merged["totalQueries"], found["count"], len(found["results"]), found["hasMore"]) == (2, 12, 10, True)
    assert merged["totalResults"] == 10


def test_a_blank_search_in_a_batch_fails_alone():
    result = batch(make_library(), {"query": " "}, {"query": "sea"})
    assert [answer["success"] for answer in result["searches"]] == [False, True]
    assert result["searches"][0]["error"] == "Query parameter is required and cannot be empty"
    assert (result["stats"]["queriesExecuted"], result["stats"]["queriesFailed"]) == (1, 1)


@pytest.mark.parametrize(("count", "arguments", "most"), [(11, {}, 10), (3, {"maxConcurrency": 2}, 2)])
def test_too_many_searches_are_refused(count, arguments, most):
    result = refused(make_library(), "vaultLibrarian_batch", searches=[{"query": "a"}] * count, **arguments)
    assert result == {"error": f"Too many searches requested. Maximum allowed: {most}"}


def test_a_batch_without_searches_is_refused():
    assert "searches" in refused(make_library(), "vaultLibrarian_batch", searches=[])["error"]
