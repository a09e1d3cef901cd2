"""The four vaultLibrarian tools, and the scores and properties they rest on."""

import pytest

from lib.vault.frontmatter import frontmatter, tags_of
from lib.vault.matching import name_score, snippet, text_score
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
from tests.vault_support import WORKSPACE, make_vault, refused, succeeds

DAY = 86_400_000
NOV_1 = 1_761_955_200_000  # 2025-11-01 in UTC, ms
LIBRARY = {
    "Books/Tide Tables.md": {
        "text": "---\nstatus: read\ntags: [sea, maps]\n---\nHigh water at noon.\nSpring tides rise.\nNeap tides fall.\nEnd.",
        "created": NOV_1 - DAY,
        "modified": NOV_1,
    },
    "Books/Harbour.md": {"text": "The tide turns; water is high. #sea", "created": NOV_1, "modified": NOV_1 + DAY},
    "Books/Maps/Coast.md": {"text": "Rocks.", "created": NOV_1, "modified": NOV_1 + 2 * DAY},
    "Notes.txt": {"text": "high water", "created": NOV_1, "modified": NOV_1},
    "Sketch.png": {"base64": "AAEC", "created": NOV_1, "modified": NOV_1},
    "Tidal Flats.md": {"text": "Mud.", "created": NOV_1, "modified": NOV_1 + 3 * DAY},
}


def make_library(**parts):
    return make_vault(**{"notes": LIBRARY, "folders": ["Books/Empty"], **parts})


# ------------------------------------------------------------ scores


@pytest.mark.parametrize(
    ("query", "text", "score"),
    [
        ("high water", "HIGH WATER at noon", 0.9),
        ("high water", "water, and it is high", 0.8),
        ("high water mark", "the water", 0.3),
        ("high water mark", "high water is the mark", 0.8),
        ("at of", "nothing here", 0.0),
        ("tide", "nothing here", 0.0),
    ],
)
def test_a_text_scores_by_phrase_or_share_of_words(query, text, score):
    assert text_score(query, text) == pytest.approx(score)


@pytest.mark.parametrize(
    ("query", "name", "low", "high"),
    [
        ("tide tables", "Tide-Tables", 1.0, 1.0),
        ("tide", "Tide Tables", 0.7, 0.95),
        ("tables tide", "Tide Tables", 0.6, 0.8),
        ("tide tabels", "Tide Tables", 0.4, 0.8),
        ("glaze", "Tide Tables", 0.0, 0.0),
        ("...", "Tide Tables", 0.0, 0.0),
        ("tide", "---", 0.0, 0.0),
    ],
)
def test_a_name_scores_by_how_alike_its_words_are(query, name, low, high):
    assert low <= name_score(query, name) <= high


def test_the_nearer_name_scores_higher():
    names = ["Tide", "Tide Tables", "Tide Tables of the North"]
    scores = [name_score("tide", name) for name in names]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


def test_a_snippet_is_cut_round_the_hit():
    text = "a" * 300 + " harbour " + "b" * 300
    shown = snippet("harbour", text, 60)
    assert "harbour" in shown
    assert shown.startswith("...") and shown.endswith("...")
    assert len(shown) <= 66
    assert snippet("harbour", "short harbour", 60) == "short harbour"


# ------------------------------------------------------------ properties


def test_properties_are_texts_numbers_booleans_and_flat_lists():
    text = "---\nkey: true\nn: 3\nhalf: 0.5\nname: 'a: b'\nlist: [x, 2]\nblock:\n  - p\n  - q\nnothing:\nzip: 007\n---\nbody: no\n"
    assert frontmatter(text) == {
        "key": True,
        "n": 3,
        "half": 0.5,
        "name": "a: b",
        "list": ["x", 2],
        "block": ["p", "q"],
        "nothing": None,
        "zip": "007",
    }


@pytest.mark.parametrize(
    "text", ["", "plain", "---\nkey: true\n", "\n---\nkey: true\n---\n", "---\n- a\nhttp://x\n---\n"]
)
def test_what_is_no_property_block_has_no_properties(text):
    assert frontmatter(text) == {}


def test_tags_come_from_properties_and_text_each_once():
    text = "---\ntags: [sea, '#maps']\n---\n# Title\nsee #sea and #deep/water but not a#b or #12"
    assert tags_of(text) == ["sea", "maps", "deep/water"]
    assert tags_of("---\ntags: one, two\n---\n") == ["one", "two"]


