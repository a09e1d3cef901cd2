"""Regular expressions written by a model: compiled only when they cannot run for ages."""

import re
from re import _constants, _parser

MAX_OPEN_REPEATS = 4
MAX_LENGTH = 200


def compile_regex(text: str) -> re.Pattern | None:
    """The pattern, without case; None when it is no valid regex. One that may backtrack for ages raises ValueError."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the pattern is longer than {MAX_LENGTH} characters")
    try:
        tree = _parser.parse(text, re.IGNORECASE)
        pattern = re.compile(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError):
        return None
    if _open_repeats(tree, inside=False) > MAX_OPEN_REPEATS:
        raise ValueError(f"the pattern has more than {MAX_OPEN_REPEATS} open repeats")
    return pattern


def _open_repeats(tree, inside: bool) -> int:
    """How many repeats of open length a pattern has; nested ones raise ValueError."""
    count = 0
    for operation, argument in _operations(tree):
        repeats = operation in (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
        varies = repeats and argument[0] != argument[1]
        long = repeats and argument[1] > 1
        if inside and (varies or operation is _constants.BRANCH):
            raise ValueError("the pattern repeats what itself varies")
        if operation is _constants.GROUPREF:
            raise ValueError("the pattern refers back to a group")
        count += varies and long
        for part in _parts(operation, argument):
            count += _open_repeats(part, inside or long)
    return count


def _operations(tree) -> list:
    return list(tree)


def _parts(operation, argument) -> list:
    """The patterns inside one parsed operation."""
    found, waiting = [], [argument]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _parser.SubPattern):
            found.append(item)
        elif isinstance(item, (list, tuple)) and operation is not _constants.IN:
            waiting.extend(item)
    return found
