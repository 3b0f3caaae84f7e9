"""The workspace that exists before anything happens, and how the manifest and a seed file change it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dev.local_slack.jsontypes import Json
from dev.local_slack.state import App, Channel, Command, Group, Team, User, Workspace

SLACKBOT = "USLACKBOT"

SEED: Json = {
    "team": {"id": "T0ACME", "name": "Acme Nómina", "domain": "acme"},
    "app": {
        "id": "A0TRASPASO",
        "name": "traspaso",
        "bot_id": "B0TRASPASO",
        "bot_user": "U0BOT",
        "bot_token": "xoxb-local-traspaso",
        "app_token": "xapp-local-traspaso",
    },
    "users": [
        {
            "id": "U0ANA",
            "name": "ana",
            "real_name": "Ana Álvarez",
            "email": "ana@acme.example",
            "locale": "es-ES",
            "is_admin": True,
        },
        {
            "id": "U0BOB",
            "name": "bob",
            "real_name": "Bob Brown",
            "email": "bob@acme.example",
            "locale": "en-US",
            "tz": "America/New_York",
            "tz_offset": -18000,
            "is_admin": True,
        },
        {"id": "U0CARLA", "name": "carla", "real_name": "Carla Cruz", "locale": "es-ES"},
        {"id": "U0BOT", "name": "traspaso", "real_name": "traspaso", "is_bot": True},
        {"id": SLACKBOT, "name": "slackbot", "real_name": "Slackbot"},
    ],
    "channels": [
        {"id": "C0PAYROLL", "name": "payroll", "members": ["U0ANA", "U0BOB", "U0CARLA", "U0BOT"]},
        {"id": "C0OPEN", "name": "general", "members": ["U0ANA", "U0BOB", "U0CARLA"]},
        {"id": "C0SECRET", "name": "finance-private", "is_private": True, "members": ["U0ANA", "U0BOB"]},
    ],
    "groups": [
        {
            "id": "S0ADMINS",
            "handle": "liquidation-admins",
            "name": "Liquidation admins",
            "users": ["U0ANA", "U0BOB"],
        },
    ],
}


@dataclass(frozen=True)
class Manifest:
    """What the app's manifest grants and declares."""

    scopes: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    bot_events: list[str] = field(default_factory=list)
    home_enabled: bool = False
    messages_read_only: bool = False
    content: Json = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """An empty or missing part grants nothing, as in Slack."""
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        features = content.get("features") or {}
        home, settings = features.get("app_home") or {}, content.get("settings") or {}
        scopes = ((content.get("oauth_config") or {}).get("scopes") or {}).get("bot") or []
        return cls(
            scopes=list(scopes),
            commands=[
                Command(entry["command"], entry.get("description", ""), entry.get("usage_hint", ""))
                for entry in features.get("slash_commands") or []
            ],
            bot_events=list((settings.get("event_subscriptions") or {}).get("bot_events") or []),
            home_enabled=bool(home.get("home_tab_enabled")),
            messages_read_only=bool(home.get("messages_tab_read_only_enabled")),
            content=content,
        )


def read_seed(path: Path) -> Json:
    """A YAML or JSON file whose top-level keys replace those of the built-in seed."""
    content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return {**SEED, **content}


def build_workspace(manifest: Manifest, seed: Json = SEED) -> Workspace:
    return Workspace(
        team=Team(**seed["team"]),
        app=App(**seed["app"]),
        users={row["id"]: User(**row) for row in seed["users"]},
        channels={row["id"]: build_channel(row) for row in seed["channels"]},
        groups={row["id"]: Group(**{**row, "users": list(row.get("users", []))}) for row in seed["groups"]},
        scopes=manifest.scopes,
        commands={command.name: command for command in manifest.commands},
        bot_events=manifest.bot_events,
        home_enabled=manifest.home_enabled,
        messages_read_only=manifest.messages_read_only,
        manifest=manifest.content,
    )


def build_channel(row: Json) -> Channel:
    return Channel(**{**row, "members": list(row.get("members", []))})
