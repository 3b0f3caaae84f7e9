"""The pages: every link leads somewhere, every command works, and what is kept in two places agrees.

How a command line in a code block of the README is run:

* ``make …``: by ``make -n``, which fails where there is no such target. `make test` is this suite.
* ``pip install .``: as a dry run without a network.
* ``cp FILE FILE``: in a folder with the repository's files; a configuration that it makes is read.
* ``traspaso …``: its words are parsed by click as a shell would, and the command's ``--help`` is really run.
* ``python -m …``: really run without any setting; it has to end with what is missing.
* ``dramatiq …``: parsed by dramatiq; it has to be the worker's line in the Procfile.

A line that none of these rules covers makes the test fail.
"""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from dramatiq.cli import make_argument_parser
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import BaseModel

from bot import config
from bot.config import (
    CatalogueSection,
    CopySection,
    File,
    FreezeSection,
    HealthSection,
    KeepSection,
    NotifySection,
    Occasion,
    ScheduleSection,
    SetSection,
    SlackSection,
    WatchSection,
    WorkSection,
    variable_of,
)
from bot.jobs.status import TRANSITIONS
from dev import cli_page
from dev.guard import ROOT
from tests.wheel import copy_source

PROGRAMS = Path(sys.executable).parent
README = ROOT / "README.md"
#: Folders that aren't the project's own.
OUTSIDE = re.compile(r"\..*|dist")
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(OUTSIDE.fullmatch(part) for part in path.relative_to(ROOT).parts)
)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tokens(page: Path) -> list[Token]:
    """All tokens of a page, those inside of paragraphs too."""
    found: list[Token] = []
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8")):
        found += [token, *(token.children or [])]
    return found


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives to the headings of a page."""
    seen: Counter[str] = Counter()
    found = set()
    parsed = MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))
    for before, token in pairwise(parsed):
        if before.type != "heading_open":
            continue
        text = "".join(
            child.content for child in token.children or [] if child.type in {"text", "code_inline"}
        )
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


def links(page: Path) -> list[str]:
    return [
        str(token.attrs["href" if token.type == "link_open" else "src"])
        for token in tokens(page)
        if token.type in {"link_open", "image"}
    ]


def code_lines(page: Path) -> Iterator[str]:
    """The lines of a page's code blocks, but for those of a named language."""
    for token in tokens(page):
        if token.type == "code_block" or (token.type == "fence" and token.info.strip() in {"", "sh"}):
            yield from (line.strip() for line in token.content.splitlines() if line.strip())


# ---- The README ------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").split()) <= 600


#: Pages that programs write, in the whole or in parts.
WRITTEN_BY_PROGRAMS = {"docs/messages.md", "docs/benchmarks.md", "docs/reliability.md"}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if named(page) not in WRITTEN_BY_PROGRAMS], ids=named
)
def test_no_line_is_longer_than_120_columns(page: Path) -> None:
    """But for rows of tables, which can't be broken; the README has none that long either."""
    lines = page.read_text("utf-8").splitlines()
    long = [line for line in lines if len(line) > 120]
    assert [line for line in long if page == README or not line.startswith("|")] == []


def test_the_readme_has_one_picture() -> None:
    assert [token.type for token in tokens(README)].count("image") == 1


# ---- Links -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            if not re.fullmatch(r"https?://[\w.-]+\.[a-z]{2,}(/\S*)?", link):
                lost.append(link)
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [README]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        ahead += [
            (page.parent / link.partition("#")[0]).resolve()
            for link in links(page)
            if not re.match(r"\w+:", link)
        ]
    assert set(PAGES) - reached == set()


def test_every_picture_is_on_a_page() -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    assert set((ROOT / "docs").rglob("*.png")) - shown == set()


# ---- Commands --------------------------------------------------------------------------------


