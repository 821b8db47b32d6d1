"""The tiny task, where acting hides the outcome and three in ten of such replies are explored."""

from dataclasses import replace

import tiny_task

task = replace(tiny_task.task, hidden_by="act", explore=0.3)
