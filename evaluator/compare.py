"""Compare two evaluations of the same cases: what changed, and whether that is more than noise.

\b
    python -m evaluator.compare runs/20251122_101500-sft-tiny runs/20251122_110000-kto-tiny
    python -m evaluator.compare build/eval/old/results.json build/eval/new --max-regressions 2
    python -m evaluator.compare A B --page build/eval/compare.html

A is the reference, B the candidate: results.json, an evaluation's folder, or a run's folder. Exit 0: B may replace A;
1: B is worse beyond noise, or breaks a limit; 2: no comparison (no common cases, or too many without a clean answer).
"""

import json
from pathlib import Path

import click

from lib.cli import command, json_option, log, option


@command(help=__doc__)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@option("--max-drop", type=click.FloatRange(0, 1), help="Exit 1 when the pass rate drops by more, e.g. 0.05.")
@option("--max-regressions", type=click.IntRange(min=0), help="Exit 1 when more cases pass in A and fail in B.")
@option("--alpha", type=click.FloatRange(0, 1), default=0.05, help="Chance of calling noise a difference.")
@click.option("--page", "target", type=click.Path(path_type=Path), help="Write both to a page, flips first.")
@json_option
def main(a, b, max_drop, max_regressions, alpha, target, as_json):
    """Compares and prints; the work is in evaluator.comparison."""
    from evaluator.comparison import compare, faults, too_unclean
    from evaluator.results import read_result, result_file

    results = [read_result(a), read_result(b)]
    found = compare(*results, alpha)
    for side, place in (("a", a), ("b", b)):
        found[side]["path"] = str(result_file(place))
    unclean, broken = too_unclean(found), faults(found, max_drop, max_regressions)
    code = 2 if unclean else 1 if broken else 0
    for warning in found["warnings"]:
        log(f"Warning: {warning}")
    if as_json:
        click.echo(json.dumps(found | {"faults": broken, "exit": code}, ensure_ascii=False))
    else:
        click.echo("\n".join(lines_of(found)))
    if target:
        write_page(target, results, alpha)
    if unclean:
        log(f"Error: {unclean}. Evaluate again with --resume.")
    else:
        for fault in broken:
            log(f"Not good enough: {fault}.")
    raise SystemExit(code)


def write_page(target: Path, results: list[dict], alpha: float) -> None:
    """Both results on one page."""
    from evaluator.page import page
    from lib.jsonl import write_text

    write_text(target, page(results, alpha))
    log(f"Written: {target}")


def lines_of(found: dict) -> list[str]:
    """The comparison in words: rates, flips by case, what was left out, and the sentence."""
    from evaluator.reports import shown_rate

    width = max(len(found[side]["label"]) for side in "ab")
    lines = [f"{side.upper()}  {found[side]['label']:<{width}}  {shown_rate(found[side]['pass'])}" for side in "ab"]
    for key, head in (("regressions", "Passed in A, fails in B"), ("gains", "Failed in A, passes in B")):
        if found[key]:
            lines += ["", f"{head}{' more or less often' if found['repeated'] else ''}:"]
            lines += [f"  {flip['id']}  {_counts(flip, found)}{flip['reason']}" for flip in found[key]]
    if found["unclean"]:
        lines += ["", "Not compared, for want of a clean answer:"]
        lines += [f"  {case['id']}  A: {case['a']}, B: {case['b']}" for case in found["unclean"]]
    for key in ("only_a", "only_b"):
        if found[key]:
            lines += ["", f"Only in {key[-1].upper()}: {len(found[key])} cases, such as {found[key][0]}"]
    return [*lines, "", found["sentence"]]


def _counts(flip: dict, found: dict) -> str:
    return f"{flip['a']} -> {flip['b']}  " if found["repeated"] else ""


if __name__ == "__main__":
    main(prog_name="python -m evaluator.compare")
