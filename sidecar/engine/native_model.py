"""A bundle's pipeline in the native module: for the engine that answers with it, or a shadow's worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar_dataplane import GraphError

from sidecar.bundle import PIPELINE
from sidecar.errors import BundleError
from sidecar.signature import Outside
from sidecar.warm_up import WARM_UP_RUNS, warm_up_row

if TYPE_CHECKING:
    from sidecar_dataplane import Loaded, Runtime

    from sidecar.bundle import Bundle


def load_model(runtime: Runtime, bundle: Bundle) -> Loaded:
    """Load and warm it. Raises BundleError when it cannot run on an ordinary row."""
    signature, exploration = bundle.signature, bundle.exploration
    row = warm_up_row(signature)
    try:
        return runtime.load(
            graph=str(bundle.path / PIPELINE),
            name=bundle.model.name,
            version=bundle.model.version,
            digest=bundle.model.digest,
            signature_digest=signature.digest,
            fields=[
                (
                    each.name,
                    each.kind.value,
                    each.missing_allowed,
                    each.lower,
                    each.upper,
                    each.outside is Outside.REJECT,
                )
                for each in signature.fields
            ],
            features=len(bundle.feature_names),
            explore=(exploration.instead_of == "act", exploration.share),
            warm_up=(row.numbers.ravel().tolist(), row.integers.ravel().tolist(), row.texts.ravel().tolist()),
            runs=WARM_UP_RUNS,
        )
    except GraphError as error:
        raise BundleError(str(error)) from error