def run(*arguments: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=cwd,
        env={"PATH": f"{PROGRAMS}:/usr/bin:/bin", "LANG": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_make(words: list[str], folder: Path) -> None:
    ended = run("make", "-n", *words)
    assert ended.returncode == 0, ended.stderr


def run_pip(words: list[str], folder: Path) -> None:
    assert words == ["install", "."]
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-index"]
    source = folder / "source"
    copy_source(source)
    ended = run(*pip, "--no-build-isolation", "--disable-pip-version-check", source)
    assert ended.returncode == 0, ended.stderr
    assert "traspaso" in ended.stdout


def run_cp(words: list[str], folder: Path) -> None:
    source, target = words
    shutil.copy(ROOT / source, folder / target)
    if target.endswith(".toml"):
        environ = {
            "TRASPASO_CONFIG": str(folder / target),
            "SLACK_BOT_TOKEN": "xoxb-1",
            "SLACK_APP_TOKEN": "xapp-1",
        }
        assert config.load(environ, config.Need.COPIES | config.Need.SLACK).file.copies


def run_traspaso(words: list[str], folder: Path) -> None:
    parse_traspaso(words)
    ended = run(PROGRAMS / "traspaso", *words[:1], "--help")
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"Usage: traspaso {words[0]}")


def parse_traspaso(words: list[str]) -> None:
    """As click does before it calls the command; ends with a UsageError where it would say so."""
    group = cli_page.program()
    root = click.Context(group, info_name="traspaso", **group.context_settings)
    command = group.get_command(root, words[0])
    assert command is not None, f"traspaso has no command {words[0]}"
    command.make_context(words[0], list(words[1:]), parent=root)


def run_python(words: list[str], folder: Path) -> None:
    ended = run(sys.executable, *words, PYTHONPATH=str(ROOT), cwd=folder)
    assert ended.returncode != 0
    assert "PROD_DATABASE_URL is missing" in ended.stderr
    assert "Traceback" not in ended.stderr


def run_dramatiq(words: list[str], folder: Path) -> None:
    line = f"worker: traspaso migrate && exec {shlex.join(['dramatiq', *words])}"
    assert line in (ROOT / "Procfile").read_text("utf-8").splitlines()
    parsed = make_argument_parser().parse_args(words)
    module, _, name = parsed.broker.partition(":")
    assert callable(getattr(importlib.import_module(module), name))


RULES: dict[str, Callable[[list[str], Path], None]] = {
    "make": run_make,
    "pip": run_pip,
    "cp": run_cp,
    "traspaso": run_traspaso,
    "python": run_python,
    "dramatiq": run_dramatiq,
}


@pytest.mark.parametrize("line", list(code_lines(README)))
def test_every_command_of_the_readme_works(line: str, tmp_path: Path) -> None:
    program, *words = shlex.split(line, comments=True)
    assert program in RULES, f"no rule says how to run {line!r}: add one to this module"
    RULES[program](words, tmp_path)


def test_every_make_and_traspaso_line_of_the_other_pages_is_one_that_would_run(tmp_path: Path) -> None:
    lines = {line for page in PAGES for line in code_lines(page)}
    for line in sorted(line for line in lines if re.match(r"(make|traspaso) [^[]", line)):
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            run_make(words, tmp_path)
        else:
            parse_traspaso(words)


def test_every_command_of_slack_that_a_page_names_is_in_the_manifest() -> None:
    manifest = (ROOT / "manifest.yml").read_text("utf-8")
    known = set(re.findall(r"command: (/[\w-]+)", manifest))
    named = {
        word for page in PAGES for word in re.findall(r"(?<![\w.])/copy-[a-z]+", page.read_text("utf-8"))
    }
    assert named <= known


# ---- Pages and code --------------------------------------------------------------------------


def test_the_commands_in_docs_cli_are_those_of_traspaso() -> None:
    written = cli_page.PAGE.read_text("utf-8")
    assert cli_page.page(written) == written, "make docs writes it anew"


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without the table's head."""
    section = re.split(rf"(?m)^#+ {re.escape(heading)}$", page.read_text("utf-8"))[1]
    section = re.split(r"(?m)^#+ ", section)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


CONFIGURATION = ROOT / "docs" / "configuration.md"
SECTIONS: dict[str, type[BaseModel]] = {
    "[slack]": SlackSection,
    "[liquidations]": CatalogueSection,
    "[[copies]]": CopySection,
    "[[sets]]": SetSection,
    "[notify]": NotifySection,
    "[[schedules]]": ScheduleSection,
    "[[freezes]]": FreezeSection,
    "[watch]": WatchSection,
    "[work]": WorkSection,
    "[health]": HealthSection,
    "[keep]": KeepSection,
}


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_configuration_page_has_every_key_with_its_default(heading: str) -> None:
    fields = {field.alias or name: field for name, field in SECTIONS[heading].model_fields.items()}
    found = {cells[0].strip("`"): cells[2] for cells in rows(CONFIGURATION, heading)}
    meaning = {cells[0].strip("`"): cells[3] for cells in rows(CONFIGURATION, heading)}
    assert list(found) == list(fields)
    for key, written in found.items():
        field = fields[key]
        if field.is_required():
            assert written == "required"
        elif field.default == tuple(Occasion):
            assert written == "all"
            assert set(re.findall(r"`([a-z_]+)`", meaning[key])) == set(Occasion)
        elif field.default_factory is None:
            assert default(written) == (
                list(field.default) if isinstance(field.default, tuple) else field.default
            )


def default(written: str) -> Any:
    return None if written == "none" else tomllib.loads(f"it = {written.strip('`')}")["it"]


def test_the_configuration_page_has_every_section() -> None:
    assert {heading.strip("[]") for heading in SECTIONS} == set(File.model_fields)


def test_the_configuration_page_has_every_variable_of_the_environment() -> None:
    read = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+|PORT)"', Path(config.__file__).read_text("utf-8")))
    listed = {cells[0].strip("`") for cells in rows(CONFIGURATION, "Environment")}
    assert "NOTIFY_…" in listed
    assert variable_of("ops-mail") == "NOTIFY_OPS_MAIL"
    assert listed - {"NOTIFY_…"} == read


