"""Whoever starts a process with wrong settings learns everything that is wrong at once."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from bot.app import databases
from bot.config import Need, Occasion, Settings, load
from bot.errors import ConfigError
from bot.jobs.freezes import windows_of
from copier import HashKey, NewColumns, Via

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


VIA = (
    FILE
    + """
[[copies]]
name = "payslips"
source_table = "payslips"
target_table = "consulta.payslips"
[[copies]]
name = "lines"
source_table = "payslip_lines"
target_table = "consulta.lines"
via = "payslip_id -> public.payslips.id"
[[copies]]
name = "parts"
source_table = "parts"
target_table = "parts"
via = '(company, "Line") -> payslip_lines.(company, no)'
"""
)


def test_a_copy_may_belong_through_the_table_of_another_one(tmp_path: Path) -> None:
    _, payslips, lines, parts = read(tmp_path, VIA).file.copies
    assert [each.name for each in parts.line] == ["parts", "lines", "payslips"]
    assert parts.spec.via == Via(("company", "Line"), lines.spec, ("company", "no"))
    assert lines.spec.via == Via(("payslip_id",), payslips.spec, ("id",))
    assert (lines.spec.liquidation_column, payslips.spec.via) == ("", None)
    assert parts.spec.belongs_by == (
        '(company, "Line") -> public.payslip_lines.(company, no) (consulta.lines), there '
        "payslip_id -> public.payslips.id (consulta.payslips), there liquidation_id"
    )


@pytest.mark.parametrize(
    ("was", "now", "line"),
    [
        (
            "payslip_id -> public.payslips.id",
            "payslip_id -> public.slips.id",
            "via of 'lines' names public.slips, which is the source_table of no copy: add [[copies]] for it",
        ),
        (
            "payslip_id -> public.payslips.id",
            "part_id -> parts.id",
            "copies: via goes round in a circle (lines -> parts -> lines): one of these tables has to have",
        ),
        (
            'source_table = "payslips"',
            'source_table = "payslip_lines"',
            "public.payslip_lines, which is the source_table of 'payslips' and 'lines': keep one of them",
        ),
        (
            'via = "payslip_id',
            'liquidation_column = "liquidation_id"\nvia = "payslip_id',
            "copies[3]: via and liquidation_column exclude each other",
        ),
        ("payslip_id -> public.payslips.id", "payslip_id", "copies[3].via: 'payslip_id' doesn't say to what"),
        ("(company, no)", "(company, no, id)", "or (a, b) -> schema.table.(a, b)"),
    ],
)
def test_a_via_that_leads_nowhere_is_refused_with_what_to_write(
    tmp_path: Path, was: str, now: str, line: str
) -> None:
    lines = complaints(tmp_path, VIA.replace(was, now))
    assert any(line in each for each in lines), lines


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


def test_an_installation_names_the_schema_of_its_tracking_tables_and_has_the_usual_one_otherwise(
    tmp_path: Path,
) -> None:
    assert read(tmp_path).tracking_schema == "traspaso"
    assert read(tmp_path, TRASPASO_SCHEMA="traspaso_test").tracking_schema == "traspaso_test"


@pytest.mark.parametrize(
    "name",
    [
        "public",
        "information_schema",
        "pg_traspaso",
        "Traspaso",
        "traspaso-test",
        'a"; DROP',
        "2nd",
        "a" * 64,
        "añ",
    ],
)
def test_a_schema_whose_name_is_not_plain_or_that_holds_other_tables_is_refused(
    tmp_path: Path, name: str
) -> None:
    [line] = complaints(tmp_path, TRASPASO_SCHEMA=name)
    assert line.startswith("TRASPASO_SCHEMA is not the name of a schema for the tracking tables")


HTTP = {
    "SLACK_APP_TOKEN": "",
    "SLACK_SIGNING_SECRET": "0123456789abcdef0123456789abcdef",
    "PORT": "3000",
}


def test_with_a_signing_secret_and_a_port_the_bot_is_in_http_mode(tmp_path: Path) -> None:
    http = read(tmp_path, **HTTP).http
    assert http is not None
    assert (http.port, http.host, http.processes) == (3000, "0.0.0.0", 1)
    http = read(tmp_path, **HTTP, WEB_HOST="::1", WEB_PROCESSES="4").http
    assert http is not None
    assert (http.host, http.processes) == ("::1", 4)
    assert HTTP["SLACK_SIGNING_SECRET"] not in repr(read(tmp_path, **HTTP))


@pytest.mark.parametrize("more", [{"PORT": "5000"}, {"SLACK_SIGNING_SECRET": HTTP["SLACK_SIGNING_SECRET"]}])
def test_an_app_token_alone_decides_beside_half_of_http_mode(tmp_path: Path, more: dict[str, str]) -> None:
    settings = read(tmp_path, **more)
    assert settings.http is None
    assert settings.app_token == GOOD["SLACK_APP_TOKEN"]


def test_both_modes_at_once_contradict_each_other_until_one_is_chosen(tmp_path: Path) -> None:
    both = {**HTTP, "SLACK_APP_TOKEN": GOOD["SLACK_APP_TOKEN"]}
    [line] = complaints(tmp_path, **both)
    assert line.startswith("SLACK_APP_TOKEN is set (Socket Mode), and SLACK_SIGNING_SECRET with PORT")
    assert "SLACK_MODE=socket or SLACK_MODE=http" in line
    assert read(tmp_path, **both, SLACK_MODE="http").http is not None
    socket = read(tmp_path, **both, SLACK_MODE="socket")
    assert socket.http is None
    assert socket.app_token == GOOD["SLACK_APP_TOKEN"]


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"PORT": ""}, "PORT is missing: set it to the port on which HTTP mode listens"),
        ({"PORT": "0"}, "PORT is not the port"),
        ({"PORT": "65536"}, "PORT is not the port"),
        ({"PORT": "３０００"}, "PORT is not the port"),
        ({"PORT": "http"}, "PORT is not the port"),
        ({"WEB_PROCESSES": "0"}, "WEB_PROCESSES is not a number of processes from 1 to 64"),
        ({"WEB_PROCESSES": "many"}, "WEB_PROCESSES is not a number of processes from 1 to 64"),
        ({"WEB_HOST": "http://bot"}, "WEB_HOST is not an address of this machine"),
        ({"SLACK_SIGNING_SECRET": "xapp-secret-secret"}, "SLACK_SIGNING_SECRET is not the signing secret"),
        ({"SLACK_SIGNING_SECRET": "", "SLACK_MODE": "http"}, "SLACK_SIGNING_SECRET is missing: set it to"),
        ({"SLACK_SIGNING_SECRET": ""}, "SLACK_APP_TOKEN is missing: set it to an app-level token"),
        ({"SLACK_MODE": "socket"}, "SLACK_APP_TOKEN is missing: set it to an app-level token"),
        ({"SLACK_MODE": "https"}, "SLACK_MODE is not socket or http"),
    ],
)
def test_what_is_wrong_with_http_mode_is_named(tmp_path: Path, wrong: dict[str, str], line: str) -> None:
    [said] = complaints(tmp_path, **{**HTTP, **wrong})
    assert said.startswith(line)
    assert "secret-secret" not in said


def test_a_worker_needs_nothing_to_listen_with(tmp_path: Path) -> None:
    settings = read(tmp_path, need=Need.CALLING, SLACK_APP_TOKEN="", PORT="whatever the platform says")
    assert settings.http is None
    assert settings.app_token is None


CATALOGUE = """
[liquidations]
table = "public.liquidations"
period = "period"
"""
SCHEDULE = """
[[schedules]]
name = "nightly"
cron = "0 2 * * 1-5"
time_zone = "America/Argentina/Buenos_Aires"
copy = "items"
liquidations = { where = "status = 'open'", newest = 3, period = "current" }
as_user = "U0OPS"
channel = "C0PAYROLL"
"""
FREEZE = """
[[freezes]]
name = "closing"
cron = "0 8 1 * *"
until = "18:00"
reason = "Cierre de mes"
"""


def test_a_schedule_of_a_copy_that_asks_for_a_reason_has_one_of_its_own(tmp_path: Path) -> None:
    asking = FILE.replace('name = "items"', 'name = "items"\nrequire_reason = true', 1)
    notes = '[[copies]]\nname = "notes"\nsource_table = "notes"\ntarget_table = "notes"\n'
    whole = f'{asking}{notes}[[sets]]\nname = "whole"\ncopies = ["items", "notes"]\n'
    of_set = SCHEDULE.replace('copy = "items"', 'set = "whole"')
    for text in (asking + CATALOGUE + SCHEDULE, whole + CATALOGUE + of_set):
        said = complaints(tmp_path, text)
        assert any(
            "schedules 'nightly': copying items needs a reason (require_reason): add reason =" in line
            for line in said
        ), said
        reasoned = text.replace('as_user = "U0OPS"', 'as_user = "U0OPS"\nreason = "copia nocturna"')
        assert read(tmp_path, reasoned).file.schedules[0].reason == "copia nocturna"


def test_schedules_and_freezes_are_read(tmp_path: Path) -> None:
    file = read(tmp_path, FILE + CATALOGUE + SCHEDULE + FREEZE).file
    schedule, freeze = file.schedules[0], file.freezes[0]
    due = datetime(2026, 12, 1, 2, tzinfo=UTC)  # still November in Buenos Aires
    assert schedule.liquidations is not None
    choice = schedule.liquidations.choice(due, schedule.time_zone, schedule.limit)
    assert (choice.where, choice.limit, choice.day) == ("status = 'open'", 3, date(2026, 11, 30))
    begin, end = datetime(2026, 12, 1, 8, tzinfo=UTC), datetime(2026, 12, 1, 18, tzinfo=UTC)
    noon = datetime(2026, 12, 1, 12, tzinfo=UTC)
    [window] = windows_of([freeze], noon, noon)
    assert (window.begin, window.end) == (begin, end)
    assert windows_of([freeze], end, end) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('cron = "0 2 * * 1-5"', 'cron = "at night"', "schedules[1].cron: write five fields"),
        (
            "America/Argentina/Buenos_Aires",
            "Buenos Aires",
            "schedules[1].time_zone: 'Buenos Aires' is no time",
        ),
        ('copy = "items"', 'copy = "notes"', "schedules 'nightly': there is no copy 'notes' in [[copies]]"),
        ('copy = "items"', 'set = "whole"', "schedules 'nightly': there is no set 'whole' in [[sets]]"),
        (
            'copy = "items"',
            'copy = "items"\nset = "whole"',
            "schedules[1]: name either copy, one of [[copies]]",
        ),
        ('copy = "items"', "", "schedules[1]: name either copy, one of [[copies]], or set, one of [[sets]]"),
        ("status = 'open'", "true; DELETE FROM x", "schedules[1].liquidations.where: write one condition"),
        ("status = 'open'", "true) OR (true", "schedules[1].liquidations.where: a parenthesis in it"),
        ("status = 'open'", "true) OR true", "schedules[1].liquidations.where: a parenthesis in it"),
        ("status = 'open'", "true -- ", "schedules[1].liquidations.where: write one condition"),
        ('as_user = "U0OPS"', 'as_user = "ana"', "schedules[1].as_user: String should match"),
        ('channel = "C0PAYROLL"', 'channel = "D0ANA"', "schedules[1].channel: String should match"),
        ('as_user = "U0OPS"', 'as_user = "U0OPS"\nliquidation = 42', "schedules[1]: name either liquidation"),
        ('until = "18:00"', "", "freezes[1]: name either until, such as 18:00, or lasts, such as 2h"),
        ('until = "18:00"', 'lasts = "forever"', "freezes[1].lasts: write a length of up to 31 days"),
        (
            CATALOGUE,
            "",
            "schedules 'nightly': liquidations are chosen from the catalogue: add [liquidations]",
        ),
        ('period = "period"\n', "", "schedules 'nightly': period needs the catalogue's column"),
        (SCHEDULE, SCHEDULE + SCHEDULE, "schedules.name 'nightly' is used twice"),
    ],
)
def test_what_is_wrong_in_a_schedule_or_a_freeze_is_named(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    text = (FILE + CATALOGUE + SCHEDULE + FREEZE).replace(old, new)
    assert any(complaint in line for line in complaints(tmp_path, text))


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


SET = (
    FILE
    + """
