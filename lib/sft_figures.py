"""The figures of good answers that the gates judge: requests, tools, arguments, contexts and plan, with causes."""

from collections import Counter, defaultdict
from statistics import median, pstdev
from typing import NamedTuple

import numpy as np

from lib import diversity, hygiene, leak
from lib.contamination import contaminated
from lib.errors import CannotRun
from lib.gates import Dataset, Figure, commonest, fewest, more, quoted, share
from lib.mutants.matrix import OPERATORS, whole_matrix
from lib.mutants.seeds import choose_seeds
from lib.synth.plans import texts_given
from lib.toolset import Toolset
from lib.validation import check_lines, check_row


class Asked(NamedTuple):
    """A request with its line, and the texts that its calls were given."""

    line: int
    text: str
    values: tuple[str, ...]


def measure_sft(data: Dataset, toolset: Toolset) -> dict[str, Figure]:
    """Figures of the rows not labelled false; CannotRun when there is none."""
    data = data.only(lambda example: example.label is not False)
    if not data.rows:
        raise CannotRun(f"{data.path}: has no row that is not labelled false.")
    requests = [leak.request_of(example) for example in data.examples]
    bare = [request for request in requests if diversity.is_bare_result(request)]
    asked = [
        Asked(line, text, texts_given(example.calls))
        for line, text, example in zip(data.lines, requests, data.examples, strict=True)
        if not diversity.is_bare_result(text)
    ] or [Asked(0, "", ())]
    again = twins(data, requests)
    figures = _repetition([item for item in asked if item.line not in again]) | _lengths(asked)
    figures |= _phrasing(data, requests)
    figures["bare_results"] = Figure(share(len(bare), len(requests)), tuple(map(quoted, bare[:3])))
    figures |= _tools(data, toolset) | _arguments(data, toolset) | _contexts(data) | _plan(data, toolset)
    figures |= mutants(data, toolset)
    return figures | {"faulty_positives": faulty(data, toolset), "contaminated": contaminated(data)}


def mutants(data: Dataset, toolset: Toolset) -> dict[str, Figure]:
    """How the validator stands faults planted in these rows, and harmless changes of them."""
    seeds = choose_seeds(data.examples, toolset, 1)
    if missing := [name for name, found in seeds.items() if not found]:
        nothing = Figure(None, (f"no row to plant faults in calls {', '.join(missing[:5])}",))
        return {"mutants": nothing, "false_alarms": nothing}
    chosen = [seed for found in seeds.values() for seed in found]
    matrix = whole_matrix(data.examples, chosen, lambda line: check_lines([line], 1, toolset).problems)
    shares = sorted((matrix.share(operator.name) or 0.0, operator.name) for operator in OPERATORS)
    weakest = tuple(f"{name}: {value:.3f}" for value, name in shares[:5] if value < 1)
    alarms = tuple(f"{name}: {problems[0].code}" for name, _, problems in matrix.alarms[:5])
    return {"mutants": Figure(shares[0][0], weakest), "false_alarms": Figure(len(matrix.alarms), alarms)}


def twins(data: Dataset, requests: list[str]) -> set[int]:
    """Lines that ask again, on purpose, what an earlier row asked: the same words where the vault wants other calls."""
    plans: dict[str, set] = defaultdict(set)
    found = set()
    for line, request, proof in zip(data.lines, requests, data.proofs or [], strict=bool(data.proofs)):
        known = plans[diversity.normal(request)]
        if known and proof.get("plan") not in known:
            found.add(line)
        known.add(proof.get("plan"))
    return found


def _repetition(asked: list[Asked]) -> dict[str, Figure]:
    """How much requests repeat each other."""
    texts = [item.text for item in asked]
    normal = Counter(map(diversity.normal, texts))
    chosen = diversity.sample(asked, diversity.MOST)
    some = [item.text for item in chosen]
    skeletons = Counter(diversity.skeleton(item.text, item.values) for item in chosen)
    alike = diversity.near_duplicates(some)
    near = diversity.nearest_by_tfidf(some)
    total = len(some)
    two, three = (commonest(diversity.runs(texts, length), 8) for length in (2, 3))
    return {
        "unique_requests": Figure(len(normal) / len(texts), commonest(repeated(normal))),
        "near_duplicates": Figure(share(sum(item.likeness >= 0.7 for item in alike), total), pairs(chosen, alike, 0.7)),
        "alike": Figure(share(sum(item.likeness >= 0.5 for item in alike), total), pairs(chosen, alike, 0.5)),
        "unique_skeletons": Figure(len(skeletons) / total, commonest(repeated(skeletons))),
        "largest_skeleton": Figure(max(skeletons.values()) / total, commonest(skeletons, 3)),
        "distinct_2": Figure(diversity.mean_of_samples(lambda part: diversity.distinct(part, 2), texts), two),
        "distinct_3": Figure(diversity.mean_of_samples(lambda part: diversity.distinct(part, 3), texts), three),
        "self_bleu": Figure(diversity.mean_of_samples(diversity.self_bleu, texts), three),
        "tfidf_nearest": Figure(float(np.mean([item.likeness for item in near])), pairs(chosen, near, 0)),
        "tfidf_twins": Figure(share(sum(item.likeness >= 0.9 for item in near), total), pairs(chosen, near, 0.9)),
        "openings": Figure(
            len(set(map(diversity.opening, some))) / total, commonest(repeated(Counter(map(diversity.opening, some))))
        ),
        "first_word": _first_word(some),
    }


