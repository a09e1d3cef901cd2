"""The Hugging Face Hub as an upload needs it: whose token, a repository, files sent and checked, faults in plain words.

All talking is done by huggingface_hub. It sends through Xet where hf_xet is installed (HF_HUB_DISABLE_XET=1: by plain
HTTP) and streams either way; what has arrived is known by its digest and not sent again. Files are committed all at
once, so a repository shows a whole model or none.
"""

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lib.disk import sha256, size_text
from lib.errors import CannotRun

TOKEN_PAGE = "https://huggingface.co/settings/tokens"
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 180.0  # the client's own default is to wait for ever
# What a client without hf_xet can still download: huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE.
LARGEST_FILE = 50_000_000_000
SENT_ALONE = 5_000_000  # bytes; smaller files go with the commit
CHECKED_AT_ONCE = 100  # paths in a question for digests
AGAIN = "Run the same command again: what has arrived is not sent twice."


@dataclass(frozen=True)
class Item:
    """A file of an upload: its path in the repository, and where its bytes are (a file, or a text made for it)."""

    path: str
    source: Path | bytes

    @property
    def bytes(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source).hexdigest() if isinstance(self.source, bytes) else sha256(self.source)


def connect():
    """huggingface_hub's client with the token of the environment or of an earlier login; CannotRun without one."""
    from huggingface_hub import HfApi, constants, get_token, set_client_factory
    from huggingface_hub.utils import disable_progress_bars
    from huggingface_hub.utils._http import default_client_factory

    def patient():
        client = default_client_factory()
        client.timeout = type(client.timeout)(ANSWER_SECONDS, connect=CONNECT_SECONDS)
        return client

    set_client_factory(patient)
    if not sys.stderr.isatty():
        disable_progress_bars()
    if not get_token():
        raise CannotRun(f"no token for the Hub. Make one that may write ({TOKEN_PAGE}) and put HF_TOKEN=... into .env.")
    return HfApi(endpoint=constants.ENDPOINT)


@contextlib.contextmanager
def plain_words(doing: str) -> Iterator[None]:
    """Turns the client's exceptions into CannotRun: what failed while doing what, and what to do."""
    from huggingface_hub import errors

    network = errors.HfHubHTTPError.__bases__[0]  # httpx2.HTTPError, httpx.HTTPError before huggingface_hub 2
    try:
        yield
    except RuntimeError as error:  # what the client wraps around a file that did not arrive
        cause = error.__cause__
        if isinstance(cause, errors.HfHubHTTPError):
            raise CannotRun(refusal(cause, doing)) from error
        raise CannotRun(f"{doing}: {said(cause or error)}. {AGAIN}") from error
    except errors.HfHubHTTPError as error:
        raise CannotRun(refusal(error, doing)) from error
    except errors.OfflineModeIsEnabled as error:
        raise CannotRun(f"{doing}: HF_HUB_OFFLINE is set, so nothing is sent. Unset it.") from error
    except (network, OSError) as error:
        if getattr(error, "filename", None):
            raise  # a file of ours, not the Hub
        raise CannotRun(f"{doing}: the Hub cannot be reached ({said(error)}). {AGAIN}") from error
    except ValueError as error:
        raise CannotRun(f"{doing}: {said(error)}.") from error


def said(error: BaseException) -> str:
    """An exception's words on one line, without the stop; its kind when it has none."""
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


def refusal(error, doing: str) -> str:
    """What a refusal of the Hub means and what to do, by its status."""
    status = error.response.status_code
    if status == 401:
        return f"{doing}: the Hub does not accept this token. Put a valid one into .env as HF_TOKEN: {TOKEN_PAGE}"
    if status == 403:
        return f"{doing}: this token may not do that ({said(error)}). Make one that may write: {TOKEN_PAGE}"
    if status == 404:
        return f"{doing}: the Hub knows no such repository, or this token may not see it."
    if status in (408, 429) or status >= 500:
        return f"{doing}: the Hub answers {status} ({said(error)}). Wait, then do it again: {AGAIN.lower()}"
    return f"{doing}: the Hub refuses ({said(error)})."


