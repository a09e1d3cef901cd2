"""One recipe, three platforms: the same tokens and masks everywhere, said before every training."""

import re

import pytest
from click.testing import CliRunner

from lib.config import METHODS, PLATFORMS
from lib.jsonl import write_rows
from scripts.kto import main as kto
from scripts.sft import main as sft
from tests.tiny_model import call_row, write_tiny_model

COMMANDS = {"sft": sft, "kto": kto}
# What a size may want otherwise on one platform, given here for all.
SAME = ["--batch-size", "4", "--grad-accumulation", "1", "--no-unsloth", "--dry-run"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("platforms")
    write_tiny_model(folder / "model")
    write_rows(folder / "rows.jsonl", (call_row(i, i % 2 == 0) for i in range(16)))
    for platform, name in (("cpu", "adapter_model"), ("cuda", "adapter_model"), ("mlx", "adapters")):
        run = folder / f"20261129_070000-sft-{platform}"
        (run / "final_model").mkdir(parents=True)
        for file in ("final_model/adapter_config.json", f"final_model/{name}.safetensors", "config.yaml", "done.json"):
            (run / file).write_text("{}")
    return folder


def digest(place, method, platform, *flags):
    """The digest of tokens and masks that a dry run tells."""
    arguments = [str(place / "rows.jsonl"), "--platform", platform, "--model", str(place / "model"), *SAME, *flags]
    if method == "kto":
        arguments += ["--from-run", str(place / f"20261129_070000-sft-{platform}")]
    answer = CliRunner().invoke(COMMANDS[method], arguments)
    assert answer.exit_code == 0, answer.output
    return re.search(r"tokens and masks +sha256 ([0-9a-f]{64})", answer.stderr)[1]


@pytest.mark.parametrize("form", ["native", "text"])
@pytest.mark.parametrize("method", METHODS)
def test_tokens_and_masks_are_the_same_on_every_platform(place, method, form):
    found = {platform: digest(place, method, platform, "--format", form) for platform in PLATFORMS}
    assert len(set(found.values())) == 1, found


def test_another_format_or_prompt_gives_another_digest(place):
    found = {
        digest(place, "sft", "cpu", *flags) for flags in ([], ["--format", "text"], ["--tools-in-prompt", "names"])
    }
    assert len(found) == 3
