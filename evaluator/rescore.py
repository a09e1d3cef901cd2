"""Judge old answers again with today's checker, parser and simulator; the model is not asked.

\b
    python -m evaluator.rescore runs/20251122_090000-sft-tiny
    python -m evaluator.rescore build/eval/ollama-qwen3_4b-native --write

FOLDER is an evaluation's folder (it holds journal.jsonl) or a run's; without one, the newest finished run. Prints the
verdicts that changed. Exit 0: none changed, or they are written; 1: some changed; 2: could not run.
"""

import json
from pathlib import Path

import click

from lib.cli import command, json_option, log, option
from lib.errors import CannotRun


@command(help=__doc__)
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=click.Path(path_type=Path))
@click.option("--write", is_flag=True, help="Write results and reports anew.")
@option("--prompts", default="", help="Prompt sets or .jsonl files, where the journal's names do not find them.")
@json_option
def main(folders, write, prompts, as_json):
    """Judges again and prints; the work is in evaluator.rescoring."""
    from evaluator import rescoring
    from evaluator.files import listed
    from evaluator.results import JOURNAL, evaluations
    from lib.runs import finished_run
    from lib.toolset import load_toolset

    places = [found for folder in folders or [finished_run("")] for found in evaluations(folder, JOURNAL)]
    if not places:
        raise CannotRun("No journal.jsonl there. An evaluation writes it: make eval.")
    toolset, names = load_toolset(), [name.strip() for name in prompts.split(",") if name.strip()]
    done = [rescoring.rescore(place, toolset, names) for place in places]
    if as_json:
        click.echo(json.dumps([as_row(one) for one in done], ensure_ascii=False))
    for one in done:
        if not as_json:
            click.echo("\n".join(lines_of(one)))
        if write:
            rescoring.write(one)
            log(listed(one.folder))
    if not write and any(one.changed for one in done):
        log("Nothing was written; --write takes the new verdicts over.")
    raise SystemExit(1 if not write and any(one.changed for one in done) else 0)


def as_row(one) -> dict:
    """What a program wants to know: the folder, the changes and the new summary."""
    kept = [{"id": case, "why": why} for case, why in one.kept]
    row = {"folder": str(one.folder), "changed": one.changed, "kept": kept, "other_results": one.other_results}
    return row | {"summary": one.result["summary"]}


def lines_of(one) -> list[str]:
    """The changed verdicts, then how many stand."""
    lines = []
    for found in one.changed:
        again = f" (attempt {found['attempt']})" if found["attempt"] > 1 else ""
        lines.append(f"{found['id']}{again}: {found['was']} -> {found['is']}, {found['finding']}")
    records = len(one.result["records"])
    passed = one.result["summary"]["pass"]
    lines.append(
        f"{one.folder}: {len(one.changed)} of {records} verdicts changed; {passed['passed']} of {passed['of']} pass."
    )
    if one.kept:
        reasons = dict.fromkeys(why for _, why in one.kept)
        lines.append(f"Not judged again: {len(one.kept)} ({'; '.join(reasons)}), such as {one.kept[0][0]}.")
    if one.other_results:
        lines.append(
            f"In {len(one.other_results)} the simulator gives other results now than the model was shown, such as "
            f"{one.other_results[0]}: ask again to be sure of those."
        )
    return lines


if __name__ == "__main__":
    main(prog_name="python -m evaluator.rescore")
