"""The build: chosen by quota, deterministic, interleaved, and every shipped row replays."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.interleaving import close_pairs, shared_prompt_partners
from lib.jsonl import read_rows
from lib.synth.build import Funnel, build, proof_of, row_of
from lib.synth.material import load_material
from lib.synth.replay import replay
from lib.synth.rows import Worlds
from lib.synth.selection import trigrams
from lib.toolset import load_toolset
from tests.synth_support import candidates, material

SHIPPED = ("datasets/syngen_tools_sft.jsonl", "datasets/syngen_tools_kto.jsonl")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    kit = material(tmp_path_factory.mktemp("kit"))
    return kit, *build(kit, Funnel())


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
    _, sft, kto, _ = built
    assert len(sft) >= 10 and all(row.label for row in sft)
    assert [row.label for row in kto] == [place % 2 == 0 for place in range(len(kto))]
    assert not any(row.item.proof == () for row in kto if not row.label)


def test_a_built_row_replays_and_a_changed_one_does_not(built):
    kit, sft, kto, _ = built
    worlds = Worlds(kit, kit.quotas["seeds"])
    for labelled in [*sft, *kto]:
        row = row_of(labelled)
        proof = proof_of(labelled, row)
        assert replay(row, worlds, proof) is None
        for name in ("before", "after", "diff"):
            assert replay(row, worlds, {**proof, name: proof[name] + "x"})[0] == name


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_flipped_character_is_found(built, data):
    kit, sft, kto, _ = built
    worlds = Worlds(kit, kit.quotas["seeds"])
    labelled = data.draw(st.sampled_from([*sft, *kto]))
    row = row_of(labelled)
    proof = proof_of(labelled, row)
    turn = data.draw(st.sampled_from(row["conversations"]))
    place = data.draw(st.integers(0, len(turn["content"]) - 1))
    letter = "x" if turn["content"][place] != "x" else "y"
    turn["content"] = turn["content"][:place] + letter + turn["content"][place + 1 :]
    assert replay(row, worlds, proof) is not None


def test_the_same_material_gives_the_same_bytes_in_every_process(tmp_path):
    outputs = []
    for seed in ("0", "4242"):
        out = tmp_path / seed
        command = [sys.executable, "-m", "scripts.datasets", "--positives", "47", "--out", str(out)]
        subprocess.run(
            command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}, timeout=300
        )
        outputs.append({path.name: path.read_bytes() for path in sorted(out.iterdir())})
    assert len(outputs[0]) == 4
    assert outputs[0] == outputs[1]


def test_selection_holds_the_quota_of_every_tool(built):
    _, sft, _, _ = built
    tools = Counter(row.item.tool for row in sft)
    assert max(tools.values()) - min(tools.values()) <= 3


def test_no_frame_is_used_more_often_than_allowed(tmp_path):
    from lib.synth.selection import select

    made, _ = candidates(tmp_path)
    chosen = select(made, 12, {}, {"frame": 2, "value": 9, "world_share": 1})
    assert max(Counter(item.frame for item in chosen).values()) <= 2
    assert [item.id for item in select(list(reversed(made)), 12, {}, {"frame": 2, "value": 9, "world_share": 1})] == [
        item.id for item in chosen
    ]


def test_trigrams_of_a_short_request_are_the_request():
    assert trigrams("Delete it") == {("delete", "it")}
    assert trigrams("a b c d") == {("a", "b", "c"), ("b", "c", "d")}


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
            assert proof["reason"] and proof["proof"][0] in ("schema", "goal", "error", "effect", "needless", "claim")


def test_shipped_requests_are_all_different():
    requests = [json.dumps(row["conversations"][0]).lower() for row, _ in shipped(SHIPPED[0])]
    assert len(set(requests)) == len(requests)
