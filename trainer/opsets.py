"""Brings a given ONNX model to the operator sets that our graphs are of, without running it."""

from __future__ import annotations

import onnx
from onnx import defs, helper, shape_inference, version_converter

from trainer.errors import ExportError, first_line
from trainer.graph import ML, OPSETS

_WIDENED = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})
"""Operators whose later versions only add attributes, so that what an earlier one says stays right."""


def in_our_opsets(file: str, model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, with the shapes of its outputs worked out.

    file: its name. Raises ExportError for an operator that means something else in our version of its set.
    """
    opsets = opsets_of(model)
    for node in model.graph.node:
        if node.domain == ML:
            _check_ml(file, node.op_type, opsets.get(ML, 1))
    del model.opset_import[:]
    model.opset_import.extend(
        helper.make_opsetid(domain, version) for domain, version in {"": OPSETS[""], **opsets}.items()
    )
    try:
        return shape_inference.infer_shapes(version_converter.convert_version(model, OPSETS[""]))
    except Exception as error:  # the converter raises whatever its authors thought of
        text = first_line(error)
        raise ExportError(
            f"{file} is of operator set {opsets.get('', 1)} and cannot be brought to {OPSETS['']} ({text}); "
            f"export it with operator set {OPSETS['']}"
        ) from error


def _check_ml(file: str, operator: str, version: int) -> None:
    try:
        given, ours = (defs.get_schema(operator, least, ML).since_version for least in (version, OPSETS[ML]))
    except defs.SchemaError:
        given, ours = version, 0
    if given == ours or (operator in _WIDENED and given < ours):
        return
    raise ExportError(
        f"{file} uses {operator} of {ML} {version}, which {ML} {OPSETS[ML]} does not have so; export it with "
        f"operator sets {OPSETS['']} and {ML} {OPSETS[ML]}"
    )


def opsets_of(model: onnx.ModelProto) -> dict[str, int]:
    """The version of each operator set by its domain, "" for the standard one."""
    found: dict[str, int] = {}
    for one in model.opset_import:
        domain = "" if one.domain == "ai.onnx" else one.domain
        found[domain] = max(found.get(domain, 0), one.version)
    return found
