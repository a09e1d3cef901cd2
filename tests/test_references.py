"""Reference log-probabilities on disk: asked once, whatever run asks, and never from a damaged file."""

import json

import pytest

from lib import references
from lib.references import batch_digest, reference_file, remembered
from lib.rendering import Rendered

ROWS = [Rendered("", [1, 2, i], [-100, 2, i], 1, []) for i in range(6)]
BATCHES = [[0, 3], [1, 4], [2, 5]]


class Asked:
    """A model whose log-probabilities are the row's number, and what it was asked for."""

    def __init__(self):
        self.batches = []

    def __call__(self, batches):
        self.batches += batches
        return {i: (-float(i), -0.5 * i) for batch in batches for i in batch}


def test_what_is_known_is_not_asked_again(tmp_path):
    path, ask = tmp_path / "new/known.json", Asked()
    found = remembered(path, ROWS, BATCHES, ask)
    assert found == {i: (-float(i), -0.5 * i) for i in range(6)} and ask.batches == BATCHES
    assert remembered(path, ROWS, BATCHES, pytest.fail) == found
    assert remembered(path, ROWS, BATCHES[1:], pytest.fail) == {i: found[i] for i in (1, 4, 2, 5)}
    assert remembered(path, ROWS, [[0, 3], [5, 2]], ask)[5] == (-5.0, -2.5)
    assert ask.batches[3:] == [[5, 2]], "another order has other KL partners"
    assert remembered(path, ROWS, BATCHES, pytest.fail) == found, "what was known before stays"


def test_without_a_file_every_batch_is_asked():
    ask = Asked()
    assert remembered(None, ROWS, BATCHES, ask) == remembered(None, ROWS, BATCHES, ask)
    assert ask.batches == BATCHES * 2


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("-3.0", "NaN"),
        lambda text: text.replace("-3.0", '"x"'),
        lambda text: "[]",
        lambda text: "\udcff\ufeff",
        lambda text: json.dumps({key: value[:1] for key, value in json.loads(text).items()}),
    ],
)
def test_a_damaged_file_is_made_anew(tmp_path, change):
    path = tmp_path / "known.json"
    found = remembered(path, ROWS, BATCHES, Asked())
    path.write_bytes(change(path.read_text()).encode("utf-8", "surrogateescape"))
    ask = Asked()
    assert remembered(path, ROWS, BATCHES, ask) == found and [0, 3] in ask.batches
    assert remembered(path, ROWS, BATCHES, pytest.fail) == found


def test_tokens_labels_order_and_prompt_all_count():
    digests = {
        batch_digest(rows, batch)
        for rows, batch in [
            (ROWS, [0, 1]),
            (ROWS, [1, 0]),
            ([ROWS[0], Rendered("", [1, 2, 9], [-100, 2, 1], 1, [])], [0, 1]),
            ([ROWS[0], Rendered("", [1, 2, 1], [-100, -100, 1], 1, [])], [0, 1]),
            ([ROWS[0], Rendered("", [1, 2, 1], [-100, 2, 1], 2, [])], [0, 1]),
        ]
    }
    assert len(digests) == 5


def test_base_adapter_and_facts_name_the_file(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    for folder in (base, adapter):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
    first = reference_file(base, adapter, dtype="bfloat16")
    assert first.parent == references.FOLDER and first == reference_file(base, adapter, dtype="bfloat16")
    assert first != reference_file(base, adapter, dtype="float32")
    (adapter / "model.safetensors").write_bytes(b"weight!")
    second = reference_file(base, adapter, dtype="bfloat16")
    (base / "config.json").write_text("{ }")
    assert len({first, second, reference_file(base, adapter, dtype="bfloat16")}) == 3
    assert reference_file(base, None, dtype="bfloat16") is None
