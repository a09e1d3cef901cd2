"""The trainers' versions on CUDA: run by `make test-api`, which lays them over the CPU platform's environment."""

import os
from importlib import metadata

import pytest

from lib.needs import asked_packages, locked_versions

pytestmark = pytest.mark.skipif(os.environ.get("CUDA_API") != "1", reason="make test-api runs it")
LAID_OVER = ("trl", "transformers", "datasets", "huggingface-hub")


@pytest.mark.parametrize("name", asked_packages("requirements-api.txt"))
def test_what_is_laid_over_is_what_the_cuda_lock_names(name):
    assert metadata.version(name) == locked_versions("requirements-cuda.lock")[name]


@pytest.mark.parametrize("name", LAID_OVER)
def test_the_cpu_platform_has_other_versions(name):
    locks = [locked_versions(lock)[name] for lock in ("requirements.lock", "requirements-cuda.lock")]
    assert locks[0] != locks[1], f"{name} is the same in both: nothing to test here any more"


def test_the_modules_come_from_there():
    import datasets
    import transformers
    import trl

    for module in (datasets, transformers, trl):
        assert module.__version__ == locked_versions("requirements-cuda.lock")[module.__name__]
        assert "cuda-api" in module.__file__


@pytest.mark.parametrize("method", ["sft", "kto"])
def test_every_training_argument_of_ours_is_known(method, tmp_path):
    import trl

    from lib.config import load_config, load_size
    from lib.training_torch import arguments

    config, _ = load_config(method, load_size("tiny", "cpu", method), {})
    made = getattr(trl, f"{method.upper()}Config")(**arguments(config, tmp_path, "cpu", resume=True))
    assert made.per_device_train_batch_size == config.batch_size
