"""The chart of a long copy is a block of the threaded reply, no message of its own"""

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    # This release knows no message of this kind. A process of the release before may still add one while this
    # one is rolled out; it is left to the processes of that release.
    op.execute("DELETE FROM traspaso.outbox WHERE kind = 'chart'")


def downgrade() -> None:
    # Nothing to restore: the older release adds a chart with each ending of its own.
    pass
