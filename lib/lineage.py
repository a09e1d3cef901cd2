"""Where a file comes from: its manifest, run, SFT run, data, code and packages, each link checked against the bytes.

A manifest lies beside what it describes: manifest.json beside model files, config.yaml in a run, lineage.json in what
was uploaded, which holds the whole chain because the runs stay at home.
"""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from lib import runs
from lib.disk import sha256, size_text
from lib.errors import CannotRun
from lib.gguf_source import ADAPTERS
from lib.jsonl import read_object
from lib.runs import is_finished, read_done, read_manifest

MANIFEST, RECORD, RESULTS = "manifest.json", "lineage.json", "results.json"
MANIFESTS = ("runs/*/*/manifest.json", "build/*/*/manifest.json")  # where a file that was moved away is looked up
ADVICE = "That is not a manifest; make the files anew: make gguf."
CHANGES = "+changes"  # behind a commit whose files were changed


@dataclass(frozen=True)
class Link:
    """One step of the chain: what it is, where it lies, what is known of it; faults break the chain, notes do not."""

    kind: str
    place: str
    facts: dict = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def chain(place: Path) -> list[Link]:
    """The links from a model file, a folder, a run or a dataset back to its data and code, nearest first."""
    if not place.exists():
        raise CannotRun(f"{place}: no such file or folder. Name a model file or a run: runs/<name>/gguf/<file>.gguf")
    home = place if place.is_dir() else place.parent
    if place.suffix == ".jsonl":
        return [data_link(str(place), sha256(place), "")]
    if (home / "config.yaml").is_file():
        return of_run(home)
    if (home / RESULTS).is_file():
        return of_evaluation(home / RESULTS)
    if (home / RECORD).is_file():
        return recorded(place, home)
    if place.is_dir() and not (place / MANIFEST).is_file() and (home.parent / "config.yaml").is_file():
        return of_run(home.parent)  # final_model of a run
    if place.is_file() and home.name == "final_model":
        return of_run(home.parent)
    return of_made(place, home)


def of_made(place: Path, home: Path) -> list[Link]:
    """The chain of what a manifest.json describes: a file in its folder, or the whole folder."""
    manifest_path = home / MANIFEST
    digest = sha256(place) if place.is_file() else ""
    if not names(manifest_path, place, digest):
        found = whose(digest) if digest else None
        if found is None:
            missing = (
                f"{manifest_path} does not name it" if manifest_path.is_file() else f"no {MANIFEST} lies beside it"
            )
            fault = f"{missing}, and no manifest below runs/ or build/ knows its sha256: where it comes from is unknown"
            return [Link("file", str(place), file_facts(place, digest), (fault,))]
        manifest_path = found
    manifest = read_object(manifest_path, ADVICE)
    made = manifest.get("made") or {}
    inputs = manifest.get("inputs") or {}
    links = [file_link(place, digest, manifest)]
    links.append(Link("made", str(manifest_path), inputs | flat(made), *code_remarks(made.get("git_commit"))))
    if name := inputs.get("run"):
        beside = manifest_path.parent.parent
        run = beside if beside.name == name else runs.RUNS / name
        return links + of_run(run, inputs.get("adapter"))
    return links + [Link("base", "untrained", {"config": inputs.get("config", "")})]


def of_evaluation(results: Path) -> list[Link]:
    """The chain of an evaluation: what was asked, then the model file that answered, found by its sha256."""
    settings = read_object(results, "Evaluate again: make eval.").get("settings", {})
    keys = ("gguf", "gguf_sha256", "backend", "model", "format", "prompts", "prompts_sha256", "tools_sha256")
    facts = {key: settings[key] for key in keys if settings.get(key)}
    digest = settings.get("gguf_sha256")
    if not digest:
        return [
            Link("evaluation", str(results), facts, (), ("a server's model was asked, whose file it does not show",))
        ]
    place = results.parent.parent.parent / "gguf" / str(settings.get("gguf"))
    if place.is_file() and sha256(place) == digest:
        return [Link("evaluation", str(results), facts), *of_made(place, place.parent)]
    fault = "the model file that answered is gone, or was made anew since"
    return [Link("evaluation", str(results), facts, (fault,))]


