"""The build: candidates from every intent, the chosen positives, their negatives, both files and their proofs."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from lib.interleaving import interleave
from lib.synth.negatives import ANSWERS, choose_negatives, positive_kind, proven_negatives
from lib.synth.rows import Reject, Worlds, example_row, make_candidate
from lib.synth.seeds import digest, dump_row, generator
from lib.synth.selection import select
from lib.vault import diff, render_diff
from lib.vault import digest as vault_digest

MOST_TRIES = 40  # candidates tried for one wanted, before an intent is given up


@dataclass
class Funnel:
    """Counts of one build, by stage and reject code, with an example of each reject."""

    stages: Counter = field(default_factory=Counter)
    rejects: Counter = field(default_factory=Counter)
    samples: dict = field(default_factory=dict)  # (intent, code) -> detail
    by_intent: dict = field(default_factory=lambda: defaultdict(Counter))

    def reject(self, intent, error):
        self.rejects[error.code] += 1
        self.by_intent[intent.id][error.code] += 1
        self.samples.setdefault((intent.id, error.code), error.detail)


def tries_by_intent(material):
    """How many candidates each intent should yield: its group's quota times the over-generation factor."""
    quotas = material.quotas
    weights = defaultdict(float)
    for intent in material.intents:
        weights[intent.tool or intent.kind] += intent.weight
    answers = quotas["answers"]
    tools = max(1, sum(group not in answers for group in weights))
    share = {group: answers.get(group, (1 - sum(answers.values())) / tools) for group in weights}
    wanted = {}
    for intent in material.intents:
        group = intent.tool or intent.kind
        rows = quotas["positives"] * share[group] * intent.weight / weights[group]
        wanted[intent.id] = max(4, round(rows * quotas["overgenerate"]))
    return wanted


def make_candidates(material, funnel, progress=iter):
    """Every candidate that held, at most one for each request text."""
    quotas = material.quotas
    worlds = Worlds(material, quotas["seeds"])
    wanted = tries_by_intent(material)
    requests = set()
    kept = []
    for intent in progress(material.intents):
        made = 0
        for number in range(wanted[intent.id] * 2):
            if made >= wanted[intent.id]:
                break
            funnel.stages["asked"] += 1
            try:
                candidate = make_candidate(intent, number, worlds, material.words, quotas["max_characters"])
            except Reject as error:
                funnel.reject(intent, error)
                continue
            funnel.stages["held"] += 1
            normal = " ".join(candidate.request.lower().split())
            if normal in requests:
                funnel.reject(intent, Reject("duplicate", candidate.request))
                continue
            requests.add(normal)
            made += 1
            kept.append(candidate)
        funnel.by_intent[intent.id]["made"] = made
    funnel.stages["new"] = len(kept)
    return kept


@dataclass(frozen=True)
class Labelled:
    """A row of either label, with what is needed to write it and to keep it apart from its kin."""

    item: object
    label: bool

    @property
    def source(self):
        return self.item if self.label else self.item.source

    @property
    def prompt(self):
        return " ".join(self.source.request.lower().split())

    @property
    def plan_family(self):
        return f"{self.source.intent.id}/{self.source.binding}"

    def keys(self):
        return (f"prompt {self.prompt}", f"plan {self.plan_family}")

    @property
    def reason(self):
        return f"{self.source.group}" if self.label else f"{self.item.family}/{self.item.reason}"


def row_of(labelled):
    """The dataset row."""
    item = labelled.item
    return example_row(labelled.source.request, item.run, item.answer, labelled.label)


def proof_of(labelled, row):
    """What a recheck needs to replay the row, and what the run did to the vault."""
    item, source = labelled.item, labelled.source
    origin = {
        "intent": source.intent.id,
        "kind": source.intent.kind,
        "tool": source.tool,
        "act": source.act,
        "world": source.expanded.world,
        "seed": source.expanded.seed,
    }
    proof = proof_of_run(item.id, row, labelled.label, origin, item.run)
    if not labelled.label:
        proof |= {"source": source.id, "family": item.family, "reason": item.reason, "proof": list(item.proof)}
    return proof


def proof_of_run(identity, row, label, origin, run):
    """The proof of a row that says what `run` did; origin: where it comes from, its world and seed among it."""
    return {
        "id": identity,
        "row": digest(dump_row(row), length=32),
        "label": label,
        **origin,
        "plan": digest([step.key for step in run.steps]),
        "before": vault_digest(run.before),
        "after": vault_digest(run.after),
        "diff": render_diff(changes(run)),
    }


def changes(run):
    """What the run changed; traces and times alone are no change."""
    return diff(run.before, run.after)


def kto_rows(positives, reserve, material, funnel, progress=iter):
    """Interleaved positives and proven negatives, and what found no place."""
    quotas = material.quotas
    wanted = quotas.get("kto_positives") or len(positives)
    count = quotas.get("kto_negatives") or wanted
    rng = generator("kto")
    kept = rng.sample(positives, min(wanted, len(positives)))
    others = [item for item in reserve if item.run.steps or item.intent.wrong]
    sources = rng.sample(kept, len(kept)) + rng.sample(others, min(len(others), count))
    pools = {}
    rejects = Counter()
    for source in progress(sources):
        pools[source.id] = proven_negatives(source, material.words, quotas["max_characters"], rejects)
    funnel.rejects.update(rejects)
    funnel.stages["proven wrong"] = sum(map(len, pools.values()))
    negatives = balanced_negatives(kept, pools, count, quotas)
    rows = [Labelled(item, True) for item in kept] + [Labelled(item, False) for item in negatives]
    rows = rng.sample(rows, len(rows))
    return interleave(rows, lambda row: row.label, Labelled.keys, lambda row: row.reason)


def balanced_negatives(kept, pools, count, quotas):
    """Negatives that mirror the positives: as many for each tool, and for each kind of answer without a call."""
    own = {item.id for item in kept}
    groups = Counter(item.group for item in kept)
    answers = Counter(positive_kind(item) for item in kept)
    negatives = []
    for share, members in ((quotas["paired_share"], own), (1, pools.keys() - own)):
        chosen = Counter(item.source.group for item in negatives)
        done = Counter(item.answer_kind for item in negatives)
        scale = count / len(kept)
        wanted = {group: round((number * scale - chosen[group]) * share) for group, number in groups.items()}
        kinds = {kind: round((answers[kind] * scale - done[kind]) * share) for kind in ANSWERS}
        pool = {key: pools[key] for key in sorted(members)}
        negatives += choose_negatives(pool, {g: max(0, n) for g, n in wanted.items()}, quotas["negatives"], kinds)
    return negatives


def build(material, funnel, progress=iter):
    """(SFT rows, KTO rows, KTO rows left over), all as Labelled."""
    quotas = material.quotas
    candidates = make_candidates(material, funnel, progress)
    chosen = select(candidates, quotas["positives"], quotas["answers"], quotas["caps"])
    funnel.stages["kept"] = len(chosen)
    order = generator("order").sample(chosen, len(chosen))
    taken = {item.id for item in chosen}
    reserve = [item for item in candidates if item.id not in taken]
    kto, unused = kto_rows(order, reserve, material, funnel, progress)
    return [Labelled(item, True) for item in order], kto, unused
