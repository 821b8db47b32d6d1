"""The services of an engine, and what server reflection tells of them, gathered from the generated code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from sidecar.oip import open_inference_pb2
from sidecar.v1 import prediction_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    File = tuple[str, bytes, list[str], list[str]]

FILES = (
    prediction_pb2.DESCRIPTOR,
    open_inference_pb2.DESCRIPTOR,
    health_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
)
"""Where the services are declared."""
SERVICES = tuple(service.full_name for file in FILES for service in file.services_by_name.values())
"""The names that health and reflection know."""


def reflected_files(files: Iterable[Any]) -> list[File]:
    """These file descriptors and all that they import, each once, imports first.

    For each its name, its serialised FileDescriptorProto, the full names of what it declares, and the
    names of the files it imports.
    """
    found: dict[str, File] = {}
    for file in files:
        _add(file, found)
    return list(found.values())


def _add(file: Any, found: dict[str, File]) -> None:
    if file.name in found:
        return
    for imported in file.dependencies:
        _add(imported, found)
    declared = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(declared)
    symbols = list(_declared(declared))
    found[file.name] = (file.name, declared.SerializeToString(), symbols, list(declared.dependency))


def _declared(file: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
    for message in file.message_type:
        yield from _of_message(message, _inside(file.package, message.name))
    for enum in file.enum_type:
        yield from _of_enum(enum, file.package)
    for extension in file.extension:
        yield _inside(file.package, extension.name)
    for service in file.service:  # without their methods, which protobuf's own index does not know either
        yield _inside(file.package, service.name)


def _of_message(message: descriptor_pb2.DescriptorProto, name: str) -> Iterator[str]:
    yield name
    parts: Iterable[Any] = (*message.field, *message.oneof_decl, *message.extension)
    for part in parts:
        yield _inside(name, part.name)
    for nested in message.nested_type:
        yield from _of_message(nested, _inside(name, nested.name))
    for enum in message.enum_type:
        yield from _of_enum(enum, name)


def _of_enum(enum: descriptor_pb2.EnumDescriptorProto, scope: str) -> Iterator[str]:
    yield _inside(scope, enum.name)
    for value in enum.value:  # declared beside their enum, not inside it
        yield _inside(scope, value.name)


def _inside(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name
