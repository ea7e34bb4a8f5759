"""The Hugging Face hub: the front matter of cards, and uploading. Only this file of the package imports huggingface_hub."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import (
    DatasetCardData,
    EvalResult,
    HfApi,
    ModelCardData,
    RepoCard,
    constants,
    get_token,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from selfplay.errors import ConfigError, OutageError, SelfplayError

constants.HF_HUB_DISABLE_TELEMETRY = True  # it would ask the hub for a list of coding agents, and name ours

Kind = Literal["model", "dataset"]
WORDS: Mapping[str, str] = {"model": "model", "dataset": "data set", "space": "space"}
MARK = "selfplay_config.yaml"
"""A file that every publication has; a repository without it was not written by selfplay."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
TOKEN = "run `hf auth login`, or set HF_TOKEN to a token with write access"


@dataclass(frozen=True)
class Accuracy:
    """A test accuracy for the front matter of a model card."""

    value: float
    name: str
    data: str
    """Name of the test set."""
    data_id: str
    """Its name on the hub, or the name of the task source."""


@dataclass(frozen=True)
class Repository:
    """What is uploaded, and to where."""

    name: str
    kind: Kind
    folder: Path


def model_head(title: str, fields: Mapping[str, Any], accuracy: Accuracy | None) -> str:
    """The front matter of a model card. `fields` that are None are left out. `accuracy`: None leaves the model-index out."""
    found = None
    if accuracy is not None:
        found = EvalResult(
            task_type="text-generation",
            dataset_type=accuracy.data_id,
            dataset_name=accuracy.data,
            dataset_split="test",
            metric_type="accuracy",
            metric_value=accuracy.value,
            metric_name=accuracy.name,
        )
    data = ModelCardData(model_name=title, eval_results=None if found is None else [found], **fields)
    return _head(data.to_yaml())


def data_head(fields: Mapping[str, Any]) -> str:
    """The front matter of a data set card. `fields` that are None are left out."""
    return _head(DatasetCardData(**fields).to_yaml())


def _head(text: str) -> str:
    return f"---\n{text.strip()}\n---\n"


def front_matter(card: Path) -> dict[str, Any]:
    """The front matter of a card; empty if it has none, or none that can be read."""
    try:
        found = RepoCard(card.read_text(encoding="utf-8"), ignore_metadata_errors=True).data
        return dict(found.to_dict())  # type: ignore[no-untyped-call]
    except (OSError, ValueError):
        return {}


def cached_card(model: str, revision: str | None) -> Path | None:
    """The card of a model of the hub in the local cache; None if it is not there."""
    try:
        found = try_to_load_from_cache(model, "README.md", revision=revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def check_name(name: str) -> None:
    """Raises ConfigError for a name that no repository on the hub can have together with its namespace."""
    if not _NAME.fullmatch(name) or len(name) > 96 or "--" in name or ".." in name or name.endswith(".git"):
        raise ConfigError(
            f"--push is {name!r}, which is no name on the hub; give NAMESPACE/NAME of letters, digits, `-`, `_` and `.`, such as "
            "your-account/my-model"
        )


def check_access(wanted: Sequence[tuple[str, Kind]]) -> None:
    """Raises before any work is done: without a token or a connection, in a foreign namespace, or where another thing has the name."""
    if constants.HF_HUB_OFFLINE:
        raise ConfigError("--push: HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it, or use --dry-run")
    if get_token() is None:
        raise ConfigError(f"--push: there is no token of the Hugging Face hub; {TOKEN}")
    api = HfApi()
    with _in_words("asking who you are"):
        who = api.whoami()
    mine = [who["name"], *(one["name"] for one in who.get("orgs", ()))]
    for name, kind in wanted:
        if name.partition("/")[0] not in mine:
            raise ConfigError(
                f"--push {name}: the token belongs to {who['name']}, who may write to {', '.join(mine)}; push to one of these, "
                "or use a token of the other account"
            )
        _refuse_foreign(api, name, kind)


def _refuse_foreign(api: HfApi, name: str, kind: Kind) -> None:
    """Raises ConfigError if the name is that of a repository of another kind, or of one that selfplay did not write."""
    with _in_words(f"looking for {name}"):
        there = [other for other in WORDS if api.repo_exists(name, repo_type=other)]
        files = api.list_repo_files(name, repo_type=kind) if kind in there else []
    others = [WORDS[other] for other in there if other != kind]
    if others and kind not in there:
        raise ConfigError(
            f"--push {name}: is a {others[0]} on the hub already, not a {WORDS[kind]}; push to another name"
        )
    if set(files) - {".gitattributes", "README.md"} and MARK not in files:
        raise ConfigError(
            f"--push {name}: exists with {len(files)} files that selfplay did not write (no {MARK}), and would be replaced; "
            "push to another name, or delete it on the hub first"
        )


def upload(repository: Repository, *, public: bool, message: str) -> str:
    """Creates the repository if there is none, makes its content that of the folder in one commit, and returns its address.

    `public`: visibility of a new repository; that of an old one stays. Raises ConfigError or OutageError.
    """
    api, name, kind = HfApi(), repository.name, repository.kind
    with _in_words(f"uploading {name}"):
        address = api.create_repo(name, private=not public, repo_type=kind, exist_ok=True)
        api.upload_folder(
            repo_id=name, folder_path=repository.folder, repo_type=kind, commit_message=message, delete_patterns="*"
        )
    return str(address)


@contextmanager
def _in_words(doing: str) -> Iterator[None]:
    """Turns the many errors of an upload into a sentence each."""
    try:
        yield
    except Exception as error:  # the boundary: a network fails in many ways, each of another library's class
        cause = error.__cause__ if isinstance(error.__cause__, HfHubHTTPError) else error  # of one file of many
        raise _said(doing, cause) from None


def _said(doing: str, error: BaseException) -> SelfplayError:
    """The error for what the hub answered, or for no answer."""
    if not isinstance(error, HfHubHTTPError):
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        return OutageError(
            f"{doing}: the hub cannot be reached ({why}); check the network and HF_ENDPOINT, then run the same command again, or use --dry-run"
        )
    status, said = error.response.status_code, (error.server_message or str(error)).splitlines()[0][:200]
    if status == 401 or isinstance(error, RepositoryNotFoundError):
        return ConfigError(f"{doing}: the hub does not accept the token ({said}); {TOKEN}")
    if status == 403:
        return ConfigError(f"{doing}: the token may not do that ({said}); {TOKEN} to this namespace")
    if status < 500 and status != 429:
        return ConfigError(f"{doing}: the hub refuses it ({status}: {said}); correct that, then push again")
    return OutageError(f"{doing}: the hub answers {status} ({said}); run the same command again later")
