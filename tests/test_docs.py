"""The commands that the documents show exist, and every command is shown."""

import re
import shlex
from pathlib import Path

import click
import pytest

from sidecar.cli import main as sidecar
from trainer.cli import main as trainer

ROOT = Path(__file__).parent.parent
PROGRAMS = {"sidecar": sidecar, "trainer": trainer}
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def shown_commands():
    for page in PAGES:
        for line in re.findall(r"^\s*\$ ((?:sidecar|trainer) .*)$", page.read_text(), re.MULTILINE):
            yield pytest.param(shlex.split(line.removesuffix(" &")), id=f"{page.name}: {line}")


def find(words):
    """The click command that `words` call, and the words left for it."""
    command, rest = PROGRAMS[words[0]], words[1:]
    while isinstance(command, click.Group):
        assert rest, f"{words} names no command"
        assert rest[0] in command.commands, f"{words[0]} has no command {rest[0]!r}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("words", list(shown_commands()))
def test_a_shown_command_is_accepted(words):
    command, rest = find(words)
    command.make_context(words[0], rest).close()


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_is_in_the_readme(program):
    text = (ROOT / "README.md").read_text()
    for name in PROGRAMS[program].commands:
        assert f"$ {program} {name}" in text, f"`{program} {name}` is not in README.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
