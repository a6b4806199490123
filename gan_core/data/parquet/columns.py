"""Finds the columns of a parquet file that hold the items and their labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gan_core.data.archives.label_files import AUTO, NONE
from gan_core.data.manifest import first_names
from gan_core.errors import InvalidInput
from gan_core.printing import printable

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Columns:
    """The columns of a parquet file that are read.

    Attributes:
        item: path of the column with the content of each item: its name, or `<name>.bytes`.
        label: name of the column with the labels; None without labels.
        names: names of the classes by their number; empty if the values of the column are the names.
    """

    item: str
    label: str | None
    names: Sequence[str]


def item_columns(schema: pa.Schema, modality: str) -> list[str]:
    """Returns the paths of the columns that may hold items of a modality.

    These are the columns to which Hugging Face's metadata gives the type of the modality; without such, the column with
    the name of the modality. An item is bytes, a struct with a field `bytes`, or text.
    """
    features = _features(schema)
    typed = [name for name in schema.names if features.get(name, {}).get("_type") == modality.capitalize()]
    named = [modality] if modality in schema.names else []
    paths = [_path_of_content(schema, name) for name in (named if modality in typed or not typed else typed)]
    return [path for path in paths if path is not None]


def label_column(schema: pa.Schema, label: str, place: str) -> tuple[str | None, Sequence[str]]:
    """Returns the name of the column with the labels, or None, and the names of the classes by their number.

    Args:
        schema: the file's columns.
        label: name of the column; `none` for no labels. `auto` takes the one column that Hugging Face's metadata calls
            a label; without such metadata, the column `label`.
        place: what messages call the file.

    Raises:
        InvalidInput: there is no such column, it holds other values, or `auto` does not decide.
    """
    if label == NONE:
        return None, ()
    features = _features(schema)
    typed = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    whole = [name for name in schema.names if _is_whole(schema.field(name).type)]
    texts = [name for name in schema.names if _is_text(schema.field(name).type)]
    chosen = [label] if label in whole + texts else []
    if label == AUTO:
        chosen = typed or [name for name in whole + texts if name == "label"] or whole
    if len(chosen) == 1 and (label != AUTO or chosen[0] in (*typed, "label")):
        names = features.get(chosen[0], {}).get("names")
        return chosen[0], tuple(map(str, names)) if isinstance(names, list) and chosen[0] in whole else ()
    if label == AUTO and not chosen and "label" not in schema.names:
        return None, ()
    candidates = typed or whole + texts
    raise InvalidInput(
        f"The parameter 'prepare.label' must name the column with the labels, of whole numbers or texts, or be {NONE}. "
        f"Received: label={label!r}, {place} with the columns {printable(first_names(candidates)) or 'none'}"
    )


def _features(schema: pa.Schema) -> dict[str, dict[str, object]]:
    """Returns what Hugging Face's metadata says about each column; empty without valid metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _path_of_content(schema: pa.Schema, name: str) -> str | None:
    import pyarrow.types as kinds

    kind = schema.field(name).type
    if kinds.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return f"{name}.bytes" if _is_content(kind.field("bytes").type) else None
    return name if _is_content(kind) else None


def _is_content(kind: pa.DataType) -> bool:
    import pyarrow.types as kinds

    return _is_text(kind) or kinds.is_binary(kind) or kinds.is_large_binary(kind)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as kinds

    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind))


def _is_whole(kind: pa.DataType) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_integer(kind.value_type if kinds.is_dictionary(kind) else kind))
