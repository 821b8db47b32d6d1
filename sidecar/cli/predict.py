"""`sidecar predict`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

import click
import grpc

from sidecar.cli.admin_call import DEADLINE_SECONDS, admin_stub, not_running
from sidecar.cli.options import as_json, with_config
from sidecar.client import CallError, Client
from sidecar.config import address
from sidecar.errors import ConfigError, InvalidRequestError
from sidecar.exploration import ACTIONS
from sidecar.signature import Kind
from sidecar.v1 import admin_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecar.client import PredictionReply
    from sidecar.config import Config
    from sidecar.signature import FieldValue

_MISSING = ("", "null")
_EXPECTED = {Kind.NUMBER: "a number", Kind.INTEGER: "a whole number", Kind.TEXT: "text"}


@click.command()
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option(
    "--file",
    "lines",
    type=click.File(encoding="utf-8"),
    metavar="PATH",
    help='JSON lines, a record each: {"distance": 733, "carrier": "UA"}; - for standard input.',
)
@click.option("--target", default="", help="unix:PATH or host:port of a sidecar.  [default: as configured]")
@with_config
@as_json
def predict(
    config: Config, *, values: tuple[str, ...], lines: TextIO | None, target: str, as_json: bool
) -> None:
    r"""Score records with the champion that serves.

    Give one record as NAME=VALUE arguments, or many with --file. Every field of the signature must be
    there; NAME= or NAME=null says that it is missing.

    \b
    sidecar predict distance=733 carrier=UA wind=
    """
    if bool(values) == (lines is not None):
        raise click.UsageError("give one record as NAME=VALUE arguments, or records with --file")
    target = target or _target(config)
    with Client(target, deadline=DEADLINE_SECONDS) as client:
        if lines is not None:
            _predict_lines(client, lines, as_json=as_json)
        else:
            record = _typed(config, values)
            with _answers(target):
                reply = client.predict(record)
            click.echo(_json_line(reply) if as_json else _page(reply))


def _target(config: Config) -> str:
    if config.listeners.uds:
        return address(config.home, config.listeners.uds)
    if config.listeners.tcp.endswith(":0"):
        raise ConfigError("[listeners] tcp takes any free port; name the one taken with --target")
    return config.listeners.tcp


@contextmanager
def _answers(target: str) -> Iterator[None]:
    try:
        yield
    except CallError as error:
        if error.status is grpc.StatusCode.UNAVAILABLE:
            raise not_running(target) from None
        raise


def _typed(config: Config, values: tuple[str, ...]) -> dict[str, FieldValue]:
    """The record that NAME=VALUE arguments say, typed by the champion's signature."""
    with admin_stub(config) as stub:
        model = stub.DescribeModel(admin_pb2.DescribeModelRequest(), timeout=DEADLINE_SECONDS)
    kinds = {field.name: Kind(field.kind) for field in model.fields}
    record: dict[str, FieldValue] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise click.UsageError(f"{value!r} is not NAME=VALUE")
        if name in record:
            raise click.UsageError(f"field '{name}' is given twice")
        record[name] = _value(name, text, kinds.get(name, Kind.TEXT))
    return record


def _value(name: str, text: str, kind: Kind) -> FieldValue:
    if text in _MISSING:
        return None
    try:
        if kind is Kind.NUMBER:
            return float(text)
        return int(text) if kind is Kind.INTEGER else text
    except ValueError:
        raise InvalidRequestError(f"field '{name}' is {text!r}; send {_EXPECTED[kind]}") from None


def _predict_lines(client: Client, lines: TextIO, *, as_json: bool) -> None:
    """Score line after line; what was scored before a bad line has been printed."""
    answered = 0
    try:
        with _answers(client.target):
            for reply in client.predict_many(_records(lines)):
                answered += 1
                click.echo(_json_line(reply) if as_json else _row(reply))
    except CallError as error:
        raise CallError(error.status, f"record {answered + 1}: {error}") from None


def _records(lines: TextIO) -> Iterator[dict[str, FieldValue]]:
    for number, line in enumerate(_utf8(lines), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InvalidRequestError(f"line {number} is not JSON: {error}") from None
        if not isinstance(record, dict):
            raise InvalidRequestError(f"line {number} is not a JSON object of fields")
        yield record


def _utf8(lines: TextIO) -> Iterator[str]:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{lines.name} is not UTF-8: {error}") from None


def _json_line(reply: PredictionReply) -> str:
    return json.dumps(asdict(reply))


def _row(reply: PredictionReply) -> str:
    return f"{reply.score:.6f}  {_verdict(reply):4}  {reply.model}  {reply.request_id}"


def _page(reply: PredictionReply) -> str:
    stages = asdict(reply.timings)
    timings = ", ".join(f"{stage.removesuffix('_ns')} {ns / 1000:.0f} us" for stage, ns in stages.items())
    facts: dict[str, Any] = {
        "score": f"{reply.score:.6f}",
        "decision": _verdict(reply),
        "model": reply.model,
        "request": reply.request_id,
        "timings": timings,
    }
    return "\n".join(f"{name:9} {value}" for name, value in facts.items())


def _verdict(reply: PredictionReply) -> str:
    return ACTIONS[reply.decision] + (", explored" if reply.explored else "")
