"""Gates: targets that only get stricter, and figures that move when their fault is planted."""

import json
import re
from pathlib import Path

import pytest

from lib.chat import example_from_row
from lib.errors import CannotRun
from lib.gates import Gate, judge, load_dataset, load_gates, shown
from lib.kto_figures import measure_kto
from lib.sft_figures import measure_sft, mutants
from lib.toolset import load_toolset
from lib.validation import check_lines
from tests import rows
from tests.gates_support import good_row, kto_rows, proofs_of, written
from tests.rows import arguments, call_text

TOOLSET = load_toolset()
BASELINE = json.loads(Path(__file__).with_name("gates_baseline.json").read_text(encoding="utf-8"))


# -------------------------------------------------------------------------------------------- the targets


def all_gates():
    return [gate for gates in load_gates().values() for gate in gates]


def slackened(gates, baseline):
    """Names of targets that are gone or weaker than they were, and do not say why."""
    by_name = {gate.name: gate for gate in gates}
    return [
        name
        for name, (low, high) in baseline.items()
        if name not in by_name or (by_name[name].weaker_than(low, high) and len(by_name[name].moved.split()) < 4)
    ]


def test_no_target_is_weaker_than_it_was():
    assert slackened(all_gates(), BASELINE) == []


def test_every_target_has_a_baseline():
    assert {gate.name for gate in all_gates() if gate.target} - set(BASELINE) == set(), "add it to the baseline"


@pytest.mark.parametrize(
    ("gate", "weaker"),
    [
        (Gate("x", "", low=0.9), False),
        (Gate("x", "", low=0.95), False),
        (Gate("x", "", low=0.89), True),
        (Gate("x", ""), True),
        (Gate("x", "", low=0.8, moved="too hard"), True),
        (Gate("x", "", low=0.8, moved="one world only speaks of gardens"), False),
    ],
)
def test_a_weaker_target_needs_a_reason(gate, weaker):
    assert slackened([gate], {"x": [0.9, None]}) == (["x"] if weaker else [])


def test_both_ends_of_a_range_are_held():
    assert not Gate("x", "", 0.2, 0.3).weaker_than(0.1, 0.4)
    assert Gate("x", "", 0.0, 0.3).weaker_than(0.1, 0.4)
    assert Gate("x", "", 0.2, 0.5).weaker_than(0.1, 0.4)
    assert Gate("x", "", 0.2).weaker_than(0.1, 0.4)
    assert slackened([], {"x": [0.1, None]}) == ["x"]


def test_targets_in_words_and_what_passes():
    assert [Gate("x", "", *bounds).target for bounds in ((0.5, None), (None, 0), (0.1, 0.25), ())] == [
        ">= 0.500", "<= 0", "0.100 to 0.250", "",
    ]  # fmt: skip
    gate = Gate("x", "", 0.1, 0.25)
    assert [gate.passes(value) for value in (0.1, 0.25, 0.26, 0.09, None)] == [True, True, False, False, None]
    assert Gate("x", "").passes(3) is None


def test_figures_in_words():
    assert [shown(value) for value in (None, 3, 1.0, 0.00212, 0.5, 12.34)] == ["-", "3", "1", "0.0021", "0.500", "12.3"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{at_most: 1}", "needs what"),
        ("{what: a, atmost: 1}", "knows only"),
        ("{what: a, at_most: 1, at_least: 0}", "one target"),
        ("{what: a, at_most: none}", "a number"),
        ("{what: a, between: [1]}", "two"),
    ],
)
def test_a_fault_in_the_file_names_the_gate(tmp_path, entry, said):
    path = tmp_path / "gates.yaml"
    path.write_text(f"sft:\n  thing: {entry}\n")
    with pytest.raises(CannotRun, match=f"sft.thing: .*{said}"):
        load_gates(path)


def test_a_gate_that_nothing_measures_is_an_error():
    with pytest.raises(CannotRun, match="differ: thing"):
        judge([Gate("sft.thing", "")], {})


# ------------------------------------------------------------------------------------------- the measures


def figures(folder, given, proofs=None):
    return measure_sft(load_dataset(written(folder, given, proofs)), TOOLSET)


def values(found, *names):
    return tuple(found[name].value for name in names)


def test_a_clean_set_has_clean_figures(tmp_path):
    found = figures(tmp_path, [good_row(n) for n in range(20)] + [good_row(99, label=False)])
    assert set(found) == {gate.name.partition(".")[2] for gate in load_gates()["sft"]}
    assert values(found, "unique_requests", "traceable", "unique_memories", "session_rows") == (1, 1, 1, 1)
    nothing = ("bare_results", "unknown_tools", "empty_memories", "odd_memories", "faulty_positives")
    assert values(found, *nothing) == (0,) * len(nothing)
    assert found["unused_tools"].value == len(TOOLSET.tools) - 1
    assert found["questions"].value == 1
    assert found["tool_entropy"].value == 0 and found["top_five"].value == 1
    assert found["fewest_intents"].value is None, "there are no proofs"


