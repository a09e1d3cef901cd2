"""Proofs: what a row's run did, written beside the row, and compared byte for byte when the row is run again."""

from lib.chat import Result, Text, example_from_row
from lib.synth.given import changed_vault
from lib.synth.plans import run_calls, schema_findings
from lib.synth.rows import example_row
from lib.synth.seeds import digest, dump_row
from lib.synth.templates import Gap
from lib.vault import diff, render_diff
from lib.vault import digest as vault_digest


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
        "diff": render_diff(diff(run.before, run.after)),
    }


def start_vault(worlds, proof):
    """The vault that a row was proved in, its `given` changes made; raises Gap when one of them finds nothing."""
    vault = worlds.get(proof["world"], proof["seed"]).vault
    return changed_vault(vault, proof["given"]) if "given" in proof else vault


def replay(row, worlds, proof):
    """(code, detail) of the first difference between a row with its proof and a new run, or None."""
    if digest(dump_row(row), length=32) != proof["row"]:
        return "row", "the row is not the one that was proved"
    example, problems = example_from_row(row)
    if problems:
        return "form", str(problems[0])
    if example.label is not proof["label"]:
        return "label", f"the proof says {proof['label']}"
    request = "".join(part.text for part in example.turns[0].parts if isinstance(part, Text))
    answer = "".join(part.text for part in example.turns[-1].parts if isinstance(part, Text))
    calls = [(call.name, call.arguments) for call in example.calls]
    try:
        run = run_calls(start_vault(worlds, proof), calls)
    except Gap as gap:
        return "given", str(gap)
    shown = [part.content for part in example.turns[-1].parts if isinstance(part, Result)]
    for number, (step, found) in enumerate(zip(run.steps, shown, strict=True), 1):
        if step.result != found:
            return "result", f"call {number}, {step.tool}"
    if dump_row(example_row(request, run, answer, example.label)) != dump_row(row):
        return "bytes", "the row prints differently"
    for name, value in (("before", vault_digest(run.before)), ("after", vault_digest(run.after))):
        if value != proof[name]:
            return name, f"the vault {name} the calls is another one"
    if render_diff(diff(run.before, run.after)) != proof["diff"]:
        return "diff", "the calls change something else"
    if proof["label"] and schema_findings(run):
        return "schema", schema_findings(run)[0].message
    if not proof["label"] and proof["proof"][0] == "schema":
        codes = [finding.code for finding in schema_findings(run)]
        if proof["proof"][1] not in codes:
            return "reason", f"{proof['proof'][1]} is not found in the call"
    return None
