"""The figures of a KTO set that the gates judge: what gives its labels away, order, pairs and proofs, with causes."""

from collections import Counter, defaultdict

import numpy as np

from lib import leak
from lib.batches import label_grouped, order_report
from lib.chat import Example, Result, Text, dump_arguments
from lib.contamination import contaminated
from lib.errors import CannotRun
from lib.gates import Dataset, Figure, more, share
from lib.interleaving import BATCH_SIZES, GAP, close_pairs, shared_prompt_partners
from lib.leak import Shapes
from lib.sft_figures import faulty
from lib.synth.kto import is_decision
from lib.synth.seeds import digest, dump_row
from lib.toolset import Toolset, without_context

FAMILY_ENOUGH = 100  # negatives that a reason family needs to be probed by itself
KIND_ENOUGH = 20  # rows that a kind of answer needs before its share of true rows says anything
BATCH = 4  # the batch size of the one-label count
HOST_FIELDS = ("sessionId", "workspaceId")  # of a result: the host's own
SEED = 17  # of the trainer's plan


def measure_kto(data: Dataset, toolset: Toolset) -> tuple[dict[str, Figure], Shapes]:
    """Figures of the labelled rows, and their shapes; CannotRun unless both labels occur."""
    data = data.only(lambda example: example.label is not None)
    if len({example.label for example in data.examples}) < 2:
        raise CannotRun(f"{data.path}: needs rows of both labels, true and false.")
    shapes = leak.shapes_of(data.examples, toolset.context_fields)
    figures = _probes(data, shapes) | _single_features(data, shapes) | _kinds(data, shapes)
    figures |= _order(data, shapes) | _pairs(data, shapes, toolset)
    figures |= {"proven_negatives": _proven(data), "decision_rows": _decisions(data)}
    figures["contaminated"] = contaminated(data)
    return figures | {"faulty_positives": faulty(data.only(lambda example: example.label is True), toolset)}, shapes


def built_up(steps: list[tuple[str, float]]) -> tuple[str, ...]:
    """How the probe's AUC builds up, feature by feature."""
    return tuple(f"{'+ ' if place else ''}{name}: {value:.3f}" for place, (name, value) in enumerate(steps))


def _probes(data: Dataset, shapes: Shapes) -> dict[str, Figure]:
    own = shapes.features([name for name in shapes.names if name not in leak.SHOWN])
    plain = shapes.features(leak.PLAIN)
    families = family_probes(data, shapes)
    worst = max((value for value, _ in families.values()), default=None)
    named = sorted(families.items(), key=lambda item: -item[1][0])
    return {
        "probe": Figure(leak.probe(shapes), built_up(leak.telling(shapes))),
        "plain_probe": Figure(leak.probe(plain), built_up(leak.telling(plain))),
        "own_probe": Figure(leak.probe(own), built_up(leak.telling(own))),
        "family_probe": Figure(worst, tuple(f"{name}: {value:.3f} ({why})" for name, (value, why) in named)),
    }


def family_probes(data: Dataset, shapes: Shapes) -> dict[str, tuple[float, str]]:
    """family -> (AUC of its rows against true rows of the same kinds of answer, what tells them apart)."""
    families = [proof.get("family") for proof in data.proofs or []]
    found = {}
    for name, count in sorted(Counter(filter(None, families)).items()):
        if count >= FAMILY_ENOUGH:
            part = shapes.only(np.array([family in (None, name) for family in families]))
            weights = leak.like_kinds(part)
            features = ", ".join(built_up(leak.telling(part, weights, 4)))
            found[name] = (leak.probe(part, weights), f"{count} rows; {features}")
    return found


def _single_features(data: Dataset, shapes: Shapes) -> dict[str, Figure]:
    calling = shapes.only(shapes.column("call present") > 0)
    families = [proof.get("family") for proof in data.proofs or [{}] * len(data.rows)]
    accuracy, rule = leak.best_rule(shapes.only(np.array([family != "schema" for family in families])))
    accuracy_all, rule_all = leak.best_rule(shapes)
    name = "sessionMemory characters"
    memory = Figure(None)
    if name in shapes.names and len(calling.labels):
        memory = Figure(leak.auc(calling.column(name), calling.labels), means(calling, name))
    return {
        "answer_length": Figure(
            leak.auc(shapes.column("answer characters"), shapes.labels), means(shapes, "answer characters", families)
        ),
        "memory_length": memory,
        "one_rule": Figure(accuracy, (rule,)),
        "one_rule_all": Figure(accuracy_all, (rule_all,)),
    }


def means(shapes: Shapes, name: str, families=()) -> tuple[str, ...]:
    """The median of a feature by label, and by reason family where there are any."""
    values, labels = shapes.column(name), shapes.labels
    groups = {"true": labels, "false": ~labels}
    for family in sorted(set(filter(None, families))):
        groups[f"false, {family}"] = np.array([other == family for other in families])
    return tuple(f"median, {group}: {np.median(values[rows]):g}" for group, rows in groups.items())


