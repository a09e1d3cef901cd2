"""A teacher's reply read: the JSON object in it, its shape, its calls with a full context, its words."""

import json
import re

from lib.synth.prompts import reply_schema
from lib.synth.rows import Reject
from lib.synth.templates import PLACEHOLDER

UNFILLED = re.compile(rf"{PLACEHOLDER.pattern}|\[(?:your|insert)[^\]]*\]", re.IGNORECASE)
A_WORD = re.compile(r"[^\W\d_]{2,}")
THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
ONE_CONTEXT = ("sessionDescription", "primaryGoal")  # said alike in all calls of a row


def no_number(name):
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(strict=False, parse_constant=no_number)


def read_object(answer) -> dict:
    """The JSON object in a reply: alone, in a fence, or among other words."""
    import orjson

    text = THOUGHT.sub("", answer.text).strip()
    try:
        found, _ = DECODER.raw_decode(text, text.index("{"))
        orjson.dumps(found)  # refuses what other readers of JSON would: half characters, huge numbers, deep nests
        return found
    except (ValueError, TypeError, RecursionError):
        seen = "cut off at the limit of tokens" if answer.cut else text[:80] or "an empty reply"
        raise Reject("not-json", seen) from None


def read_reply(answer, shape) -> dict:
    """The reply as an object of the wanted shape."""
    import jsonschema_rs

    schema = reply_schema(shape)
    reply = {name: part for name, part in read_object(answer).items() if name in schema["properties"]}
    errors = jsonschema_rs.validator_for(schema).iter_errors(reply)
    first = next(iter(errors), None)
    if first is not None:
        place = ".".join(map(str, first.instance_path))
        raise Reject("schema", f"{place or 'the reply'}: {first.message}"[:200])
    return reply


def with_context(call, ids, shared, toolset) -> tuple[str, dict]:
    """(tool, arguments) with a full context: the teacher's words, the engine's ids."""
    tool, arguments = call["tool"], dict(call.get("arguments") or {})
    words = arguments.pop("context", None)
    words = words if isinstance(words, dict) else {}
    for name in ONE_CONTEXT:
        shared.setdefault(name, words.get(name))
    context = {**words, **shared, **ids}
    context = {name: context[name] for name in toolset.context_fields if context.get(name) is not None}
    return tool, {"context": context, **arguments}


def check_text(what, text, words=2):
    """Refuse a text that is no language: too few words, a slot left open, characters that nobody sees."""
    if len(A_WORD.findall(text)) < words or UNFILLED.search(text) or not text.replace("\n", "").isprintable():
        raise Reject("schema", f"{what}: {text[:60]!r}")
