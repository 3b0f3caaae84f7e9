"""What a process tells of itself on its port: its health, whether it is ready, and its metrics."""

from __future__ import annotations

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, frozenset[tuple[str, str]]]


class Port:
    """Of one process, on this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        return self._client.get(path)

    def answers(self) -> bool:
        try:
            self.get("/healthz")
        except httpx.HTTPError:
            return False
        return True

    def checks(self, path: str) -> dict[str, Any]:
        """Each check by its name, and the status code under ``code``."""
        answer = self.get(path)
        found: dict[str, Any] = {each["name"]: each for each in answer.json()["checks"]}
        return found | {"code": answer.status_code}

    def wrong(self) -> dict[str, str]:
        """The sentences of the checks of ``/readyz`` that don't hold."""
        found = self.checks("/readyz")
        code = found.pop("code")
        wrong = {name: each["says"] for name, each in found.items() if not each["ok"]}
        assert (code == 503) == bool(wrong)
        return wrong

    def metrics(self) -> dict[Sample, float]:
        """Every sample, by its name and labels."""
        text = self.get("/metrics").text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        """One sample; 0 where there is none yet."""
        return self.metrics().get((name, frozenset(labels.items())), 0.0)
