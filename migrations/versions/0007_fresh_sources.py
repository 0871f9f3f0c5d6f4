"""How fresh sources were found, so that a selection can ask which of them have got anything new."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE meta.source_freshness (
    project       text NOT NULL,
    checked_at    timestamptz NOT NULL,
    unique_id     text NOT NULL,
    status        text NOT NULL,
    max_loaded_at timestamptz,
    PRIMARY KEY (project, checked_at, unique_id)
);
COMMENT ON TABLE meta.source_freshness IS
    'What the latest runs of freshness found; the last two tell which sources are fresher.';
COMMENT ON COLUMN meta.source_freshness.status IS 'pass, warn, error or runtime error.';
COMMENT ON COLUMN meta.source_freshness.max_loaded_at IS
    'NULL where the source has no rows, or where that could not be found out.';
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
