"""What a build did, as tables for people."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from lib.synth.kto import is_decision, separation
from lib.synth.rows import example_row
from lib.synth.seeds import dump_row
from lib.synth.sketches import ANSWERS


def counted(counter, most=None):
    return ", ".join(f"{name} {count}" for name, count in counter.most_common(most))


def print_build(material, funnel, built):
    """The funnel, rows by shape and tool, negatives by reason, what was short, and silent intents, on stderr."""
    console = Console(stderr=True, width=140)
    stages = ("asked", "held", "new", "kept", "proven wrong")
    console.print("  ->  ".join(f"{name} {funnel.stages[name]}" for name in stages))
    console.print(f"rejects: {counted(funnel.rejects)}")
    sft = [row.item for row in built.sft]
    console.print(f"shapes: {counted(Counter(item.shape for item in sft))}, in pairs {sum(bool(i.twin) for i in sft)}")
    tools = Counter(item.group for item in sft)
    console.print(f"positives, fewest first: {', '.join(f'{name} {n}' for name, n in reversed(tools.most_common()))}")
    calls = Counter(tool for item in sft for tool in item.tools)
    console.print(f"calls: {calls.total()}, most called: {counted(calls, 5)}")
    console.print(f"worlds: {counted(Counter(item.world for item in sft))}")
    print_kto(console, built.kto)
    if built.unused:
        console.print(f"left over by interleaving: {len(built.unused)}")
    for text in built.shortages:
        console.print(f"[yellow]short:[/] {text}", highlight=False)
    silent = [intent.id for intent in material.intents if not funnel.by_intent[intent.id]["made"]]
    for name in silent:
        console.print(f"[yellow]{name} yields nothing:[/] {reasons_of(funnel, name)}", highlight=False)


def print_kto(console, rows):
    """Families, reasons, and how the two labels compare."""
    true = [row.item for row in rows if row.label]
    false = [row.item for row in rows if not row.label]
    console.print(f"KTO shapes: {counted(Counter(item.shape for item in true))}")
    console.print(f"negatives: {counted(Counter(item.family for item in false))}")
    console.print(f"reasons: {counted(Counter(item.reason for item in false))}")
    kinds = Counter((row.item.answer_kind, row.label) for row in rows)
    console.print("answers, true/false: " + ", ".join(
        f"{kind} {kinds[kind, True]}/{kinds[kind, False]}" for kind in ("call", *ANSWERS)
    ))  # fmt: skip
    families = [None if row.label else row.item.family for row in rows]
    known = [(row.source.kind, row.source.twin) for row in rows]
    decisions = sum(is_decision(*own, family) for own, family in zip(known, families, strict=True))
    console.print(f"decision rows: {decisions} of {len(rows)}")
    told = separation(true, false)
    console.print("labels told apart by (0.5: not at all): " + ", ".join(f"{k} {v:.2f}" for k, v in told.items()))


def reasons_of(funnel, name):
    counts = Counter({code: n for code, n in funnel.by_intent[name].items() if code != "made"})
    return "; ".join(f"{code} {n} ({str(funnel.samples.get((name, code)))[:90]})" for code, n in counts.most_common(4))


def print_trial(intents, candidates, funnel, show):
    """For each intent: how many rows, the rejects with an example of each, and some rows in full, on stdout."""
    table = Table("intent", "rows", "rejects (an example of each)", box=None, pad_edge=False)
    for intent in intents:
        table.add_row(intent.id, str(funnel.by_intent[intent.id]["made"]), reasons_of(funnel, intent.id))
    console = Console(width=200)
    for intent in intents:
        for item in [item for item in candidates if item.intent.id == intent.id][:show]:
            row = example_row(item.request, item.run, item.answer, True)
            console.rule(f"{intent.id} in {item.expanded.world}, {len(dump_row(row))} characters", align="left")
            for turn in row["conversations"]:
                console.print(f"{turn['role']}: {turn['content']}", markup=False, highlight=False, soft_wrap=True)
    console.print(table)
