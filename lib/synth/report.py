"""What a build did, as tables for people."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from lib.synth.negatives import positive_kind
from lib.synth.rows import example_row
from lib.synth.seeds import dump_row


def counted(counter, most=None):
    return ", ".join(f"{name} {count}" for name, count in counter.most_common(most))


def print_build(material, funnel, sft, kto, unused):
    """The funnel, rows by tool, negatives by reason, and intents that yield nothing, on stderr."""
    console = Console(stderr=True, width=140)
    stages = ("asked", "held", "new", "kept", "proven wrong")
    console.print("  ->  ".join(f"{name} {funnel.stages[name]}" for name in stages))
    console.print(f"rejects: {counted(funnel.rejects)}")
    tools = Counter(row.item.group for row in sft)
    console.print(f"positives, fewest first: {', '.join(f'{name} {n}' for name, n in reversed(tools.most_common()))}")
    console.print(f"worlds: {counted(Counter(row.item.expanded.world for row in sft))}")
    negatives = [row.item for row in kto if not row.label]
    console.print(f"negatives: {counted(Counter(item.family for item in negatives))}")
    console.print(f"reasons: {counted(Counter(item.reason for item in negatives))}")
    kinds = Counter((positive_kind(row.item) if row.label else row.item.answer_kind, row.label) for row in kto)
    console.print("answers, true/false: " + ", ".join(
        f"{kind} {kinds[kind, True]}/{kinds[kind, False]}" for kind in ("call", "ask", "refuse", "direct")
    ))  # fmt: skip
    if unused:
        console.print(f"left over by interleaving: {len(unused)}")
    silent = [intent.id for intent in material.intents if not funnel.by_intent[intent.id]["made"]]
    for name in silent:
        console.print(f"[yellow]{name} yields nothing:[/] {reasons_of(funnel, name)}", highlight=False)


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
