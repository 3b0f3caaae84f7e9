"""The channel in which a freeze was made, where its end is told too"""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    op.add_column("copy_freezes", sa.Column("channel_id", sa.Text(), nullable=True), schema="traspaso")


def downgrade() -> None:
    op.drop_column("copy_freezes", "channel_id", schema="traspaso")
