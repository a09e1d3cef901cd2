"""Conversations that the parity gate renders in every way: what tool calling needs, and texts that templates trip on.

Each ends where a server is asked; `answer` is what the model would have said. Tools and texts are nobody's: the gate is
about the form, and the same for any toolset.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    name: str
    messages: list[dict]
    answer: dict = field(default_factory=lambda: said("It is done."))


def tool(name: str, description: str, **properties) -> dict:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
FREE = {"description": "Any JSON value."}
TOOLS = [
    tool("shelf_read", "Reads a book's page.", path=TEXT),
    tool("shelf_search", "Searches all books.", limit=NUMBER, query=TEXT, strict=FLAG),
    tool("shelf_write", "Writes <b>bold</b> & plain text.", content=TEXT, path=TEXT),
    tool("shelf_set", "Sets any value.", key=TEXT, value=FREE),
    tool("shelf_list", "Lists the books."),
]


def asked(text: str) -> dict:
    return {"role": "user", "content": text}


def said(text: str) -> dict:
    return {"role": "assistant", "content": text}


def result(text: str, number: int = 1) -> dict:
    return {"role": "tool", "tool_call_id": f"call{number:05d}", "content": text}


def called(name: str, number: int = 1, content: str = "", **arguments) -> dict:
    """An assistant's turn with one call; arguments in the order of their names, the only one that Ollama keeps."""
    function = {"name": name, "arguments": dict(sorted(arguments.items()))}
    call = {"id": f"call{number:05d}", "type": "function", "function": function}
    return {"role": "assistant", "content": content, "tool_calls": [call]}


READ = called("shelf_read", path="Books/Moby Dick.md")
SEARCH = called("shelf_search", query="white whale", limit=10, strict=True)
PAGE = '{"success": true, "text": "Call me Ishmael."}'

MIXED = {"a": [True, None, 1.5, "x\n\"y'"], "b": {"c": []}}

# What users type, with an answer by call.
QUESTIONS = {
    "plain": ("What does Moby Dick begin with?", READ),
    "lower case": ("find the white whale, ten hits at most", SEARCH),
    "accents": ("Öffne das Büchlein, s'il te plaît: naïve café", called("shelf_read", path="Bücher/Straße.md")),
    "CJK": ("本を読んでください。第三章", called("shelf_read", path="本/第三章.md")),
    "right to left": ("افتح الكتاب من فضلك", called("shelf_read", path="كتب/أول.md")),
    "emoji": ("Open the 📚 with the 🐋 on it 👍🏽", called("shelf_read", path="📚/🐋.md")),
    "quotes": ("Write \"don't\" and 'do' into C:\\a.md", called("shelf_write", path="C:\\a.md", content="\"don't\"")),
    "line breaks": ("First line\n\nSecond\n\tin", called("shelf_write", path="a.md", content="one\n\ntwo\tthree\n")),
    "markup": ("What do <b>bold</b> &amp; {{ x }} mean?", called("shelf_write", path="a.md", content="<b>&</b> {{x}}")),
    "code": ("Save this:\n```python\nprint(f'{x:>10}')\n```", called("shelf_write", path="x", content="f'{x:>10}'")),
    "JSON": ('Set it to {"a": [1, 2, {"b": null}]}', called("shelf_set", key="a", value={"a": [1, 2, {"b": None}]})),
    "numbers": ("Set pi to 3.14159, year 2025, and -7", called("shelf_set", key="pi", value=[3.14159, 2025, -7, 0])),
    "flags": ("Set strict to true", called("shelf_set", key="s", value={"l": None, "s": True, "z": False})),
    "large number": ("Since 1731072000000?", called("shelf_set", key="since", value=1731072000000)),
    "path with spaces": ("Open 2025 - Q1 / notes (old).md", called("shelf_read", path="2025 - Q1/notes (old).md")),
    "wiki link": ("Follow [[Moby Dick|the whale]] #books", called("shelf_read", path="Moby Dick#Chapter 1")),
    "an id": ("Go on in session_1731072000000_k3m9x2p7q", called("shelf_read", path="s_1731072000000_k3m9x2p7q")),
    "empty value": ("Write nothing into empty.md", called("shelf_write", path="empty.md", content="")),
    "no arguments": ("Which books are there?", called("shelf_list")),
    "long": ("Read this, and find it." + " The sea was calm, and nobody spoke of the whale." * 20, SEARCH),
    "words only": ("Thank you!", said("You are welcome.")),
    "special tokens as text": ("What do <|im_end|> and </s> stand for?", said("They end a turn.")),
}  # fmt: skip


def cases() -> list[Case]:
    """All conversations, each with a name of its own."""
    found = [Case(name, [asked(text)], answer) for name, (text, answer) in QUESTIONS.items()]
    question = asked("What does Moby Dick begin with?")
    brief = {"role": "system", "content": "Answer in one sentence."}
    again = asked("And the second page?")
    found += [
        Case("system", [brief, question], READ),
        Case("after a result", [question, READ, result(PAGE)], said("With: Call me Ishmael.")),
        Case("system, after a result", [brief, question, READ, result(PAGE)], said("Call me Ishmael.")),
        Case("second request", [question, READ, result(PAGE), said("Call me Ishmael."), again], READ),
        Case("system, second request", [brief, question, said("Which edition?"), asked("The first.")], READ),
        Case("question back", [question, said("Which edition?"), asked("The first.")], READ),
        Case("failed call", [question, READ, result('{"success": false, "error": "no such file"}')], SEARCH),
        Case("plain result", [question, READ, result("Call me Ishmael.")], said("Done.")),
        Case("result with markup", [question, READ, result('{"html": "<a href=\\"x\\">&</a>"}')], said("Done.")),
        Case("two steps", [question, SEARCH, result("{}"), called("shelf_list", 2), result("[]", 2)], said("None.")),
        Case("accents in a result", [question, READ, result('{"text": "Übergröße 日本 🦙"}')], said("Schön.")),
        Case("all kinds of values", [question, called("shelf_set", key="k", value=MIXED), result("{}")], said("Set.")),
        Case("words before a call", [question, called("shelf_read", content="I look.", path="a.md"), result(PAGE)]),
        Case("two calls in a turn", [question, two_calls(), result(PAGE), result("[]", 2)], said("Both are done.")),
    ]  # fmt: skip
    return found


def two_calls() -> dict:
    first, second = READ, called("shelf_list", 2)
    return first | {"tool_calls": first["tool_calls"] + second["tool_calls"]}
