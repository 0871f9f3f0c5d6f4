"""What the exchanges' calendars said, beside the sessions that hold; and indexes for the planner.

A user may insert, delete and correct rows of meta.sessions. What the calendar said when it was last
read tells such a row from one that only needs to follow the calendar.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE meta.calendars (
    exchange         text PRIMARY KEY,
    calendar_version text NOT NULL,
    reaches_to       date NOT NULL,
    read_at          timestamptz NOT NULL
);
COMMENT ON TABLE meta.calendars IS
    'The calendars that meta.sessions was filled from, and how far they reach.';
COMMENT ON COLUMN meta.calendars.calendar_version IS 'Of the package exchange-calendars.';

CREATE TABLE meta.calendar_sessions (
    exchange     text NOT NULL,
    session_date date NOT NULL,
    opens_at     timestamptz NOT NULL,
    closes_at    timestamptz NOT NULL,
    PRIMARY KEY (exchange, session_date)
);
COMMENT ON TABLE meta.calendar_sessions IS
    'Sessions as the calendars said them. To correct one, change meta.sessions, not this.';
INSERT INTO meta.calendar_sessions (exchange, session_date, opens_at, closes_at)
    SELECT exchange, session_date, opens_at, closes_at FROM meta.sessions;
COMMENT ON TABLE meta.sessions IS
    'Trading sessions by exchange (ISO 10383 code, such as XNYS). Rows that you insert, delete or
correct stay as you leave them.';

CREATE INDEX ON meta.requests (symbol, endpoint, requested_at DESC);
CREATE INDEX ON meta.requests (key_id, endpoint, requested_at)
    WHERE outcome IN ('premium_required', 'not_entitled', 'sample_data');
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
