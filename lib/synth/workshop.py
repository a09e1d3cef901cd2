"""The work of a build in pieces, each the same in whatever process it is done: candidates, negatives, finished rows."""

import multiprocessing
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat

from lib.synth.negatives import proven_negatives
from lib.synth.replay import proof_of_run
from lib.synth.rows import Reject, Worlds, example_row
from lib.synth.sketches import fault, sketch
from lib.synth.twins import make_row_set

TRIES = 2  # for one candidate wanted, before an intent is given up


@dataclass
class Funnel:
    """Counts of one build, by stage and reject code, with an example of each reject."""

    stages: Counter = field(default_factory=Counter)
    rejects: Counter = field(default_factory=Counter)
    samples: dict = field(default_factory=dict)  # (intent, code) -> detail
    by_intent: dict = field(default_factory=lambda: defaultdict(Counter))

    def reject(self, intent, error):
        self.rejects[error.code] += 1
        self.by_intent[intent][error.code] += 1
        self.samples.setdefault((intent, error.code), error.detail)

    def add(self, other):
        self.stages.update(other.stages)
        self.rejects.update(other.rejects)
        self.samples = {**other.samples, **self.samples}
        for intent, counts in other.by_intent.items():
            self.by_intent[intent].update(counts)


def said(request):
    """A request without case and blanks: two that are equal so are duplicates."""
    return " ".join(request.lower().split())


def families(intents):
    """key -> the intents that are drawn together: those of a twin, or one alone."""
    found = defaultdict(list)
    for intent in intents:
        found[intent.key].append(intent)
    return {key: tuple(members) for key, members in found.items()}


class Workshop:
    """Makes candidates, negatives and rows of one material."""

    def __init__(self, material):
        self.material = material
        self.worlds = Worlds(material, material.quotas["seeds"])
        self.families = families(material.intents)

    def make(self, key, number):
        """The number-th candidates of a family; raises Reject."""
        limit = self.material.quotas["max_characters"]
        return make_row_set(self.families[key], number, self.worlds, self.material.words, limit)

    def candidates(self, key, wanted, funnel):
        """Up to `wanted` sets of candidates of a family, no request twice."""
        requests = set()
        for number in range(wanted * TRIES):
            if len(requests) >= wanted:
                return
            funnel.stages["asked"] += len(self.families[key])
            try:
                rows = self.make(key, number)
            except Reject as error:
                funnel.reject(error.intent.id, error)
                continue
            funnel.stages["held"] += len(rows)
            if said(rows[0].request) in requests:
                funnel.reject(rows[0].intent.id, Reject("duplicate", rows[0].request))
                continue
            requests.add(said(rows[0].request))
            yield rows

    def draw(self, task):
        """(sets of sketches, funnel) of one family; task: (key, how many)."""
        funnel = Funnel()
        return [tuple(map(sketch, rows)) for rows in self.candidates(*task, funnel)], funnel

    def candidate(self, source):
        """The candidate of a sketch, made again."""
        return next(row for row in self.make(source.key, source.number) if row.intent.id == source.intent)

    def negatives(self, candidate):
        rejects = Counter()
        limit = self.material.quotas["max_characters"]
        return proven_negatives(candidate, self.material.words, limit, rejects), rejects

    def spoil(self, source):
        """(sketches of all proven negatives of a positive, rejects by code)."""
        found, rejects = self.negatives(self.candidate(source))
        return [fault(negative, source) for negative in found], rejects

    def finish(self, task):
        """[(id, row, proof), ...] of a positive and of some negatives made from it; task: (sketch, wanted ids)."""
        source, wanted = task
        candidate = self.candidate(source)
        made = [candidate] if source.id in wanted else []
        if wanted - {source.id}:
            made += [negative for negative in self.negatives(candidate)[0] if negative.id in wanted]
        return [(item.id, *row_and_proof(item, candidate)) for item in made]


def row_and_proof(item, source):
    """The dataset row of a positive (item is source) or negative, and what a recheck needs to replay it."""
    label = item is source
    run = item.run
    row = example_row(source.request, run, item.answer, label)
    origin = {
        "intent": source.intent.id,
        "kind": source.intent.kind,
        "tool": source.tool,
        "act": source.act,
        "world": source.expanded.world,
        "seed": source.expanded.seed,
    }
    proof = proof_of_run(item.id, row, label, origin, run)
    if source.intent.twin:
        proof["twin"] = f"{source.intent.twin}/{source.number}"
    if source.given:
        proof["given"] = source.given
    if not label:
        proof |= {"source": source.id, "family": item.family, "reason": item.reason, "proof": list(item.proof)}
    return row, proof


# ------------------------------------------------------------------------------- many processes

mine = None  # the Workshop of a worker process


def open_workshop(material):
    global mine
    mine = Workshop(material)


def work(name, task):
    return getattr(mine, name)(task)


class Workers:
    """Does the work of a Workshop in some processes, results in the order of their tasks."""

    def __init__(self, material, count=1):
        self.own = Workshop(material) if count == 1 else None
        self.pool = None
        if count > 1:
            context = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(count, context, open_workshop, (material,))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def each(self, name, tasks, chunk=1):
        """What the Workshop's method gives for each task."""
        if self.own:
            return map(getattr(self.own, name), tasks)
        return self.pool.map(work, repeat(name), tasks, chunksize=chunk)
