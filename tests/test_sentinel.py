"""The sentinel: synthetic collapses are caught within a few rows, and ten healthy seeds raise nothing."""

import math
import random
from dataclasses import asdict, replace

import pytest

from lib.checkpoints import seal
from lib.config import load_config, load_size
from lib.sentinel import Collapse, Sentinel, is_saturated, report
from lib.stopping import EarlyStop
from scripts.kto import main as kto
from scripts.sft import main as sft

SFT, _ = load_config("sft", load_size("7b", "cpu", "sft"), {})
KTO, _ = load_config("kto", load_size("7b", "cpu", "kto"), {"learning_rate": 1e-5})
EVERY = 5


def sft_curve(seed, rows=80):
    """Losses as they fall from 3 to about .5, with noise that is larger than it is in practice."""
    rng = random.Random(seed)
    for number in range(1, rows + 1):
        level = 0.5 + 2.5 * math.exp(-number / 8)
        yield {
            "step": EVERY * number,
            "loss": level * rng.lognormvariate(0, 0.15),
            "grad_norm": rng.lognormvariate(0, 1),
        }


def kto_curve(seed, rows=80, good=0.5, bad=-6.0):
    """Rewards in nats that part slowly, KL that is often 0 as it is at low rates; good and bad: where they end."""
    rng = random.Random(seed)
    for number in range(1, rows + 1):
        share = number / rows
        chosen, rejected = good * share + rng.gauss(0, 0.5), bad * share + rng.gauss(0, 0.5)
        yield {
            "step": EVERY * number,
            "loss": 0.5 - 0.1 * share + rng.gauss(0, 0.02),
            "grad_norm": rng.lognormvariate(0, 1),
            "kl": max(0.0, rng.gauss(0.05, 0.2)),
            "rewards/chosen": KTO.beta * chosen,
            "rewards/rejected": KTO.beta * rejected,
            "saturated": max(0.0, rng.gauss(0.1, 0.05)),
        }


def first_alarm(method, config, rows):
    """(step, finding) of the first alarm, or None."""
    sentinel = Sentinel(method, config)
    for row in rows:
        try:
            sentinel.check(row)
        except Collapse as collapse:
            return row["step"], collapse.finding
    return None


@pytest.mark.parametrize("seed", range(10))
def test_healthy_curves_raise_nothing(seed):
    assert first_alarm("sft", SFT, sft_curve(seed)) is None
    assert first_alarm("kto", KTO, kto_curve(seed)) is None


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_what_is_no_number_stops_at_once(name, value):
    rows = list(sft_curve(0, 20))
    rows[7][name] = value
    step, finding = first_alarm("sft", SFT, rows)
    assert (step, finding.since) == (40, 40)
    assert "not a number" in finding.what and finding.change == "--learning-rate 5e-05"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("start", [10, 60])
def test_a_loss_that_jumps_and_stays_is_caught_within_three_rows(seed, start):
    rows = list(sft_curve(seed))
    usual = [row["loss"] for row in rows[:start]]
    for row in rows[start:]:
        row["loss"] = 3 * max(usual)
    step, finding = first_alarm("sft", SFT, rows)
    assert step == EVERY * (start + 3) and finding.since == EVERY * (start + 1)
    assert "jumped" in finding.what


def test_one_bad_batch_is_no_collapse():
    rows = list(sft_curve(1))
    rows[30]["loss"], rows[31]["loss"] = 9.0, 8.0
    assert first_alarm("sft", SFT, rows) is None


def falling(seed, start, speed):
    """A KTO whose good and bad answers both fall by `speed` nats a row from row `start` on, its KL dying with them."""
    for number, row in enumerate(kto_curve(seed)):
        fall = KTO.beta * speed * max(0, number - start)
        row["rewards/chosen"] -= fall
        row["rewards/rejected"] -= fall
        yield row


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("speed", [0.8, 3.0])
def test_good_answers_that_fall_with_the_bad_ones_are_caught(seed, speed):
    step, finding = first_alarm("kto", KTO, falling(seed, 20, speed))
    assert "fall" in finding.what and finding.change == "--learning-rate 2.5e-06"
    assert step <= EVERY * (20 + math.ceil(6.5 / speed) + 4), "five nats down, and at most four rows on"


def test_at_a_low_rate_a_larger_beta_is_the_advice():
    slow = replace(KTO, learning_rate=2e-7)
    assert first_alarm("kto", slow, falling(0, 20, 3.0))[1].change == "--beta 0.6"


def kl_dying(seed):
    for row in kto_curve(seed):
        yield row | ({"kl": 0.0, "rewards/chosen": -2 * KTO.beta} if row["step"] > 150 else {})


