"""The example of the local Slack's README, run as it stands there."""

import re

import pytest

from dev.guard import ROOT


def test_the_example_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "dev" / "local_slack" / "README.md").read_text("utf-8")
    (example,) = re.findall(r"(?s)```python\n(.+?)```", page)
    monkeypatch.chdir(ROOT)
    exec(compile(example, "dev/local_slack/README.md", "exec"), {})
