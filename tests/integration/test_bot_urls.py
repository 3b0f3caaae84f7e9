"""URLs are taken as libpq takes them; what it doesn't take is named with its variable before all else."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from bot import app
from bot.config import Need, load
from bot.errors import ConfigError
from tests.copying import Sides
from tests.shell import FILE, Shell

CONSULTA = "postgresql://traspaso:consulta-secret@consulta/consulta"


def read(url: str, folder: Path, **environment: str) -> URL:
    variables = {"PROD_DATABASE_URL": url, "CONSULTA_DATABASE_URL": CONSULTA, **environment}
    settings = load({**variables, "TRASPASO_CONFIG": str(folder / "none.toml")}, Need.DATABASES)
    assert settings.prod is not None
    return settings.prod


def complaint(url: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(url, folder)
    [line] = caught.value.lines
    assert "secret" not in line
    return line


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://postgres@127.0.0.1:1,127.0.0.1:{port}/{name}?target_session_attrs=read-write",
        "postgresql://postgres@127.0.0.1:{port},127.0.0.1:{port}/{name}",
        "postgresql://postgres@/{name}?host=127.0.0.1:{port}&host=127.0.0.1:{port}",
        "postgresql://postgres@{folder}:{port}/{name}",
        "postgresql://postgres@/{name}?host={folder}&port={port}",
        "postgresql+psycopg://postgres@127.0.0.1:{port}/{name}?application_name=mine",
        "postgres:///?service=prod",
        "postgresql://postgres@localhost/{name}?hostaddr=127.0.0.1&port={port}&connect_timeout=3",
    ],
)
def test_every_form_of_libpq_leads_to_the_database(
    sides: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    server, name = sides.prod.server, sides.prod.name
    service = tmp_path / "services"
    service.write_text(f"[prod]\nhost=127.0.0.1\nport={server.port}\ndbname={name}\nuser=postgres\n", "utf-8")
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    folder = str(server.folder).replace("/", "%2F")
    engine = app.unpooled(read(form.format(port=server.port, name=name, folder=folder), tmp_path))
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT current_database()").scalar_one()
    assert found == name


def test_a_copy_runs_over_several_hosts_of_which_one_is_down(shell: Shell) -> None:
    server, name = shell.sides.prod.server, shell.sides.prod.name
    url = f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{server.port}/{name}"
    code, _, err = shell.run("copy", "42", PROD_DATABASE_URL=url)
    assert code == 0, err
    shell.sides.assert_same()


@pytest.mark.parametrize("option", ["schema=public", "pgbouncer=true", "charset=utf8"])
def test_an_option_that_libpq_does_not_know_is_named_with_its_variable(shell: Shell, option: str) -> None:
    word = option.split("=", maxsplit=1)[0]
    for variable in ("PROD_DATABASE_URL", "CONSULTA_DATABASE_URL"):
        wrong = {variable: f"{shell.environment[variable]}?{option}"}
        for command in (("copy", "42"), ("migrate",)):
            code, _, err = shell.run(*command, **wrong)
            assert code == 2
            assert f"{variable} has an option that PostgreSQL doesn't know: {word}" in err


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql://reader:secret@prod/payroll?sslmode=requir", 'says invalid sslmode value: "requir"'),
        ("postgresql://reader:secret@prod/payroll?target_session_attrs=master", "libpq says invalid"),
        ("postgresql://reader:secret@prod/payroll?connect_timeout=soon", "connect_timeout is a number"),
        ("postgresql://reader:secret@prod:1,other:2,third/payroll?port=1,2", "libpq says could not match"),
        ("postgresql:///?service=nowhere", 'libpq says definition of service "nowhere" not found'),
        ("postgresql://reader:se@cret@prod/payroll", "percent-encode it"),
        ("postgresql://reader:half/secret@prod/payroll", "percent-encode it"),
        ("postgresql://reader:secret@prod:port/payroll", "is not a PostgreSQL URL"),
        ("postgresql://reader:secret@prod", "is not a PostgreSQL URL"),
    ],
)  # fmt: skip
def test_a_url_that_can_t_be_taken_is_told_with_the_reason(tmp_path: Path, url: str, wanted: str) -> None:
    line = complaint(url, tmp_path)
    assert line.startswith("PROD_DATABASE_URL")
    assert wanted in line


def test_a_toml_with_the_mark_of_some_editors_is_read_and_utf_16_is_named(shell: Shell) -> None:
    path = Path(shell.environment["TRASPASO_CONFIG"])
    path.write_bytes(b"\xef\xbb\xbf" + FILE.strip().encode())
    assert shell.run("preview", "42")[0] == 0
    path.write_text(FILE, "utf-16")
    code, _, err = shell.run("preview", "42")
    assert (code, f"{path} is written in UTF-16: save it as UTF-8" in err) == (2, True)
    path.write_bytes(FILE.encode() + "# año".encode("latin-1"))
    code, _, err = shell.run("preview", "42")
    assert (code, f"is not UTF-8 (line {len(FILE.splitlines()) + 1})" in err) == (2, True)


def test_the_variables_of_a_dot_env_count_where_the_process_has_none(shell: Shell, tmp_path: Path) -> None:
    variables = {name: shell.environment.pop(name) for name in ("PROD_DATABASE_URL", "CONSULTA_DATABASE_URL")}
    lines = [f"{name}={value}" for name, value in variables.items()]
    (tmp_path / ".env").write_text(
        f"# both\n\nexport {lines[0]}\nCONSULTA_DATABASE_URL='{variables['CONSULTA_DATABASE_URL']}'\n",
        "utf-8-sig",
    )
    code, out, err = shell.run("preview", "42", folder=str(tmp_path))
    assert (code, "5,000" in out) == (0, True), err
    wrong = {"PROD_DATABASE_URL": "postgresql://postgres@127.0.0.1:1/elsewhere"}
    assert "Connection refused" in shell.run("preview", "42", folder=str(tmp_path), **wrong)[2]
    (tmp_path / ".env").write_text("no value\n", "utf-8")
    assert ".env, line 1: is not NAME=value" in shell.run("preview", "42", folder=str(tmp_path))[2]