def test_a_kl_that_was_alive_and_is_gone_is_caught():
    step, finding = first_alarm("kto", KTO, kl_dying(2))
    assert EVERY * 31 < step <= EVERY * 34 and "KL was" in finding.what


def test_a_kl_of_zero_alone_is_usual():
    assert first_alarm("kto", KTO, [row | {"kl": 0.0} for row in kto_curve(3)]) is None


def saturating(seed):
    for row in kto_curve(seed):
        yield row | {"saturated": 0.97 if row["step"] > 100 else 0.2}


def test_saturated_rows_are_caught():
    step, finding = first_alarm("kto", KTO, saturating(4))
    assert 100 < step <= 120 and "97% of the rows have no gradient" in finding.what


@pytest.mark.parametrize(
    "reward, kl, saturated",
    [(0.0, 0.0, False), (5.0, 0.0, True), (-5.0, 0.0, True), (5.0, 10.0, False), (1e6, 0, True)],
)
def test_a_row_is_saturated_where_the_sigmoid_is_flat(reward, kl, saturated):
    assert is_saturated(reward, kl, 0.3) is saturated


def test_rows_of_before_a_resume_count():
    rows = list(sft_curve(5))
    sentinel = Sentinel("sft", SFT)
    sentinel.remember([*rows[:40], {"step": 200, "eval_loss": 1.0}])
    for row in rows[40:42]:
        sentinel.check(row | {"loss": 9.0})
    with pytest.raises(Collapse):
        sentinel.check(rows[42] | {"loss": 9.0})


def test_the_last_good_checkpoint_is_kept_and_later_ones_are_set_aside(tmp_path):
    for step in (40, 60, 80):
        folder = tmp_path / f"checkpoints/checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "weights").write_text(str(step))
        seal(folder)
    error = report(Collapse(first_alarm("kto", KTO, falling(0, 8, 3.0))[1]), tmp_path, "kto")
    since = first_alarm("kto", KTO, falling(0, 8, 3.0))[1].since
    good = max(step for step in (40, 60, 80) if step < since)
    assert f"The last good checkpoint is {tmp_path}/checkpoints/checkpoint-{good}" in error.message
    assert 'Change one thing: make kto KTO_ARGS="--learning-rate 2.5e-06"' in error.message
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {f"checkpoint-{s}" if s < since else f"bad-{s}" for s in (40, 60, 80)}


def jumping(method, seed):
    for row in (sft_curve if method == "sft" else kto_curve)(seed):
        yield row | ({"loss": 9.0} if row["step"] > 200 else {})


def breaking(method, seed):
    for row in (sft_curve if method == "sft" else kto_curve)(seed):
        yield row | ({"grad_norm": None} if row["step"] > 200 else {})


COLLAPSES = [
    ("sft", {}, jumping("sft", 1)),
    ("sft", {}, breaking("sft", 1)),
    ("kto", {"learning_rate": 1e-5}, jumping("kto", 1)),
    ("kto", {"learning_rate": 1e-5}, breaking("kto", 1)),
    ("kto", {"learning_rate": 1e-5}, falling(1, 20, 3.0)),
    ("kto", {"learning_rate": 2e-7}, falling(1, 20, 3.0)),
    ("kto", {"learning_rate": 2e-7}, kl_dying(1)),
    ("kto", {"learning_rate": 1e-5}, saturating(1)),
]


@pytest.mark.parametrize("method, settings, rows", COLLAPSES)
def test_what_is_advised_is_one_flag_of_the_script_with_a_value_that_it_takes(method, settings, rows):
    """The script's own parser reads it, and the settings with it are valid and differ in nothing else."""
    size = load_size("7b", "cpu", method)
    before, _ = load_config(method, size, settings)
    _, finding = first_alarm(method, before, rows)
    script = {"sft": sft, "kto": kto}[method]
    given = script.make_context(method, finding.change.split()).params
    names = {name: given[name] for name in asdict(before) if given[name] is not None}
    after, _ = load_config(method, size, settings | names)
    changed = {name for name, value in asdict(after).items() if value != asdict(before)[name]}
    assert len(changed) == 1 and changed == set(names)


def test_early_stopping_waits_for_its_patience_and_names_the_best():
    stop = EarlyStop(every=10, patience=2)
    assert [stop.is_due(step, 35) for step in (5, 10, 20, 34, 35)] == [False, True, True, False, True]
    assert [stop.see(10 * n, loss) for n, loss in enumerate((1.0, 0.8, 0.9), 1)] == [True, True, False]
    assert not stop.stopped
    again = EarlyStop(every=10, patience=2)
    again.restore(stop.state())
    again.see(40, 0.85)
    assert again.stopped and again.figures() == {"best_step": 20}
    assert not EarlyStop(0, 0).is_due(10, 10) and EarlyStop(0, 0).figures() == {}
