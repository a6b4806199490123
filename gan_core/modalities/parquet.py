"""Opens parquet files of any modality."""

from __future__ import annotations

from collections.abc import Sequence

from gan_core.data.manifest import first_names
from gan_core.data.parquet.columns import Columns, item_columns, label_column
from gan_core.data.parquet.source import ParquetRows, schema_of
from gan_core.errors import InvalidInput
from gan_core.modalities import MODALITIES
from gan_core.printing import printable
from gan_core.untrusted_files import RawFile


def open_parquet(files: Sequence[RawFile], modality: str | None, label: str) -> ParquetRows:
    """Opens parquet files.

    Args:
        files: the files.
        modality: name of the modality; None if the columns decide.
        label: the value of `prepare.label`.

    Raises:
        InvalidInput: a file cannot be read, its columns do not decide, or the files have different ones.
    """
    found = {file: _columns(file, modality, label) for file in files}
    first = found[files[0]]
    if different := [file for file in files if found[file] != first]:
        raise InvalidInput(
            "All parquet files of a source must have the same items, labels and classes. Received: "
            f"{printable(str(files[0]))} and {printable(str(different[0]))}"
        )
    chosen, columns = first
    return ParquetRows(files, columns, chosen, MODALITIES[chosen].read)


def _columns(file: RawFile, modality: str | None, label: str) -> tuple[str, Columns]:
    """Returns the modality of a file and the columns to read."""
    schema = schema_of(file)
    found = {name: paths for name in MODALITIES if (paths := item_columns(schema, name)) and modality in (None, name)}
    if len(found) > 1:
        found = {name: paths for name, paths in found.items() if not MODALITIES[name].companion}
    paths = [path for paths in found.values() for path in paths]
    if len(paths) != 1:
        raise InvalidInput(
            f"A parquet file must have one column of items: with the name {' or '.join(MODALITIES)}, or the only "
            f"one of this type by Hugging Face's metadata. Received: {printable(str(file))} with the columns "
            f"{printable(first_names(paths or schema.names))}"
        )
    return next(iter(found)), Columns(paths[0], *label_column(schema, label, printable(str(file))))