def test_repeated_requests_show_in_every_measure_of_repetition(tmp_path):
    found = figures(tmp_path, [good_row(n, "Please show me the whole plan now") for n in range(5)])
    assert values(found, "unique_requests", "near_duplicates", "alike", "tfidf_twins", "openings") == (
        0.2,
        1,
        1,
        1,
        0.2,
    )
    assert values(found, "unique_skeletons", "largest_skeleton", "first_word") == (0.2, 1, 1)
    assert found["self_bleu"].value == pytest.approx(1)
    assert found["near_duplicates"].causes[0].startswith("1.00 lines 1 and 2: ")


def test_one_request_in_two_vaults_that_want_other_calls_counts_once(tmp_path):
    given = [good_row(n, f"Read plan {n % 2}") for n in range(4)]
    assert figures(tmp_path, given)["unique_requests"].value == 0.5
    assert figures(tmp_path, given, [{"plan": "same"}] * 4)["unique_requests"].value == 0.5
    assert figures(tmp_path, given, [{"plan": f"p{n}"} for n in range(4)])["unique_requests"].value == 1


def test_each_fault_of_a_call_moves_its_figure(tmp_path):
    def with_context(**fields):
        return rows.row(f"{call_text(args={'context': rows.CONTEXT | fields, 'filePath': 'Garden/Plan.md'})}\n\nDone.")

    given = [
        with_context(sessionMemory=""),
        with_context(sessionMemory=5),
        rows.row(f"{call_text('gitManager_commit', arguments(a=1))}\n\nDone."),
        rows.row(f"{call_text(args=arguments(filePath='Secret/Treasure.md'))}\n\nDone."),
    ]
    given = [row | {"conversations": [{"role": "user", "content": f"Read Garden/Plan.md {n}"}, row["conversations"][1]]}
             for n, row in enumerate(given)]  # fmt: skip
    found = figures(tmp_path, given)
    assert values(found, "empty_memories", "odd_memories", "unknown_tools", "session_rows") == (0.25, 0.25, 1, 4)
    assert values(found, "faulty_positives", "traceable") == (0.75, 2 / 3)
    assert found["traceable"].causes == ('line 4, contentManager_readContent: "Secret/Treasure.md"',)
    assert found["unique_memories"].value == 0.5


def test_a_value_is_traceable_once_a_result_has_shown_it(tmp_path):
    found_in = call_text(
        "vaultManager_listDirectory",
        arguments(path="Garden"),
        '{"success": true, "data": {"files": ["Garden/Peas.md"]}}',
    )
    read = call_text(args=arguments(filePath="Garden/Peas.md"))
    row = rows.row(f"{found_in}\n\n{read}\n\nDone.", "Open the first note in Garden")
    assert figures(tmp_path, [row])["traceable"].value == 1
    assert (
        figures(tmp_path, [rows.row(f"{read}\n\n{found_in}\n\nDone.", "Open the first note in Garden")])[
            "traceable"
        ].value
        == 0.5
    )


def test_parameters_booleans_and_values_count_as_used_from_their_floor_on(tmp_path):
    def opened(n, **more):
        return rows.row(call_text("vaultManager_openNote", arguments(path=f"{n}.md", **more)), f"Open {n}.md")

    few = [opened(n, mode="tab", focus=True) for n in range(2)]
    many = [opened(n, mode="tab", focus=n > 2) for n in range(5)]
    before, after = figures(tmp_path, few), figures(tmp_path, many)
    names = ("rare_parameters", "lone_booleans", "rare_values")
    assert [a - b for a, b in zip(values(before, *names), values(after, *names), strict=True)] == [2, 1, 1]
    assert "vaultManager_openNote focus: false" in before["lone_booleans"].causes


def test_a_validator_that_overlooks_a_kind_of_fault_fails_its_gate(root, tmp_path, monkeypatch):
    lines = (root / "datasets/syngen_tools_sft.jsonl").read_text().splitlines()
    some = [json.loads(line) for line in lines[:700]]
    data = load_dataset(written(tmp_path, some))
    assert values(mutants(data, TOOLSET), "mutants", "false_alarms") == (1, 0)

    def blind(*given):
        found = check_lines(*given)
        found.problems[:] = [problem for problem in found.problems if problem.code != "bad-enum"]
        return found

    monkeypatch.setattr("lib.sft_figures.check_lines", blind)
    overlooked = mutants(data, TOOLSET)["mutants"]
    assert overlooked.value == 0 and any("enum" in cause for cause in overlooked.causes)
    assert figures(tmp_path, [good_row(1)])["mutants"].value is None, "no row for every tool"


def test_a_bare_result_is_no_request(tmp_path):
    found = figures(tmp_path, [good_row(0), good_row(1, 'Result: {"success": true}')])
    assert found["bare_results"].value == 0.5


def test_proofs_tell_intents_acts_and_worlds(tmp_path):
    name = "contentManager_readContent"
    proofs = [{"tool": name, "intent": f"i{n % 3}", "act": "ab"[n % 2], "world": "xy"[n > 2]} for n in range(4)]
    found = figures(tmp_path, [good_row(n) for n in range(4)], proofs)
    assert f"{name}: 3" in found["fewest_intents"].causes
    assert found["empty_cells"].value == 2 * (len(TOOLSET.tools) - 1)
    assert values(found, "rarest_world", "commonest_world") == (0.25, 0.75)
    assert found["questions"].causes == ("a: 2 of 2", "b: 2 of 2")


