"""Whoever starts a process with wrong settings learns everything that is wrong at once."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bot.app import databases
from bot.config import Need, Occasion, Settings, load
from bot.errors import ConfigError

GOOD = {
    "PROD_DATABASE_URL": "postgresql://reader:prod-secret@prod:5432/payroll",
    "CONSULTA_DATABASE_URL": "postgres://writer:consulta-secret@consulta/consulta?sslmode=require",
    "REDIS_URL": "redis://:redis-secret@redis:6379/0",
    "SLACK_BOT_TOKEN": "xoxb-bot-secret",
    "SLACK_APP_TOKEN": "xapp-app-secret",
}
FILE = """
[slack]
admin_groups = ["S0ADMINS"]
[[copies]]
name = "items"
source_table = 'public."Weird Items"'
target_table = "liquidation_items"
"""


def read(folder: Path, text: str | None = FILE, need: Need = Need.EVERYTHING, **environment: str) -> Settings:
    path = folder / "traspaso.toml"
    if text is not None:
        path.write_text(text, "utf-8")
    return load({**GOOD, **environment, "TRASPASO_CONFIG": str(path)}, need)


def complaints(folder: Path, text: str | None = FILE, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, **environment)
    assert all(line in str(caught.value) for line in caught.value.lines)
    return caught.value.lines


def test_good_settings_are_read(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.prod is not None
    assert settings.consulta is not None
    assert (settings.prod.host, settings.prod.database) == ("prod", "payroll")
    assert (settings.consulta.password, settings.consulta.query["sslmode"]) == ("consulta-secret", "require")
    assert settings.slack_api_url == "https://slack.com/api/"
    assert settings.copy_named(None) == settings.copy_named("items")
    assert settings.copy_named("nosuch") is None
    copy = settings.file.copies[0]
    assert (str(copy.source_table), copy.liquidation_column) == ('public."Weird Items"', "liquidation_id")


def test_all_that_is_missing_is_named_at_once_with_what_it_should_look_like(tmp_path: Path) -> None:
    lines = complaints(tmp_path, None, **dict.fromkeys(GOOD, ""))
    assert len(lines) == len(GOOD) + 1
    for name, example in [
        ("PROD_DATABASE_URL", "postgresql://"),
        ("CONSULTA_DATABASE_URL", "postgresql://"),
        ("REDIS_URL", "redis://"),
        ("SLACK_BOT_TOKEN", "xoxb-"),
        ("SLACK_APP_TOKEN", "xapp-"),
        ("traspaso.toml", "traspaso.example.toml"),
    ]:
        [line] = [line for line in lines if name in line.split(":")[0] or name in line.split(" is ")[0]]
        assert example in line


def test_a_file_that_may_not_be_read_is_named_as_that(tmp_path: Path) -> None:
    path = tmp_path / "traspaso.toml"
    path.write_text(FILE, "utf-8")
    path.chmod(0)
    root = os.geteuid() == 0
    if root:  # who may read everything
        os.seteuid(65534)
    try:
        lines = complaints(tmp_path, None)
    finally:
        if root:
            os.seteuid(0)
    assert lines == [f"{path} can't be read (Permission denied): let this process's user read it"]


def test_all_that_is_wrong_is_named_at_once_and_no_secret_is_repeated(tmp_path: Path) -> None:
    wrong = {
        "PROD_DATABASE_URL": "mysql://reader:prod-secret@prod/payroll",
        "CONSULTA_DATABASE_URL": "postgresql://writer:consulta-secret@consulta:port/consulta",
        "REDIS_URL": "http://:redis-secret@redis",
        "SLACK_BOT_TOKEN": "xapp-bot-secret",
        "SLACK_APP_TOKEN": "xoxb-app-secret",
        "SLACK_API_URL": "ftp://secret@slack",
    }
    lines = complaints(tmp_path, FILE.replace("items", "IT EMS"), **wrong)
    assert [name for name in wrong if not any(line.startswith(f"{name} is not") for line in lines)] == []
    assert any("copies[1].name" in line for line in lines)
    assert "secret" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[slack", "not valid TOML"),
        ("[slack]\nadmin_groups = ['S0']\n", "no [[copies]] entry"),
        (FILE.replace('["S0ADMINS"]', "[]"), "slack.admin_groups"),
        (FILE + "approval_over_rows = -1\n", "copies[1].approval_over_rows"),
        (FILE + "[work]\napproval_seconds = 0\n", "work.approval_seconds"),
        (FILE + "[work]\nchunk_rowz = 1000\n", "work.chunk_rowz: is not a setting of Traspaso"),
        (FILE + "[work]\nchunk_rows = 1\n", "work.chunk_rows"),
        (FILE + "[work]\nlease_seconds = 0.5\n", "work.lease_seconds"),
        (FILE + FILE[FILE.index("[[copies]]") :], "'items' is used twice"),
        (FILE.replace('"liquidation_items"', '"a.b.c.d"'), "copies[1].target_table"),
        (FILE.replace('"liquidation_items"', '"items; DROP TABLE x"'), "copies[1].target_table"),
        (FILE.replace('target_table = "liquidation_items"', ""), "copies[1].target_table: is missing"),
        (FILE + 'liquidation_column = ""\n', "copies[1].liquidation_column"),
        (FILE.replace("[slack]", '[slack]\nlanguage = "fr"'), "slack.language"),
        ("[liquidations]\nid = 'id'\n" + FILE, "liquidations.table: is missing"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    lines = complaints(tmp_path, text)
    assert any(place in line for line in lines), lines
    assert all(str(tmp_path / "traspaso.toml") in line for line in lines)


def test_global_people_may_be_missing_where_each_copy_names_its_own(tmp_path: Path) -> None:
    nobody = FILE.replace('["S0ADMINS"]', "[]")
    assert read(tmp_path, nobody + 'allowed_users = ["U0ANA"]\n').file.copies[0].names_its_people
    assert any("nobody could copy" in line for line in complaints(tmp_path, nobody))


@pytest.mark.parametrize(
    ("setting", "rows", "needed"),
    [
        ("", (None, 10**9), False),
        ("require_approval = true", (0, 0), True),
        ("approval_over_rows = 100", (100, 100), False),
        ("approval_over_rows = 100", (101, 0), True),
        ("approval_over_rows = 100", (0, 101), True),
        ("approval_over_rows = 100", (5, None), True),
        ("approval_over_rows = 100\nrequire_approval = true", (1, 1), True),
    ],
)
def test_a_second_person_is_asked_as_configured_and_when_nobody_knows_how_much_it_is(
    tmp_path: Path, setting: str, rows: tuple[int | None, ...], needed: bool
) -> None:
    copy = read(tmp_path, FILE + setting + "\n").file.copies[0]
    assert copy.needs_approval(*rows) is needed


def test_a_process_asks_only_for_what_it_needs(tmp_path: Path) -> None:
    shell = {name: value for name, value in GOOD.items() if name.endswith("DATABASE_URL")}
    settings = load({**shell, "TRASPASO_CONFIG": str(tmp_path / "none.toml")}, Need.DATABASES)
    assert settings.redis_url is settings.bot_token is None
    with pytest.raises(ConfigError) as caught:
        load(shell | {"TRASPASO_CONFIG": str(tmp_path / "none.toml")}, Need.DATABASES | Need.COPIES)
    assert len(caught.value.lines) == 1


def test_settings_can_be_printed_without_a_secret(tmp_path: Path) -> None:
    in_options = "postgresql:///payroll?host=prod&password=option-secret&sslpassword=key-secret"
    for url in (GOOD["PROD_DATABASE_URL"], in_options):
        settings = read(tmp_path, PROD_DATABASE_URL=url)
        parts = databases(settings)
        printed = f"{settings!r} {settings} {parts!r} {parts.prod!r} {parts.tracking.pool!r} {parts.prod.url}"
        assert "payroll" in printed
        assert re.findall("[a-z]+-secret", printed) == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80/api", "http://localhost/api/", "http://[::1]:8080/api/"]
)
def test_slack_without_encryption_may_be_on_this_machine(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, SLACK_API_URL=url).slack_api_url == f"{url.rstrip('/')}/"


@pytest.mark.parametrize(
    "url",
    [
        "http://slack.com/api/",
        "http://127.0.0.1.example.com/api/",
        "http://127.0.0.1@example.com/api/",
        "http://localhost:80@10.0.0.7/api/",
        "http://10.0.0.7:8080/api/",
        "http://0.0.0.0/api/",
        "http:///api/",
        "http://[::1/api/",
    ],
)
def test_slack_without_encryption_anywhere_else_is_refused(tmp_path: Path, url: str) -> None:
    [line] = complaints(tmp_path, SLACK_API_URL=url)
    assert line.startswith("SLACK_API_URL begins with http://")
    assert "https://" in line


def test_a_redis_url_that_can_t_be_read_is_named_and_not_repeated(tmp_path: Path) -> None:
    for url in ("redis://:redis-secret@redis:port/0", "redis://:redis-secret@redis/0?socket_timeout=soon"):
        [line] = complaints(tmp_path, REDIS_URL=url)
        assert line.startswith("REDIS_URL can't be read")
        assert "redis-secret" not in line


def test_a_copy_is_called_by_its_title_and_by_its_name_where_it_has_none(tmp_path: Path) -> None:
    file = read(tmp_path, FILE.replace('name = "items"', 'name = "items"\ntitle = "Ítems"')).file
    assert file.titles == {"items": "Ítems"}
    assert read(tmp_path).file.titles == {"items": "items"}


@pytest.mark.parametrize("title", ["", " ", "x" * 61, "two\\nlines", "\\u202eturned"])
def test_a_title_that_would_not_fit_into_a_line_is_refused(tmp_path: Path, title: str) -> None:
    [line] = complaints(tmp_path, FILE.replace('name = "items"', f'name = "items"\ntitle = "{title}"'))
    assert "copies[1].title: write a name of one line, of 1 to 60 characters" in line


NOTIFY = f"""{FILE}
[notify]
destinations = ["ops-mail"]
mail_requester = true
only = {{ ops-mail = ["failed"] }}
"""
MAIL = "mailtos://traspaso:mail-secret@smtp.example.com?from=traspaso@example.com"


def test_the_url_of_a_destination_is_read_from_the_environment_and_is_not_printed(tmp_path: Path) -> None:
    urls = {"NOTIFY_OPS_MAIL": f"{MAIL}&to=ops@example.com", "NOTIFY_REQUESTER": MAIL}
    settings = read(tmp_path, NOTIFY, **urls)
    assert settings.destination_urls == {
        "ops-mail": urls["NOTIFY_OPS_MAIL"],
        "requester": urls["NOTIFY_REQUESTER"],
    }
    assert "mail-secret" not in repr(settings) + str(settings)
    assert settings.file.told(Occasion.FAILED, "items") == ("ops-mail", "requester")
    assert settings.file.told(Occasion.COMPLETED, "items") == ("requester",)
    assert settings.file.told(Occasion.FAILED, None) == ("ops-mail",)


def test_a_destination_without_its_url_is_named_with_the_variable_and_what_it_should_look_like(
    tmp_path: Path,
) -> None:
    lines = complaints(tmp_path, NOTIFY, NOTIFY_OPS_MAIL="mail-secret")
    assert lines[0].startswith("NOTIFY_OPS_MAIL is not an Apprise URL for the destination ops-mail, such as ")
    assert lines[1].startswith("NOTIFY_REQUESTER is missing: set it to the mail server for those who ask")
    assert len(lines) == 2
    assert "mail-secret" not in str(lines)


def test_a_shell_needs_no_url_of_a_destination(tmp_path: Path) -> None:
    assert read(tmp_path, NOTIFY, Need.DATABASES | Need.COPIES).destination_urls == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[notify]\ndestinations = ["requester"]', "set mail_requester = true instead"),
        ('[notify]\ndestinations = ["mailto://a:b@c"]', "notify.destinations[1]"),
        ('[notify]\noccasions = ["sometimes"]', "notify.occasions[1]"),
        ('[notify]\nonly = { nobody = ["failed"] }', "notify.only names 'nobody', which is no destination"),
    ],
)
def test_a_destination_that_can_t_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    [line] = complaints(tmp_path, f"{FILE}\n{text}")
    assert said in line


@pytest.mark.parametrize("alone", ['approval_second_group = "S0"', "approval_second_after_hours = 4"])
def test_a_second_group_and_its_hours_belong_together(tmp_path: Path, alone: str) -> None:
    [line] = complaints(tmp_path, f"{FILE}\n{alone}")
    assert "approval_second_group and approval_second_after_hours belong together" in line
    both = f'{FILE}\napproval_second_group = "S0"\napproval_second_after_hours = 0.5'
    assert read(tmp_path, both).file.copies[0].second_group_seconds == 1800
