"""The contentManager tools: reading and changing the text of files."""

import re

from lib.vault import files
from lib.vault.call import Context, ToolError
from lib.vault.paths import clean
from lib.vault.state import Vault

LONG_TEXT = 7000
EXACT = 2**52
MANY_READS, MANY_CREATES = 3, 2
OBSIDIAN_FEATURES = {
    "type": "obsidian_features",
    "message": "Properties, tags and [[links]] help to find this note again.",
}
READ_RANGE = {
    "type": "read_range",
    "message": "The text is long; limit and offset together read a part of it.",
}
BATCH_READ = {
    "type": "batch_read",
    "message": "Many files were read; note the important points in sessionMemory.",
}
BATCH_CREATE = {
    "type": "batch_create",
    "message": "Several notes were made; link them to each other or list them in an index note.",
}


def read_content(vault: Vault, args: dict, context: Context) -> dict:
    """The text of a file, or the lines offset to offset + limit - 1 when both are given."""
    path, text = _text_of(vault, args["filePath"])
    lines, first, echo = text.split("\n"), 1, {}
    numbered = args.get("includeLineNumbers", False)
    if "limit" in args and "offset" in args:
        start = _whole(args["offset"])
        end = start + _whole(args["limit"]) - 1
        echo = {"startLine": start, "endLine": end}
        first, last = _clamp(start, end, len(lines))
        lines = lines[first - 1 : last]
    if numbered:
        echo = {"lineNumbersIncluded": True, **echo}
        lines = [f"{number}: {line}" for number, line in enumerate(lines, first)]
    content = "\n".join(lines)
    return {
        "data": {"content": content, "filePath": path, **echo},
        "recommendations": [READ_RANGE] if len(content) > LONG_TEXT else [],
    }


def create_content(vault: Vault, args: dict, context: Context) -> dict:
    """Makes a file with the given text, which may be empty; never overwrites."""
    path = clean(args["filePath"])
    if not path:
        raise ToolError("File path is required")
    if files.exists(vault, path):
        raise ToolError(f"File already exists: {path}")
    note = files.create_file(vault, path, args["content"])
    return {"data": {"filePath": path, "created": note.created}, "recommendations": [OBSIDIAN_FEATURES]}


def append_content(vault: Vault, args: dict, context: Context) -> dict:
    """Adds text at the end as it is, without a line break of its own."""
    path, text = _text_of(vault, args["filePath"])
    text += args["content"]
    files.write_text(vault, path, text)
    return {"data": {"filePath": path, "appendedLength": len(args["content"]), "totalLength": len(text)}}


def prepend_content(vault: Vault, args: dict, context: Context) -> dict:
    """Adds text at the very start as it is, also before frontmatter."""
    path, text = _text_of(vault, args["filePath"])
    text = args["content"] + text
    files.write_text(vault, path, text)
    return {"data": {"filePath": path, "prependedLength": len(args["content"]), "totalLength": len(text)}}


def replace_content(vault: Vault, args: dict, context: Context) -> dict:
    """Replaces every exact occurrence of a passage; similarityThreshold has no effect on exact hits."""
    path, count = _replace_all(vault, args, args["oldContent"], args["newContent"], "Content to replace")
    return {"data": {"filePath": path, "replacements": count}}


def delete_content(vault: Vault, args: dict, context: Context) -> dict:
    """Removes every exact occurrence of a passage, never the file."""
    path, count = _replace_all(vault, args, args["content"], "", "Content to delete")
    return {"data": {"filePath": path, "deletions": count}}


def _replace_all(vault: Vault, args: dict, old: str, new: str, what: str) -> tuple[str, int]:
    path, text = _text_of(vault, args["filePath"])
    count = text.count(old) if old else 0
    if not count:
        raise ToolError(f"{what} not found in file")
    # Before the text is built, because many hits times a long text can be more than memory.
    files.refuse_long(path, len(text) + count * (len(new) - len(old)))
    files.write_text(vault, path, text.replace(old, new))
    return path, count


