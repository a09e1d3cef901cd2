"""The vaultLibrarian tools that look for notes and folders; searchMemory and batch have modules of their own."""

from lib.vault import search_batch, search_memory
from lib.vault.call import Context, ToolError
from lib.vault.dates import in_range, window
from lib.vault.files import exists
from lib.vault.frontmatter import frontmatter
from lib.vault.matching import combined, name_score, snippet, text_score
from lib.vault.memory import ELAPSED_MS, cut
from lib.vault.paths import clean, is_inside, name_of, parent
from lib.vault.patterns import compile_regex
from lib.vault.state import Note, Vault

CONTENT_LIMIT, DIRECTORY_LIMIT = 10, 20
SNIPPET_LENGTH = 200
HEAD_LINES, HEAD_LENGTH = 3, 200
PATH_WEIGHT = 0.8
CAPABILITIES = {"semanticSearch": False, "workspaceFiltering": False, "memorySearch": False, "hybridSearch": False}
SEARCH_TYPES = {"files": ("file",), "folders": ("folder",), "both": ("file", "folder")}


def search_content(vault: Vault, args: dict, context: Context) -> dict:
    """The Markdown notes whose text or name fits the query, best first."""
    query = args["query"].strip()
    if not query:
        raise ToolError("Query parameter is required and cannot be empty")
    read = args.get("includeContent", True)
    found = []
    for path, note in notes_under(vault, args.get("paths")):
        body = text_score(query, note.text) if read else 0.0
        score, method = combined(body, name_score(query, name_of(path)[:-3]))
        if score:
            found.append((-score, path, method))
    results = []
    for score, path, method in cut(sorted(found), args.get("limit", CONTENT_LIMIT)):
        results.append(_content_hit(vault, path, query, args) | {"score": -score, "searchMethod": method})
    return {
        "query": args["query"],
        "results": results,
        "totalResults": len(results),
        "executionTime": ELAPSED_MS,
    }


def notes_under(vault: Vault, prefixes: list[str] | None) -> list[tuple[str, Note]]:
    """The Markdown notes whose path begins with one of the prefixes, by path; all of them without prefixes."""
    starts = tuple(prefix.removeprefix("/") for prefix in prefixes or ("",))
    return [
        (path, vault.notes[path])
        for path in sorted(vault.notes)
        if path.startswith(starts) and path.lower().endswith(".md") and vault.notes[path].data is None
    ]


def _content_hit(vault: Vault, path: str, query: str, args: dict) -> dict:
    note = vault.notes[path]
    properties = frontmatter(note.text)
    read = args.get("includeContent", True)
    return {
        "filePath": path,
        "title": name_of(path)[:-3],
        "content": snippet(query, note.text, int(args.get("snippetLength", SNIPPET_LENGTH))) if read else "",
        "score": 0.0,
        "searchMethod": "",
        **({"frontmatter": properties} if properties else {}),
        "metadata": {"fileExtension": "md", "parentFolder": parent(path), "modifiedTime": note.modified},
    }


def search_directory(vault: Vault, args: dict, context: Context) -> dict:
    """Files and folders below the given folders whose name or path fits the query, best first."""
    query = args["query"].strip()
    nothing = {"query": args["query"], "searchedPaths": args["paths"], "results": [], "totalResults": 0}
    nothing |= {"executionTime": ELAPSED_MS, "searchCapabilities": CAPABILITIES}
    try:
        if not query:
            raise ToolError("Query parameter is required and cannot be empty")
        accepts = _filter(vault, args)
    except ToolError as fault:
        details = {
            "error": fault.text,
            "parameterHints": "query: words of a file or folder name; paths: folders, / for the whole vault",
            "suggestions": ["Search the whole vault with paths ['/']."],
            "providedParams": sorted(args),
        }
        raise ToolError(fault.text, data=nothing | details) from None
    found = []
    for path in _below(vault, args["paths"], args.get("depth")):
        name, whole = name_score(query, _bare_name(vault, path)), PATH_WEIGHT * name_score(query, path)
        if max(name, whole) and accepts(path):
            found.append((-round(max(name, whole), 4), path, "fuzzy_name" if name >= whole else "fuzzy_path"))
    shown = cut(sorted(found), args.get("limit", DIRECTORY_LIMIT))
    results = [
        _directory_hit(vault, path, -score, method, args.get("includeContent", True)) for score, path, method in shown
    ]
    return nothing | {"results": results, "totalResults": len(found)}


def _filter(vault: Vault, args: dict):
    """A test of one path against searchType, fileTypes, dateRange and pattern; the middle two keep every folder."""
    kinds = SEARCH_TYPES[args.get("searchType", "both")]
    types = {kind.lower().removeprefix(".") for kind in args.get("fileTypes", ())}
    times = window(args.get("dateRange"))
    pattern = None
    if args.get("pattern"):
        try:
            pattern = compile_regex(args["pattern"])
        except ValueError as fault:
            raise ToolError(f"Invalid pattern: {fault}") from None
        if pattern is None:
            raise ToolError(f"Invalid pattern: '{args['pattern'][:100]}' is not a regular expression")

    def accepts(path: str) -> bool:
        note = vault.notes.get(path)
        if ("file" if note else "folder") not in kinds:
            return False
        if note and types and _extension(path).lower() not in types:
            return False
        if note and not in_range(note.modified, times):
            return False
        return pattern is None or bool(pattern.search(path) or pattern.search(name_of(path)))

    return accepts


def _below(vault: Vault, folders: list[str], depth: float | None) -> list[str]:
    """Every file and folder below the folders, each once; depth 1 is what lies directly in one of them."""
    found = set()
    for folder in (clean(path) for path in folders):
        if folder in vault.notes or not exists(vault, folder):
            continue
        start = len(folder) + 1 if folder else 0
        found |= {
            path
            for path in (*vault.notes, *vault.folders)
            if is_inside(path, folder) and (depth is None or path.count("/", start) < depth)
        }
    return sorted(found)


def _extension(path: str) -> str:
    stem, dot, extension = name_of(path).rpartition(".")
    return extension if stem and dot else ""


def _bare_name(vault: Vault, path: str) -> str:
    name = name_of(path)
    return name.removesuffix("." + _extension(path)) if path in vault.notes else name


def _directory_hit(vault: Vault, path: str, score: float, method: str, include_content: bool) -> dict:
    note = vault.notes.get(path)
    hit = {
        "path": path,
        "name": _bare_name(vault, path),
        "type": "file" if note else "folder",
        "score": score,
        "searchMethod": method,
    }
    depth = path.count("/") + 1
    if note is None:
        files = sum(parent(other) == path for other in vault.notes)
        folders = sum(parent(other) == path for other in vault.folders)
        return hit | {"metadata": {"depth": depth, "fileCount": files, "folderCount": folders}}
    if include_content and note.data is None:
        hit["snippet"] = "\n".join(note.text.split("\n")[:HEAD_LINES])[:HEAD_LENGTH]
    return hit | {
        "metadata": {
            "fileType": _extension(path),
            "created": note.created,
            "modified": note.modified,
            "size": note.size,
            "depth": depth,
        }
    }


TOOLS = {
    "vaultLibrarian_searchContent": search_content,
    "vaultLibrarian_searchDirectory": search_directory,
    "vaultLibrarian_searchMemory": search_memory.search_memory,
    "vaultLibrarian_batch": search_batch.batch,
}
