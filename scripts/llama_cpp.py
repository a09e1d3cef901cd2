"""Find llama.cpp, or build it once into your cache; print where its programs are.

\b
    python -m scripts.llama_cpp
    LLAMA_CMAKE="-DGGML_CUDA=ON" python -m scripts.llama_cpp
    LLAMA_CPP=~/llama.cpp python -m scripts.llama_cpp
"""

import click

from lib.cli import command


@command(help=__doc__)
def main():
    from lib import llama_cpp

    found = llama_cpp.tools()
    for name in ("server", "quantize", "convert", "origin"):
        click.echo(f"{name:<9} {getattr(found, name)}")


if __name__ == "__main__":
    main()