def check_name(repo: str) -> None:
    """CannotRun unless the Hub allows the name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise CannotRun(f"REPO '{repo}' is no name that the Hub allows: {said(error)}.") from error


def whole_name(api, repo: str) -> str:
    """The repository's name with its owner, who is the token's when none is named; CannotRun when it may not write."""
    check_name(repo)
    with plain_words("asking the Hub whose token this is"):
        who = api.whoami()
    user = who.get("name", "")
    orgs = [org.get("name") for org in who.get("orgs") or [] if org.get("roleInOrg") != "read"]
    repo = repo if "/" in repo else f"{user}/{repo}"
    owner = repo.split("/")[0]
    if owner not in [user, *orgs]:
        mine = ", ".join([user, *orgs])
        raise CannotRun(f"REPO={repo}: the token belongs to {mine}, not to {owner}. Take one of those names.")
    token = (who.get("auth") or {}).get("accessToken") or {}
    if not may_write(token, repo):
        name = token.get("displayName") or "without a name"
        raise CannotRun(f"the token '{name}' may not write to {repo}. Make one that may: {TOKEN_PAGE}")
    return repo


def may_write(token: dict, repo: str) -> bool:
    """Whether the token's role allows writing to the repository; True where the Hub does not say."""
    role = token.get("role")
    if role != "fineGrained":
        return role != "read"
    scopes = (token.get("fineGrained") or {}).get("scoped") or []
    places = (repo, repo.split("/")[0])
    return any(
        (scope.get("entity") or {}).get("name") in places and "repo.write" in (scope.get("permissions") or [])
        for scope in scopes
    )


def prepare(api, repo: str, kind: str, private: bool, owned: Callable[[str | None, set[str]], bool]) -> None:
    """The repository made, or found to be ours; owned(the run that its card names, its files) says whether it is."""
    from huggingface_hub.errors import RepositoryNotFoundError

    with plain_words(f"looking for {repo}"):
        try:
            info = api.repo_info(repo, repo_type=kind)
        except RepositoryNotFoundError:
            # Without PRIVATE the owner's own default holds.
            api.create_repo(repo, repo_type=kind, private=private or None, exist_ok=True)
            return
    files = {each.rfilename for each in info.siblings or []} - {".gitattributes"}
    theirs = (info.card_data or {}).get("run")
    if not owned(theirs, files):
        whose = f"the model of {theirs}" if theirs else "other files"
        raise CannotRun(f"{repo} exists and holds {whose}. Choose another REPO, or write into it with UPDATE=1.")
    if private and info.private is False:
        raise CannotRun(f"{repo} exists and is public, which PRIVATE=1 does not change. Make it private on the Hub.")


def send(api, repo: str, kind: str, items: list[Item], message: str, tell: Callable[[str], None]) -> str:
    """The address of the commit that holds all items; large ones are sent one after the other first."""
    from huggingface_hub import CommitOperationAdd

    source = {item.path: item.source if isinstance(item.source, bytes) else str(item.source) for item in items}
    operations = [CommitOperationAdd(path, place) for path, place in source.items()]
    large = [item for item in items if item.bytes >= SENT_ALONE]
    for number, item in enumerate(large, start=1):
        tell(f"Sending {item.path}, {size_text(item.bytes)} ({number} of {len(large)} large files).")
        mine = [operation for operation in operations if operation.path_in_repo == item.path]
        with plain_words(f"sending {item.path}"):
            api.preupload_lfs_files(repo, mine, repo_type=kind, free_memory=False)
    with plain_words(f"writing the commit to {repo}"):
        done = api.create_commit(repo, operations, commit_message=message, repo_type=kind)
    return str(done.commit_url)


def verify(api, repo: str, kind: str, items: list[Item]) -> None:
    """CannotRun unless the repository holds every item with the same digest."""
    found = {}
    paths = [item.path for item in items]
    with plain_words(f"reading the digests of {repo}"):
        for start in range(0, len(paths), CHECKED_AT_ONCE):
            part = paths[start : start + CHECKED_AT_ONCE]
            found.update({info.path: info for info in api.get_paths_info(repo, part, repo_type=kind)})
    wrong = [item.path for item in items if not is_same(item, found.get(item.path))]
    if wrong:
        raise CannotRun(f"{repo}: {', '.join(wrong[:5])} did not arrive as sent. {AGAIN}")


def is_same(item: Item, info) -> bool:
    """Whether the Hub's file has the item's bytes: by sha256 where it is stored apart, by git's digest otherwise."""
    if info is None or info.size != item.bytes:
        return False
    if info.lfs is not None:
        return info.lfs.sha256 == item.sha256
    content = item.source if isinstance(item.source, bytes) else item.source.read_bytes()
    return info.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
