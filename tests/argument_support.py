"""Cases for the argument checker's tests: three tools, and short names for calls of them."""

from evaluator.argument_checker import check_row

TEXT, INTEGER, NUMBER, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
LIST = {"type": "array", "items": TEXT}
PLACE = {"type": "object", "properties": {"city": TEXT, "zip": TEXT}}
PROPERTIES = {"s": TEXT, "n": INTEGER, "x": NUMBER, "b": FLAG, "l": LIST, "d": PLACE, "o": TEXT, "free": {}}
F = {"name": "f", "parameters": {"type": "object", "properties": PROPERTIES}}
G = {"name": "g", "parameters": {"type": "object", "properties": PROPERTIES, "required": ["s"]}, "effect": "read"}
DROP = {"name": "drop", "parameters": {"type": "object", "properties": {"s": TEXT}}, "effect": "destructive"}


def row(expected, calls, tools=(F, G, DROP), **more):
    made = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return {"id": "c", "tools": list(tools), "expected": expected, "calls": made, **more}


def codes(case, mode="exact"):
    verdict = check_row(case, mode)
    assert verdict["valid"] is (not verdict["findings"]) and verdict["id"] == case["id"]
    return {finding["code"] for finding in verdict["findings"]}


A1, A2, B1 = ("f", {"n": 1}), ("f", {"n": 2}), ("g", {"s": "x"})
WANT_A1, WANT_ANY, WANT_B = {"f": {"n": [1]}}, {"f": {"n": [1, 2]}}, {"g": {"s": ["x"]}}
