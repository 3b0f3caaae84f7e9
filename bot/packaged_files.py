"""The files that come with this package and that an installation begins with."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

#: What an installation begins with -> what it is called there. Folders are taken whole.
STARTING_FILES = {
    "traspaso.example.toml": "traspaso.toml",
    "manifest.yml": "manifest.yml",
    "Procfile": "Procfile",
    "requirements-prod.lock": "requirements-prod.lock",
    ".slack": ".slack",
    "deploy": "deploy",
}


def shipped(name: str) -> bytes:
    """A file that comes with this package: inside of it, or beside it in a working copy."""
    return _place(name).read_bytes()


def starting_files() -> Iterator[tuple[str, bytes]]:
    """Each file that an installation begins with: its path there, with slashes, and its contents."""
    for name, target in STARTING_FILES.items():
        yield from _files(_place(name), target)


def _place(name: str) -> Traversable:
    package = resources.files("bot")
    inside = package / name
    return inside if inside.is_file() or inside.is_dir() else package / ".." / name


def _files(place: Traversable, target: str) -> Iterator[tuple[str, bytes]]:
    if place.is_file():
        yield target, place.read_bytes()
        return
    for each in sorted(place.iterdir(), key=lambda each: each.name):
        yield from _files(each, f"{target}/{each.name}")
