"""The part of Go's text/template that Ollama's TEMPLATEs use: enough to render one as Ollama would, without Go.

Text, trim markers, comments, if, range, with, define, template, variables, pipelines, and the functions in FUNCTIONS.
tests/fixtures/go_template.json holds what Go itself makes of the same templates and data.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lib.errors import CannotRun

QUOTED = r"\"(?:\\.|[^\"\\])*\"|`[^`]*`"
ACTION = re.compile(rf"\{{\{{(-\s)?\s*(/\*.*?\*/|(?:{QUOTED}|[^\"`}}]|\}}(?!\}}))*?)\s*?(\s-)?\}}\}}", re.DOTALL)
WORD = re.compile(rf"{QUOTED}|:=|[()|,=]|[^\s()|,=\"`]+")
ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
TYPES = {str: "string", bool: "bool", int: "float64", float: "float64", dict: "map[string]interface {}"}


class Struct(dict):
    """A Go struct: its fields print in their own order, where a map's keys are sorted."""


@dataclass
class Node:
    """kind: text, action, if, range, with, template or else-less define; words: the action's words behind its name."""

    kind: str
    words: list[str] = field(default_factory=list)
    text: str = ""
    body: list["Node"] = field(default_factory=list)
    other: list["Node"] = field(default_factory=list)


@dataclass(frozen=True)
class Template:
    body: list[Node]
    defined: dict[str, list[Node]]


def parse(text: str) -> Template:
    """The template's tree; CannotRun where it is not one, or uses what is not known here."""
    defined: dict[str, list[Node]] = {}
    root: list[Node] = []
    open_nodes: list[tuple[Node, list[Node]]] = []
    current = root
    for kind, content in pieces(text):
        words = WORD.findall(content) if kind == "action" else []
        first = words[0] if words else ""
        if kind == "text":
            current.append(Node("text", text=content))
        elif first in ("if", "range", "with", "define"):
            node = Node(first, words[1:])
            if first == "define":
                defined[json.loads(words[1])] = node.body
            else:
                current.append(node)
            open_nodes.append((node, current))
            current = node.body
        elif first == "else" and open_nodes:
            node = open_nodes[-1][0]
            current = node.other
            if len(words) > 1:  # else if: an if of its own that ends with this one
                inner = Node(words[1], words[2:])
                inner.text = "chained"
                current.append(inner)
                open_nodes.append((inner, current))
                current = inner.body
        elif first == "end" and open_nodes:
            node, current = open_nodes.pop()
            while node.text == "chained":
                node, current = open_nodes.pop()
        elif words:
            current.append(Node("template", words[1:]) if first == "template" else Node("action", words))
    if open_nodes:
        raise CannotRun(f"the Go template leaves a {{{{ {open_nodes[-1][0].kind} }}}} open.")
    return Template(root, defined)


def pieces(text: str):
    """('text' or 'action', content) in order, blanks removed where a trim marker says so."""
    position, trim = 0, False
    for match in ACTION.finditer(text):
        piece = text[position : match.start()]
        piece = piece.lstrip(" \t\r\n") if trim else piece
        yield "text", piece.rstrip(" \t\r\n") if match[1] else piece
        if not match[2].startswith("/*"):
            yield "action", match[2].strip()
        position, trim = match.end(), bool(match[3])
    rest = text[position:]
    if "{{" in rest:
        raise CannotRun(f"the Go template has an action without end: {rest[rest.index('{{') :][:60]!r}.")
    yield "text", rest.lstrip(" \t\r\n") if trim else rest


def render(template: Template, data: dict) -> str:
    """The text that Go would write for the data (dicts, lists, strings, numbers, booleans, None)."""
    out: list[str] = []
    walk(template, template.body, data, [{"$": data}], out)
    return "".join(out)


def walk(template: Template, nodes: list[Node], dot, scopes: list[dict], out: list[str]) -> None:
    for node in nodes:
        if node.kind == "text":
            out.append(node.text)
        elif node.kind == "action":
            names, sign, words = declared(node.words)
            value = evaluate(words, dot, scopes)
            if not names:
                out.append(shown(value))
            elif sign == ":=":
                scopes[-1][names[0]] = value
            else:
                next(scope for scope in reversed(scopes) if names[0] in scope)[names[0]] = value
        elif node.kind == "template":
            argument = evaluate(node.words[1:], dot, scopes) if node.words[1:] else None
            name = json.loads(node.words[0])
            if name not in template.defined:
                raise CannotRun(f"the Go template calls {name!r}, which it does not define.")
            walk(template, template.defined[name], argument, [{"$": argument}], out)
        else:
            branch(template, node, dot, scopes, out)


def branch(template: Template, node: Node, dot, scopes: list[dict], out: list[str]) -> None:
    """One if, with or range."""
    names, _, words = declared(node.words)
    value = evaluate(words, dot, scopes)
    if not truth(value):
        walk(template, node.other, dot, [*scopes, {}], out)
    elif node.kind != "range":
        inner = dict.fromkeys(names, value)
        walk(template, node.body, value if node.kind == "with" else dot, [*scopes, inner], out)
    else:
        items = sorted(value.items()) if isinstance(value, dict) else list(enumerate(value))
        for key, item in items:
            inner = dict(zip(names, (key, item) if len(names) == 2 else (item,), strict=True)) if names else {}
            walk(template, node.body, item, [*scopes, inner], out)


