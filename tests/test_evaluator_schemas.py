"""Parameter schemas as others write them: each read as it is meant, or named as bad; nothing is fetched."""

import pytest

import evaluator.schemas
from evaluator.schemas import TYPES, schema_findings


def schema_codes(parameters, arguments):
    return {finding.code for finding, _ in schema_findings(parameters, arguments)}


# schema of the parameter p, value, code
SCHEMAS = [
    ({"type": "dict"}, {}, None),
    ({"type": "dict"}, [], "wrong-type"),
    ({"type": "float"}, 5, None),
    ({"type": "float"}, "5", "wrong-type"),
    ({"type": "tuple", "items": {"type": "float"}}, [1, 2.5], None),
    ({"type": "tuple", "items": {"type": "float"}}, ["1"], "wrong-type"),
    ({"type": "tuple", "items": [{"type": "String"}, {"type": "int"}]}, ["a", 1], None),
    ({"type": "tuple", "items": [{"type": "String"}, {"type": "int"}]}, ["a", "b"], "wrong-type"),
    ({"type": "any"}, [1, {"a": None}], None),
    ({"type": ["any", "null"]}, 5, None),
    ({"type": ["str", "null"]}, None, None),
    ({"type": ["str", "null"]}, 5, "wrong-type"),
    ({"type": "Boolean"}, 1, "wrong-type"),
    ({"type": "HashMap", "properties": {"type": {"type": "Bigint"}}}, {"type": 1}, None),
    ({"type": "HashMap", "properties": {"type": {"type": "Bigint"}}}, {"type": "1"}, "wrong-type"),
    ({"enum": ["dict", "float"]}, "float", None),
    ({"const": {"type": "dict"}}, {"type": "dict"}, None),
    ({"anyOf": [{"type": "int"}, {"type": "str"}]}, 1.5, "no-match"),
    ({"$ref": "#/$defs/q"}, 1, "wrong-type"),
    ({"$ref": "#/$defs/r"}, {"z": 1}, "unknown-parameter"),
    ({"$ref": "#/$defs/loop"}, [[[]]], None),
    ({"$ref": "#/$defs/none"}, 1, "bad-schema"),
    ({"$ref": "http://127.0.0.1:9/x"}, 1, "bad-schema"),
    ({"$ref": "file:///etc/hostname"}, 1, "bad-schema"),
    ({"$ref": 5}, 1, "bad-schema"),
    ({"type": "vector"}, 1, "bad-schema"),
    ({"type": 5}, 1, "bad-schema"),
    ({"type": {}}, 1, "bad-schema"),
    ({"pattern": "("}, "x", "bad-schema"),
    ({"properties": []}, 1, "bad-schema"),
    ({"required": "p"}, 1, "bad-schema"),
    ({"minimum": "a"}, 1, "bad-schema"),
    ({"enum": "a"}, 1, "bad-schema"),
    (5, 1, "bad-schema"),
    (False, 1, "no-match"),
    (True, 1, None),
]


@pytest.mark.parametrize("schema, value, code", SCHEMAS)
def test_schema_is_read_as_it_is_meant_or_named_as_bad(schema, value, code):
    shared = {"q": {"type": "str"}, "r": {"type": "dict", "properties": {}, "additionalProperties": False}}
    loop = {"type": "list", "items": {"$ref": "#/$defs/loop"}}
    parameters = {"type": "dict", "properties": {"p": schema}, "$defs": {**shared, "loop": loop}}
    assert schema_codes(parameters, {"p": value}) == ({code} if code else set())


@pytest.mark.parametrize(
    "parameters", [[], 5, "object", {"type": 5}, {"properties": 5}, {"$schema": "http://nowhere.invalid/x"}]
)
def test_parameters_that_are_no_schema_are_a_finding(parameters):
    assert schema_codes(parameters, {}) == {"bad-schema"}


@pytest.mark.parametrize("parameters", [None, {}, True])
def test_parameters_that_say_nothing_allow_all(parameters):
    assert schema_codes(parameters, {"a": 1}) == set()


def test_every_type_word_leads_to_a_type_of_json_schema():
    meanings = {"object", "array", "number", "integer", "boolean", "string", "null", "any"}
    assert set(TYPES.values()) == meanings and meanings <= TYPES.keys()
    assert [word for word in TYPES if word not in meanings and word not in evaluator.schemas.__doc__] == []
