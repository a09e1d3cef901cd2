"""Look for evaluation prompts in training data: by runs of words, by runs of letters, and inside longer texts.

\b
    python -m scripts.contamination datasets/syngen_tools_sft.jsonl datasets/syngen_tools_kto.jsonl
    python -m scripts.contamination mine.jsonl --prompts my_suite.jsonl --report build/contamination.json

Every user turn is held against every prompt: Jaccard of word 3-grams, Jaccard of letter 5-grams (MinHash finds the
pairs), and the share of a prompt's word 3-grams in a longer text. A row above the limit is named with the prompt. Exit
code 1 when there is one. Without --prompts all sets in evaluator/prompts count.
"""

import json
from pathlib import Path

import click

from lib.cli import command, json_option, log, option, progress


@command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--prompts", multiple=True, type=click.Path(path_type=Path), help="A prompt set to hold rows against.")
@option("--jaccard", type=click.FloatRange(0.3, 1), default=0.5, help="Likeness that counts as the same request.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as JSON to this file."
)
@json_option
@click.pass_context
def main(ctx, files, prompts, jaccard, report, as_json):
    from lib.contamination import MEASURES, asked, load_prompts, look
    from lib.jsonl import write_json

    questions = load_prompts(prompts)
    texts = (entry for path in files for entry in progress(asked(path), desc=str(path), unit="turn"))
    found = look(texts, questions, jaccard)
    if report:
        write_json(report, {"files": [str(path) for path in files], "prompts": len(questions), **found.to_dict()})
        log(f"Report: {report}")
    if as_json:
        click.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        for leak in found.leaks:
            click.echo(f"{leak.path}:{leak.line}: {leak.likeness:.2f} like {leak.prompt} ({MEASURES[leak.measure]})")
        click.echo(f"{found.rows} rows, {len(questions)} prompts: {len({(x.path, x.line) for x in found.leaks})} leak")
        for measure, leak in found.nearest.items():
            where = f"{leak.path}:{leak.line} and {leak.prompt}"
            log(f"nearest that does not count, {MEASURES[measure]}: {leak.likeness:.2f}, {where}")
    ctx.exit(1 if found.leaks else 0)


if __name__ == "__main__":
    main()
