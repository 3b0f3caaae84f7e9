"""Lists that are kept in two places: each pair has a test here."""

import importlib
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

import bot
import copier
from bot.config import File
from bot.jobs.models import Status
from bot.jobs.status import TRANSITIONS
from dev.guard import ROOT

MODULES = sorted(
    module.name
    for package in (bot, copier)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.name.endswith("__main__")
)


def test_the_example_configuration_is_valid_and_names_every_setting_with_its_default() -> None:
    text = (ROOT / "traspaso.example.toml").read_text("utf-8")
    file = File.model_validate(tomllib.loads(text))
    assert file.copies
    commented = tomllib.loads(re.sub(r"(?m)^# (?=\[[a-z]+\]|\w+ += )", "", text).replace("# key", "key"))
    optional = {"parallel": file.work.parallel, "rows_per_second": None, "standby_lag_mb": None}
    assert File.model_validate(commented).work.model_copy(update=optional) == file.work
    assert set(commented["notify"]) == set(type(file.notify).model_fields)
    assert set(commented["work"]) == set(type(file.work).model_fields)
    assert File.model_validate(commented).health == file.health
    assert set(commented["health"]) == set(type(file.health).model_fields)
    assert File.model_validate(commented).keep.model_copy(update={"jobs_days": None}) == file.keep
    assert set(commented["keep"]) == set(type(file.keep).model_fields)


def test_every_status_has_its_line_in_the_transition_table() -> None:
    assert set(TRANSITIONS) == set(Status)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_why_it_exists(name: str) -> None:
    module = importlib.import_module(name)
    if Path(module.__file__ or "").stat().st_size:
        assert module.__doc__


@pytest.mark.parametrize("name", [name for name in MODULES if name.count(".") == 1])
def test_the_architecture_page_knows_every_module_of_the_house(name: str) -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert re.search(rf"\b{name.split('.')[1]}\b", page)


def test_the_lock_file_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in lock
    assert "--hash=sha256:" in lock
