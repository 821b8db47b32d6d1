"""docs/conformance.md lists what the code tries, and says of each step what comes of it here too."""

import re
from pathlib import Path

import pytest

from trainer.conformance import try_steps
from trainer.conformance_cases import ESTIMATORS, STEPS, make_rows
from trainer.parity import SCORE_LIMIT, TOLERANCE

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"
ROWS = 600
STALE = "stale: run `python -m trainer.conformance > docs/conformance.md`"


def listed(section):
    """The rows of a section's table, without the head."""
    text = re.search(rf"^## {section}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_step_is_on_the_page_where_it_belongs():
    outcomes = try_steps(*make_rows(ROWS))
    assert [name for name, *_ in listed("Steps")] == [each.name for each in outcomes if not each.refused], (
        STALE
    )
    refused = {each.name: each.refused for each in outcomes if each.refused}
    on_page = {name: " | ".join(said) for name, *said in listed("Steps that are refused")}
    assert on_page.keys() == refused.keys(), STALE
    for name, said in refused.items():
        # What was measured differs with the rows; what is known does not.
        if not said.startswith("feature "):
            assert on_page[name] == said, STALE


def test_every_case_is_on_the_page_once():
    for cases, section in ((STEPS, "Steps"), (ESTIMATORS, "Estimators")):
        names = [row[0] for part in (section, f"{section} that are refused") for row in listed(part)]
        assert sorted(names) == sorted(case.name for case in cases), STALE


def test_what_is_listed_as_exact_is():
    for section, place, limit in (("Steps", 2, TOLERANCE), ("Estimators", 1, SCORE_LIMIT)):
        figures = [float(row[place]) for row in listed(section)]
        assert len(figures) > 10
        assert max(figures) <= limit


@pytest.mark.parametrize("section", ["Steps that are refused", "Estimators that are refused"])
def test_what_is_refused_says_what_to_use_instead(section):
    for name, *said in listed(section):
        assert re.search(r"\buse |declare |end with |send ", " ".join(said)), name
