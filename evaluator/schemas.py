"""Parameter schemas as others write them, read as JSON Schema: type words of other languages, lists under `items`.

| word in `type` (any case)                                                        | read as   |
|----------------------------------------------------------------------------------|-----------|
| dict, map, hashmap, hashtable                                                    | object    |
| list, tuple, set, arraylist, queue, stack                                        | array     |
| float, double                                                                    | number    |
| int, long, short, byte, bigint                                                   | integer   |
| bool                                                                             | boolean   |
| str, char                                                                        | string    |
| none                                                                             | null      |
| any                                                                              | any value |

A list under `items` (tuples before draft 2020-12) becomes `prefixItems` where the schema names no draft. Nothing is
ever fetched: a reference must lead to a place inside the schema.
"""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from typing import Any

from lib.findings import Finding, explain
from lib.json_text import shown

WORDS = {
    "object": ("object", "dict", "map", "hashmap", "hashtable"),
    "array": ("array", "list", "tuple", "set", "arraylist", "queue", "stack"),
    "number": ("number", "float", "double"),
    "integer": ("integer", "int", "long", "short", "byte", "bigint"),
    "boolean": ("boolean", "bool"),
    "string": ("string", "str", "char"),
    "null": ("null", "none"),
    "any": ("any",),
}
TYPES = {word: meaning for meaning, words in WORDS.items() for word in words}
MAX_ERRORS = 50  # of one call
_ONE = ("additionalProperties", "additionalItems", "items", "contains", "propertyNames", "not", "if", "then", "else")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def read_schema(schema: Any, tuples: bool) -> Any:
    """The schema in JSON Schema's own words; what is no schema stays as it is. tuples: read lists under `items`."""
    if not isinstance(schema, dict):
        return schema
    read = dict(schema)
    kind = read.get("type")
    words = [_meaning(word) for word in kind] if isinstance(kind, list) else [_meaning(kind)]
    if "any" in words:
        del read["type"]
    elif "type" in read:
        read["type"] = words if isinstance(kind, list) else words[0]
    for key in _ONE:
        if isinstance(read.get(key), dict):
            read[key] = read_schema(read[key], tuples)
    for key in _LISTS:
        if isinstance(read.get(key), list):
            read[key] = [read_schema(part, tuples) for part in read[key]]
    for key in _MAPS:
        if isinstance(read.get(key), dict):
            read[key] = {name: read_schema(part, tuples) for name, part in read[key].items()}
    if tuples and isinstance(read.get("items"), list) and "prefixItems" not in read:
        read["prefixItems"] = read.pop("items")
        if "additionalItems" in read:
            read["items"] = read.pop("additionalItems")
    return read


def _meaning(word: Any) -> Any:
    return TYPES.get(word.lower(), word) if isinstance(word, str) else word


def schema_findings(parameters: Any, arguments: dict) -> list[tuple[Finding, str | None]]:
    """What is wrong with the arguments, each with the parameter it is about (None: the call as a whole).

    A schema nobody can read is one finding, bad-schema.
    """
    try:
        schema, errors_of = compiled(json.dumps({"type": "object"} if parameters is None else parameters))
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "message", str(error)).partition("\n")[0]
        return [
            (Finding("bad-schema", f"the tool's parameters are no JSON Schema: {shown(reason, 160)}", "tools"), None)
        ]
    try:
        errors = list(islice(errors_of(arguments), MAX_ERRORS))
    except (ValueError, TypeError, RecursionError) as error:
        return [(Finding("bad-json", f"cannot be written as JSON: {shown(str(error))}"), None)]
    found = []
    for error in errors:
        steps = list(error.instance_path)
        about = steps[0] if steps else None
        found += [(finding, about) for finding in explain([error], schema, own_context=False)]
    return list(dict.fromkeys(found))


@lru_cache(maxsize=64)
def compiled(text: str) -> tuple[Any, Callable[[Any], Iterable]]:
    """(schema, its errors for given arguments) of a schema as JSON text; ValueError when it is no JSON Schema."""
    import jsonschema_rs

    schema = json.loads(text)
    schema = read_schema(schema, tuples=not (isinstance(schema, dict) and "$schema" in schema))
    return schema, jsonschema_rs.validator_for(schema, validate_formats=True, retriever=_refuse).iter_errors


def _refuse(address: str):
    raise ValueError(f"{address} lies outside the schema; nothing is fetched")
