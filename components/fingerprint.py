"""Writes a digest of the raw data's current state, so that DVC notices every change of the data.

DVC itself watches only the paths that dvc.yaml names, but `prepare.source` may be any folder. DVC also does not follow
links to folders. The digest covers names and contents, so it is the same on every machine. A file is read again only if
its size, times or inode have changed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import stat
import time
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from components.cli.parameters import read_section
from components.cli.progress import counting
from components.cli.project import source_folder
from components.storage import paths
from components.storage.output_kinds import FINGERPRINT
from components.storage.outputs import Output, whole_output
from components.storage.overlap import require_apart
from gan_core.bucket_address import is_bucket
from gan_core.data.archives.files import is_pattern, matches_of, pattern_folder
from gan_core.data.folders import has_suffix
from gan_core.digests import file_digest, json_digest
from gan_core.exit_codes import run
from gan_core.staging import write_durably

_THREADS = 8
# A file that was written more recently than this may be written again without a visible change of its times.
_SETTLED_AFTER_SECONDS = 2.0


def main() -> None:
    """Reads the command line and writes the digest."""
    arguments = parser().parse_args()
    from gan_core.data.parameters import PrepareConfig
    from gan_core.modalities.choice import built_in, open_source

    config = read_section(arguments.config, PrepareConfig)
    source = config.source
    folder = None if source in built_in() or is_bucket(source) else Path(source_folder(source))
    require_apart([arguments.output], [folder] if folder else [], [])
    digest = None
    if folder is not None:
        # Refuses a wrong layout, as `prepare` would, before all is read.
        open_source(str(folder), config.modality, config.label)
        digest = fingerprint(folder, arguments.output.with_name(f".{arguments.output.name}"))
    elif is_bucket(source):
        from components.storage.bucket_source import bucket_fingerprint

        digest = bucket_fingerprint(source)
    record = {"format": 1, "raw_data": digest}
    with whole_output(Output(arguments.output, FINGERPRINT)) as written:
        written.write_text(json.dumps(record) + "\n", encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.fingerprint", description=__doc__)
    options.add_argument("--config", required=True, help="params.yaml, or its section 'prepare' as a JSON object")
    options.add_argument("--output", required=True, type=paths.local_path, help="output: the digest, .json")
    return options


def fingerprint(folder: Path, cache: Path) -> str:
    """Returns `sha256-<hex>` of the names and contents of everything below `folder`, or of the file `folder`.

    If `folder` is a pattern such as `data/*.tar`, the digest is that of all files that match. If it is a CSV, the
    digest is that of the CSV and all files that it lists.

    Links are followed. Hidden files and folders are skipped, as in `prepare`.

    Args:
        folder: the raw data. Missing and unreadable files also have a digest; `prepare` reports what is wrong with
            them.
        cache: the file with the digests of files that were read earlier; it is rewritten if it is missing or damaged.
    """
    known = _read(cache)
    entries = dict(_entries(folder))
    files = {name: signature for name, signature in entries.items() if isinstance(signature, list)}
    digests = {name: known[name][1] for name, signature in files.items() if known.get(name, [None])[0] == signature}
    unread = sorted(files.keys() - digests.keys())
    with counting(len(unread), "fingerprint", "files") as advance, ThreadPool(_THREADS) as pool:
        base = _base(folder)
        places = [base / name for name in unread]
        for name, digest in zip(unread, pool.imap(_digest, places, chunksize=16), strict=True):
            digests[name] = digest
            advance(1)
    settled_before = time.time_ns() - int(_SETTLED_AFTER_SECONDS * 1e9)
    kept = {name: [files[name], digest] for name, digest in digests.items() if max(files[name][2:]) < settled_before}
    if kept != known:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_durably(cache, json.dumps(kept).encode())
    lines = sorted([name, digests.get(name, entry)] for name, entry in entries.items())
    return f"sha256-{json_digest(lines)}"


def _entries(folder: Path) -> Iterator[tuple[str, str | list[int]]]:
    """Yields each entry's name below `folder`, with the signature of a file, or a phrase for anything else."""
    if is_pattern(str(folder)):
        base = _base(folder)
        yield from ((str(path.relative_to(base)), _signature(path)) for path in matches_of(str(folder)))
        return
    if _is_csv(folder):
        from gan_core.data.csv_table import listed_paths

        for name in itertools.chain([folder.name], listed_paths(folder)):
            yield name, _signature(_base(folder) / name)
        return
    if not folder.is_dir():
        yield ".", _signature(folder)
        return
    visited: dict[str, str] = {}
    for path, folders, files in os.walk(folder, followlinks=True):
        here = os.path.relpath(path, folder)
        real = os.path.realpath(path)
        if real in visited:  # a link to a folder that was already visited
            folders.clear()
            yield here, f"the folder {visited[real]}"
            continue
        visited[real] = here
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield here, "a folder"
        for name in files:
            if not name.startswith("."):
                yield os.path.join(here, name), _signature(Path(path, name))


def _base(folder: Path) -> Path:
    """Returns the folder in which the names of the entries begin."""
    if is_pattern(str(folder)):
        return pattern_folder(folder)
    return folder.parent if _is_csv(folder) else folder


def _is_csv(path: Path) -> bool:
    from gan_core.data.csv_table import CSV

    return has_suffix(path.name, CSV) and path.is_file()


def _signature(path: Path) -> str | list[int]:
    try:
        status = path.stat()
    except OSError as error:
        return error.strerror or "unreadable"
    if not stat.S_ISREG(status.st_mode):
        return "no file"
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        return error.strerror or "unreadable"


def _read(cache: Path) -> dict[str, Any]:
    try:
        known = json.loads(cache.read_bytes())
        return {name: [signature, str(digest)] for name, (signature, digest) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


if __name__ == "__main__":
    run(main)
