"""Days of the small task's traffic as a snapshot."""

import small_task

from trainer.snapshot import write_snapshot


def small_snapshot(root, days):
    """The first days of the traffic, all labelled."""
    rows = small_task.traffic(0, days)
    return write_snapshot(
        root,
        signature=small_task.SIGNATURE,
        blocks=small_task.SIGNATURE.pack_columns(rows.columns),
        label=rows.label,
        event_ns=rows.event_ns,
        request_ids=rows.request_ids,
        facts={},
    )
