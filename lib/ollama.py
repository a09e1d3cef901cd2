"""Ollama's side of a chat template: the Go TEMPLATE that writes the same text, its stop words, and how it is rendered.

Ollama reads no jinja: it looks for .Tools in the Modelfile's TEMPLATE to know that a model can call tools, and learns
there what a call begins with. What it does to a request before that is known from its source (template/template.go,
api/types.go): system texts are joined, turns of one role are merged, the arguments of a call lose their order (a Go
map's keys are sorted), and a tool's schema keeps only the fields that Ollama knows. So TOOLS_IN_PROMPT=full cannot be
served there as it was trained.
"""

from dataclasses import dataclass

from lib import go_template, templates
from lib.go_template import Node


@dataclass(frozen=True)
class Family:
    """markers: texts of a jinja template that tell the family; changes: what its Go template holds for them."""

    markers: tuple[str, ...]
    go: str
    changes: dict[str, str]
    stops: tuple[str, ...]


CHATML_STOPS = ("<|im_end|>", "<|im_start|>")
QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
# The first whose markers are all there.
FAMILIES = {
    "Mistral v0.3": Family(("[TOOL_CALLS] [", "[INST] "), "mistral", {"BLANK": '{{ " " }}'}, ("</s>", "[INST]")),
    "Mistral Nemo": Family(("[TOOL_CALLS][", "[INST]"), "mistral", {"BLANK": ""}, ("</s>", "[INST]")),
    "Llama 3": Family(
        ("<|start_header_id|>ipython", "Today Date: "),
        "llama3",
        {"DAY": templates.PINNED_DAY.strftime("%d %b %Y")},
        ("<|eot_id|>", "<|eom_id|>", "<|start_header_id|>"),
    ),
    "Qwen2.5": Family(("<tool_response>", QWEN_SYSTEM), "qwen", {"DEFAULT_SYSTEM": QWEN_SYSTEM}, CHATML_STOPS),
    "Qwen3": Family(("<tool_response>", "</think>"), "qwen", {"DEFAULT_SYSTEM": ""}, CHATML_STOPS),
}


def template_text(jinja: str) -> str | None:
    """The TEMPLATE for a model with this chat template; None when its family has none here: Ollama then looks itself.

    A base's own template that shows all tools (`full`) is left to Ollama, too: it writes schemas in its own way.
    """
    if known := templates.name_of(jinja):
        return with_mode(known[0], known[1], {})
    mode, _ = templates.split(jinja)
    family = family_of(jinja)
    if family is None or mode in (None, "full"):
        return None
    return with_mode(family.go, mode, family.changes)


def with_mode(name: str, mode: str, changes: dict[str, str]) -> str:
    """The Go template of that name behind the definitions that it uses."""
    text = templates.read(mode, "json.gotmpl") + templates.read(mode, f"{name}.gotmpl")
    for word, change in ({"TURN": templates.read(mode, "turn.gotmpl"), "MODE": mode} | changes).items():
        text = text.replace(word, change)
    return text


def family_of(jinja: str) -> Family | None:
    _, own = templates.split(jinja)
    return next((family for family in FAMILIES.values() if all(text in own for text in family.markers)), None)


def stops(jinja: str) -> tuple[str, ...]:
    """The texts at which generation must stop; () where Ollama takes the model's own end token alone."""
    if templates.name_of(jinja):
        return CHATML_STOPS
    family = family_of(jinja)
    return family.stops if family else ()


def render(template: str, messages: list[dict], tools: list[dict] | None = None) -> str:
    """The prompt that Ollama makes of OpenAI-style messages (arguments as objects); without the tokenizer's BOS."""
    return go_template.render(go_template.parse(template), data_of(messages, tools or []))


def data_of(messages: list[dict], tools: list[dict]) -> dict:
    """What a template is given: system texts joined, messages and tools as Ollama's structs, as far as ours ask."""
    return {
        "System": "\n\n".join(message["content"] for message in messages if message["role"] == "system"),
        "Messages": [as_struct(message) for message in collated(messages)],
        "Tools": [{"Function": {"Name": tool["function"]["name"]}} for tool in tools],
        "Response": "",
    }


def collated(messages: list[dict]) -> list[dict]:
    """The messages with neighbours of one role merged, those of tools left apart."""
    found: list[dict] = []
    for message in messages:
        if found and found[-1]["role"] == message["role"] != "tool":
            found[-1] = found[-1] | {"content": f"{found[-1]['content']}\n\n{message['content']}"}
        else:
            found.append(message)
    return found


def as_struct(message: dict) -> dict:
    calls = [
        {
            "ID": call.get("id", ""),
            "Function": {"Name": call["function"]["name"], "Arguments": dict(call["function"]["arguments"])},
        }
        for call in message.get("tool_calls") or ()
    ]
    return {
        "Role": message["role"],
        "Content": message.get("content") or "",
        "ToolCalls": calls,
        "ToolCallID": message.get("tool_call_id", ""),
    }


def call_mark(template: str) -> str:
    """What Ollama waits for in a reply before it reads calls from it (tools/template.go).

    It is the first text within the TEMPLATE's first `if` on .ToolCalls, up to a brace; the brace where there is none.
    """
    found = calls_branch(go_template.parse(template).body)
    return first_text(found.body).partition("{")[0].strip() or "{" if found else "{"


def calls_branch(nodes: list[Node]) -> Node | None:
    for node in nodes:
        if node.kind == "if" and ".ToolCalls" in node.words:
            return node
        if found := calls_branch([*node.body, *node.other]):
            return found
    return None


def first_text(nodes: list[Node]) -> str:
    """The first text that is more than blanks, not looked for behind an action."""
    for node in nodes:
        if node.kind in ("if", "range"):
            return first_text(node.body) or first_text(node.other)
        if node.kind == "action" or node.text.strip():
            return node.text
    return ""