# ------------------------------------------------------------ searchContent


def content(vault, query, **arguments):
    return succeeds(vault, "vaultLibrarian_searchContent", query=query, **arguments)


def test_a_content_hit_shows_where_it_was_found():
    result = content(make_library(), "high water", limit=1)
    assert result == {
        "query": "high water",
        "results": [
            {
                "filePath": "Books/Tide Tables.md",
                "title": "Tide Tables",
                "content": LIBRARY["Books/Tide Tables.md"]["text"],
                "score": 0.9,
                "searchMethod": "keyword",
                "frontmatter": {"status": "read", "tags": ["sea", "maps"]},
                "metadata": {"fileExtension": "md", "parentFolder": "Books", "modifiedTime": NOV_1},
            }
        ],
        "totalResults": 1,
        "executionTime": 0,
    }


@pytest.mark.parametrize(
    ("query", "arguments", "paths"),
    [
        ("high water", {}, ["Books/Tide Tables.md", "Books/Harbour.md"]),
        ("high water", {"paths": ["Books/H"]}, ["Books/Harbour.md"]),
        ("high water", {"paths": ["/Books/H"]}, ["Books/Harbour.md"]),
        ("high water", {"paths": ["Nowhere/"]}, []),
        ("high water", {"includeContent": False}, []),
        ("rocks", {}, ["Books/Maps/Coast.md"]),
        ("glaze", {}, []),
    ],
)
def test_only_markdown_notes_under_the_paths_are_searched(query, arguments, paths):
    result = content(make_library(), query, **arguments)
    assert [hit["filePath"] for hit in result["results"]] == paths
    assert result["totalResults"] == len(paths)


@pytest.mark.parametrize(
    ("query", "arguments", "method", "score"),
    [
        ("tidal flats", {}, "fuzzy", 1.0),
        ("mud", {}, "keyword", 0.9),
        ("tide tables", {"paths": ["Books/Tide"]}, "combined", 0.64),
        ("tide tables", {"paths": ["Books/Tide"], "includeContent": False}, "fuzzy", 1.0),
    ],
)
def test_text_and_name_are_weighed_six_to_four(query, arguments, method, score):
    best = content(make_library(), query, **arguments)["results"][0]
    assert (best["searchMethod"], best["score"]) == (method, pytest.approx(score))


def test_without_content_no_text_is_shown():
    [hit] = content(make_library(), "tidal flats", includeContent=False)["results"]
    assert hit["content"] == ""


def test_the_snippet_has_about_the_length_asked_for():
    vault = make_vault(notes={"Long.md": "x " * 500 + "harbour" + " y" * 500})
    [hit] = content(vault, "harbour", snippetLength=60)["results"]
    assert "harbour" in hit["content"]
    assert len(hit["content"]) <= 66


def test_notes_of_equal_score_come_in_order_of_their_paths():
    vault = make_vault(notes={f"{name}.md": "same words" for name in "cab"})
    assert [hit["filePath"] for hit in content(vault, "same words")["results"]] == ["a.md", "b.md", "c.md"]
    assert len(content(vault, "same words", limit=2)["results"]) == 2


@pytest.mark.parametrize("query", ["", "  \n"])
def test_a_blank_content_query_is_refused(query):
    result = refused(make_library(), "vaultLibrarian_searchContent", query=query)
    assert result == {"error": "Query parameter is required and cannot be empty"}


# ------------------------------------------------------------ searchDirectory


def directory(vault, query, paths=("/",), **arguments):
    return succeeds(vault, "vaultLibrarian_searchDirectory", query=query, paths=list(paths), **arguments)


def test_a_file_and_a_folder_show_what_they_are():
    result = directory(make_library(), "maps", ["Books"])
    capabilities = result.pop("searchCapabilities")
    assert set(capabilities) == {"semanticSearch", "workspaceFiltering", "memorySearch", "hybridSearch"}
    results = result.pop("results")
    assert result == {"query": "maps", "searchedPaths": ["Books"], "totalResults": 2, "executionTime": 0}
    assert results == [
        {
            "path": "Books/Maps",
            "name": "Maps",
            "type": "folder",
            "score": 1.0,
            "searchMethod": "fuzzy_name",
            "metadata": {"depth": 2, "fileCount": 1, "folderCount": 0},
        },
        {
            "path": "Books/Maps/Coast.md",
            "name": "Coast",
            "type": "file",
            "score": results[1]["score"],
            "searchMethod": "fuzzy_path",
            "snippet": "Rocks.",
            "metadata": {"fileType": "md", "created": NOV_1, "modified": NOV_1 + 2 * DAY, "size": 6, "depth": 3},
        },
    ]
    assert 0.5 < results[1]["score"] < 0.8


