"""Options of a run that ``transform --resume`` goes on with, and that not every run has."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATEMENTS = """
ALTER TABLE meta.transform_runs ADD COLUMN options jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN meta.transform_runs.options IS
    'Options by name, such as {"indirect": "cautious"}; those that it has not are as by default.';
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
