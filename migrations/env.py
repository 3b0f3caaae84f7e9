"""Alembic's entry: runs the migrations over the connection that `migrations.upgrade` hands in."""

from alembic import context
from sqlalchemy import text

from migrations import name_schema, quoted, schema_of

connection = context.config.attributes["connection"]
schema = schema_of(connection)
# IF NOT EXISTS asks for CREATE on the database even where the schema is there.
name = quoted(schema, connection)
if not connection.scalar(text("SELECT to_regnamespace(:name) IS NOT NULL"), {"name": name}):
    connection.execute(text(f"CREATE SCHEMA {name}"))
name_schema(connection)
context.configure(
    connection=connection,
    version_table_schema=schema,
    include_schemas=True,
    # Autogenerate compares this schema only: everything else in consulta is not ours to touch.
    include_name=lambda name, kind, parents: kind != "schema" or name == schema,
)
with context.begin_transaction():
    context.run_migrations()
