"""How the tests are given out to several processes (pytest-xdist).

The tests of one module stay together, as they share servers: a process takes the next module when it is
through with one. Modules whose tests share nothing but the session's servers, and that take long, are given
out test by test. Modules that need the whole house, bot and worker and a browser, are given out in few large
parts, because each process that plays some of them starts a house. What takes longest is begun first, so that
no process is left alone with it at the end.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

#: Given out test by test.
APART = (
    "tests/integration/test_bot_last_word.py",
    "tests/integration/test_bot_shell.py",
    "tests/integration/test_bot_shell_questions.py",
    "tests/integration/test_bot_ten_thousand_texts.py",
    "tests/integration/test_copier_memory.py",
    "tests/integration/test_copier_property.py",
    "tests/integration/test_copier_types.py",
    "tests/unit/test_bot_messages.py",
)
#: Begun first, in this order; then everything else, as it was collected.
FIRST = (
    "tests/browser",
    "tests/scenarios",
    "tests/integration/test_bot_ten_thousand_texts.py",
    "tests/integration/test_dev_chaos.py",
    "tests/integration/test_copier_memory.py",
    "tests/unit/test_bot_messages.py::test_hostile",
    "tests/integration/test_bot_last_word.py::test_whatever",
    "tests/integration/test_bot_shell",
    "tests/integration/test_dev_load.py",
    "tests/integration",
)


class Distribution(LoadScopeScheduling):  # type: ignore[misc]
    """See above."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False  # it would begin with the modules of the most tests
        super().__init__(config, log)
        self._houses = max(1, len(config.getvalue("tx")) // 2)
        self._scenarios: dict[str, int] = {}

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        if module.startswith("tests/browser/"):
            return "tests/browser"
        if module.startswith("tests/scenarios/"):
            number = self._scenarios.setdefault(module, len(self._scenarios))
            return f"tests/scenarios, house {number % self._houses}"
        return nodeid if module in APART else module


def longest_first(item: pytest.Item) -> int:
    """A key to sort by."""
    return next((at for at, prefix in enumerate(FIRST) if item.nodeid.startswith(prefix)), len(FIRST))
