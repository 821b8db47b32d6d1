"""The same task with one recipe, the settings of which are searched.

The grid has what one would turn first: how fast the boosting learns, how large its trees are, and whether the
disrupted flights, one in five, weigh as much in its loss as all others together.
"""

from __future__ import annotations

from dataclasses import replace

from task import task as plain

from trainer.search import Search

boosting = replace(
    plain.candidates["boosting"],
    search=Search(
        [
            {"learning_rate": [0.1, 0.05], "max_leaf_nodes": [31, 15]},
            {"class_weight": ["balanced"], "max_leaf_nodes": [31, 15]},
        ],
        tries=6,
        stretches=2,
    ),
)
task = replace(plain, candidates={"boosting": boosting}, champion="boosting")