def names(manifest_path: Path, place: Path, digest: str) -> bool:
    """Whether the manifest describes the file (by its name), or the folder it lies in."""
    if not manifest_path.is_file():
        return False
    return not digest or place.name in read_object(manifest_path, ADVICE).get("files", {})


def whose(digest: str) -> Path | None:
    """The manifest of this checkout that knows a file of that sha256."""
    for pattern in MANIFESTS:
        for path in sorted(Path().glob(pattern)):
            if digest in {entry.get("sha256") for entry in read_object(path, ADVICE).get("files", {}).values()}:
                return path
    return None


def file_facts(place: Path, digest: str) -> dict:
    return {"sha256": digest, "bytes": place.stat().st_size} if digest else {}


def file_link(place: Path, digest: str, manifest: dict) -> Link:
    """The file against its entry; of a folder every file that the manifest lists."""
    entries = manifest.get("files", {})
    if not digest:
        wrong = [name for name, entry in entries.items() if changed(place / name, entry)]
        faults = tuple(f"{name}: {changed(place / name, entries[name])}" for name in wrong)
        return Link("folder", str(place), {"files": len(entries)}, faults)
    entry = next((e for e in entries.values() if e.get("sha256") == digest), entries.get(place.name, {}))
    known = {key: entry[key] for key in ("type", "kl", "top") if key in entry}
    fault = changed(place, entry, digest)
    notes = () if "sha256" in entry else ("its manifest is of an older kind without sha256; only its size is checked",)
    return Link("file", str(place), known | file_facts(place, digest), (fault,) if fault else (), notes)


def changed(path: Path, entry: dict, digest: str | None = None) -> str | None:
    """Why the file is not the one that was noted, as a sentence without its end; None when it is."""
    if not path.is_file():
        return "it is gone"
    size, noted = path.stat().st_size, entry.get("bytes")
    if noted is not None and size != noted:
        what = "it was cut short" if size < noted else "it has grown"
        return f"it has {size} bytes, {noted} were written: {what} after it was made"
    if "sha256" in entry and (digest or sha256(path)) != entry["sha256"]:
        return "its sha256 is not the one noted when it was made: it was changed afterwards"
    return None


def of_run(run: Path, adapter: str | None = None) -> list[Link]:
    """The chain of a run; adapter: the digest that something made from it has noted."""
    try:
        manifest = read_manifest(run)
    except CannotRun:
        return [Link("run", str(run), {}, ("the run is gone, and with it what it was trained on",))]
    faults = [] if is_finished(run) else ["it is not finished (no done.json)"]
    weights = next((path for name in ADAPTERS if (path := run / "final_model" / name).is_file()), None)
    digest = sha256(weights) if weights else None
    if digest is None:
        faults.append("its adapter is gone")
    elif adapter and adapter != digest:
        faults.append("its adapter has changed since: what was made from it holds another one")
    facts = {key: manifest.get(key) for key in ("method", "size", "platform", "base", "base_digest", "template_digest")}
    facts |= {"adapter": digest, "recipe": recipe_digest(manifest), **flat(manifest)}
    facts |= {key: value for key, value in figures(run).items() if value is not None}
    code_faults, notes = code_remarks(manifest.get("git_commit"))
    commit = str(manifest.get("git_commit") or "").removesuffix(CHANGES)
    links = [Link("run", str(run), facts, (*faults, *code_faults), notes)]
    links += [data_link(path, noted, commit) for path, noted in (manifest.get("data") or {}).items()]
    if before := manifest.get("sft_run"):
        sft_run = Path(before) if Path(before).is_dir() else run.parent / Path(before).name
        links += of_run(sft_run, manifest.get("sft_adapter"))
    return links


def figures(run: Path) -> dict:
    """The losses in done.json; {} while there is none."""
    if not is_finished(run):
        return {}
    done = read_done(run)
    return {key: done.get(key) for key in ("train_loss", "eval_loss", "kl", "rewards/margins")}


