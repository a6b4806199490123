"""Reads from Kubeflow's metadata store what the page shows as an artifact's properties."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from kubectl import port_forward

_FIELD = descriptor_pb2.FieldDescriptorProto
# The fields of ml_metadata's messages that are read here; the others are ignored.
_MESSAGES = {
    "Value": [("int_value", 1, "int64"), ("double_value", 2, "double"), ("string_value", 3, "string")],
    "Property": [("key", 1, "string"), ("value", 2, "Value")],
    "Artifact": [
        ("id", 1, "int64"),
        ("uri", 3, "string"),
        ("custom_properties", 5, "Property*"),
        ("type", 8, "string"),
    ],
    "Artifacts": [("artifacts", 1, "Artifact*")],
}


def properties(run_id: str) -> dict[str, dict[str, int | float | str | None]]:
    """Returns the properties of a run's artifacts, by the artifact's name in the pipeline."""
    import grpc

    with port_forward("metadata-grpc-service", 8080) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary("/ml_metadata.MetadataStoreService/GetArtifacts")
        answer = _class("Artifacts").FromString(ask(b"", timeout=60))
    return {
        one.uri.rpartition("/")[2]: {found.key: _value(found.value) for found in one.custom_properties}
        for one in answer.artifacts
        if f"/{run_id}/" in one.uri
    }


def _value(value: Any) -> int | float | str | None:
    set_fields = value.ListFields()
    return set_fields[0][1] if set_fields else None


def _class(name: str) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="metadata_subset.proto", package="subset", syntax="proto2")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, number, kind in fields:
            plain = kind.rstrip("*")
            label = _FIELD.LABEL_REPEATED if kind.endswith("*") else _FIELD.LABEL_OPTIONAL
            if plain in _MESSAGES:
                described.field.add(
                    name=field, number=number, label=label, type=_FIELD.TYPE_MESSAGE, type_name=f".subset.{plain}"
                )
            else:
                described.field.add(
                    name=field, number=number, label=label, type=getattr(_FIELD, f"TYPE_{plain.upper()}")
                )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"subset.{name}"))
