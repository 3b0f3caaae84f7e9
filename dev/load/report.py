"""A part's outcome: figures, promises that held or didn't, everything as JSON, and the page's section."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from dev import pages
from dev.guard import ROOT
from dev.output import harmless

OUT = ROOT / "dist" / "load"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- load: written by make load -->", "<!-- load: end -->"
TITLES = {
    "load": "Load",
    "deploys": "Deploys under load",
    "releases": "Two releases side by side",
    "flood": "A flood",
}


@dataclass(frozen=True)
class Check:
    """A promise, whether it held, and what was seen."""

    promise: str
    held: bool
    seen: str


@dataclass
class Result:
    """``details`` are for the JSON alone."""

    part: str
    what: str
    figures: list[tuple[str, str]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return all(check.held for check in self.checks)

    def add(self, name: str, seen: object) -> None:
        self.figures.append((name, str(seen)))

    def check(self, promise: str, held: bool, seen: object = "") -> None:
        self.checks.append(Check(promise, held, str(seen)))

    def show(self, console: Console) -> None:
        console.print(f"\n{TITLES[self.part]}: {self.what}\n", markup=False, soft_wrap=True)
        checks = [(f"{'✅' if check.held else '❌'} {check.promise}", check.seen) for check in self.checks]
        for name, seen in [*self.figures, *checks]:
            lines = harmless(seen).replace("\n", f"\n{'':59}")
            console.print(f"{name:58} {lines}", markup=False, soft_wrap=True)
        console.print()

    def write(self) -> Path:
        OUT.mkdir(parents=True, exist_ok=True)
        path = OUT / f"{self.part}.json"
        content = {**asdict(self), "machine": machine()}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n", "utf-8")
        return path


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def section(results: list[dict[str, Any]]) -> str:
    """Markdown, from what `Result.write` has written."""
    lines = [
        f"Machine: {results[0]['machine'] if results else machine()}, with the servers and the people on it."
    ]
    for result in results:
        lines += ["", f"### {TITLES[result['part']]}", "", f"{result['what']}.", "", "| | |", "|---|---|"]
        lines += [f"| {_cell(name)} | {_cell(seen)} |" for name, seen in result["figures"]]
        lines += [
            f"| {'✅' if check['held'] else '❌'} {_cell(check['promise'])} | {_cell(check['seen'])} |"
            for check in result["checks"]
        ]
    return "\n".join(lines) + "\n"


def write_section() -> Path:
    """Puts what was measured last between the page's markers."""
    results = [
        json.loads((OUT / f"{part}.json").read_text("utf-8"))
        for part in TITLES
        if (OUT / f"{part}.json").exists()
    ]
    PAGE.write_text(filled(PAGE.read_text("utf-8"), section(results)), "utf-8")
    return PAGE


def filled(page: str, text: str) -> str:
    """The page with this between its markers, which are added at its end where there are none."""
    if BEGIN not in page:
        page = f"{page.rstrip()}\n\n{BEGIN}\n{END}\n"
    return pages.filled(page, BEGIN, f"\n{text}", END)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
