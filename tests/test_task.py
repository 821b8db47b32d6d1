from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import small_task
from sklearn.preprocessing import StandardScaler

from sidecar.errors import ConfigError
from trainer.task import Candidate, Columns, History, Task, Transform, load_task
from trainer.utility import Amount


def recipe(*columns):
    return {"line": Candidate(small_task.LogisticRegression, Transform(columns))}


def by(field):
    return replace(small_task.task.policy, canary=(0.1,), canary_by=field)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"champion": "nope"}, "champion 'nope'"),
        ({"entity": "amount"}, "entity: 'amount' is not a text or integer field"),
        ({"policy": by("amount")}, "canary_by: 'amount' is not a text or integer field"),
        ({"policy": by("nope")}, "canary_by: 'nope' is not a text or integer field"),
        ({"holdout": timedelta(0)}, "holdout"),
        ({"maturity": timedelta(days=-1)}, "maturity"),
        ({"candidates": recipe(Columns(("nope",)))}, "uses 'nope'"),
        ({"candidates": recipe(Columns(("x", "hour")))}, "mixes kinds"),
        ({"costs": replace(small_task.task.costs, act_positive=Amount(per={"hour": 1}))}, "costs use 'hour'"),
        ({"hidden_by": "block"}, "hidden_by is 'block'"),
        ({"explore": 0.2}, "explore is given, but no action hides the outcome"),
        ({"hidden_by": "act", "explore": 0.5}, "explore is 0.5; give at least 0 and less than 0.5"),
        # A row can lose 80; explored at 10 % it stands for ten.
        ({"hidden_by": "act", "explore": 0.1}, "lose 80 and stands for 10; declare 800 or more"),
    ],
)
def test_a_task_that_does_not_fit_together_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(small_task.task, **change)


def test_columns_and_transforms_hold_something():
    with pytest.raises(ValueError, match="at least one field"):
        Columns((), StandardScaler())
    with pytest.raises(ValueError, match="'drop'"):
        Columns(("x",), "drop")
    with pytest.raises(ValueError, match="at least one"):
        Transform(())


def test_history_has_equal_lengths():
    one = np.zeros(1)
    with pytest.raises(ValueError, match="label has 2 rows"):
        History({"x": one}, np.zeros(2), one.astype(np.int64), one.astype(np.int64), ["a"])


def test_a_task_file_is_loaded_and_may_import_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_task.py").write_text("NAME = 'from next door'\n")
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\nimport small_task\nfrom neighbour_of_task import NAME\n"
        "task = replace(small_task.task, name=NAME)\n"
    )
    task = load_task(tmp_path / "mine.py")
    assert isinstance(task, Task)
    assert task.name == "from next door"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("task = 1", "no Task named 'task'"),
        ("other = 1", "no Task named 'task'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("import no_such_package_at_all", "no_such_package_at_all"),
    ],
)
def test_a_file_without_a_task_is_named_with_the_reason(tmp_path, text, says):
    path = tmp_path / "bad_task.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        load_task(path)
    assert str(path) in str(caught.value)


def test_an_absent_file_is_named():
    with pytest.raises(ConfigError, match=r"no task file at nowhere\.py"):
        load_task(Path("nowhere.py"))
