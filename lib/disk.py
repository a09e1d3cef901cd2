"""Disks: the user's cache folder, free space, slow mounts, and a lock against two processes making one thing."""

import contextlib
import hashlib
import os
import shutil
import sys
from pathlib import Path

from lib.errors import CannotRun

PROJECT = "toolset-training"
SLOW_FILE_SYSTEMS = {"9p", "drvfs", "cifs", "smb3", "nfs", "nfs4", "fuse.sshfs", "vboxsf"}


def cache_folder(*parts: str) -> Path:
    """A folder in the user's cache that all clones of this project share; its parents exist, it may not."""
    if root := os.environ.get("XDG_CACHE_HOME"):
        cache = Path(root)
    else:
        cache = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    folder = cache.joinpath(PROJECT, *parts)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRun(
            f"{folder.parent}: cannot be created ({error.strerror}). Point XDG_CACHE_HOME at a folder you can write."
        ) from error
    return folder


def size_text(size: int) -> str:
    """A number of bytes for people: 3 kB, 812 MB, 4.1 GB."""
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def existing_parent(path: Path) -> Path:
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return path


def require_free(path, needed: int, purpose: str) -> None:
    """CannotRun unless the disk that holds path has `needed` bytes free."""
    free = shutil.disk_usage(existing_parent(path)).free
    if free < needed:
        raise CannotRun(
            f"{path}: {size_text(free)} free, {size_text(needed)} needed for {purpose}. Free some, or use another disk."
        )


def is_slow(path, mounts: str | None = None) -> bool:
    """Whether path lies on a Windows drive seen through WSL or on a network drive, where quantizing crawls or hangs."""
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8")
        except OSError:
            return False
    target = str(existing_parent(path))
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mount = fields[1].replace("\\040", " ")
        if (target == mount or target.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
            best, kind = mount, fields[2]
    return kind in SLOW_FILE_SYSTEMS


def sha256(path) -> str:
    """A file's sha256 in hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextlib.contextmanager
def only_one(path: Path, waiting=None):
    """Hold the lock file beside path; a second process waits (calling `waiting` once) until the first is done."""
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting:
            waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def whole_folder(target: Path):
    """An empty folder NAME.part that becomes target when the block ends well and is removed when it does not."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if target.exists():
            shutil.rmtree(target)
        os.replace(part, target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
