"""`bot.jobs.status` alone writes the status of a job that is there; every step of the table is taken."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from bot.jobs.models import Status
from bot.jobs.status import TRANSITIONS, Step
from dev.guard import ROOT

BOT = sorted((ROOT / "bot").rglob("*.py"))
#: What a receipt says has a status too; it updates nothing.
READ_ONLY = {"receipts.py"}
WRITER = ROOT / "bot" / "jobs" / "status.py"


def statements_with_values(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Each ``.values(…)`` of a statement, with the name of the function that began the statement."""
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        if call.func.attr == "values":
            begun = {
                each.func.id
                for each in ast.walk(call.func)
                if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
            }
            yield ("insert" if "insert" in begun else "update"), call


def names_a_status(call: ast.Call) -> bool:
    written = {keyword.arg for keyword in call.keywords}
    for each in ast.walk(call):
        if isinstance(each, ast.Dict):
            written |= {key.value for key in each.keys if isinstance(key, ast.Constant)}
    return "status" in written


def writers(path: Path) -> list[str]:
    """The statements of a file that change a status: their lines."""
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    found = [
        f"{path.name}:{call.lineno}"
        for begun, call in statements_with_values(tree)
        if begun == "update" and names_a_status(call)
    ]
    # Also where the values are gathered before they are written, and in SQL of our own.
    for each in ast.walk(tree):
        if path.parent.name == "jobs" and isinstance(each, ast.Dict):
            keys = [key.value for key in each.keys if isinstance(key, ast.Constant)]
            if "status" in keys and path.name not in READ_ONLY:
                found.append(f"{path.name}:{each.lineno}")
    found += [
        path.name
        for _ in re.finditer(r"(?is)UPDATE\s+traspaso\.copy_jobs.{0,200}?\bstatus\s*=\s*[:'c]", source)
    ]
    return found


def steps_named(path: Path) -> Iterator[str]:
    """The steps of the table that a file gives to somebody; not those that it compares with one another."""
    tree = ast.parse(path.read_text("utf-8"))
    compared = {id(each) for one in ast.walk(tree) if isinstance(one, ast.Compare) for each in ast.walk(one)}
    for each in ast.walk(tree):
        match each:
            case ast.Attribute(value=ast.Name(id="Step"), attr=step) if id(each) not in compared:
                yield step


def test_what_only_says_a_status_updates_nothing() -> None:
    for path in BOT:
        if path.name in READ_ONLY:
            assert not re.search(r"(?m)^from sqlalchemy import .*\bupdate\b|UPDATE", path.read_text("utf-8"))


def test_no_other_module_writes_the_status_of_a_job() -> None:
    found = {path: writers(path) for path in BOT}
    assert {path for path, lines in found.items() if lines} == {WRITER}


def test_every_step_of_the_table_is_taken_by_some_caller() -> None:
    taken = {step for path in BOT for step in steps_named(path)}
    assert taken == {step.name for step in Step}


def test_the_table_is_what_its_steps_say_and_nothing_besides() -> None:
    edges = {(old, new) for old in Status for new in TRANSITIONS[old]}
    assert edges == {(old, step.to) for step in Step for old in step.sources}


def test_a_step_is_drawn_where_the_states_are_described() -> None:
    page = (ROOT / "bot" / "jobs" / "status.py").read_text("utf-8").split('"""')[1]
    assert not [step.name for step in Step if step.name not in page]