def _first_word(texts: list[str]) -> Figure:
    words = Counter(diversity.opening(text, 1) for text in texts)
    return Figure(words.most_common(1)[0][1] / len(texts), commonest(words, 12))


def repeated(counts: Counter) -> Counter:
    """The entries that occur more than once."""
    return Counter({key: number for key, number in counts.items() if number > 1})


def pairs(chosen: list[Asked], found: list[diversity.Neighbour], least: float) -> tuple[str, ...]:
    """The nearest pairs of requests, each once."""
    likest = {frozenset((here, item.other)): item.likeness for here, item in enumerate(found) if item.other >= 0}
    ordered = sorted((-likeness, sorted(pair)) for pair, likeness in likest.items() if likeness >= least)
    return tuple(
        f"{-likeness:.2f} lines {' and '.join(str(chosen[place].line) for place in pair)}: "
        + " / ".join(quoted(chosen[place].text) for place in pair)
        for likeness, pair in ordered[:5]
    )


def _lengths(asked: list[Asked]) -> dict[str, Figure]:
    counts = [len(item.text.split()) for item in asked]
    edges = [(1, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, 40), (41, 10**9)]
    spread = tuple(
        f"{low} to {high} words: {sum(low <= count <= high for count in counts)}" if high < 10**9
        else f"more: {sum(low <= count for count in counts)}"
        for low, high in edges
    )  # fmt: skip
    figures = {f"words_p{share}": Figure(diversity.quantile(counts, share / 100), spread) for share in (5, 50, 95)}
    return figures | {"words_sd": Figure(pstdev(counts), spread)}


def _phrasing(data: Dataset, requests: list[str]) -> dict[str, Figure]:
    """Shares of how requests are said; the causes count them by speech act where there are proofs."""
    held = [diversity.phrasing(request) for request in requests]
    acts = [proof.get("act", "") for proof in data.proofs] if data.proofs else [""] * len(held)
    rows = Counter(acts)
    figures = {}
    for name, key in (
        ("questions", "question"), ("lower_case", "lower"), ("polite", "polite"),
        ("first_person", "first_person"), ("imperative", "imperative"),
    ):  # fmt: skip
        found = Counter(act for act, holds in zip(acts, held, strict=True) if key in holds)
        causes = tuple(
            f"{act}: {found[act]} of {rows[act]}" for act in sorted(rows, key=lambda act: -found[act]) if act
        )
        figures[name] = Figure(share(found.total(), len(held)), causes)
    return figures


def _tools(data: Dataset, toolset: Toolset) -> dict[str, Figure]:
    coverage = hygiene.covered(data.examples, toolset)
    positives = {name: coverage.positives(name) for name in toolset.tools}
    calls = hygiene.calls_by_tool(coverage)
    unused = [name for name, count in positives.items() if not count]
    unknown = Counter(coverage.unknown_tools())
    optional, rare = hygiene.rare_parameters(coverage, nested=False)
    inner, rare_inner = hygiene.rare_parameters(coverage, nested=True)
    booleans, lone = hygiene.lone_booleans(coverage)
    values, rare_values = hygiene.rare_values(coverage)
    return {
        "unused_tools": Figure(len(unused), tuple(unused)),
        "fewest_positives": Figure(min(positives.values()), fewest(positives, 10)),
        "median_positives": Figure(median(positives.values()), fewest(positives, 10)),
        "top_five": Figure(share(sum(n for _, n in calls.most_common(5)), calls.total()), commonest(calls)),
        "tool_entropy": Figure(hygiene.entropy(calls.values(), len(toolset.tools)), commonest(calls)),
        "unknown_tools": Figure(unknown.total(), commonest(unknown)),
        "rare_parameters": Figure(len(rare), (f"of {optional}", *fewest(rare, 200))),
        "rare_inner_parameters": Figure(len(rare_inner), (f"of {inner}", *fewest(rare_inner, 200))),
        "lone_booleans": Figure(len(lone), (f"of {booleans}; never given:", *fewest(lone, 200))),
        "rare_values": Figure(len(rare_values), (f"of {values}", *fewest(rare_values, 200))),
    }


