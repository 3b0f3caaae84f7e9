"""All that the shell writes goes through the three functions that know what a terminal acts on."""

from __future__ import annotations

import ast
from pathlib import Path

CLI = Path(__file__).parents[2] / "bot" / "cli"
WRITERS = {"echo", "secho", "print", "write", "writelines"}
ALLOWED = {("output.py", "say"), ("output.py", "_table"), ("output.py", "_write")}


def writers() -> set[tuple[str, str]]:
    """Module and function of each call that writes."""
    found = set()
    for path in CLI.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                names = {
                    call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                    for call in ast.walk(function)
                    if isinstance(call, ast.Call)
                }
                if names & WRITERS:
                    found.add((path.name, function.name))
    return found


def test_only_these_functions_write() -> None:
    assert writers() == ALLOWED
