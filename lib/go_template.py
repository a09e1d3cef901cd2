"""The part of Go's text/template that our TEMPLATEs for Ollama use: enough to render one as Ollama would, without Go.

Text, trim markers, comments, if, range, define, template, variables, parentheses, and the functions in FUNCTIONS.
tests/fixtures/go_template/expected.json holds what Go itself makes of the same templates and data.
"""

import json
import re
import unicodedata
from collections import ChainMap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lib.errors import CannotRun

QUOTED = r"\"(?:\\.|[^\"\\])*\""
ACTION = re.compile(rf"\{{\{{(-\s)?\s*(/\*.*?\*/|(?:{QUOTED}|[^\"}}]|\}}(?!\}}))*?)\s*?(\s-)?\}}\}}", re.DOTALL)
WORD = re.compile(rf"{QUOTED}|:=|[()=]|[^\s(),=\"]+")
ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
TYPES = {str: "string", bool: "bool", dict: "map[string]interface {}", list: "[]interface {}", type(None): "<nil>"}


@dataclass
class Node:
    """kind: text, action, if, range or template; words: the action's words behind its name, parentheses as lists."""

    kind: str
    words: list = field(default_factory=list)
    text: str = ""
    body: list["Node"] = field(default_factory=list)
    other: list["Node"] = field(default_factory=list)


@dataclass(frozen=True)
class Template:
    body: list[Node]
    defined: dict[str, list[Node]]


def parse(text: str) -> Template:
    """The template's tree; CannotRun where it is not one."""
    defined: dict[str, list[Node]] = {}
    root: list[Node] = []
    open_nodes: list[tuple[Node, list[Node], bool]] = []  # the last: an else if, which ends with the if before it
    current = root
    for kind, content in pieces(text):
        words = grouped(iter(WORD.findall(content))) if kind == "action" else []
        first = words[0] if words else ""
        if kind == "text":
            current.append(Node("text", text=content))
        elif first in ("if", "range", "define"):
            node = Node(first, words[1:])
            if first == "define":
                defined[json.loads(words[1])] = node.body
            else:
                current.append(node)
            open_nodes.append((node, current, False))
            current = node.body
        elif first == "else" and open_nodes:
            current = open_nodes[-1][0].other
            if len(words) > 1:
                inner = Node(words[1], words[2:])
                current.append(inner)
                open_nodes.append((inner, current, True))
                current = inner.body
        elif first == "end" and open_nodes:
            _, current, is_chained = open_nodes.pop()
            while is_chained:
                _, current, is_chained = open_nodes.pop()
        elif words:
            current.append(Node("template", words[1:]) if first == "template" else Node("action", words))
    if open_nodes:
        raise CannotRun(f"the Go template leaves a {{{{ {open_nodes[-1][0].kind} }}}} open.")
    return Template(root, defined)


def pieces(text: str) -> Iterator[tuple[str, str]]:
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


def grouped(words: Iterator[str]) -> list:
    """The words, those within parentheses as a list of their own."""
    found: list = []
    for word in words:
        if word == ")":
            break
        found.append(grouped(words) if word == "(" else word)
    return found


def render(template: Template, data: dict) -> str:
    """The text that Go would write for the data (dicts, lists, strings, numbers, booleans, None)."""
    out: list[str] = []
    walk(template, template.body, data, ChainMap({"$": data}), out)
    return "".join(out)


def walk(template: Template, nodes: list[Node], dot, scope: ChainMap, out: list[str]) -> None:
    for node in nodes:
        if node.kind == "text":
            out.append(node.text)
        elif node.kind == "action":
            names, sign, words = declared(node.words)
            value = evaluate(words, dot, scope)
            if not names:
                out.append(shown(value))
            else:
                known = next((level for level in scope.maps if names[0] in level), scope) if sign == "=" else scope
                known[names[0]] = value
        elif node.kind == "template":
            name = json.loads(node.words[0])
            if name not in template.defined:
                raise CannotRun(f"the Go template calls {name!r}, which it does not define.")
            argument = evaluate(node.words[1:], dot, scope)
            walk(template, template.defined[name], argument, ChainMap({"$": argument}), out)
        else:
            branch(template, node, dot, scope, out)


def branch(template: Template, node: Node, dot, scope: ChainMap, out: list[str]) -> None:
    """One if or range."""
    names, _, words = declared(node.words)
    value = evaluate(words, dot, scope)
    if not value:
        walk(template, node.other, dot, scope.new_child(), out)
    elif node.kind == "if":
        walk(template, node.body, dot, scope.new_child(), out)
    else:
        for key, item in sorted(value.items()) if isinstance(value, dict) else enumerate(value):
            told = dict(zip(names, (key, item)[2 - len(names) :], strict=True))
            walk(template, node.body, item, scope.new_child(told), out)


def declared(words: list) -> tuple[list[str], str, list]:
    """(variables on the left, := or =, what follows) of an action."""
    for sign in (":=", "="):
        if sign in words:
            place = words.index(sign)
            return words[:place], sign, words[place + 1 :]
    return [], "", words


def evaluate(words: list, dot, scope: ChainMap) -> Any:
    """The value of a function with its operands, or of a single operand."""
    first, *rest = words
    if isinstance(first, str) and first in FUNCTIONS:
        return FUNCTIONS[first](*(operand(word, dot, scope) for word in rest))
    if rest:
        raise CannotRun(f"the Go template calls {first!r}, which is not known here.")
    return operand(first, dot, scope)


def operand(word: str | list, dot, scope: ChainMap) -> Any:
    """A parenthesis, a text, a variable or a field of the data."""
    if isinstance(word, list):
        return evaluate(word, dot, scope)
    if word[0] == '"':
        return json.loads(word)
    name, *path = word.split(".")
    if (name and name not in scope) or word[0] not in "$.":
        raise CannotRun(f"the Go template uses {word!r}, which is not known here.")
    value = scope[name] if name else dot
    for key in filter(None, path):
        if not isinstance(value, dict) or key not in value:
            raise CannotRun(f"the Go template asks for {word!r}, which the data does not have.")
        value = value[key]
    return value


def shown(value) -> str:
    if not isinstance(value, str):
        raise CannotRun(f"the Go template prints a {type(value).__name__}, which is not known here.")
    return value


def go_json(value) -> str:
    """encoding/json's text of a number (a float64 always), a boolean or nil: what our templates leave to it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    number = float(value)
    if number and not 1e-6 <= abs(number) < 1e21:
        return re.sub(r"e-0(\d)$", r"e-\1", repr(number))
    return format(Decimal(repr(number)), "f").removesuffix(".0")


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
    verbs: dict[str, Callable] = {"q": quoted, "s": shown, "T": lambda value: TYPES.get(type(value), "float64")}
    return re.sub(r"%([qsT])", lambda match: verbs[match[1]](next(left)), form)


def all_of(*values) -> Any:
    """Go's and: the first value that counts as false, else the last."""
    return next((value for value in values if not value), values[-1])


def any_of(*values) -> Any:
    """Go's or: the first value that counts as true, else the last."""
    return next((value for value in values if value), values[-1])


FUNCTIONS: dict[str, Callable] = {
    "and": all_of,
    "or": any_of,
    "eq": lambda first, second: first == second,
    "ne": lambda first, second: first != second,
    "json": go_json,
    "printf": printf,
}
