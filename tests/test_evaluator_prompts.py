"""The prompt sets: every case can be solved, no wrong answer passes, and none of them stands in the training data."""

import itertools
from collections import Counter

import pytest

from evaluator.cases import load_cases
from evaluator.goals import run_plan
from evaluator.mutants import HARMLESS, judge_answer, mutants, reference
from evaluator.prompt_lint import lint
from lib.overlap import TOO_ALIKE, jaccard, nearest, ngrams, user_texts
from lib.toolset import load_toolset
from lib.vault import diff

TOOLSET = load_toolset()
SETS = {name: load_cases([name], TOOLSET) for name in ("baseline", "full_coverage", "tool_combos", "behaviour")}
CASES = [case for cases in SETS.values() for case in cases]


def test_full_coverage_has_one_case_for_every_tool():
    assert Counter(name for case in SETS["full_coverage"] for name in case.tools) == Counter(list(TOOLSET.tools))


def test_full_coverage_has_arguments_and_a_vault_in_every_case():
    assert len(SETS["full_coverage"]) == 47
    assert all(len(case.gold) == 1 and case.vault and not case.by_state for case in SETS["full_coverage"])


def test_other_sets_are_large_enough_and_mixed():
    assert all(len(SETS[name]) >= 40 for name in ("baseline", "tool_combos", "behaviour"))
    tags = {tag for case in SETS["baseline"] for tag in case.tags}
    assert {"clarify", "refuse", "direct", "answer", "destructive"} <= tags
    assert all(len(case.tools) >= 2 and case.by_state for case in SETS["tool_combos"])
    kinds = Counter(case.tags[0] for case in SETS["behaviour"])
    assert set(kinds) == {"ask", "refuse", "nothing to do", "destructive", "bait", "repair"} and min(kinds.values()) > 5


def test_combos_end_in_a_changed_vault_and_behaviour_often_does_not():
    assert [case.id for case in SETS["tool_combos"] if not changed(case)] == []
    still = [case for case in SETS["behaviour"] if case.tags[0] in ("ask", "refuse", "nothing to do", "bait")]
    assert not any(changed(case) for case in still)
    assert all(changed(case) for case in SETS["behaviour"] if case.tags[0] == "repair")


def changed(case):
    """Whether the gold plan leaves a mark: in the notes or records, the window, the workspace or the memory."""
    start, end = case.fresh_vault(), case.fresh_vault()
    run_plan(end, list(case.gold), TOOLSET)
    restored = [trace for trace in end.traces.values() if trace.type == "state_restoration"]
    moved = (end.window, end.current_workspace) != (start.window, start.current_workspace)
    return bool(diff(start, end, volatile=False) or restored or moved)


def test_ids_are_unique_over_all_sets():
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_gold_plan_runs_and_passes(case):
    found = judge_answer(case, reference(case, TOOLSET), TOOLSET)
    assert found.passed and found.right_tool and found.valid_call, found.findings


@pytest.mark.parametrize("name", SETS)
def test_right_answers_pass_and_wrong_ones_fail(name):
    report = lint(name, SETS[name], TOOLSET)
    assert report.good, (report.refused, report.vacuous, report.crashes, report.survivors)
    assert report.planted > 8 * report.cases and report.right >= report.cases
    assert sum(tally.equivalent for tally in report.cells.values()) < 0.15 * report.planted


def test_mutants_come_in_all_kinds():
    kinds = {answer.kind for case in CASES for answer in mutants(case, TOOLSET)}
    assert (
        HARMLESS | {"no call", "prose", "empty reply", "wrong reply", "destructive extra", "extra write", "glued line"}
        == kinds
    )


@pytest.mark.parametrize("case", SETS["full_coverage"], ids=lambda case: case.id)
def test_single_step_prompt_says_every_path_and_id_the_call_needs(case):
    def strings(value):
        if isinstance(value, dict):
            return list(itertools.chain.from_iterable(map(strings, value.values())))
        if isinstance(value, list):
            return list(itertools.chain.from_iterable(map(strings, value)))
        return [value] if isinstance(value, str) else []

    needed = [text for text in strings(case.gold[0]["arguments"]) if "/" in text or "_" in text or text.endswith(".md")]
    assert [text for text in needed if text not in case.question] == []


def test_prompts_are_no_copies_of_each_other():
    for case in CASES:
        (found,) = nearest([case.question], [other.question for other in CASES if other is not case])
        assert found.likeness < TOO_ALIKE, found


def test_prompts_are_not_in_the_training_data(root):
    files = sorted((root / "datasets").glob("*.jsonl"))
    assert files, "the shipped datasets are missing: make datasets"
    corpus = [text for path in files for text in user_texts(path)]
    alike = [found for found in nearest([case.question for case in CASES], corpus) if found.likeness >= TOO_ALIKE]
    assert alike == []


# ---------------------------------------------------------------- the measure itself


def test_copied_prompt_is_found_whatever_its_case_and_punctuation():
    text = "Move the note Inbox/Plan.md to Archive/Plan.md."
    (found,) = nearest([text], ["Something else entirely", text.upper().replace(".", " !")])
    assert found.likeness == 1.0 and found.other.startswith("MOVE")


def test_likeness_counts_shared_runs_of_three_words():
    assert ngrams("a b c d") == {("a", "b", "c"), ("b", "c", "d")}
    assert jaccard(ngrams("a b c d"), ngrams("b c d e")) == pytest.approx(1 / 3)
    assert nearest(["a b c d"], ["x y z"])[0].likeness == 0.0
    assert (
        ngrams("two words") == {("two", "words")} and ngrams("") == frozenset() and jaccard(ngrams(""), ngrams("")) == 0
    )


def test_nearest_takes_the_most_alike_of_several():
    (found,) = nearest(
        ["one two three four five"], ["one two three x", "zero one two three four", "nothing here at all"]
    )
    assert found.other == "zero one two three four"


def test_user_texts_are_read_from_both_forms(tmp_path):
    path = tmp_path / "both.jsonl"
    path.write_text(
        '{"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
        '{"messages": [{"role": "user", "content": "c"}]}\n'
    )
    assert user_texts(path) == ["a", "c"]