def kto(folder, given, proofs=None):
    return measure_kto(load_dataset(written(folder, given, proofs)), TOOLSET)[0]


def test_a_clean_kto_set_has_clean_figures(tmp_path):
    given = kto_rows()
    found = kto(tmp_path, given, proofs_of(given))
    assert set(found) == {gate.name.partition(".")[2] for gate in load_gates()["kto"]}
    nothing = ("not_alternating", "same_prompt_partners", "one_label_batches", "close_pairs", "same_answers",
               "planned_partners", "planned_one_label", "faulty_positives")  # fmt: skip
    assert values(found, *nothing) == (0,) * len(nothing)
    assert values(found, "proven_negatives", "true_call", "true_ask") == (1, 0.5, None)
    assert found["paired_negatives"].value == 10 / 40


def test_a_bad_order_is_seen(tmp_path):
    given = sorted(kto_rows(), key=lambda row: row["label"])
    found = kto(tmp_path, given)
    assert found["not_alternating"].value == 78
    assert found["one_label_batches"].value == 20
    given = [good_row(n, f"Request {n // 2}", label=n % 2 == 0) for n in range(40)]
    found = kto(tmp_path, given)
    assert found["same_prompt_partners"].value == 40 + 20 * 4 and found["close_pairs"].value == 20
    assert found["planned_partners"].value == 0, "the trainer's plan keeps them apart"


def test_proofs_must_be_there_and_for_these_bytes(tmp_path):
    given = kto_rows()
    proofs = proofs_of(given)
    assert kto(tmp_path, given)["proven_negatives"].value == 0
    proofs[1]["row"] = "0" * 32
    del proofs[3]["reason"]
    found = kto(tmp_path, given, proofs)["proven_negatives"]
    assert found.value == 38 / 40
    assert found.causes == ("line 2: proved for other bytes", "line 4: no reason")


def test_decision_rows_are_counted_by_request_where_good_and_by_mistake_where_bad(tmp_path):
    given = kto_rows(12)
    assert kto(tmp_path, given)["decision_rows"].value is None
    proofs = proofs_of(given)
    for proof in proofs:
        proof["kind"] = "act"
    assert kto(tmp_path, given, proofs)["decision_rows"].value == 0
    good = [proof for row, proof in zip(given, proofs, strict=True) if row["label"]]
    bad = [proof for row, proof in zip(given, proofs, strict=True) if not row["label"]]
    good[0]["kind"], good[1]["twin"], bad[0]["family"], bad[1]["kind"] = "ask", "a/1", "decision", "ask"
    assert kto(tmp_path, given, proofs)["decision_rows"].value == 3 / len(given)


def test_a_negative_that_answers_like_a_positive_is_seen(tmp_path):
    given = kto_rows()
    given[1] = json.loads(json.dumps(given[0])) | {"label": False}
    found = kto(tmp_path, given)["same_answers"]
    assert (found.value, found.causes) == (1, ("line 2",))


def test_a_family_is_probed_from_a_hundred_rows_on(tmp_path):
    given = kto_rows(220)
    assert kto(tmp_path, given, proofs_of(given))["family_probe"].value is not None
    given = kto_rows(120)
    assert kto(tmp_path, given, proofs_of(given))["family_probe"].value is None


def test_a_leak_fails_the_gates_and_its_causes_name_it(tmp_path):
    given = kto_rows()
    for row in given:
        if row["label"]:
            row["conversations"][1]["content"] += " And forty characters more, every time."
    found = kto(tmp_path, given)
    verdicts = {v.gate.name: v.passes for v in judge(load_gates()["kto"], found)}
    assert verdicts["kto.probe"] is False and verdicts["kto.answer_length"] is False
    assert found["answer_length"].value > 0.9
    assert re.match(r"(answer characters|characters of words|closing words|sentences)", found["probe"].causes[0])


@pytest.mark.parametrize(
    ("given", "measure", "said"),
    [
        ([good_row(1, label=False)], measure_sft, "no row that is not labelled false"),
        ([good_row(1)], measure_kto, "both labels"),
    ],
)
def test_a_set_without_the_rows_in_question_cannot_be_measured(tmp_path, given, measure, said):
    with pytest.raises(CannotRun, match=said):
        measure(load_dataset(written(tmp_path, given)), TOOLSET)


def test_proofs_of_another_number_are_refused(tmp_path):
    with pytest.raises(CannotRun, match="2 rows but 1 proofs"):
        load_dataset(written(tmp_path, [good_row(1), good_row(2)], [{}]))


def test_native_rows_are_measured_like_text_rows(tmp_path):
    from lib.chat import to_native_row

    given = [good_row(n) for n in range(6)]
    native = [to_native_row(example_from_row(row)[0]) for row in given]
    assert {k: f.value for k, f in figures(tmp_path, given).items()} == {
        k: f.value for k, f in figures(tmp_path, native).items()
    }