def declared(words: list[str]) -> tuple[list[str], str, list[str]]:
    """(variables on the left, := or =, the pipeline) of an action."""
    for sign in (":=", "="):
        if words and words[0].startswith("$") and sign in words[:4]:
            place = words.index(sign)
            return [word for word in words[:place] if word != ","], sign, words[place + 1 :]
    return [], "", words


def evaluate(words: list[str], dot, scopes: list[dict]) -> Any:
    """The value of a pipeline: each part's result is the last argument of the next."""
    parts: list[list] = [[]]
    stack: list[list[list]] = []
    for word in words:
        if word == "(":
            stack.append(parts)
            parts = [[]]
        elif word == ")":
            value = piped(parts, dot, scopes)
            parts = stack.pop()
            parts[-1].append(lambda value=value: value)
        elif word == "|":
            parts.append([])
        elif stack and word.startswith(".") and callable(parts[-1][-1] if parts[-1] else None):
            inner = parts[-1].pop()
            parts[-1].append(lambda inner=inner, word=word: chained(inner(), word[1:]))
        else:
            parts[-1].append(word)
    return piped(parts, dot, scopes)


def piped(parts: list[list], dot, scopes: list[dict]) -> Any:
    value, given = None, False
    for part in parts:
        extra = [value] if given else []
        value = called(part, extra, dot, scopes)
        given = True
    return value


def called(part: list, extra: list, dot, scopes: list[dict]) -> Any:
    """One command: a function with its operands, or a single operand."""
    first = part[0] if part else ""
    if not isinstance(first, str) or first not in FUNCTIONS:
        if len(part) != 1 or extra:
            raise CannotRun(f"the Go template calls {first!r}, which is not known here.")
        return operand(first, dot, scopes)
    if first in ("and", "or"):  # both stop at the value that decides
        value = None
        for word in part[1:]:
            value = operand(word, dot, scopes)
            if truth(value) == (first == "or"):
                return value
        return value
    return FUNCTIONS[first](*(operand(word, dot, scopes) for word in part[1:]), *extra)


def operand(word, dot, scopes: list[dict]) -> Any:
    if callable(word):
        return word()
    if word in ("true", "false", "nil"):
        return {"true": True, "false": False, "nil": None}[word]
    if word[0] == '"':
        return json.loads(word)
    if word[0] == "`":
        return word[1:-1]
    if re.fullmatch(r"-?[0-9.]+", word) and word != ".":
        return float(word) if "." in word else int(word)
    if word == ".":
        return dot
    if word[0] == ".":
        return chained(dot, word[1:])
    if word[0] == "$":
        name, _, rest = word.partition(".")
        for scope in reversed(scopes):
            if name in scope:
                return chained(scope[name], rest)
    if word in FUNCTIONS:
        return FUNCTIONS[word]()
    raise CannotRun(f"the Go template uses {word!r}, which is not known here.")


def chained(value, path: str) -> Any:
    """value.A.B; a missing key gives None, as with Ollama's missingkey=zero."""
    for name in filter(None, path.split(".")):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise CannotRun(f"the Go template asks for .{name} of a {type(value).__name__}.")
        value = value.get(name)
    return value


def truth(value) -> bool:
    return bool(value)


def shown(value) -> str:
    """A value as Go prints it: objects as compact JSON, which is what the String methods of Ollama's types give."""
    if value is None:
        return "<nil>"
    if isinstance(value, (dict, list)):
        return go_json(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def go_json(value) -> str:
    """encoding/json's text: no blanks, keys of maps sorted, <, > and & escaped."""

    def ordered(item):
        if isinstance(item, dict):
            keys = item if isinstance(item, Struct) else sorted(item)
            return {key: ordered(item[key]) for key in keys}
        if isinstance(item, list):
            return [ordered(entry) for entry in item]
        return int(item) if isinstance(item, float) and item.is_integer() and abs(item) < 1e21 else item

    text = json.dumps(ordered(value), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def quoted(text: str) -> str:
    """strconv.Quote: like JSON for all but control characters and what has no glyph."""
    found = []
    for character in text:
        code = ord(character)
        if character in '"\\':
            found.append("\\" + character)
        elif character in ESCAPES:
            found.append(ESCAPES[character])
        elif character == " " or unicodedata.category(character)[0] in "LMNPS":
            found.append(character)
        else:
            found.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return f'"{"".join(found)}"'


def printf(form: str, *values) -> str:
    left = iter(values)
    verbs: dict[str, Callable] = {"q": quoted, "s": shown, "v": shown, "d": shown, "T": go_type}

    def one(match):
        if match[1] not in verbs:
            raise CannotRun(f"the Go template prints with {match[0]}, which is not known here.")
        return verbs[match[1]](next(left))

    return re.sub(r"%([a-zA-Z])", one, form)


def go_type(value) -> str:
    if value is None:
        return "<nil>"
    return "[]interface {}" if isinstance(value, list) else TYPES[dict if isinstance(value, dict) else type(value)]


FUNCTIONS: dict[str, Callable] = {
    "and": all,
    "or": any,
    "not": lambda value: not truth(value),
    "eq": lambda first, *others: first in others,
    "ne": lambda first, second: first != second,
    "len": len,
    "slice": lambda value, first: value[first:],
    "json": go_json,
    "print": lambda *values: "".join(map(shown, values)),
    "printf": printf,
}
