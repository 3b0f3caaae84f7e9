"""Whoever is woken by an alert finds what it means and what to do; and each rule fires when it should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from dev.guard import ROOT

RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
CASES = ROOT / "deploy" / "prometheus" / "alerts.test.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "traspaso.json"
OPERATING = ROOT / "docs" / "operating.md"

ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]
]
PROMTOOL = shutil.which("promtool")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_has_words_a_severity_and_its_place_in_the_runbook(alert: dict[str, Any]) -> None:
    said = alert["annotations"]
    assert set(said) == {"summary", "description", "runbook"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    path, _, anchor = said["runbook"].partition("#")
    assert ROOT / path == OPERATING
    assert anchor == alert["alert"].lower()
    section = re.split(rf"(?m)^### {alert['alert']}$", OPERATING.read_text("utf-8"))[1]
    assert len(re.split(r"(?m)^#", section)[0].split()) > 15


def test_the_runbook_has_no_alert_that_there_is_not() -> None:
    section = OPERATING.read_text("utf-8").partition("\n## Alerts\n")[2].partition("\n## ")[0]
    assert re.findall(r"(?m)^### (\w+)$", section) == [alert["alert"] for alert in ALERTS]


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires, rests = set(), set()
    for case in yaml.safe_load(CASES.read_text("utf-8"))["tests"]:
        for each in case["alert_rule_test"]:
            (fires if each["exp_alerts"] else rests).add(each["alertname"])
    assert fires == rests == {alert["alert"] for alert in ALERTS}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool isn't installed")
@pytest.mark.parametrize("what", [("check", "rules", RULES), ("test", "rules", CASES)], ids=["check", "test"])
def test_promtool_takes_the_rules_and_each_fires_when_it_should(what: tuple[object, ...]) -> None:
    command = [str(PROMTOOL), *(str(each) for each in what)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_dashboard_can_be_imported_and_says_what_each_panel_shows() -> None:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "copy"}
    for panel in panels:
        assert panel["title"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
