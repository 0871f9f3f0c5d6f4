"""What each model and test was built from, so that nothing is done twice.

A fingerprint says what was asked, inputs and output say what was found and what was made: while all
of them are as they were, there is nothing to do. All of it is plain and small: one row a node.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE meta.node_states (
    unique_id     text NOT NULL,
    target_schema text NOT NULL,
    run_id        bigint NOT NULL,
    form          text NOT NULL CHECK (form IN ('whole', 'increment', 'test')),
    sql_hash      text NOT NULL,
    settings      jsonb NOT NULL,
    parts         jsonb NOT NULL,
    unsteady      text NOT NULL,
    relation      text,
    output        jsonb,
    inputs        jsonb NOT NULL,
    seconds       double precision NOT NULL,
    recorded_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (unique_id, target_schema)
);
COMMENT ON TABLE meta.node_states IS
    'Models as published and tests as passed: what they were made of. A row that is deleted makes
the next run build that node.';
COMMENT ON COLUMN meta.node_states.form IS
    'whole: all rows were computed; increment: only new ones; test: a data test or unit test.';
COMMENT ON COLUMN meta.node_states.settings IS 'A hash for each setting that matters.';
COMMENT ON COLUMN meta.node_states.parts IS
    'Hashes of the code as written, for state:modified and its parts.';
COMMENT ON COLUMN meta.node_states.unsteady IS
    'Why the same SQL over the same data may give something else, such as: reads the clock. Empty
where it may not.';
COMMENT ON COLUMN meta.node_states.output IS 'The published relation as the publication left it.';
COMMENT ON COLUMN meta.node_states.inputs IS
    'Every relation and function that was read, as it was before it was read.';

CREATE TABLE meta.transform_runs (
    run_id        bigint PRIMARY KEY,
    project       text NOT NULL,
    target_schema text NOT NULL,
    selected      jsonb NOT NULL,
    excluded      jsonb NOT NULL,
    variables     jsonb NOT NULL,
    full_refresh  boolean NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    succeeded     boolean
);
COMMENT ON TABLE meta.transform_runs IS 'What each run of transform was asked for.';
COMMENT ON COLUMN meta.transform_runs.succeeded IS 'NULL while it runs, or where it was killed.';

CREATE TABLE meta.run_results (
    run_id        bigint NOT NULL,
    unique_id     text NOT NULL,
    resource_type text NOT NULL,
    name          text NOT NULL,
    status        text NOT NULL,
    message       text NOT NULL,
    failures      bigint,
    seconds       double precision NOT NULL,
    PRIMARY KEY (run_id, unique_id)
);
COMMENT ON TABLE meta.run_results IS
    'How each node ended in the latest runs of transform: success, reused, pass, warn, fail, error,
skipped.';

CREATE TABLE meta.built_aside (
    unique_id     text PRIMARY KEY,
    run_id        bigint NOT NULL,
    schema_name   text NOT NULL,
    relation_name text NOT NULL,
    state         jsonb NOT NULL
);
COMMENT ON TABLE meta.built_aside IS
    'What a run has built aside and not published yet: transform --resume goes on from there.';
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
