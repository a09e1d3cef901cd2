"""The build: candidates from every intent, the chosen positives, their negatives, both files and their proofs."""

from collections import defaultdict
from dataclasses import dataclass, field

from lib.interleaving import interleave
from lib.synth.kto import choose_negatives, is_decision
from lib.synth.rows import Reject
from lib.synth.seeds import generator
from lib.synth.selection import select
from lib.synth.sketches import SHAPES, shape_of
from lib.synth.workshop import Workers, Workshop, families, said

LEAST_TRIES = 4  # candidates of an intent, however small its share


def plainly(items, **_):
    """No progress bar."""
    return items


def wanted_by_family(material):
    """key -> how many candidates (of twins: sets) to draw: the larger share of both sets, over-generated."""
    quotas = material.quotas
    total = quotas["positives"]
    both = quotas["shapes"], quotas["kto_shapes"]
    shares = {shape: max(part.get(shape, 0) for part in both) for shape in SHAPES}
    cells = defaultdict(lambda: defaultdict(float))  # shape -> tool or intent -> weight
    members = families(material.intents)
    twins = sum(len(intents) > 1 for intents in members.values())
    for key, (first, *more) in members.items():
        if not more:
            cells[shape_of(first.kind, first.plan)][first.tool or key] += first.weight
    wanted = {}
    for key, (first, *more) in members.items():
        if more:
            rows = total * quotas.get("twins", 0) / (1 + len(more)) / twins
        else:
            shape = shape_of(first.kind, first.plan)
            groups = cells[shape]
            rows = total * shares[shape] / len(groups) * first.weight / groups[first.tool or key]
        wanted[key] = max(LEAST_TRIES, round(rows * quotas["overgenerate"]))
    return wanted


def make_candidates(material, funnel, wanted, progress=plainly):
    """Up to `wanted` candidates of every intent, with their runs: for looking at intents."""
    workshop = Workshop(material)
    made = []
    for key in progress(workshop.families, desc="intents"):
        made += [row for rows in workshop.candidates(key, wanted, funnel) for row in rows]
    for row in made:
        funnel.by_intent[row.intent.id]["made"] += 1
    return made


@dataclass(frozen=True)
class Labelled:
    """A chosen row of either label, with what keeps it apart from its kin."""

    item: object  # a Sketch, or a Fault
    label: bool

    @property
    def source(self):
        return self.item if self.label else self.item.source

    def keys(self):
        source = self.source
        return (f"prompt {said(source.request)}", f"plan {source.intent}/{source.binding}")

    @property
    def reason(self):
        return self.source.group if self.label else f"{self.item.family}/{self.item.reason}"


@dataclass
class Built:
    """Both sets in their order, what interleaving left over, and the finished (row, proof) by id."""

    sft: list
    kto: list
    unused: list
    shortages: list
    finished: dict = field(default_factory=dict, repr=False)

    def rows(self, labelled):
        """(row, proof) pairs of one of the sets."""
        return [self.finished[row.item.id] for row in labelled]


def draw(material, workers, funnel, progress):
    """Sets of sketches of every family, none with a request that another has."""
    tasks = list(wanted_by_family(material).items())
    requests = set()
    units = []
    for drawn, own in progress(workers.each("draw", tasks), total=len(tasks), desc="candidates"):
        funnel.add(own)
        for unit in drawn:
            if said(unit[0].request) in requests:
                funnel.reject(unit[0].intent, Reject("duplicate", unit[0].request))
                continue
            requests.add(said(unit[0].request))
            units.append(unit)
            for item in unit:
                funnel.by_intent[item.intent]["made"] += 1
    funnel.stages["new"] = sum(map(len, units))
    return units


def kto_sources(units, sft, kept, count):
    """The positives whose mistakes are looked for: those of both sets, one more for each mistake, more that decide."""
    known = {item.id: item for item in [*kept, *sft]}
    others = [item for unit in units for item in unit if item.id not in known]
    deciding = [item for item in others if is_decision(item.kind, item.twin)]  # they yield few mistakes each
    acting = [item for item in others if not is_decision(item.kind, item.twin)]
    draw = generator("reserve")
    more = draw.sample(deciding, min(len(deciding), count // 2)) + draw.sample(acting, min(len(acting), count))
    return [*known.values(), *more]


def kto_set(units, sft, material, workers, funnel, progress):
    """(interleaved rows, rows left over, shortages)."""
    quotas = material.quotas
    total = quotas.get("kto_positives") or len(sft)
    count = quotas.get("kto_negatives") or total
    preferred = frozenset(item.id for item in sft)
    kept, short = select(units, total, quotas["kto_shapes"], quotas, preferred)
    sources = kto_sources(units, sft, kept, count)
    faults = []
    for found, rejects in progress(workers.each("spoil", sources, 16), total=len(sources), desc="negatives"):
        faults += found
        funnel.rejects.update(rejects)
    funnel.stages["proven wrong"] = len(faults)
    negatives, more = choose_negatives(faults, kept, count, quotas["negatives"], quotas["paired_share"])
    rows = [Labelled(item, True) for item in kept] + [Labelled(item, False) for item in negatives]
    rows = generator("kto").sample(rows, len(rows))
    ordered, unused = interleave(rows, lambda row: row.label, Labelled.keys, lambda row: row.reason)
    return ordered, unused, [f"KTO {text}" for text in [*short, *more]]


def finish(rows, workers, progress):
    """id -> (row, proof) of all chosen rows, each source made once more."""
    wanted = defaultdict(set)
    sources = {}
    for row in rows:
        sources[row.source.id] = row.source
        wanted[row.source.id].add(row.item.id)
    tasks = [(source, frozenset(wanted[name])) for name, source in sources.items()]
    done = progress(workers.each("finish", tasks, 16), total=len(tasks), desc="rows")
    return {name: (row, proof) for made in done for name, row, proof in made}


def build(material, funnel, progress=plainly, workers=1):
    """Both sets as Built; the same bytes for every number of worker processes."""
    quotas = material.quotas
    with Workers(material, workers) as crew:
        units = draw(material, crew, funnel, progress)
        chosen, short = select(units, quotas["positives"], quotas["shapes"], quotas)
        funnel.stages["kept"] = len(chosen)
        order = generator("order").sample(chosen, len(chosen))
        kto, unused, more = kto_set(units, order, material, crew, funnel, progress)
        built = Built([Labelled(item, True) for item in order], kto, unused, short + more)
        built.finished = finish([*built.sft, *built.kto], crew, progress)
    return built