def test_how_it_works_has_every_transition_of_the_table_and_no_other() -> None:
    page = ROOT / "docs" / "how-it-works.md"
    table = sorted((old.value, new.value) for old in TRANSITIONS for new in TRANSITIONS[old])
    assert sorted((cells[0].strip("`"), cells[1].strip("`")) for cells in rows(page, "States")) == table
    assert sorted(re.findall(r"(?m)^    (\w+) --> (\w+)", page.read_text("utf-8"))) == table


def test_the_glossary_has_each_word_once() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    words = [word for cell in re.findall(r"(?m)^\| ([^|]+) \| ", text) for word in cell.split(", ")]
    assert [word for word, n in Counter(words).items() if n > 1 and word != "word"] == []


#: Pages that may tell of what was.
HISTORY = {"CHANGELOG.md", "docs/glossary.md", "docs/decisions/0041-names-that-one-would-search-for.md"}


@pytest.mark.parametrize("page", [page for page in PAGES if named(page) not in HISTORY], ids=named)
def test_no_page_uses_a_word_that_is_gone(page: Path) -> None:
    gone = [cells[0] for cells in rows(ROOT / "docs" / "glossary.md", "Words that are gone")]
    assert gone
    assert re.findall(rf"(?i)\b(?:{'|'.join(gone)})s?\b", page.read_text("utf-8")) == []


def test_the_changelog_begins_with_what_is_unreleased_and_then_has_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    headings = re.findall(r"(?m)^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", headings[1])


@pytest.mark.parametrize("page", DECISIONS, ids=named)
def test_a_decision_says_when_why_what_and_what_was_measured(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.match(rf"# {int(page.name[:4])}\. .+\n\n2026-\d\d-\d\d", text)
    assert re.findall(r"(?m)^## (.+)$", text) == ["Context", "Decision", "Measured"]


def test_the_decisions_are_numbered_and_listed() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert links(ROOT / "docs" / "decisions" / "README.md")[-len(DECISIONS) :] == [
        page.name for page in DECISIONS
    ]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_module_and_test_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    lost = []
    for path in re.findall(r"`((?:bot|copier|migrations|dev|tests|docs)/[\w./-]+)`", text):
        if not (ROOT / path).exists():
            lost.append(path)
    for module in re.findall(r"`((?:bot|copier|dev)(?:\.[a-z_]+)+)`", text):
        if not exists(module):
            lost.append(module)
    for file, test in names_of_tests(text):
        if not (ROOT / "tests" / file).is_file():
            lost.append(file)
        elif test and f"def {test}(" not in (ROOT / "tests" / file).read_text("utf-8"):
            lost.append(f"{file}::{test}")
    assert lost == []


def names_of_tests(text: str) -> Iterator[tuple[str, str]]:
    """Each test that is named as `integration/test_x.py::test_y`, or as `::test_z` of the file before it."""
    for line in text.splitlines():
        file = ""
        for path, test in re.findall(r"`(?:tests/)?(\w+/test_\w+\.py)?(?:::(test_\w+))?`", line):
            file = path or file
            if file:
                yield file, test


def exists(module: str) -> bool:
    """Whether it is a module, or a name in one."""
    path = ROOT / Path(*module.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    return hasattr(importlib.import_module(module.rpartition(".")[0]), module.rpartition(".")[2])
