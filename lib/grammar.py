"""A grammar (llama.cpp's GBNF) of an assistant turn in the text form: calls that keep to their schemas, or prose.

llama-server holds native calls to the tools' schemas by itself; this gives the text form the same. It says what a
grammar can: names, keys in the order of `lib.toolset.in_schema_order`, types, enums, ids, one item at least. Ranges,
lengths and conditions between keys are left to the schema check.
"""

import json
import re
from typing import Any

from lib.toolset import Toolset

BASICS = r"""
prose ::= [^t\n] any | "t" [^o] any
any ::= [^\x00]*
string ::= "\"" char* "\""
text ::= "\"" char+ "\""
char ::= [^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
digits ::= "0" | [1-9] [0-9]{0,15}
integer ::= "-"? digits
number ::= "-"? digits ("." [0-9]{1,15})?
boolean ::= "true" | "false"
null ::= "null"
value ::= string | number | boolean | null | object | array
object ::= "{" (member (", " member)*)? "}"
member ::= string ": " value
array ::= "[" (value (", " value)*)? "]"
"""
PIECE = re.compile(r"\[[a-z0-9-]+\](?:\{\d+\})?|[A-Za-z0-9_]+")


def text_grammar(toolset: Toolset) -> str:
    """The grammar as text; its root is what stands between two results, or between the prompt and the end."""
    rules: dict[str, str] = {}
    calls = []
    for number, tool in enumerate(toolset.openai_tools()):
        function = tool["function"]
        arguments = rule_for(function["parameters"], f"tool{number}", rules)
        calls.append(f"{quoted(function['name'] + chr(10) + 'arguments: ')} {arguments}")
    lines = [
        r'root ::= "\n\n"? (call | prose)',
        rf'call ::= "tool_call: " ({" | ".join(calls)}) "\n\nResult:"?',
        *(f"{name} ::= {body}" for name, body in rules.items()),
    ]
    return "\n".join(lines) + BASICS


def quoted(text: str) -> str:
    """A literal of the grammar."""
    return json.dumps(text, ensure_ascii=False)


def rule_for(schema: dict[str, Any], name: str, rules: dict[str, str]) -> str:
    """What a value of the schema looks like: a rule's name or an alternative in brackets; new rules go into `rules`."""
    options = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if options:
        return f"({' | '.join(quoted(json.dumps(option, ensure_ascii=False)) for option in options)})"
    kind = schema.get("type")
    alternatives = schema.get("oneOf") or (schema.get("anyOf") if kind is None else None)
    if alternatives:
        return f"({' | '.join(rule_for(part, f'{name}-{n}', rules) for n, part in enumerate(alternatives))})"
    if isinstance(kind, list):
        return f"({' | '.join(rule_for({**schema, 'type': one}, name, rules) for one in kind)})"
    if kind == "object" and schema.get("properties"):
        return named(members(schema, name, rules), name, rules)
    if kind == "array" and isinstance(schema.get("items"), dict):
        item = rule_for(schema["items"], f"{name}-item", rules)
        body = f'{item} (", " {item})*'
        return named(f'"[" {body} "]"' if schema.get("minItems") else f'"[" ({body})? "]"', name, rules)
    if kind == "string":
        return string_rule(schema)
    if kind in ("integer", "number"):
        unsigned = schema.get("minimum", -1) >= 0
        return {"integer": "digits", "number": '(digits ("." [0-9]{1,15})?)'}[kind] if unsigned else kind
    return kind if kind in ("object", "array", "boolean", "null") else "value"


def named(body: str, name: str, rules: dict[str, str]) -> str:
    """The name of the rule with this body: an earlier one's (the context object is the same everywhere), or `name`."""
    same = next((known for known, other in rules.items() if other == body), None)
    if same is None:
        rules[name] = body
    return same or name


def string_rule(schema: dict[str, Any]) -> str:
    """A string: by its pattern where that is plain text and character classes alone, else not empty where so asked."""
    inner = schema.get("pattern", "").removeprefix("^").removesuffix("$")
    pieces = PIECE.findall(inner)
    if inner and "".join(pieces) == inner:
        parts = " ".join(piece if piece.startswith("[") else quoted(piece) for piece in pieces)
        return rf'("\"" {parts} "\"")'
    return "text" if schema.get("minLength") else "string"


def members(schema: dict[str, Any], name: str, rules: dict[str, str]) -> str:
    """An object with its required keys and any of the others, each kind in the schema's order; open ones take more."""
    properties, required = schema["properties"], schema.get("required", ())
    pairs = {
        key: f"{quoted(json.dumps(key) + ': ')} {rule_for(part, f'{name}-{number}', rules)}"
        for number, (key, part) in enumerate(properties.items())
    }
    needed = [pair for key, pair in pairs.items() if key in required]
    others = [pair for key, pair in pairs.items() if key not in required]
    if needed:
        body = ' ", " '.join(needed) + "".join(f' (", " {pair})?' for pair in others)
        body += "" if schema.get("additionalProperties") is False else ' (", " member)*'
        return f'"{{" {body} "}}"'
    starts = [
        pair + "".join(f' (", " {later})?' for later in others[number + 1 :]) for number, pair in enumerate(others)
    ]
    return f'"{{" ({" | ".join(starts)})? "}}"'
