"""Requests, context objects and last sentences of a row, chosen by seed and filled from slots and results."""

from contextlib import suppress

from lib.synth.seeds import generator, stamp_id
from lib.synth.templates import Gap, Unseen, fill_text, filled_values, sentence_case
from lib.synth.visible import Seen
from lib.toolset import load_toolset

OPENING_SHARE = 0.22  # of requests, how many get words before them that belong to no intent
ASIDE_SHARE = 0.13  # of requests in whole sentences, how many tell of the day around them
ENDING_SHARE = 0.14
ASSURED_SHARE = 0.06  # of last sentences, how many are followed by one that is true of every good answer
PLAIN_ACTS = ("short", "messy")  # these keep their own beginning
ASKED_WORDS = 7  # of the request, in a memory
CONTEXT_WORDS = 14  # a longer filled field is a sign of a slot that does not belong there


def first_that_fills(templates, scope, rng, seen=None):
    """One of the templates, filled; passed over are those that speak of what this row lacks or what was not `seen`."""
    unseen = None
    for template in rng.sample(list(templates), len(templates)):
        try:
            text, values = fill_text(template, scope), filled_values(template, scope)
        except Gap:
            continue
        if seen is None or all(map(seen.shows, values)):
            return text
        unseen = template
    raise Unseen(unseen) if unseen else Gap("no text fits")


def worded(act, template, scope, words, asides, rng):
    """(what is asked, the request): the same, or the request tells before and after it what the day is like."""
    if act in PLAIN_ACTS or not asides or rng.random() >= ASIDE_SHARE:
        asked = request_text(act, template, scope, words, rng)
        return asked, asked
    asked = sentence_case(fill_text(template, scope).strip())
    parts = [rng.choice(asides["before"]), asked]
    if ends_sentence(template):
        parts.append(rng.choice(asides["after"]))
    return asked, " ".join(parts)


def ends_sentence(template):
    """Whether words may follow: where a template ends in a slot, they would become part of the text to be written."""
    return template.rstrip()[-1:] in (".", "!", "?")


def request_text(act, template, scope, words, rng):
    """The user's request, some with a greeting or an ending around it."""
    text = fill_text(template, scope).strip()
    around = words.get("openings") or {}
    if act in PLAIN_ACTS:
        return text
    if rng.random() < OPENING_SHARE and around.get("before"):
        opening = rng.choice(around["before"])
        # A value of the vault keeps its capital, the first word of the template does not.
        goes_on = opening.rstrip()[-1:] not in ".!?:" and template[:1].isalpha() and not text.startswith(("I ", "I'"))
        text = opening + (text[0].lower() + text[1:] if goes_on else text)
    else:
        text = sentence_case(text)
    if rng.random() < ENDING_SHARE and around.get("after") and ends_sentence(template):
        text = f"{text} {rng.choice(around['after'])}"
    return text


def close_text(intent, run, scope, request, words, rng):
    """The last sentence: one of the intent's closes that speaks only of the request and the results."""
    if not intent.plan and intent.kind != "ask":
        return sentence_case(first_that_fills(intent.closes, scope, rng).strip())  # common knowledge, not the vault's
    seen = Seen(request, run.steps)
    text = sentence_case(first_that_fills(intent.closes, {**scope, **run.scope}, rng, seen).strip())
    assured = words.get("assured")
    done = intent.kind in ("act", "lookup", "repair") and run.steps[-1].ok and text.endswith((".", "!"))
    return f"{text} {rng.choice(assured)}" if assured and done and rng.random() < ASSURED_SHARE else text


def host_ids(now, rng):
    """(session id, workspace id) as the host would have given them some time before now (ms)."""
    session = stamp_id("session", now - rng.randrange(60_000, 5_400_000), rng)
    return session, stamp_id("ws", now - rng.randrange(86_400_000, 90 * 86_400_000), rng)


class Context:
    """Makes the context object of each call of one row; the same call number gives the same choices."""

    def __init__(self, key, intent, expanded, scope, words):
        self.key, self.intent, self.scope, self.words = key, intent, scope, words
        self.request = ""  # set once the request is worded
        rng = generator(*key, "context")
        self.session_id, self.workspace_id = host_ids(expanded.vault.now, rng)
        self.description = rng.choice(expanded.themes or (expanded.about or "Working in the vault",))
        # Of the run under way: last call, what was seen, primaryGoal, arguments of this call.
        self.previous = self.seen = self.goal = self.arguments = None

    def __call__(self, number, planned, scope, arguments):
        """The context of call `number`; scope holds the slots and the results so far."""
        self.arguments = arguments
        if number == 0:
            self.seen = Seen(self.request)
            self.goal = self.part("goal", 0, {}, self.scope)
        else:
            self.seen.add({**scope["result"], "called": self.previous[1]})
        context = {
            "sessionId": self.session_id,
            "workspaceId": self.workspace_id,
            "sessionDescription": self.description,
            "sessionMemory": self.memory(number, planned, scope),
            "toolContext": self.part("why", number, planned, scope),
            "primaryGoal": self.goal,
            "subgoal": self.part("subgoal", number, planned, scope),
        }
        self.previous = (planned["tool"], arguments)
        return context

    def memory(self, number, planned, scope):
        """What happened so far: the request at first, then what the previous call brought."""
        rng = generator(*self.key, "memory", number)
        if number and "memory" not in planned:
            tool, arguments = self.previous
            result = scope["result"]
            bank = "failed" if not result.get("success") else tool
            said = (self.words.get("history") or {}).get(bank)
            with suppress(Gap):
                return first_that_fills(said or (), {**scope, "args": arguments, "mode": tool.split("_")[-1]}, rng)
            ended = "fine" if result.get("success") else "with an error"
            return self.with_request(f"{tool.split('_')[-1]} came back {ended}")
        return self.part("memory", number, planned, scope)

    def part(self, name, number, planned, scope):
        """One field: the call's own text, else the intent's, else the tool's from the word banks."""
        rng = generator(*self.key, name, number)
        given = planned.get(name)
        general = (self.words.get(name) or {}).get(str(planned.get("tool", "")), ())
        own = self.intent.context.get(name, ())
        # The intent speaks of its main call; a later call is better described by its tool.
        first, second = (general, own) if number and name in ("why", "subgoal") else (own, general)
        options = given or first or second
        if not options:
            return self.deed(planned, rng)
        options = [options] if isinstance(options, str) else options
        text = first_that_fills(options, {**self.scope, **scope}, rng, self.seen)
        return self.with_request(text) if name == "memory" and text in options else text

    def deed(self, planned, rng):
        """What a call does, by its tool: for calls of a mistake, of which the intent says nothing."""
        known = (self.words.get("deeds") or {}).get(str(planned.get("tool", "")))
        return first_that_fills(known or [self.intent.key.replace("-", " ")], {"args": self.arguments}, rng)

    def with_request(self, text):
        """A memory that names nothing of its own, with the first words of what was asked."""
        words = self.request.replace('"', "").split()[: max(3, min(ASKED_WORDS, CONTEXT_WORDS - len(text.split())))]
        return f"{text}: {' '.join(words).strip('.,:;?!')}"


def too_long(context):
    """The name of a context field with too many words, or None."""
    fields = [key for key in load_toolset().context_fields if not key.endswith("Id")]
    return next((key for key in fields if len(context[key].split()) > CONTEXT_WORDS), None)