def recipe_digest(manifest: dict) -> str:
    """sha256 of the settings that a run was trained with."""
    return hashlib.sha256(json.dumps(manifest.get("settings"), sort_keys=True).encode()).hexdigest()


def flat(made: dict) -> dict:
    """Commit and packages as one line each."""
    packages = ", ".join(f"{name} {version}" for name, version in (made.get("versions") or {}).items())
    return {"git_commit": made.get("git_commit"), "packages": packages}


def data_link(path: str, noted: str, commit: str) -> Link:
    """A dataset against the digest noted at the training; one that has changed since may stand in the commit."""
    facts = {"sha256": noted}
    if Path(path).is_file() and sha256(path) == noted:
        return Link("data", path, facts)
    state = "has changed since" if Path(path).is_file() else "is gone"
    if commit and digest_in_commit(path, commit) == noted:
        return Link("data", path, facts, (), (f"it {state} here; commit {commit[:12]} holds it as it was",))
    return Link("data", path, facts, (f"it {state}, and no commit that is known here holds it as it was",))


def digest_in_commit(path: str, commit: str) -> str | None:
    """sha256 of a file as a commit holds it; None when there is no such commit or file."""
    try:
        shown = subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return hashlib.sha256(shown.stdout).hexdigest() if shown.returncode == 0 else None


def code_remarks(commit: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(faults, notes) of the commit that made something."""
    if not commit or commit == "unknown":
        return ("the commit that made it was not noted",), ()
    if commit.endswith(CHANGES):
        return (), (f"made with files that were changed after commit {commit.removesuffix(CHANGES)[:12]}",)
    return (), ()


def recorded(place: Path, home: Path) -> list[Link]:
    """The chain that lineage.json tells, its files checked; the runs themselves are elsewhere."""
    record = read_object(home / RECORD, ADVICE)
    entries = record.get("files", {})
    name = str(place.relative_to(home)) if place.is_file() else ""
    if name and name not in entries:
        return [Link("file", str(place), file_facts(place, sha256(place)), (f"{home / RECORD} does not name it",))]
    checked = {name: entries[name]} if name else entries
    wrong = [f"{each}: {fault}" for each, entry in checked.items() if (fault := changed(home / each, entry))]
    facts = file_facts(place, sha256(place)) if name else {"files": len(entries)}
    first = Link("file" if name else "folder", str(place), facts, tuple(wrong))
    told = [
        Link(**{**link, "faults": tuple(link["faults"]), "notes": tuple(link["notes"])}) for link in record["chain"]
    ]
    return [first, *told]


def record(links: list[Link], files: dict[str, dict]) -> dict:
    """What lineage.json holds: every file's size and digest, and the chain without this machine's folders."""
    chain = [
        replace(link, place=public(link.place), facts={name: public(value) for name, value in link.facts.items()})
        for link in links
    ]
    return {"files": files, "chain": [asdict(link) for link in chain]}


def public(value):
    """A path as others may read it: from the project's folder on, else the name alone; anything else as it is."""
    if not isinstance(value, str) or not Path(value).is_absolute():
        return value
    path = Path(value)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name


def is_broken(links: list[Link]) -> bool:
    return any(link.faults for link in links)


def shown(links: list[Link]) -> str:
    """The chain as text, one paragraph a link."""
    parts = []
    for depth, link in enumerate(links):
        lines = [f"{'└─ ' if depth else ''}{link.kind}: {link.place}"]
        for name, value in link.facts.items():
            if value not in (None, "", {}):
                lines.append(f"     {name}: {told(name, value)}")
        lines += [f"     BROKEN: {fault}." for fault in link.faults]
        lines += [f"     note: {note}." for note in link.notes]
        parts.append("\n".join(lines))
    return "\n".join(parts)


def told(name: str, value) -> str:
    """A fact for people: sizes in MB, several values on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {size_text(each) if name == 'weights' else each}" for key, each in value.items())
    return size_text(value) if name == "bytes" else str(value)