def _kinds(data: Dataset, shapes: Shapes) -> dict[str, Figure]:
    found = leak.true_by_kind(shapes)
    figures = {}
    for kind in leak.KINDS:
        rows, true = found.get(kind, (0, 0))
        figures[f"true_{kind}"] = Figure(
            share(true, rows) if rows >= KIND_ENOUGH else None, (f"{true} of {rows} rows",)
        )
    failed = [example for example in data.examples if any(map(is_failure, leak.answer_parts(example)))]
    true = sum(example.label is True for example in failed)
    cause = (f"{true} of {len(failed)} rows",)
    return figures | {"true_failed": Figure(share(true, len(failed)) if failed else None, cause)}


def is_failure(part) -> bool:
    """Whether a part is the result of a call that failed."""
    return isinstance(part, Result) and isinstance(part.content, dict) and part.content.get("success") is False


def _order(data: Dataset, shapes: Shapes) -> dict[str, Figure]:
    labels, groups, lines = shapes.labels.tolist(), shapes.groups, data.lines
    places = range(len(labels))
    same = [lines[i] for i in places[1:] if labels[i] == labels[i - 1]]
    partners = shared_prompt_partners(places, groups.__getitem__)
    one_label = [i for i in range(0, len(labels) - 1, BATCH) if len(set(labels[i : i + BATCH])) == 1]
    near = close_pairs(places, lambda place: (groups[place],), GAP)
    lengths = shapes.column("answer characters").astype(int).tolist()
    planned = {
        size: order_report(label_grouped(lengths, labels, groups, size, SEED), labels, groups) for size in BATCH_SIZES
    }
    clashes = {size: report["same_prompt_partners"] for size, report in planned.items()}
    lone = {size: report["one_label_batches"] for size, report in planned.items()}
    return {
        "not_alternating": Figure(len(same), at_lines(same)),
        "same_prompt_partners": Figure(len(partners), tuple(f"batch {b}: line {lines[i]}" for b, i in partners[:5])),
        "one_label_batches": Figure(len(one_label), at_lines([lines[i] for i in one_label])),
        "planned_partners": Figure(sum(clashes.values()), tuple(f"batch {b}: {n}" for b, n in clashes.items())),
        "planned_one_label": Figure(sum(lone.values()), tuple(f"batch {b}: {n}" for b, n in lone.items())),
        "close_pairs": Figure(len(near), tuple(f"lines {lines[i]} and {lines[j]}" for i, j in near[:5])),
    }


def at_lines(lines: list[int]) -> tuple[str, ...]:
    """The first few lines in words."""
    return tuple(f"line {line}" for line in lines[:5]) + more(len(lines) - 5)


def _proven(data: Dataset) -> Figure:
    """Negatives whose proof names a reason and was made for these bytes."""
    negatives = [place for place, example in enumerate(data.examples) if example.label is False]
    if not data.proofs:
        return Figure(0.0, (f"there is no {data.path.with_suffix('.proof.jsonl').name}",))
    bad = []
    for place in negatives:
        proof = data.proofs[place]
        if not (proof.get("reason") and proof.get("proof") and proof.get("label") is False):
            bad.append(f"line {data.lines[place]}: no reason")
        elif proof.get("row") != digest(dump_row(data.rows[place]), length=32):
            bad.append(f"line {data.lines[place]}: proved for other bytes")
    return Figure(1 - share(len(bad), len(negatives)), tuple(bad[:5]) + more(len(bad) - 5))


def _decisions(data: Dataset) -> Figure:
    """Share of the rows that teach whether to act: by kind and twin of a positive, by the mistake in a negative."""
    proofs = data.proofs or []
    found = [is_decision(proof.get("kind"), proof.get("twin"), proof.get("family")) for proof in proofs]
    return Figure(share(sum(found), len(found)) if found else None, (f"{sum(found)} of {len(found)} rows",))


def _pairs(data: Dataset, shapes: Shapes, toolset: Toolset) -> dict[str, Figure]:
    """Negatives that share a request with a positive, and those that say the very same."""
    good = defaultdict(set)
    for group, example in zip(shapes.groups, data.examples, strict=True):
        if example.label is True:
            good[group].add(said(example))
    negatives = [place for place, label in enumerate(shapes.labels) if not label]
    paired = [place for place in negatives if shapes.groups[place] in good]
    same = [
        data.lines[place]
        for place in paired
        if said(data.examples[place]) in good[shapes.groups[place]]
        and not any(toolset.check(call.name, call.arguments) for call in data.examples[place].calls)
    ]
    cause = (f"{len(paired)} of {len(negatives)} negatives",)
    return {
        "same_answers": Figure(len(same), at_lines(same)),
        "paired_negatives": Figure(share(len(paired), len(negatives)), cause),
    }


def said(example: Example) -> tuple:
    """An answer without contexts: its calls, words and results, since twins answer one request in two vaults."""
    parts = []
    for part in leak.answer_parts(example):
        if isinstance(part, Text):
            parts.append(leak.normal(part.text))
        elif isinstance(part, Result):
            shown = part.content if isinstance(part.content, dict) else {"": part.content}
            parts.append(dump_arguments({key: value for key, value in shown.items() if key not in HOST_FIELDS}))
        else:
            own = without_context(part.arguments)
            parts.append((part.name, dump_arguments(dict(sorted(own.items())))))
    return tuple(parts)
