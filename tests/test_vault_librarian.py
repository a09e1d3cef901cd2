"""searchContent and searchDirectory of vaultLibrarian."""

import pytest

from tests.vault_library_support import DAY, LIBRARY, NOV_1, make_library
from tests.vault_support import make_vault, refused, succeeds

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
        ("coast", {"paths": ["Books", "Books/Maps", "No", "Notes.txt"]}, ["Books/Maps/Coast.md"]),
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
