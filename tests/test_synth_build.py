"""The build: chosen by quota, deterministic, interleaved, and every shipped row replays."""

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.interleaving import close_pairs, shared_prompt_partners
from lib.jsonl import read_rows
from lib.synth.build import build
from lib.synth.material import load_material
from lib.synth.replay import replay
from lib.synth.rows import Worlds
from lib.synth.workshop import Funnel
from lib.toolset import load_toolset
from tests.synth_support import APPEND, LOOK_UP, MOVE, READ, intent, material, twins

SHIPPED = ("datasets/syngen_tools_sft.jsonl", "datasets/syngen_tools_kto.jsonl")


QUOTAS = {
    "positives": 14, "kto_positives": 12, "kto_negatives": 11, "twins": 0.3,
    "shapes": {"single": 0.6, "lookup": 0.25, "other": 0.15},
    "kto_shapes": {"single": 0.6, "lookup": 0.2, "other": 0.2},
}  # fmt: skip


def kit(folder):
    """The small world with its four intents and a twin."""
    return material(folder, *map(intent, (APPEND, MOVE, LOOK_UP, READ)), *twins(folder), quotas=QUOTAS)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    found = kit(tmp_path_factory.mktemp("kit"))
    return found, build(found, Funnel())


def pairs(made):
    return [*made.rows(made.sft), *made.rows(made.kto)]


def shipped(path):
    """(row, proof) pairs of one shipped file."""
    rows = [row for _, row in read_rows(path)]
    proofs = [proof for _, proof in read_rows(Path(path).with_suffix(".proof.jsonl"))]
    assert len(rows) == len(proofs) > 600
    return list(zip(rows, proofs, strict=True))


@pytest.fixture(scope="module")
def worlds():
    found = load_material(Path(__file__).parent.parent / "datasets/scenarios")
    return Worlds(found, found.quotas["seeds"])


def test_both_sets_come_from_one_build(built):
    _, made = built
    assert len(made.sft) == 14 and all(row.label for row in made.sft)
    assert [row.label for row in made.kto] == [place % 2 == 0 for place in range(len(made.kto))]
    assert len(made.kto) + len(made.unused) == 23
    assert [row["label"] for row, _ in made.rows(made.kto)] == [row.label for row in made.kto]


def test_a_built_row_replays_and_a_changed_proof_does_not(built):
    found, made = built
    worlds = Worlds(found, found.quotas["seeds"])
    for row, proof in pairs(made):
        assert replay(row, worlds, proof) is None
        for name in ("before", "after", "diff"):
            assert replay(row, worlds, {**proof, name: proof[name] + "x"})[0] == name


def test_a_given_is_replayed_and_a_changed_one_is_found(built):
    found, made = built
    worlds = Worlds(found, found.quotas["seeds"])
    given = [(row, proof) for row, proof in pairs(made) if "given" in proof]
    assert given
    for row, proof in given:
        (path, text), *_ = proof["given"]["with"].items()
        for changed in ({"with": {path: text + "!"}}, {"without": [path]}, {"without": ["Nowhere.md"]}, {}):
            assert replay(row, worlds, {**proof, "given": changed}) is not None
        assert replay(row, worlds, {**proof, "given": {"without": ["Nowhere.md"]}})[0] == "given"
        assert replay(row, worlds, {key: value for key, value in proof.items() if key != "given"}) is not None


def test_both_rows_of_a_twin_are_taken_with_one_request(built):
    _, made = built
    twin = [
        (proof["twin"], row["conversations"][0]["content"]) for row, proof in made.rows(made.sft) if "twin" in proof
    ]
    assert len(twin) >= 4
    assert set(Counter(twin).values()) == {2}
    requests = Counter(row["conversations"][0]["content"].lower() for row, proof in made.rows(made.sft))
    assert sum(number > 1 for number in requests.values()) == len(set(twin))


def test_rows_of_one_request_are_apart_in_the_kto_order(tmp_path):
    found = material(tmp_path, *map(intent, (APPEND, MOVE, LOOK_UP, READ)), *twins(tmp_path), quotas=QUOTAS)
    made = build(found, Funnel())
    assert close_pairs(made.kto, lambda row: row.keys()) == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_flipped_character_is_found(built, data):
    found, made = built
    worlds = Worlds(found, found.quotas["seeds"])
    row, proof = data.draw(st.sampled_from(pairs(made)))
    turns = json.loads(json.dumps(row["conversations"]))
    turn = data.draw(st.sampled_from(turns))
    place = data.draw(st.integers(0, len(turn["content"]) - 1))
    letter = "x" if turn["content"][place] != "x" else "y"
    turn["content"] = turn["content"][:place] + letter + turn["content"][place + 1 :]
    assert replay({**row, "conversations": turns}, worlds, proof) is not None


def test_the_same_material_gives_the_same_bytes_in_every_process(tmp_path):
    outputs = []
    for seed, workers in (("0", "1"), ("4242", "2")):
        out = tmp_path / seed
        options = ["--positives", "47", "--workers", workers, "--out", str(out)]
        subprocess.run(
            [sys.executable, "-m", "scripts.datasets", *options],
            check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}, timeout=300,
        )  # fmt: skip
        outputs.append({path.name: path.read_bytes() for path in sorted(out.iterdir())})
    assert len(outputs[0]) == 4
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("path", SHIPPED)
def test_every_shipped_row_replays(path, worlds):
    differences = [replay(row, worlds, proof) for row, proof in shipped(path)]
    assert [found for found in differences if found] == []


def test_the_shipped_sft_set_covers_every_tool():
    counts = Counter(proof["tool"] for _, proof in shipped(SHIPPED[0]))
    assert all(row["label"] is True for row, _ in shipped(SHIPPED[0]))
    assert {name: counts[name] for name in load_toolset().tools if counts[name] < 12} == {}


def test_the_shipped_kto_set_is_safe_for_every_batch():
    pairs = shipped(SHIPPED[1])
    assert [row["label"] for row, _ in pairs] == [place % 2 == 0 for place in range(len(pairs))]

    def prompt(pair):
        return " ".join(pair[0]["conversations"][0]["content"].lower().split())

    assert shared_prompt_partners(pairs, prompt) == []
    assert close_pairs(pairs, lambda pair: (prompt(pair),)) == []


def test_every_shipped_negative_states_its_proof():
    for row, proof in shipped(SHIPPED[1]):
        if not row["label"]:
            assert proof["reason"] and proof["proof"][0] in (
                "schema",
                "goal",
                "error",
                "effect",
                "needless",
                "claim",
                "kind",
            )


def test_shipped_requests_are_all_different_but_for_twins():
    requests = defaultdict(list)
    for row, proof in shipped(SHIPPED[0]):
        requests[json.dumps(row["conversations"][0]).lower()].append(proof.get("twin"))
    shared = [names for names in requests.values() if len(names) > 1]
    assert [names for names in shared if None in names or len(set(names)) > 1] == []
