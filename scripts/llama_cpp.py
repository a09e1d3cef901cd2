"""Find llama.cpp, or build it once into your cache; print where its programs are.

\b
    python -m scripts.llama_cpp
    python -m scripts.llama_cpp --cmake "-DGGML_CUDA=ON"
    LLAMA_CPP=~/llama.cpp python -m scripts.llama_cpp
"""

import importlib
import json

import click

from lib.cli import command, json_option


@command(help=__doc__)
@click.option("--cmake", "cmake_flags", envvar="LLAMA_CMAKE", help="CMake flags to add, such as -DGGML_CUDA=ON.")
@click.option("--find-only", is_flag=True, help="Build nothing; exit 1 when there is none.")
@json_option
def main(cmake_flags, find_only, as_json):
    llama_cpp = importlib.import_module("lib.llama_cpp")
    found = llama_cpp.find(cmake_flags) if find_only else llama_cpp.tools(cmake_flags)
    if found is None:
        click.echo("none; built from source when first needed, or now: python -m scripts.llama_cpp", err=True)
        raise SystemExit(1)
    rows = {"server": str(found.server), "quantize": str(found.quantize), "origin": found.origin}
    if not find_only:
        rows["convert"] = str(found.convert)
    click.echo(json.dumps(rows, indent=1) if as_json else "\n".join(f"{k:<9} {v}" for k, v in rows.items()))


if __name__ == "__main__":
    main()
