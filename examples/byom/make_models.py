"""Fits three small models with libraries that this project does not need, and exports them as ONNX.

    python -m venv .venv-byom
    .venv-byom/bin/pip install -r examples/byom/requirements.txt -e '.[trainer,flights]'
    .venv-byom/bin/python examples/byom/make_models.py

For each of LightGBM, XGBoost and PyTorch it writes NAME.onnx and NAME.csv: raw fields of flights that the
model has not seen, with the score that the library itself gives them. Those files are committed, so nobody
needs the libraries to register them (docs/bring-your-own-model.md). The features are the project's own: a
recipe's transform, fitted on a snapshot and exported, then run.
"""

from __future__ import annotations

import csv
import importlib.metadata
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "flights")]

from flights_data import load_flights  # noqa: E402 - the example is a folder of scripts

from trainer.days import iso_day, moment, nanoseconds  # noqa: E402
from trainer.export import compute_features, export_transform  # noqa: E402
from trainer.offline import holdout_begins  # noqa: E402
from trainer.snapshot import from_history  # noqa: E402
from trainer.task import load_task  # noqa: E402
from trainer.transform import fit_transform  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Made = tuple[bytes, Callable[[Matrix], NDArray[Any]]]

KNOWN = "2013-02-15"
"""What was known at this UTC date is the snapshot: `trainer snapshot --history-until 2013-02-15`."""
GOLDEN = 60
OPSET = 15


def lightgbm(features: Matrix, label: NDArray[np.int64]) -> Made:
    """Boosted trees of LightGBM, with the list of dictionaries that ZipMap makes."""
    from lightgbm import LGBMClassifier  # noqa: PLC0415 - only whoever makes the models needs them
    from onnxmltools import convert_lightgbm  # noqa: PLC0415
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415

    model = LGBMClassifier(n_estimators=20, num_leaves=8, random_state=0, n_jobs=1, verbose=-1)
    model.fit(features, label)
    takes = [("input", FloatTensorType([None, features.shape[1]]))]
    graph = convert_lightgbm(model, "lightgbm", takes, target_opset=OPSET, zipmap=True)
    return graph.SerializeToString(), lambda rows: np.asarray(model.predict_proba(rows))[:, 1]


def xgboost(features: Matrix, label: NDArray[np.int64]) -> Made:
    """Boosted trees of XGBoost, with a matrix of probabilities."""
    from onnxmltools import convert_xgboost  # noqa: PLC0415
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415
    from xgboost import XGBClassifier  # noqa: PLC0415

    model = XGBClassifier(n_estimators=20, max_depth=3, random_state=0, n_jobs=1)
    model.fit(features, label)
    takes = [("input", FloatTensorType([None, features.shape[1]]))]
    graph = convert_xgboost(model, "xgboost", takes, target_opset=OPSET)
    return graph.SerializeToString(), lambda rows: model.predict_proba(rows)[:, 1]


def torch(features: Matrix, label: NDArray[np.int64]) -> Made:
    """A network of PyTorch with one hidden layer; its probability is one column."""
    import torch as library  # noqa: PLC0415

    library.manual_seed(0)
    library.set_num_threads(1)
    nn = library.nn
    model = nn.Sequential(nn.Linear(features.shape[1], 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())
    optimiser = library.optim.Adam(model.parameters(), lr=1e-2)
    rows, wanted = library.tensor(features), library.tensor(label, dtype=library.float32)[:, None]
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy(model(rows), wanted).backward()
        optimiser.step()
    model.eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        library.onnx.export(
            model,
            (rows[:2],),
            path,
            input_names=["input"],
            output_names=["probability"],
            dynamic_shapes=({0: library.export.Dim("rows")},),
            external_data=False,
        )
        graph = path.read_bytes()
    return graph, lambda rows: model(library.tensor(rows)).detach().numpy().ravel()


MODELS = {"lightgbm": ("boosting", lightgbm), "xgboost": ("boosting", xgboost), "torch": ("logistic", torch)}
"""By name: the recipe whose features it is fitted on, and what fits it."""


def main() -> None:
    """Fit, export, and score golden rows."""
    task = load_task(ROOT / "examples" / "flights" / "task.py")
    flights = load_flights()
    known_ns = moment(datetime.fromisoformat(KNOWN))
    with tempfile.TemporaryDirectory() as folder:
        snapshot = from_history(task, known_ns, root=Path(folder))
    # The newest fortnight is held out, so that nobody's figures on it are of rows that were learned by heart.
    matured_ns = holdout_begins(task, snapshot) - nanoseconds(task.maturity)
    known = int(np.searchsorted(snapshot.event_ns, matured_ns, side="right"))
    seen = snapshot.blocks.take(slice(0, known))
    later = np.flatnonzero(flights.event_ns >= known_ns)
    golden = flights.take(later[:: len(later) // GOLDEN][:GOLDEN])
    raw = task.signature.pack_columns(golden.columns)
    rows = [task.signature.unpack(raw, row) for row in range(GOLDEN)]
    for name, (recipe, fit) in MODELS.items():
        transform = fit_transform(
            task.candidates[recipe].transform, task.signature, snapshot.blocks, snapshot.label
        )
        exported = export_transform(transform)
        graph, score = fit(compute_features(exported, seen), snapshot.label[:known].astype(np.int64))
        (FOLDER / f"{name}.onnx").write_bytes(graph)
        scores = score(compute_features(exported, raw)).tolist()
        with (FOLDER / f"{name}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, [*rows[0], "score"], lineterminator="\n")
            table.writeheader()
            table.writerows({**row, "score": one} for row, one in zip(rows, scores, strict=True))
        made = f"{name} {importlib.metadata.version(name)}"
        until = iso_day(int(snapshot.event_ns[known - 1]))
        print(f"{name}.onnx: {len(graph):,} bytes, {made}, {known:,} rows of {recipe} until {until}")


if __name__ == "__main__":
    main()