[[copies]]
name = "lines"
source_table = "lines"
target_table = "lines"
[[sets]]
name = "completa"
copies = ["items", "lines"]
default = true
"""
)


def test_a_set_names_its_copies_and_may_be_the_default(tmp_path: Path) -> None:
    settings = read(tmp_path, SET)
    chosen = settings.file.default_set
    assert chosen is not None
    assert chosen == settings.set_named("completa")
    assert [copy.name for copy in settings.file.copies_of(chosen)] == ["items", "lines"]
    assert read(tmp_path).file.default_set is None
    titled = read(tmp_path, SET.replace("default = true", 'title = "Liquidación completa"'))
    assert [each.shown for each in titled.file.sets] == ["Liquidación completa"]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('["items", "lines"]', '["items", "lines", "taxes"]', "there is no copy 'taxes' in [[copies]]"),
        ('["items", "lines"]', '["items", "lines", "items"]', "copy 'items' is named twice"),
        ('["items", "lines"]', '["lines"]', "name at least two copies; one alone needs no set"),
        ('name = "completa"', 'name = "lines"', "a copy has that name already: give the set another one"),
        (
            'target_table = "lines"',
            'target_table = "liquidation_items"',
            "copies items, lines have one target_table, public.liquidation_items: leave one of them",
        ),
    ],
)
def test_what_is_wrong_with_a_set_is_said_at_the_start(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    [line] = complaints(tmp_path, SET.replace(before, after))
    assert words in line
    assert f"sets '{'lines' if after.startswith('name') else 'completa'}'" in line


def test_two_sets_have_two_names_and_one_default(tmp_path: Path) -> None:
    second = SET[SET.index("[[sets]]") :]
    twice = complaints(tmp_path, SET + second)
    assert any("sets.name 'completa' is used twice" in line for line in twice)
    [line] = complaints(tmp_path, SET + second.replace("completa", "otra"))
    assert "sets 'completa', 'otra' are all the default: leave default = true to one" in line


# What must not leave prod.

SECRET = "0123456789abcdef0123456789abcdef"
RULES = 'columns = { cbu = "omit", dni = "hash", phone = "copy" }\n'


def test_rules_are_read_and_as_soon_as_there_is_one_a_new_column_is_refused(tmp_path: Path) -> None:
    spec = read(tmp_path, FILE + RULES, TRASPASO_HASH_SECRET=SECRET).file.copies[0].spec
    assert [(rule.column, str(rule.treatment)) for rule in spec.rules] == [
        ("cbu", "omit"),
        ("dni", "hash"),
        ("phone", "copy"),
    ]
    assert spec.new_columns is NewColumns.REFUSE
    assert spec.known_columns == frozenset()  # until somebody asks, nothing may pass as known
    assert spec.hash_key == HashKey.of(SECRET)
    assert read(tmp_path).file.copies[0].spec.new_columns is NewColumns.COPY
    for word in NewColumns:
        text = FILE + RULES + f'new_columns = "{word}"\n'
        assert read(tmp_path, text, TRASPASO_HASH_SECRET=SECRET).file.copies[0].spec.new_columns is word


def test_hashes_want_a_secret_that_is_long_enough_and_nothing_repeats_it(tmp_path: Path) -> None:
    [line] = complaints(tmp_path, FILE + RULES)
    assert line.startswith("TRASPASO_HASH_SECRET is missing: set it to a secret of 32 characters or more")
    assert line.endswith("columns are hashed with it (items: dni)")
    [line] = complaints(tmp_path, FILE + RULES, TRASPASO_HASH_SECRET="short-secret")
    assert line.startswith("TRASPASO_HASH_SECRET is not a secret of 32 characters or more")
    assert "short-secret" not in line
    settings = read(tmp_path, FILE + RULES, TRASPASO_HASH_SECRET=SECRET)
    key = settings.file.copies[0].spec.hash_key
    assert key is not None
    assert SECRET not in f"{settings!r} {settings.file!r} {settings.file.copies[0].spec!r} {key!r}"
    assert repr(key) == "HashKey()"
    assert read(tmp_path, FILE + 'columns = { cbu = "omit" }\n').file.copies[0].spec.hash_key is None


@pytest.mark.parametrize(
    ("more", "place"),
    [
        (
            'columns = { cbu = "drop" }\n',
            "copies[1].columns.cbu: Input should be 'copy', 'omit', 'null', 'hash'",
        ),
        ('columns = { "" = "omit" }\n', "write the plain name of a column"),
        ('new_columns = "ask"\n', "copies[1].new_columns: Input should be 'refuse', 'copy' or 'omit'"),
        (
            'columns = { liquidation_id = "null" }\n',
            "copies[1].columns: liquidation_id is the liquidation column, so it has to be copied as it is: "
            "take its rule null away",
        ),
        (
            'key = ["id", "line"]\ncolumns = { line = "mask" }\n',
            "copies[1].columns: line is part of the key",
        ),
    ],
)
def test_a_rule_that_can_t_be_is_named_with_its_place(tmp_path: Path, more: str, place: str) -> None:
    lines = complaints(tmp_path, FILE + more)
    assert any(place in line for line in lines), lines
