"""The small task, where acting hides the outcome and three in ten of such replies are explored."""

from dataclasses import replace

import small_task

task = replace(
    small_task.task,
    hidden_by="act",
    explore=0.3,
    policy=replace(small_task.task.policy, largest_unit_loss=1_200),
)
