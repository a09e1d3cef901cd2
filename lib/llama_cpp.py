"""llama.cpp's server, quantizer and converter: yours (LLAMA_CPP, PATH), or built once from source that PyPI carries.

The source is the one inside the llama-cpp-python source archive. What is built goes into the user's cache, where every
clone of this project finds it again; it is thrown away and built anew only for other CMake flags or another processor.
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from lib import pypi
from lib.cli import log, progress
from lib.disk import cache_folder, only_one, require_free, whole_folder
from lib.errors import CannotRun

VERSION = "0.3.36"
SDIST = f"llama_cpp_python-{VERSION}.tar.gz"
SDIST_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
SOURCE = f"llama_cpp_python-{VERSION}/vendor/llama.cpp/"
CONVERTER = ("convert_hf_to_gguf.py", "conversion", "gguf-py", "LICENSE")
TARGETS = ("llama-server", "llama-quantize")
EXTRAS = ("llama-perplexity", "llama-imatrix")  # a llama.cpp of your own may lack them
NEEDED_BYTES = 700_000_000  # source 180 MB, objects and binaries 90 MB; a CUDA build far more
CMAKE_FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    # Server and parsers need no more; FASTER_BUILD has other flags for the arithmetic.
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_CCACHE=OFF",
    "-DLLAMA_ALL_WARNINGS=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_SUBPROCESS=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
)
# Read by CMake after each project(): ggml's own, and the whole one, whose targets exist once its file has been read.
# GCC 12 takes most stores to the AMX tile configuration for dead (its _tile_loadconfig declares 8 bytes of 64 read):
# the server then dies with SIGSEGV on every quantized model where the processor has AMX.
FASTER_BUILD = """\
if(PROJECT_NAME STREQUAL "ggml")
    set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        string(APPEND CMAKE_CXX_FLAGS_RELEASE " -fno-dse -fno-tree-dse")
    endif()
elseif(CMAKE_CURRENT_SOURCE_DIR STREQUAL CMAKE_SOURCE_DIR)
    function(precompile_standard_headers)
        foreach(target llama llama-common mtmd server-context llama-server-impl)
            target_precompile_headers(${target} PRIVATE <algorithm> <chrono> <filesystem> <fstream> <functional>
                <iomanip> <iostream> <map> <memory> <mutex> <optional> <random> <regex> <set> <sstream> <string>
                <thread> <unordered_map> <variant> <vector>)
        endforeach()
    endfunction()
    cmake_language(DEFER CALL precompile_standard_headers)
endif()
"""
STEP = re.compile(r"^\[ *(?:(\d+)/(\d+)|(\d+)%)\]")
EXE = ".exe" if os.name == "nt" else ""


@dataclass(frozen=True)
class LlamaCpp:
    """Paths of the programs, and where they come from: LLAMA_CPP, PATH, or the cache."""

    server: Path
    quantize: Path
    script: Path | None
    origin: str
    perplexity: Path | None = None
    imatrix: Path | None = None

    @property
    def convert(self) -> Path:
        """convert_hf_to_gguf.py; releases and packages leave it out, then it comes from the source on PyPI."""
        return self.script or converter()


def tools() -> LlamaCpp:
    """llama.cpp's programs: LLAMA_CPP wins, then PATH, then what was built before; built now when there is none."""
    return find() or build(cmake_flags())


def find() -> LlamaCpp | None:
    """llama.cpp's programs without building anything; None when a build is needed."""
    if folder := os.environ.get("LLAMA_CPP"):
        return in_folder(Path(folder).expanduser(), "LLAMA_CPP")
    server, quantize = shutil.which("llama-server"), shutil.which("llama-quantize")
    if server and quantize:
        others = [shutil.which(name) for name in (CONVERTER[0], *EXTRAS)]
        script, perplexity, imatrix = (Path(path) if path else None for path in others)
        return LlamaCpp(Path(server), Path(quantize), script, "PATH", perplexity, imatrix)
    target = build_folder(cmake_flags())
    return in_folder(target, "cache") if target.is_dir() else None


