"""Before a run: does the server give the same text again, does it honour the seed, does a second request change it?

A batch is summed up in another order than a lone request, and cached prompts are not quite what is computed anew; at a
close call the likeliest token is then another one. Who compares runs has to know, and who wants the same text again
must ask one request at a time.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from evaluator.bfcl import Question
from evaluator.cases import Case
from evaluator.conversation import STOP_AT_RESULT, Asking
from evaluator.replies import Sampling
from lib.transport import Fault, with_retries

TOKENS = 64  # of each answer: long enough for a close call, short enough not to be felt
MOST = 4  # prompts asked alone and then at once
WARM = 1.0  # temperature at which a seed shows
UNKNOWN = ("connection", "timeout", "server-gone")  # faults that tell nothing about the text


@dataclass(frozen=True)
class Probe:
    """What was found; None: it could not be told.

    repeats: the same request gave the same text; seed: a warm request gives the same text with its seed, another with
    another; steady: prompts asked at once gave the text that each gave alone. asked: how many at once.
    """

    repeats: bool | None
    seed: bool | None
    steady: bool | None
    asked: int

    def says(self) -> str:
        """One sentence."""
        words = {
            "the same request gives": {True: "the same text again", False: "another text at times"},
            "a seed is": {True: "honoured", False: "ignored"},
            f"{self.asked} requests at once": {True: "change no text", False: "change the text"},
        }
        found = zip(words.items(), (self.repeats, self.seed, self.steady), strict=True)
        said = [f"{subject} {answers[value]}" for (subject, answers), value in found if value is not None]
        return ", ".join(said) or "the server could not be probed"

    def parallel(self, wanted: int) -> int:
        """How many requests at once: one alone where that is all that keeps the text the same."""
        return 1 if self.repeats and self.steady is False else wanted


def probe(cases: Sequence[Case | Question], asking: Asking, form: str, parallel: int) -> Probe:
    """Asks the first cases alone, again, at once, and with other seeds; nothing of it counts as an attempt."""
    sampling = replace(asking.sampling, max_tokens=min(TOKENS, asking.sampling.max_tokens))
    first, *others = list(cases)[: max(1, min(MOST, parallel))]

    def text(case: Case | Question, how: Sampling = sampling) -> str | None:
        return _text(case, replace(asking, sampling=how), form)

    alone = [text(first)]
    if alone[0] is None:
        return Probe(None, None, None, 1)
    asked = [first, *others]
    alone += [text(case) for case in others]
    # The other way round, so that each prompt finds another one in the cache than before.
    again = [text(case) for case in reversed(asked)][::-1]
    steady = None
    if others:
        with ThreadPoolExecutor(len(asked)) as pool:
            steady = _all(map(_same, alone, pool.map(text, asked)))
    return Probe(
        _all(map(_same, alone, again)), _honours_seed(lambda how: text(first, how), sampling), steady, len(asked)
    )


def _honours_seed(text: Callable[[Sampling], str | None], sampling: Sampling) -> bool | None:
    """None also where a model is so sure that another seed gives the same text."""
    warm = replace(sampling, temperature=WARM, top_p=1.0)
    once, again = text(warm), text(warm)
    same = _same(once, again)
    if not same:
        return same
    others = (text(replace(warm, seed=sampling.seed + more)) for more in (1, 2, 3))
    return True if any(_same(once, other) is False for other in others) else None


def _text(case: Case | Question, asking: Asking, form: str) -> str | None:
    """What the server made of the case's first turn, its calls included and their ids left out; None: no answer."""
    backend = asking.backend

    def ask():
        if form == "text":
            return backend.go_on(case.question, "", asking.sampling, STOP_AT_RESULT)
        return backend.chat(list(case.messages), list(case.functions) or asking.toolset.openai_tools(), asking.sampling)

    try:
        reply = with_retries(ask, asking.sleep)
    except Fault as fault:
        return None if fault.code in UNKNOWN or fault.retry else fault.text or str(fault)
    calls = [call.get("function") for call in reply.tool_calls if isinstance(call, dict)]
    return json.dumps([reply.text, calls, reply.finish])


def _same(one: str | None, other: str | None) -> bool | None:
    return None if one is None or other is None else one == other


def _all(found) -> bool | None:
    """False when one is, None when one cannot be told, else True."""
    found = list(found)
    return False if False in found else None if None in found else True
