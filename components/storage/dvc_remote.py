"""Downloads one version of a folder under DVC from a remote: a bucket or a folder.

DVC runs here without git, in a temporary folder. The remote's listing is checked before DVC reads it, and each fetched
file is compared with its digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from components.storage import bucket
from components.storage.dvc_listing import files_of, read_listing
from gan_core.errors import InvalidInput, TryAgain

_CONFIG = """\
[core]
    no_scm = true
    analytics = false
    check_update = false
    remote = source
[cache]
    type = hardlink,copy
['remote "source"']
    url = {remote}
"""


def pull(md5: str, remote: str, folder: Path) -> int:
    """Downloads the version `md5` to the new folder `folder`; returns the number of files.

    DVC uses a listing's names and digests as paths before it compares the listing with its own digest. So the listing
    is read and checked here first, and DVC fetches only the objects that it names.

    Raises:
        InvalidInput: the remote lacks the version or one of its files, denies access, or holds other content.
        TryAgain: the remote does not answer.
    """
    content = read_listing(remote, md5)
    files = files_of(content, md5)
    repository = folder.parent / "repository"
    cache = repository / ".dvc" / "cache" / "files" / "md5"
    listing = cache / md5[:2] / md5[2:]
    listing.parent.mkdir(parents=True)
    listing.write_bytes(content)
    if remote.startswith("gs://"):
        url = remote
    else:
        # A link, because DVC's configuration cannot contain every folder name.
        url = "../remote"
        (repository / "remote").symlink_to(remote)
    (repository / ".dvc" / "config").write_text(_CONFIG.format(remote=url), encoding="utf-8")
    (repository / "data.dvc").write_text(f"outs:\n- {{md5: {md5}, hash: md5, path: data}}\n", encoding="utf-8")
    if not remote.startswith("gs://"):
        _require_files(Path(remote), files)
    fetched = _dvc(repository, "fetch", "data.dvc")
    objects = {digest: cache / digest[:2] / digest[2:] for digest in files.values()}
    if fetched.returncode or not all(path.is_file() for path in objects.values()):
        _explain_absence(repository, remote, md5, fetched)
    names = {digest: name for name, digest in files.items()}
    for digest, path in objects.items():
        if _md5(path) != digest:
            raise InvalidInput(
                f"A file of the remote must have the digest {digest} that it is named by. Received: {names[digest]}"
            )
    folder.mkdir()
    for name, digest in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(objects[digest], folder / name)
        except OSError:  # a file system without hard links
            shutil.copyfile(objects[digest], folder / name)
    return len(files)


def _require_files(remote: Path, files: Mapping[str, str]) -> None:
    """Checks that the files in a folder remote are regular; DVC would read from a pipe or a device for ever."""
    for name, digest in files.items():
        path = remote / "files" / "md5" / digest[:2] / digest[2:]
        if path.exists() and not path.is_file():
            raise InvalidInput(f"A file of the remote must be a regular file. Received: {path} for {name}")


def _explain_absence(repository: Path, remote: str, md5: str, fetched: subprocess.CompletedProcess[str]) -> NoReturn:
    """Raises an error that says why a fetch did not deliver every file."""
    status = _dvc(repository, "data", "status", "--granular", "--not-in-remote", "--json")
    absent = json.loads(status.stdout).get("not_in_remote", []) if status.returncode == 0 else []
    if absent:
        raise InvalidInput(
            f"The remote must hold every file of version md5-{md5}. Absent: {len(absent)}, the first is "
            f"{absent[0].removeprefix('data/')}. Received: {remote}"
        )
    raise TryAgain(f"The remote could not be read to the end: {_last_error(fetched)} Received: {remote}")


def _dvc(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs DVC. gcsfs must not look up a bucket's type, because it prints a warning if this is not permitted."""
    settings = {
        "DVC_SITE_CACHE_DIR": str(repository / ".dvc" / "site"),
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "dvc", *arguments],
        cwd=repository,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def _last_error(process: subprocess.CompletedProcess[str]) -> str:
    lines = [line.removeprefix("ERROR: ") for line in process.stderr.splitlines() if line.startswith("ERROR: ")]
    return f"{'; '.join(lines)[:500] or f'exit code {process.returncode}'}."


def require_remote(remote: str) -> str:
    """Returns the remote, as an absolute path if it is a folder.

    Raises:
        InvalidInput, TryAgain: the remote cannot be read.
    """
    if remote.startswith("gs://"):
        bucket.require_readable(remote)
        return remote
    from gan_core import raw_data

    raw_data.require_remote(remote)
    if not Path(remote).is_dir():
        raise InvalidInput(f"--remote must be a folder that exists. Received: {remote}")
    if not os.access(remote, os.R_OK | os.X_OK):
        raise InvalidInput(f"--remote must be a folder that may be read. Received: {remote}")
    return os.path.abspath(remote)


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
