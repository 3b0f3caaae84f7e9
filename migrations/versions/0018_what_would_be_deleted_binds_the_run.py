"""How many rows of consulta would be deleted, as it was shown to the row, is bound to the run"""

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"

SCHEMA = "traspaso"


def upgrade() -> None:
    op.add_column("copy_jobs", sa.Column("previewed_deletes", sa.BigInteger()), schema=SCHEMA)


def downgrade() -> None:
    op.drop_column("copy_jobs", "previewed_deletes", schema=SCHEMA)