def replace_by_line(vault: Vault, args: dict, context: Context) -> dict:
    """Puts new text in the place of the lines startLine to endLine, clamped to the file."""
    path, text = _text_of(vault, args["filePath"])
    lines = text.split("\n")
    first, last = _clamp(_whole(args["startLine"]), _whole(args["endLine"]), len(lines))
    lines[first - 1 : last] = args["newContent"].split("\n")
    files.write_text(vault, path, "\n".join(lines))
    return {"data": {"filePath": path, "linesReplaced": last - first + 1}}


def find_replace_content(vault: Vault, args: dict, context: Context) -> dict:
    """Replaces the first hit of a literal text, or all; no hit is a success with 0 replacements."""
    path, text = _text_of(vault, args["filePath"])
    find, replacement = args["findText"], args["replaceText"]
    if not find:
        raise ToolError("Find text is required")
    pattern = re.escape(find)
    if args.get("wholeWord", False):
        pattern = rf"\b{pattern}\b"
    flags = 0 if args.get("caseSensitive", True) else re.IGNORECASE
    limit = 0 if args.get("replaceAll", False) else 1
    hits = sum(1 for _ in re.finditer(pattern, text, flags)) if limit == 0 else 1
    files.refuse_long(path, len(text) + hits * (len(replacement) - len(find)))
    # A function, because a string would have its backslash sequences expanded.
    text, count = re.subn(pattern, lambda hit: replacement, text, count=limit, flags=flags)
    files.write_text(vault, path, text)
    return {"data": {"filePath": path, "replacements": count, "findText": find, "replaceText": replacement}}


OPERATIONS = {
    "read": read_content,
    "create": create_content,
    "append": append_content,
    "prepend": prepend_content,
    "replace": replace_content,
    "replaceByLine": replace_by_line,
    "delete": delete_content,
    "findReplace": find_replace_content,
}


def batch_content(vault: Vault, args: dict, context: Context) -> dict:
    """Runs operations in order; one that fails neither stops nor undoes the others."""
    operations = args["operations"]
    kinds = [operation["type"] for operation in operations]
    recommendations = []
    if kinds.count("read") > MANY_READS:
        recommendations.append(BATCH_READ)
    if kinds.count("create") > MANY_CREATES:
        recommendations.append(BATCH_CREATE)
    results = [_run_operation(vault, operation, context) for operation in operations]
    return {"data": {"results": results}, "recommendations": recommendations}


def _run_operation(vault: Vault, operation: dict, context: Context) -> dict:
    kind, params = operation["type"], operation["params"]
    try:
        data = OPERATIONS[kind](vault, params, context)["data"]
    except ToolError as refusal:
        return {"success": False, "error": refusal.text, "type": kind, "filePath": params["filePath"]}
    path = data["filePath"]
    if kind in ("append", "prepend"):
        del data["filePath"]
    return {"success": True, "data": data, "type": kind, "filePath": path}


def _text_of(vault: Vault, file_path: str) -> tuple[str, str]:
    """(path, text) of an existing text file."""
    path = clean(file_path)
    note = vault.notes.get(path)
    if note is None:
        what = "Not a file" if files.exists(vault, path) else "File not found"
        raise ToolError(f"{what}: {path or '/'}")
    if note.data is not None:
        raise ToolError(f"Not a text file: {path}")
    return path, note.text


def _whole(number: float) -> int:
    """The number without its fraction, cut to what JSON readers keep exact."""
    return int(max(-EXACT, min(number, EXACT)))


def _clamp(start: int, end: int, last: int) -> tuple[int, int]:
    start, end = max(start, 1), min(end, last)
    if start > end:
        raise ToolError("Start line cannot be greater than end line")
    return start, end


TOOLS = {
    "contentManager_readContent": read_content,
    "contentManager_createContent": create_content,
    "contentManager_appendContent": append_content,
    "contentManager_prependContent": prepend_content,
    "contentManager_replaceContent": replace_content,
    "contentManager_deleteContent": delete_content,
    "contentManager_replaceByLine": replace_by_line,
    "contentManager_findReplaceContent": find_replace_content,
    "contentManager_batchContent": batch_content,
}
