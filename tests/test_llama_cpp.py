"""Finding llama.cpp, and building it once: with stand-ins for cmake and the source, so no compiler runs."""

import hashlib
import http.server
import io
import os
import sys
import tarfile
import threading

import pytest

from lib import llama_cpp, pypi
from lib.errors import CannotRun

FAKE_CMAKE = """\
#!{python}
import pathlib, sys
print("[1/2] one"); print("[2/2] two")
if "--build" in sys.argv:
    if {fails}:
        sys.exit("a.cpp:3:1: fatal error: no such header")
    folder = pathlib.Path(sys.argv[sys.argv.index("--build") + 1]) / "bin"
    folder.mkdir(parents=True)
    for name in ("llama-server", "llama-quantize", "llama-perplexity", "llama-imatrix"):
        (folder / name).write_text("program")
    with open({calls!r}, "a") as handle:
        handle.write("built ")
"""


def make_sdist(path, names=("convert_hf_to_gguf.py", "conversion/a.py", "gguf-py/b.py", "LICENSE", "src/c.cpp")):
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(llama_cpp.SOURCE + name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of its own: empty cache, a compiler and cmake that do nothing, the source archive at hand."""
    programs = tmp_path / "programs"
    programs.mkdir()
    calls, python = tmp_path / "calls", sys.executable

    def cmake(fails=False):
        (programs / "cmake").write_text(FAKE_CMAKE.format(python=python, fails=fails, calls=str(calls)))
        (programs / "cmake").chmod(0o755)

    cmake()
    (programs / "c++").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("LLAMA_CPP", "LLAMA_CMAKE", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setattr(pypi, "fetch", lambda project, filename, digest, folder: make_sdist(tmp_path / "source.tar.gz"))
    return programs, cmake, calls


def put_programs(folder, names=("llama-server", "llama-quantize")):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_llama_cpp_names_a_folder_and_wins_over_the_path(machine, tmp_path, monkeypatch):
    put_programs(machine[0])
    put_programs(tmp_path / "mine" / "build" / "bin")
    (tmp_path / "mine" / "convert_hf_to_gguf.py").touch()
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path / "mine"))
    found = llama_cpp.tools()
    assert found.origin == "LLAMA_CPP"
    assert found.server == tmp_path / "mine/build/bin/llama-server"
    assert found.convert == tmp_path / "mine/convert_hf_to_gguf.py"


def test_measuring_programs_are_taken_where_there_are_some(machine, tmp_path, monkeypatch):
    put_programs(machine[0])
    assert (llama_cpp.tools().perplexity, llama_cpp.tools().imatrix) == (None, None)
    put_programs(machine[0], ["llama-perplexity"])
    assert llama_cpp.tools().perplexity == machine[0] / "llama-perplexity"
    put_programs(tmp_path / "mine", ["llama-server", "llama-quantize", "llama-imatrix"])
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path / "mine"))
    found = llama_cpp.tools()
    assert (found.perplexity, found.imatrix) == (None, tmp_path / "mine" / "llama-imatrix")


def test_a_llama_cpp_folder_without_the_programs_is_refused(machine, tmp_path, monkeypatch):
    put_programs(tmp_path / "half", ["llama-server"])
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path / "half"))
    with pytest.raises(CannotRun, match=r"\(LLAMA_CPP\) holds no llama-quantize. Name the folder"):
        llama_cpp.tools()


def test_programs_on_the_path_are_taken_and_get_the_converter_from_the_source(machine, tmp_path):
    put_programs(machine[0])
    found = llama_cpp.tools()
    assert (found.origin, found.server.parent) == ("PATH", machine[0])
    assert found.convert.read_text() == "x" and (found.convert.parent / "gguf-py/b.py").is_file()
    assert not (found.convert.parent / "src").exists()
    assert not machine[2].exists(), "nothing may be built"


def test_without_any_it_is_built_once_and_found_again(machine):
    assert llama_cpp.find() is None
    built = llama_cpp.tools()
    assert built == llama_cpp.tools() == llama_cpp.find()
    assert built.origin == "cache" and machine[2].read_text() == "built "
    assert built.perplexity.is_file() and built.imatrix.is_file()
    folder = built.server.parent.parent
    assert sorted(path.name for path in folder.iterdir()) == ["bin", "convert"]
    assert built.convert == folder / "convert" / "convert_hf_to_gguf.py"


def test_other_cmake_flags_or_another_processor_are_another_build(machine, monkeypatch):
    here = llama_cpp.build_folder([])
    assert here == llama_cpp.build_folder([])
    assert here != llama_cpp.build_folder(["-DGGML_CUDA=ON"])
    monkeypatch.setattr(llama_cpp, "processor", lambda: "an older one")
    assert here != llama_cpp.build_folder([])


def test_flags_come_from_the_environment(machine, monkeypatch):
    monkeypatch.setenv("LLAMA_CMAKE", "-DA=1 '-DB=2 3'")
    built = llama_cpp.tools()
    assert built.server.parent.parent == llama_cpp.build_folder(["-DA=1", "-DB=2 3"])
    assert llama_cpp.find() == built
    monkeypatch.delenv("LLAMA_CMAKE")
    assert llama_cpp.find() is None


def test_a_second_build_waits_for_the_first_and_takes_its_result(machine, monkeypatch):
    started, go_on, results = threading.Event(), threading.Event(), []
    compile_targets = llama_cpp.compile_targets

    def slowly(*arguments):
        started.set()
        assert go_on.wait(20)
        compile_targets(*arguments)

    monkeypatch.setattr(llama_cpp, "compile_targets", slowly)
    waiting = []
    monkeypatch.setattr(llama_cpp, "log", lambda text: waiting.append(text) or ("waiting" in text and go_on.set()))
    threads = [threading.Thread(target=lambda: results.append(llama_cpp.tools())) for _ in range(2)]
    threads[0].start()
    assert started.wait(20)
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert len(results) == 2 and results[0] == results[1] and machine[2].read_text() == "built "


def test_a_failed_build_leaves_its_log_and_nothing_else(machine):
    machine[1](fails=True)
    with pytest.raises(CannotRun, match="Building llama.cpp failed: .*no such header.*The whole log: (.*)") as caught:
        llama_cpp.tools()
    folder = llama_cpp.build_folder([])
    log = folder.with_name(f"{folder.name}.log")
    assert str(log) in caught.value.message and "[2/2] two" in log.read_text()
    assert not folder.exists() and not folder.with_name(f"{folder.name}.part").exists()
    machine[1](fails=False)
    assert llama_cpp.tools().origin == "cache"


def test_no_compiler_is_said_with_the_fix(machine):
    (machine[0] / "c++").unlink()
    with pytest.raises(CannotRun, match="no C.. compiler to build it. Install one .*set LLAMA_CPP"):
        llama_cpp.tools()


def test_no_cmake_is_said_with_the_fix(machine):
    (machine[0] / "cmake").unlink()
    with pytest.raises(CannotRun, match="needs cmake. Install it: .*pip install cmake ninja"):
        llama_cpp.tools()


def test_cmake_is_found_beside_python_when_no_environment_is_activated(machine, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert llama_cpp.program("cmake") == str(machine[0] / "cmake")


def test_a_full_disk_is_said_before_anything_is_fetched(machine, monkeypatch):
    monkeypatch.setattr(llama_cpp, "NEEDED_BYTES", 10**18)
    monkeypatch.setattr(pypi, "fetch", lambda *_: pytest.fail("fetched"))
    with pytest.raises(CannotRun, match="1000000000.0 GB needed for building llama.cpp"):
        llama_cpp.tools()


def test_members_that_climb_out_of_the_archive_are_refused(tmp_path):
    sdist = make_sdist(tmp_path / "bad.tar.gz", ["../../outside"])
    with pytest.raises(tarfile.OutsideDestinationError):
        llama_cpp.unpack(sdist, tmp_path / "inside" / "deep")
    assert not (tmp_path / "outside").exists()


@pytest.fixture
def index(monkeypatch):
    """A package index on the loopback: (folder-like dict of its pages and files, requests seen)."""
    pages, seen = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(pages.get(self.path, b""))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(pypi, "index_urls", lambda: [f"{url}/empty", f"{url}/simple"])
        monkeypatch.setattr(pypi, "fetch_with_pip", lambda *_: (_ for _ in ()).throw(OSError("pip has none")))
        yield pages, seen
        server.shutdown()


def test_a_file_is_found_on_the_index_checked_and_not_fetched_twice(index, tmp_path):
    pages, seen = index
    pages["/simple/thing/"] = b'<a href="../../files/thing-1.tar.gz#sha256=00">thing-1.tar.gz</a>'
    pages["/files/thing-1.tar.gz"] = b"content"
    digest = hashlib.sha256(b"content").hexdigest()
    path = pypi.fetch("thing", "thing-1.tar.gz", digest, tmp_path)
    assert path.read_bytes() == b"content" and os.listdir(tmp_path) == ["thing-1.tar.gz"]
    count = len(seen)
    assert pypi.fetch("thing", "thing-1.tar.gz", digest, tmp_path) == path and len(seen) == count


def test_a_file_with_another_digest_is_thrown_away(index, tmp_path):
    index[0]["/simple/thing/"] = b'<a href="/files/thing-1.tar.gz">thing-1.tar.gz</a>'
    index[0]["/files/thing-1.tar.gz"] = b"not the one"
    with pytest.raises(
        CannotRun, match="thing-1.tar.gz could not be downloaded from PyPI .*put the file there yourself"
    ):
        pypi.fetch("thing", "thing-1.tar.gz", "0" * 64, tmp_path)
    assert os.listdir(tmp_path) == []


def test_an_index_address_keeps_its_password_to_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(pypi, "index_urls", lambda: [])
    urls = iter([[], ["https://me:secret@example.org/simple"]])
    monkeypatch.setattr(pypi, "index_urls", lambda: next(urls))
    with pytest.raises(FileNotFoundError, match="https://example.org/simple") as caught:
        pypi.fetch_from_index("thing", "thing-1.tar.gz", tmp_path / "thing-1.tar.gz")
    assert "secret" not in str(caught.value)
