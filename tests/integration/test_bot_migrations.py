"""The migrations make what the models say, and wait for each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

import migrations
from bot.jobs.models import SCHEMA, Base
from tests.support import Database


def test_the_migrations_go_up_and_down_and_up_and_make_what_the_models_say(consulta: Database) -> None:
    engine = create_engine(consulta.url.replace("postgresql://", "postgresql+psycopg://", 1))
    consulta.execute("CREATE TABLE not_ours (id int)")
    try:
        for _ in range(2):
            migrations.upgrade(engine)
            migrations.upgrade(engine)
            with engine.connect() as connection:
                context = MigrationContext.configure(
                    connection,
                    opts={
                        "version_table_schema": SCHEMA,
                        "include_schemas": True,
                        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
                        "compare_type": True,
                        "compare_server_default": True,
                    },
                )
                assert compare_metadata(context, Base.metadata) == []
                assert migrations.current(connection) == migrations.newest()
            migrations.downgrade(engine)
            with engine.connect() as connection:
                assert migrations.current(connection) is None
            tables = (
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'traspaso'::regnamespace"
            )
            assert consulta.rows(tables) == [("alembic_version",)]
        assert consulta.rows("SELECT count(*) FROM not_ours") == [(0,)]
    finally:
        engine.dispose()


def test_releases_that_migrate_at_the_same_moment_wait_for_each_other(consulta: Database) -> None:
    engine = create_engine(consulta.url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: migrations.upgrade(engine), range(4)))
        with engine.connect() as connection:
            assert migrations.current(connection) == migrations.newest()
    finally:
        engine.dispose()