def cmake_flags() -> list[str]:
    """The flags of LLAMA_CMAKE, such as -DGGML_CUDA=ON: other flags are another build."""
    return shlex.split(os.environ.get("LLAMA_CMAKE", ""))


def in_folder(folder: Path, origin: str) -> LlamaCpp:
    """The programs in a folder of our own layout, a release, or a llama.cpp checkout that was built in build/."""
    places = [folder, folder / "bin", folder / "build" / "bin", folder / "build" / "bin" / "Release"]
    scripts = [folder, folder / "convert", folder.parent, folder.parent.parent]

    def first(name: str, where: list[Path]) -> Path | None:
        return next(((place / name).resolve() for place in where if (place / name).is_file()), None)

    found = [first(f"{name}{EXE}", places) for name in TARGETS]
    if not all(found):
        fix = "Name the folder of a built checkout, or unset LLAMA_CPP" if origin == "LLAMA_CPP" else "Delete it"
        raise CannotRun(f"{folder} ({origin}) holds no {TARGETS[found.index(None)]}. {fix}; it is then built for you.")
    extras = [first(f"{name}{EXE}", places) for name in EXTRAS]
    return LlamaCpp(*found, first(CONVERTER[0], scripts), origin, *extras)


def converter() -> Path:
    """convert_hf_to_gguf.py with the modules it needs, out of the source archive: no compiler needed."""
    target = cache_folder(f"llama.cpp-{VERSION}-converter")
    with only_one(target):
        if not target.is_dir():
            sdist = pypi.fetch("llama-cpp-python", SDIST, SDIST_SHA256, cache_folder("downloads"))
            with whole_folder(target) as part:
                unpack(sdist, part, CONVERTER)
            sdist.unlink()
    return target / CONVERTER[0]


def build_folder(extra: list[str]) -> Path:
    """Where a build with these flags belongs: one folder for each set of flags and kind of processor."""
    # The binaries use every instruction this processor has and would crash on an older one that shares the home folder.
    text = "\n".join(
        [*CMAKE_FLAGS, FASTER_BUILD, *TARGETS, *EXTRAS, *extra, platform.system(), platform.machine(), processor()]
    )
    return cache_folder(f"llama.cpp-{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:10]}")


def processor() -> str:
    """What tells kinds of processors apart: their instruction sets on Linux, their name elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())


def build(extra: list[str]) -> LlamaCpp:
    """The programs, built from source into the cache: minutes, once."""
    target = build_folder(extra)
    with only_one(target, lambda: log("Another process is building llama.cpp; waiting for it.")):
        if not target.is_dir():
            cmake, generator = build_tools()
            require_free(target, NEEDED_BYTES, "building llama.cpp")
            sdist = pypi.fetch("llama-cpp-python", SDIST, SDIST_SHA256, cache_folder("downloads"))
            started = time.monotonic()
            log("Building llama.cpp once for this machine (about ten minutes of processor time, kept in your cache).")
            with whole_folder(target) as part:
                unpack(sdist, part / "source")
                compile_targets(cmake, [*generator, *CMAKE_FLAGS, *extra], part, target.with_name(f"{target.name}.log"))
                keep_products(part)
            sdist.unlink(missing_ok=True)
            log(f"Built llama.cpp in {time.monotonic() - started:.0f} s: {target}")
    return in_folder(target, "cache")


def program(name: str) -> str | None:
    """A program on PATH, or beside this Python, where its wheel puts it when no environment is activated."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def build_tools() -> tuple[str, list[str]]:
    """(cmake, its generator flags); CannotRun with the fix when a compiler or cmake is missing."""
    compilers = [os.environ.get("CXX", ""), "c++", "g++", "clang++"]
    if os.name != "nt" and not any(shutil.which(name) for name in compilers if name):
        fix = "xcode-select --install" if sys.platform == "darwin" else "sudo apt install build-essential"
        raise CannotRun(
            f"there is no llama.cpp here and no C++ compiler to build it. Install one ({fix}), or get llama.cpp "
            "ready-made and set LLAMA_CPP to its folder."
        )
    cmake, ninja = program("cmake"), program("ninja")
    if not cmake:
        raise CannotRun(f"building llama.cpp needs cmake. Install it: {sys.executable} -m pip install cmake ninja")
    return cmake, ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []


