"""Pages that are written by hand but for one part, which a command makes anew between two markers."""

from __future__ import annotations


def filled(page: str, begin: str, made: str, end: str) -> str:
    """The page with ``made`` between its markers ``begin`` and ``end``, each on a line of its own.

    Raises:
        ValueError: where one of the markers is missing.
    """
    before, first, rest = page.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise ValueError(f"a page has lost its marker {begin.strip() if not first else end.strip()}")
    return f"{before}{begin}{made}{end}{after}"
