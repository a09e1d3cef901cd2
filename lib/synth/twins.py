"""Twins: one request in vaults that differ, each with its own right behaviour after a look-up that both share."""

from itertools import permutations

from lib.synth.faults import Draft, made_calls
from lib.synth.negatives import prove, run_draft
from lib.synth.rows import Reject, make_candidate


def make_row_set(intents, number, worlds, words, limit):
    """The number-th candidates of a twin, or of one intent alone; the Reject when any fails names its intent."""
    rows = []
    for intent in intents:
        try:
            rows.append(make_candidate(intent, number, worlds, words, limit))
        except Reject as error:
            error.intent = intent
            raise
    for one, other in permutations(rows, 2):
        try:
            check_pair(one, other)
        except Reject as error:
            error.intent = one.intent
            raise
    return tuple(rows)


def check_pair(one, other):
    """Refuse candidates that part before a result differs, or of which one would do in the place of the other."""
    if one.request != other.request:
        raise Reject("twin-request", other.request)
    for mine, theirs in zip(one.run.steps, other.run.steps, strict=False):
        if (mine.tool, mine.arguments) != (theirs.tool, theirs.arguments):
            raise Reject("twin-foreknows", f"{mine.tool} before a result differed")
        if without_ids(mine.result) != without_ids(theirs.result):
            break
    else:
        raise Reject("twin-same", "no result differs")
    if swapped(one, other) is None:
        raise Reject("twin-alike", f"{other.intent.id} would do as well: {other.answer[:60]}")


def without_ids(result):
    """A result as far as it tells of the vault."""
    return {key: value for key, value in result.items() if key not in ("sessionId", "workspaceId", "executionTime")}


def swapped(one, other):
    """What is wrong with the calls and the answer of `other` in the vault of `one`; None when they would pass."""
    run = run_draft(one, Draft("decision", "ignores-result", made_calls(other)))
    return prove(one, run, other.answer)