@pytest.mark.parametrize(
    ("query", "arguments", "paths"),
    [
        ("maps", {"searchType": "folders"}, ["Books/Maps"]),
        ("maps", {"searchType": "files"}, ["Books/Maps/Coast.md"]),
        ("maps", {"paths": ["Books"], "depth": 1}, ["Books/Maps"]),
        ("maps", {"paths": ["Books/Maps"]}, ["Books/Maps/Coast.md"]),
        ("maps", {"paths": ["Books/Maps"], "depth": 1}, ["Books/Maps/Coast.md"]),
        ("maps", {"paths": ["Books", "Books/Maps", "Nowhere", "Notes.txt"], "depth": 1}, ["Books/Maps", "Books/Maps/Coast.md"]),
        ("sketch", {"fileTypes": [".PNG"]}, ["Sketch.png"]),
        ("sketch", {"fileTypes": ["md"]}, []),
        ("maps", {"fileTypes": ["pdf"]}, ["Books/Maps"]),
        ("maps", {"dateRange": {"end": "2025-11-02"}}, ["Books/Maps"]),
        ("maps", {"dateRange": {"start": "2025-11-03", "end": "2025-11-03"}}, ["Books/Maps", "Books/Maps/Coast.md"]),
        ("maps", {"pattern": "coast"}, ["Books/Maps/Coast.md"]),
        ("maps", {"pattern": "^Books/Maps$"}, ["Books/Maps"]),
        ("glaze", {}, []),
    ],
)  # fmt: skip
def test_filters_choose_among_names(query, arguments, paths):
    result = directory(make_library(), query, **{"paths": ["/"], **arguments})
    assert [hit["path"] for hit in result["results"]] == paths


def test_the_total_of_names_counts_before_the_limit():
    vault = make_vault(notes={f"Plan {n}.md": "" for n in range(5)})
    result = directory(vault, "plan", limit=2)
    assert (len(result["results"]), result["totalResults"]) == (2, 5)


def test_a_file_shows_its_first_three_lines_unless_told_otherwise():
    vault = make_vault(notes={"Plan.md": "one\ntwo\nthree\nfour"})
    assert directory(vault, "plan")["results"][0]["snippet"] == "one\ntwo\nthree"
    assert "snippet" not in directory(vault, "plan", includeContent=False)["results"][0]
    [binary] = directory(make_library(), "sketch")["results"]
    assert "snippet" not in binary


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"query": " "}, "Query parameter is required and cannot be empty"),
        ({"query": "a", "pattern": "("}, "Invalid pattern: '(' is not a regular expression"),
        ({"query": "a", "pattern": "(a+)+$"}, "Invalid pattern: the pattern "),
        (
            {"query": "a", "dateRange": {"start": "2025-11-02", "end": "2025-11-01"}},
            "dateRange.start is later than dateRange.end",
        ),
    ],
)
def test_a_directory_search_that_cannot_be_done_is_refused_with_hints(arguments, error):
    result = refused(make_library(), "vaultLibrarian_searchDirectory", paths=["/"], **arguments)
    assert result["error"].startswith(error)
    assert (result["data"]["error"], result["data"]["results"]) == (result["error"], [])
    assert result["data"]["searchedPaths"] == ["/"]


@pytest.mark.parametrize("paths", [[], ["../x"]])
def test_a_directory_search_needs_folders_of_the_vault(paths):
    assert "paths" in refused(make_library(), "vaultLibrarian_searchDirectory", query="a", paths=paths)["error"]


# ------------------------------------------------------------ searchMemory


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
        ("bed", {"memoryTypes": ["traces"], "toolCallFilters": {"agent": "contentManager"}}, {"trace_1750000000011_read00000"}),
        ("bed", {"memoryTypes": ["traces"], "toolCallFilters": {"mode": "openNote"}}, set()),
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


# ------------------------------------------------------------ batch


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
