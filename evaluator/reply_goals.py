"""What a case demands of the closing words and of what the calls showed, beside the state of the vault."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from evaluator.cases import Case
from evaluator.parsing import spoken
from evaluator.values import folded
from lib.toolset import Finding, Toolset
from lib.vault import diff, execute

# A question mark, or the ways to ask without one.
_ASKS = re.compile(
    r"\?|\b(?:tell me|let me know|say|specify|name|give me) (?:an?|the|which|what|where|who|how|its|task)\b"
    r"|\bi need (?:an?|the|to know)\b|\b(?:as soon as|once|when) i (?:know|have)\b"
)
# What closes a reply out of courtesy asks for nothing.
_COURTESY = re.compile(
    r"\b(?:(?:any|some)thing (?:else|more|further)|what (?:else|more|next)|how (?:else )?(?:can|may) i (?:help|assist))"
    r"\b[^.!?\n]*\?"
)
_REFUSES = re.compile(
    r"\b(?:can ?not|can't|could(?: not|n't))\b(?! find (?!(?:an?|any) (?:tool|way|command)\b))"
    r"|\b(?:unable|not able|(?:not|isn't) (?:possible|supported|available|something i|in my power)|impossible)\b"
    r"|\b(?:no|not a|none of my) (?:such )?(?:tools?|way|command|means|access|function)\b|\bhave no\b"
    r"|\bdo(?:es)?(?: not|n't) (?:have|store|keep|offer|allow|support)\b|\bbeyond (?:me|what|my)\b"
    r"|\bout of (?:my )?reach\b|\bnothing (?:that )?i can\b|\bi can only\b"
    r"|\bi must pass\b|\bclosed to me\b"
)
_LATIN = re.compile("[a-z0-9\u00df-\u024f]")  # letters of scripts that put blanks between words
_WORD_END = re.compile(f"(?:e?s)?(?!{_LATIN.pattern})")  # a plural is the same word
_THING = (
    r"(?:note|file|folder|document|workspace|agent|checkpoint|state|command|entry|entries|thing|match(?:e)?|result)s?"
)
_DENIES = re.compile(
    rf"\bno such\b|\bno (?:[^\s.!?]+ ){{0,3}}{_THING}\b|\bthere(?: is|'s| are) (?:no|not an?y?)\b|\b(?:nothing|none)\b"
    r"|(?:\bnot|n't|\bcannot) (?:be |been |yet |even )?(?:find|found|exist|there|see|seen|among|locate|located)\b"
    r"|(?:\bnot|n't) in (?:the|your|my|that|this)\b|\bfound no\b|\bunknown\b"
)


def plain(text: str) -> str:
    """The folded text with straight apostrophes."""
    return folded(text).replace("\u2019", "'")


def says(text: str, word: str) -> bool:
    """Whether the plain text holds the word (or words), also in the plural, but not as a part of another word."""
    word = plain(word)  # searched by hand: to compile a pattern for each word takes longer than all the rest
    begins, last, start = _LATIN.match(word), word[-1:], text.find(word)
    while start >= 0:
        end = start + len(word)
        inside = begins and start and _LATIN.match(text, start - 1)
        if last.isdigit():
            inside = inside or text[end : end + 1].isdecimal()
        elif _LATIN.match(last):
            inside = inside or not _WORD_END.match(text, end)
        if not inside:
            return True
        start = text.find(word, start + 1)
    return False


def lacking(text: str, wanted: Iterable[str | list[str]]) -> list[list[str]]:
    """The entries of which the text holds none of the alternatives."""
    text = plain(text)
    groups = [[entry] if isinstance(entry, str) else entry for entry in wanted]
    return [group for group in groups if not any(says(text, word) for word in group)]


def results_text(results: Iterable[Any]) -> str:
    """All results (or calls) as one text to look words up in; what is nested too deep to be written holds none."""
    return "\n".join(map(_dumped, results))


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False).replace("\\n", "\n")
    except RecursionError:
        return ""


def reply_findings(goal: dict, reply: str) -> list[Finding]:
    """What the closing text lacks, or says although it must not; thoughts count for nothing."""
    reply, findings = spoken(reply), []
    for group in lacking(reply, [*goal.get("reply", []), *goal.get("answers", [])]):
        findings.append(Finding("reply-lacks", f"the reply says none of: {', '.join(group)}", "reply"))
    text = plain(reply)
    for word in goal.get("unsaid", []):
        if says(text, word):
            findings.append(Finding("reply-claims", f"the reply says {word!r}", "reply"))
    asks = goal.get("asks")
    if asks and not _ASKS.search(_COURTESY.sub("", text)):
        findings.append(Finding("no-question", "the reply should ask back", "reply"))
    elif isinstance(asks, list) and lacking(reply, [asks]):
        findings.append(Finding("no-question", f"the reply asks for none of: {', '.join(asks)}", "reply"))
    if goal.get("refuses") and not _REFUSES.search(text):
        findings.append(Finding("no-refusal", "the reply should say that this cannot be done", "reply"))
    if goal.get("denies") and not _DENIES.search(text):
        findings.append(Finding("no-denial", "the reply should say that there is no such thing", "reply"))
    return findings


def looking_findings(case: Case, calls: Sequence, toolset: Toolset) -> list[Finding]:
    """What the calls should have shown and did not, and calls that must not be made."""
    goal, findings = case.goal, []
    first = first_change(case, calls, toolset) if "found" in goal else len(calls)
    early = " before the first change" if first < len(calls) else ""
    for key, until, when in (("answers", len(calls), ""), ("found", first, early)):
        shown = [call for call in calls[:until] if call.result.get("success") is True]
        for group in unshown(shown, goal.get(key, [])):
            findings.append(Finding("not-looked-up", f"no result shows {' or '.join(group)}{when}", "calls"))
    if "looks" in goal:
        asked = results_text(_own(call) for call in calls if not toolset.check(call.name, call.arguments))
        if lacking(asked, [goal["looks"]]):
            findings.append(Finding("not-looked-up", f"no call was about {' or '.join(goal['looks'])}", "calls"))
    for index, call in enumerate(calls):
        if call.name in goal.get("never", []):
            findings.append(Finding("forbidden-call", f"{call.name} must not be called here", f"calls[{index}]"))
    return findings


def first_change(case: Case, calls: Sequence, toolset: Toolset) -> int:
    """The index of the first call that changed something, len(calls) when none did; a batch of reads does not."""
    vault = case.fresh_vault()
    for index, call in enumerate(calls):
        if call.arguments is None or call.name not in toolset.tools:
            continue
        before = vault.clone()
        execute(vault, call.name, call.arguments)
        if toolset.tools[call.name].effect != "read" and diff(before, vault):
            return index
    return len(calls)


def unshown(calls: Iterable, wanted: Iterable[str | list[str]]) -> list[list[str]]:
    """The entries of which no call's result shows an alternative; what a call says itself comes back in its result."""
    missing = list(lacking("", wanted))
    for call in calls:
        if not missing:
            break
        said, shown = plain(results_text([_own(call)])), plain(results_text([call.result]))
        missing = [group for group in missing if not any(says(shown, word) and not says(said, word) for word in group)]
    return missing


def _own(call: Any) -> dict:
    """A call without its context."""
    return {call.name: {name: value for name, value in (call.arguments or {}).items() if name != "context"}}
