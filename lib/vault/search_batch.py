"""vaultLibrarian_batch: several searches at once, each over files, content, tags and properties."""

from lib.vault.call import Context, ToolError
from lib.vault.frontmatter import frontmatter, tags_of
from lib.vault.matching import name_score, snippet, text_score
from lib.vault.memory import ELAPSED_MS
from lib.vault.paths import name_of
from lib.vault.state import Vault

MAX_SEARCHES = 10
DEFAULT_LIMIT = 5
MERGED_LIMIT = 10
SNIPPET_LENGTH = 200
CATEGORIES = ("files", "content", "tags", "properties")
METHODS = {"files": "fuzzy", "content": "keyword", "tags": "keyword", "properties": "keyword"}


def batch(vault: Vault, args: dict, context: Context) -> dict:
    """One answer per search, or one for all with mergeResults; a blank query fails alone."""
    searches = args["searches"]
    most = min(int(args.get("maxConcurrency", MAX_SEARCHES)), MAX_SEARCHES)
    if len(searches) > most:
        raise ToolError(f"Too many searches requested. Maximum allowed: {most}")
    hits = [_search(vault, search) if search["query"].strip() else None for search in searches]
    failed = hits.count(None)
    stats = {
        "totalExecutionTimeMS": ELAPSED_MS,
        "queriesExecuted": len(hits) - failed,
        "queriesFailed": failed,
        "avgExecutionTimeMS": ELAPSED_MS,
    }
    if args.get("mergeResults", False):
        return {"merged": _merged([found for found in hits if found is not None]), "stats": stats}
    answers = [_answer(search, found) for search, found in zip(searches, hits, strict=True)]
    return {"searches": answers, "stats": stats}


def _search(vault: Vault, search: dict) -> dict[str, list[dict]]:
    """Every hit by category, best first."""
    query, folded = search["query"].strip(), search["query"].strip().casefold().removeprefix("#")
    starts = tuple(prefix.removeprefix("/") for prefix in search.get("paths") or ("",))
    dropped = set(search.get("excludeCategories", ()))
    found: dict[str, list[dict]] = {category: [] for category in CATEGORIES}
    tags: dict[str, list[str]] = {}
    for path in sorted(path for path in vault.notes if path.startswith(starts)):
        note = vault.notes[path]
        stem = name_of(path).rpartition(".")[0] or name_of(path)
        found["files"].append({"id": path, "path": path, "title": stem, "score": name_score(query, stem)})
        if note.data is not None or not path.lower().endswith(".md"):
            continue
        score = round(text_score(query, note.text), 4)
        if score and "content" not in dropped:
            shown = snippet(query, note.text, SNIPPET_LENGTH) if search.get("includeContent", True) else ""
            found["content"].append({"id": path, "path": path, "title": stem, "snippet": shown, "score": score})
        for tag in tags_of(note.text):
            tags.setdefault(tag, []).append(path)
        found["properties"] += _properties(path, note.text, folded)
    for tag, paths in tags.items():
        score = 1.0 if tag.casefold() == folded else 0.7 if folded and folded in tag.casefold() else 0.0
        found["tags"].append({"id": f"#{tag}", "tag": tag, "files": paths, "score": score})
    return {
        category: [] if category in dropped else _ranked([hit for hit in hits if hit["score"]])
        for category, hits in found.items()
    }


def _properties(path: str, text: str, folded: str) -> list[dict]:
    found = []
    for key, value in frontmatter(text).items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        score = 0.9 if folded == key.casefold() else 0.7 if folded and folded in f"{key}: {shown}".casefold() else 0.0
        found.append({"id": f"{path}#{key}", "path": path, "property": key, "value": value, "score": score})
    return found


def _ranked(hits: list[dict]) -> list[dict]:
    return sorted(hits, key=lambda hit: (-hit["score"], hit["id"]))


def _answer(search: dict, found: dict[str, list[dict]] | None) -> dict:
    if found is None:
        error = "Query parameter is required and cannot be empty"
        return {"success": False, "query": search["query"], "error": error}
    limit = int(search.get("limit", DEFAULT_LIMIT))
    return {
        "success": True,
        "query": search["query"],
        "totalResults": sum(len(hits[:limit]) for hits in found.values()),
        "executionTime": ELAPSED_MS,
        "categories": {category: _category(category, hits, limit) for category, hits in found.items()},
        "searchStrategy": "keyword",
        "contextPrompt": f"What the vault holds on: {search['query']}",
    }


def _category(category: str, hits: list[dict], limit: int) -> dict:
    return {
        "count": len(hits),
        "results": hits[:limit],
        "hasMore": len(hits) > limit,
        "searchMethod": METHODS[category],
        "semanticAvailable": False,
    }


def _merged(answers: list[dict[str, list[dict]]]) -> dict:
    """The hits of all searches joined by id with their best score, the first ten of each category."""
    categories = {}
    for category in CATEGORIES:
        best: dict[str, dict] = {}
        for hit in (hit for answer in answers for hit in answer[category]):
            if hit["id"] not in best or hit["score"] > best[hit["id"]]["score"]:
                best[hit["id"]] = hit
        categories[category] = _category(category, _ranked(list(best.values())), MERGED_LIMIT)
    return {
        "totalQueries": len(answers),
        "totalResults": sum(len(category["results"]) for category in categories.values()),
        "combinedCategories": categories,
    }
