"""docs/configuration.md says what sidecar/config.py says; this file, run as a program, writes it."""

import ast
import inspect
import json
import os
import textwrap
from pathlib import Path

from sidecar import config, settings

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
HEAD = """\
# Configuration

Nothing has to be configured. To change a setting, write it into `sidecar.toml` in the working folder, or into
another file that `--config` or `SIDECAR_CONFIG` names; or set the variable named beside it, which wins over
the file. `sidecar config` shows every setting in force and where it comes from.

Every setting with its default:

```toml
"""
TAIL = """\
```
"""


def render():
    """The whole page, from the classes of config.py: their defaults, docstrings and texts below fields."""
    said = {
        node.name: {"": ast.get_docstring(node), **sentences(node)}
        for node in ast.parse(inspect.getsource(config)).body
        if isinstance(node, ast.ClassDef)
    }
    lines = []
    section = ""
    for setting in settings.describe(None, {}):
        if setting.section != section:
            section = setting.section
            lines += ["", *comment(said[section.title()][""]), f"[{section}]"]
        name = "_".join(filter(None, ("SIDECAR", section, setting.key))).upper()
        lines += comment(f"{said[section.title() or 'Config'][setting.key]} ({name})")
        value = os.path.relpath(setting.value) if setting.key == "home" else setting.value
        lines.append(f"{setting.key} = {json.dumps(value)}")
    return HEAD + "\n".join(lines) + "\n" + TAIL


def comment(text):
    return textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")


def sentences(node):
    """What the text below each field of a class says, by the field's name."""
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text() == render(), "stale: run `python tests/test_configuration_page.py`"


def test_the_page_is_a_file_of_all_defaults(tmp_path):
    file = tmp_path / "sidecar.toml"
    file.write_text(PAGE.read_text().split("```toml\n")[1].removesuffix(TAIL))
    given = settings.describe(file, {})
    assert all(setting.source != "default" for setting in given)
    assert settings.load_config(file, {}) == config.Config(home=tmp_path / "var")


if __name__ == "__main__":
    PAGE.write_text(render())
