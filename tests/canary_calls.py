"""Calls of which a canary answers some: their ids, what they ask, and who ought to answer."""

from tiny_bundles import SIGNATURE, row

from sidecar.canary import is_drawn
from sidecar.session import load_model

SHARE = 0.25
IDS = [f"r{number}" for number in range(160)]
ROWS = [row(x=number / 80, colour=("red", None, "blé")[number % 3]) for number in range(len(IDS))]
COLUMNS = {name: [each[name] for each in ROWS] for name in ROWS[0]}
ONE = {name: [value] for name, value in row().items()}


def expected(bundle, rows=ROWS):
    columns = {name: [each[name] for each in rows] for name in rows[0]}
    return load_model(bundle.path).run(SIGNATURE.pack_columns(columns))


def answering(request_id, champion, canary, share=SHARE):
    return canary if is_drawn(request_id, share) else champion


def version_of(running, request_id):
    return running.client.predict(row(), request_id=request_id).model.version


def failures(running):
    counted = running.engine.stats().canary
    return counted.failed if counted else 0