def _arguments(data: Dataset, toolset: Toolset) -> dict[str, Figure]:
    texts = hygiene.free_texts(data.examples, toolset)
    used = {key: counts for key, counts in texts.items() if counts.total() >= hygiene.SEEN_ENOUGH}
    unique = hygiene.uniqueness(used)
    lowest = sorted(unique, key=lambda key: unique[key])[:12]
    every = sum(texts.values(), Counter())
    traces = hygiene.trace(data.examples)
    lost = tuple(f"line {data.lines[row]}, {tool}: {quoted(value)}" for row, tool, value in traces.lost[:20])
    return {
        "argument_uniqueness": Figure(
            hygiene.median_of(unique.values()),
            tuple(f"{unique[key]:.2f} {' '.join(key)}: {', '.join(commonest(used[key], 2))}" for key in lowest),
        ),
        "commonest_argument": Figure(share(max(every.values(), default=0), every.total()), commonest(every)),
        "traceable": Figure(traces.share, lost + more(len(traces.lost) - len(lost))),
    }


def _contexts(data: Dataset) -> dict[str, Figure]:
    memories = hygiene.context_values(data.examples, "sessionMemory")
    empty = [row for row, value in memories if value is None or (isinstance(value, str) and not value.strip())]
    odd = [row for row, value in memories if value is not None and not isinstance(value, str)]
    texts = Counter(value for _, value in memories if isinstance(value, str) and value.strip())
    sessions = Counter(value for _, value in set(hygiene.context_values(data.examples, "sessionId")) if value)
    return {
        "empty_memories": Figure(
            share(len(empty), len(memories)), tuple(f"line {data.lines[row]}" for row in empty[:5])
        ),
        "odd_memories": Figure(share(len(odd), len(memories)), tuple(f"line {data.lines[row]}" for row in odd[:5])),
        "unique_memories": Figure(len(texts) / texts.total() if texts else 1.0, commonest(repeated(texts), 10)),
        "session_rows": Figure(max(sessions.values(), default=0), commonest(sessions, 3)),
    }


def _plan(data: Dataset, toolset: Toolset) -> dict[str, Figure]:
    """What only the proofs tell: intents, speech acts and worlds."""
    if not data.proofs:
        return {name: Figure(None) for name in ("fewest_intents", "empty_cells", "rarest_world", "commonest_world")}
    intents = defaultdict(set)
    for proof in data.proofs:
        intents[proof.get("tool")].add(proof.get("intent"))
    counts = {name: len(intents[name]) for name in toolset.tools}
    acts = sorted({proof.get("act", "") for proof in data.proofs})
    filled = Counter((proof.get("tool"), proof.get("act")) for proof in data.proofs)
    empty = Counter({name: sum(not filled[name, act] for act in acts) for name in toolset.tools})
    worlds = Counter(proof.get("world") for proof in data.proofs)
    named = tuple(f"{name}: {number / len(data.proofs):.3f}" for name, number in worlds.most_common())
    cells = tuple(
        f"{name}: {', '.join(act for act in acts if not filled[name, act])}"
        for name, number in empty.most_common(20) if number
    )  # fmt: skip
    return {
        "fewest_intents": Figure(min(counts.values()), fewest({k: n for k, n in counts.items() if n < 6}, 47)),
        "empty_cells": Figure(empty.total(), (f"of {len(acts) * len(counts)}", *cells)),
        "rarest_world": Figure(min(worlds.values()) / len(data.proofs), named),
        "commonest_world": Figure(max(worlds.values()) / len(data.proofs), named),
    }


def faulty(data: Dataset, toolset: Toolset) -> Figure:
    """Positives with a structural error, by the validator's own rules."""
    found = []
    for line, row in zip(data.lines, data.rows, strict=True):
        errors = [fault for fault in check_row(row, toolset)[1] if fault.severity == "error"]
        found += [f"line {line}: {errors[0].code}: {errors[0].message}"] if errors else []
    return Figure(share(len(found), len(data.rows)), tuple(found[:5]) + more(len(found) - 5))
