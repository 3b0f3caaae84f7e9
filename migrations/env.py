"""Alembic's entry: runs the migrations over the connection that `migrations.upgrade` hands in."""

from alembic import context
from sqlalchemy import text

from migrations import SCHEMA

connection = context.config.attributes["connection"]
# IF NOT EXISTS asks for CREATE on the database even where the schema is there.
if not connection.scalar(text("SELECT to_regnamespace(:schema) IS NOT NULL"), {"schema": SCHEMA}):
    connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
context.configure(
    connection=connection,
    version_table_schema=SCHEMA,
    include_schemas=True,
    # Autogenerate compares this schema only: everything else in consulta is not ours to touch.
    include_name=lambda name, kind, parents: kind != "schema" or name == SCHEMA,
)
with context.begin_transaction():
    context.run_migrations()
