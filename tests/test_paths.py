"""lib/paths.py: which paths stay in the vault, whatever is tried."""

import posixpath
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.paths import LOOK_ALIKES, PLAIN_PATH, WORD, path_problem

INSIDE = [
    "",
    "/",
    ".",
    "./",
    "Plan.md",
    "Projects/Garden/Plan.md",
    "Projects/",
    "./Plan.md",
    ".obsidian/config",
    "A.b.c/d..e.md",
    "Wait….md",
    "Café/Menü (neu), 2. Fassung.md",
    "会议：纪要/二〇二五.md",
    "Привет/мир.md",
    "100% done.md",
    "a~b.md",
    "Meeting 10:30.md",
    "cafe\u0301.md",
    "Really?/What!.md",
    "$HOME.md",
    "Notes／2025.md",
]
OUTSIDE = [
    "..",
    "../secret.md",
    "a/../../b.md",
    "a/..",
    "a/../b.md",
    ".. /x",
    "a/. ./b",
    "...",
    "a/..../b",
    "/etc/passwd",
    "//server/share",
    "/Notes/Plan.md",
    "~",
    "~/notes.md",
    "~root/x",
    "C:/Windows",
    "c:notes.md",
    "C:\\Windows\\x",
    "a\\b.md",
    "..\\x",
    "\\\\server\\share",
    "file:///etc/passwd",
    "http://example.org/x",
    "a\x00.md",
    "a\nb.md",
    "a\x1bb",
    "a\x7f",
    "a\u0085b",
    "a\u2028b",
    "a\ud800b",
    "..%2fx",
    "%2e%2e/x",
    "%2fetc/passwd",
    "..／x",
    "／etc/passwd",
    "．．/x",
    "․․/x",
    "‥/x",
    "a/‥/b",
    "…/x",
    "..∕x",
    "..⁄x",
    "..⧸x",
    "..＼x",
    "..﹨x",
    "～/x",
    "∼/x",
    "Ｃ：/x",
    "C：/x",
    ".\u200b./x",
    "\u202e../x",
    ".\u200d.\u200d/x",
    "\u200d../x",
    "\ufeff/etc",
]


@pytest.mark.parametrize("path", INSIDE)
def test_ordinary_paths_stay_inside(path):
    assert path_problem(path) is None


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_that_leave_are_refused_with_a_reason(path):
    assert len(path_problem(path)) > 10


HOSTILE = st.sampled_from([*"./\\~:%a C", "..", "%2e", "%2F", "\0", "\u200b", *map(chr, LOOK_ALIKES), "．", "／", "‥"])


@given(st.lists(HOSTILE, max_size=8).map("".join) | st.text(max_size=12))
def test_an_accepted_path_never_resolves_outside(path):
    if path_problem(path) is not None or path == "/":
        return
    for seen in (path, unicodedata.normalize("NFKC", path), path.replace("\u200b", ""), path.replace("\\", "/")):
        resolved = posixpath.normpath(posixpath.join("/vault", seen))
        assert resolved == "/vault" or resolved.startswith("/vault/")


@given(st.text(alphabet=st.sampled_from([*"a./ ~:%\\b-é漢", *map(chr, LOOK_ALIKES)]), max_size=12))
def test_what_looks_plain_is_judged_inside_by_the_full_rules_too(path):
    if PLAIN_PATH.match(path):
        assert not re.search(r"(^|/)[. ]*\.[. ]*\.[. ]*(/|$)", path)
        assert path in ("", "/") or path[0] not in "/~. "


def test_no_letter_of_a_plain_path_is_a_separator_in_disguise():
    letters = [char for char in map(chr, range(0x30000)) if re.match(f"[{WORD}]", char)]
    assert len(letters) > 30000
    for char in letters:
        assert not set(unicodedata.normalize("NFKC", char)) & set("./\\:~")
        assert unicodedata.category(char) not in ("Cf", "Cc", "Cs", "Zl", "Zp")
        assert ord(char) not in LOOK_ALIKES