def unpack(sdist: Path, folder: Path, only: tuple[str, ...] = ()) -> None:
    """Put the llama.cpp source out of the archive into folder, or only the files and folders named."""
    with tarfile.open(sdist) as archive:
        for member in archive:
            name = member.name.removeprefix(SOURCE)
            if name != member.name and (not only or name.split("/")[0] in only):
                member.name = name
                archive.extract(member, folder, filter="data")


def compile_targets(cmake: str, flags: list[str], part: Path, log_path: Path) -> None:
    """Configure and compile in part/build, everything said going to log_path."""
    import psutil

    include = part / "faster.cmake"
    include.write_text(FASTER_BUILD, encoding="utf-8")
    source, objects = part / "source", part / "build"
    # One more job than processors, but no more than the memory carries: a compiler takes up to a gigabyte.
    jobs = max(1, min((os.cpu_count() or 1) + 1, psutil.virtual_memory().total // 1_000_000_000))
    configure = [cmake, "-S", str(source), "-B", str(objects), f"-DCMAKE_PROJECT_INCLUDE={include}", *flags]
    compiling = [cmake, "--build", str(objects), "--config", "Release", "--parallel", str(jobs)]
    compiling += ["--target", *TARGETS, *EXTRAS]
    with open(log_path, "w", encoding="utf-8", buffering=1) as handle:
        run_logged(configure, handle, "Configuring llama.cpp")
        run_logged(compiling, handle, "Building llama.cpp")


def run_logged(command: list[str], handle, what: str) -> None:
    """Run a build step with a bar (or a line at every fifth) made from its [n/m]; CannotRun with its last words."""
    tail: list[str] = []
    reported = 0
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    settings["env"] = os.environ | {"NINJA_STATUS": "[%f/%t] "}
    with (
        subprocess.Popen(command, start_new_session=True, **settings) as process,
        progress(total=100, desc=what, unit="%") as bar,
    ):
        try:
            for line in process.stdout:
                handle.write(line)
                tail = [*tail[-30:], line.rstrip()]
                if step := STEP.match(line):
                    percent = int(step[3]) if step[3] else 100 * int(step[1]) // int(step[2])
                    bar.update(max(percent - bar.n, 0))
                    if bar.disable and percent >= reported + 20:
                        reported = percent
                        log(f"{what}: {step.group()}")
        except BaseException:
            stop_all(process)
            raise
    if process.returncode != 0:
        errors = [line for line in tail if re.search(r"error|Error|No space|Killed", line)] or tail
        reason = " ".join(" ".join(errors[-3:]).split())[:400]
        raise CannotRun(f"{what} failed: {reason} The whole log: {handle.name}")


def stop_all(process: subprocess.Popen) -> None:
    """End a build step with every compiler it has started."""
    if os.name == "nt":
        process.terminate()
    else:
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()


def keep_products(part: Path) -> None:
    """Leave bin/ and convert/ in part; source and objects are not needed any more."""
    (part / "bin").mkdir()
    (part / "convert").mkdir()
    for name in (*TARGETS, *EXTRAS):
        built = next(path for path in (part / "build").rglob(f"{name}{EXE}") if path.is_file())
        shutil.move(built, part / "bin" / built.name)
    for name in CONVERTER:
        shutil.move(part / "source" / name, part / "convert" / name)
    for name in ("source", "build"):
        shutil.rmtree(part / name)
    (part / "faster.cmake").unlink()
