"""``make docs``: writes the commands of `traspaso` into docs/cli.md, from click's own help.

The page holds the generated part between two markers; the rest is written by hand.
"""

from __future__ import annotations

import importlib
import os
import tomllib

import click

from dev.guard import ROOT
from dev.pages import filled

PAGE = ROOT / "docs" / "cli.md"
BEGIN = "<!-- written by make docs: begin -->\n"
END = "<!-- written by make docs: end -->\n"
#: Columns of a help text.
WIDTH = 88


def program() -> click.Group:
    """The click group that pyproject.toml installs as `traspaso`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, name = project["scripts"]["traspaso"].partition(":")
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, click.Group):
        raise TypeError(f"{module}:{name} is not a click group")
    return found


def page(written: str) -> str:
    """The page with its generated part made anew.

    Raises:
        ValueError: where one of the markers is missing.
    """
    spoken = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "en"  # the page is English, whatever this shell speaks
    try:
        made = commands(program())
    finally:
        os.environ.pop("LC_ALL")
        if spoken is not None:
            os.environ["LC_ALL"] = spoken
    return filled(written, BEGIN, f"\n{made}\n", END)


def commands(group: click.Group) -> str:
    """A section for the group, then one for each of its commands, in the order of the alphabet."""
    settings = {"terminal_width": WIDTH, "max_content_width": WIDTH, **group.context_settings}
    root = click.Context(group, info_name="traspaso", **settings)
    sections = [_section(group, root)]
    for name in group.list_commands(root):
        command = group.get_command(root, name)
        assert command is not None
        sections.append(_section(command, click.Context(command, info_name=name, parent=root)))
    return "\n".join(sections)


def _section(command: click.Command, context: click.Context) -> str:
    return f"### {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
