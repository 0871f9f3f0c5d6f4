"""The schemas raw and meta.

raw holds what came from outside: answers word for word, and typed rows with versions. meta holds
the tool's own state. Keys lead with the symbol, and there are no identity columns, triggers or
foreign keys on what grows large, so that the same tables can be distributed over several servers.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE SCHEMA IF NOT EXISTS raw;
CREATE SCHEMA IF NOT EXISTS meta;
COMMENT ON SCHEMA raw IS
    'What came from outside: answers word for word, and typed rows with versions.';
COMMENT ON SCHEMA meta IS 'The state of datapipe itself.';

CREATE SEQUENCE meta.run_ids;
CREATE TABLE meta.runs (
    run_id      bigint PRIMARY KEY DEFAULT nextval('meta.run_ids'),
    command     text NOT NULL,
    version     text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    outcome     text NOT NULL DEFAULT 'running',
    summary     jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE meta.runs IS 'One row a run of a command. A row that stays running was killed.';

CREATE SEQUENCE meta.request_ids;
CREATE TABLE meta.requests (
    request_id   bigint PRIMARY KEY DEFAULT nextval('meta.request_ids'),
    run_id       bigint NOT NULL,
    key_id       text NOT NULL,
    requested_at timestamptz NOT NULL,
    endpoint     text NOT NULL,
    symbol       text NOT NULL,
    outcome      text NOT NULL DEFAULT 'sent',
    detail       text
);
CREATE INDEX ON meta.requests (key_id, requested_at);
COMMENT ON TABLE meta.requests IS
    'Every request to a metered API, written before it is sent: the quota is counted here.';
COMMENT ON COLUMN meta.requests.key_id IS 'A fingerprint that tells keys apart; not the key.';
COMMENT ON COLUMN meta.requests.outcome IS
    'sent (no answer yet), ok, empty, or the class of the refusal or fault.';

CREATE TABLE meta.sessions (
    exchange     text NOT NULL,
    session_date date NOT NULL,
    opens_at     timestamptz NOT NULL,
    closes_at    timestamptz NOT NULL,
    PRIMARY KEY (exchange, session_date)
);
COMMENT ON TABLE meta.sessions IS 'Trading sessions by exchange (ISO 10383 code, such as XNYS).';

CREATE TABLE meta.models (
    name          text PRIMARY KEY,
    resource_type text NOT NULL,
    schema_name   text NOT NULL,
    relation_name text NOT NULL,
    materialized  text NOT NULL,
    run_id        bigint NOT NULL,
    published_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE meta.models IS 'What transform has published, and where it lies.';

CREATE SEQUENCE raw.response_ids;
CREATE TABLE raw.responses (
    symbol      text NOT NULL,
    response_id bigint NOT NULL DEFAULT nextval('raw.response_ids'),
    function    text NOT NULL,
    params      jsonb NOT NULL,
    fetched_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    format      text NOT NULL CHECK (format IN ('json', 'csv')),
    body        text NOT NULL,
    sha256      text NOT NULL,
    source      text NOT NULL,
    run_id      bigint NOT NULL,
    loaded_at   timestamptz,
    PRIMARY KEY (symbol, response_id)
);
CREATE INDEX ON raw.responses (symbol, function, fetched_at DESC);
CREATE INDEX ON raw.responses (fetched_at) WHERE loaded_at IS NULL;
COMMENT ON TABLE raw.responses IS 'Every good answer, word for word. A refusal is never kept here.';
COMMENT ON COLUMN raw.responses.symbol IS 'The symbol asked for; - where the function takes none.';
COMMENT ON COLUMN raw.responses.params IS 'The request''s parameters, without the key.';
COMMENT ON COLUMN raw.responses.seen_at IS 'When the same answer, byte for byte, last came again.';
COMMENT ON COLUMN raw.responses.loaded_at IS 'When its rows were merged into the typed tables.';

CREATE TABLE raw.daily_prices (
    symbol       text NOT NULL,
    session_date date NOT NULL,
    open         numeric,
    high         numeric,
    low          numeric,
    close        numeric NOT NULL,
    volume       numeric,
    known_from   timestamptz NOT NULL,
    known_to     timestamptz,
    source       text NOT NULL,
    response_id  bigint,
    PRIMARY KEY (symbol, session_date, known_from)
);
CREATE UNIQUE INDEX daily_prices_current
    ON raw.daily_prices (symbol, session_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.daily_prices IS
    'Daily bars as traded, not adjusted, in the currency of the listing; every version ever known.';

CREATE TABLE raw.intraday_prices (
    symbol       text NOT NULL,
    bar_interval text NOT NULL,
    bar_at       timestamptz NOT NULL,
    open         numeric,
    high         numeric,
    low          numeric,
    close        numeric NOT NULL,
    volume       numeric,
    bar_label    text NOT NULL CHECK (bar_label IN ('start', 'end')),
    known_from   timestamptz NOT NULL,
    known_to     timestamptz,
    source       text NOT NULL,
    response_id  bigint,
    PRIMARY KEY (symbol, bar_interval, bar_at, known_from)
);
CREATE UNIQUE INDEX intraday_prices_current
    ON raw.intraday_prices (symbol, bar_interval, bar_at) WHERE known_to IS NULL;
COMMENT ON TABLE raw.intraday_prices IS 'Intraday bars; every version ever known.';
COMMENT ON COLUMN raw.intraday_prices.bar_at IS 'The time the answer names the bar by.';
COMMENT ON COLUMN raw.intraday_prices.bar_label IS
    'Whether bar_at is the start or the end of the interval: the API changed from end to start.';

CREATE TABLE raw.company_overview (
    symbol                 text NOT NULL,
    name                   text,
    asset_type             text,
    description            text,
    cik                    text,
    exchange               text,
    currency               text,
    country                text,
    sector                 text,
    industry               text,
    address                text,
    official_site          text,
    fiscal_year_end        text,
    latest_quarter         date,
    market_capitalization  numeric,
    ebitda                 numeric,
    pe_ratio               numeric,
    peg_ratio              numeric,
    book_value             numeric,
    dividend_per_share     numeric,
    dividend_yield         numeric,
    eps                    numeric,
    revenue_ttm            numeric,
    gross_profit_ttm       numeric,
    profit_margin          numeric,
    operating_margin_ttm   numeric,
    return_on_assets_ttm   numeric,
    return_on_equity_ttm   numeric,
    analyst_target_price   numeric,
    trailing_pe            numeric,
    forward_pe             numeric,
    price_to_sales_ttm     numeric,
    price_to_book          numeric,
    beta                   numeric,
    shares_outstanding     numeric,
    dividend_date          date,
    ex_dividend_date       date,
    known_from             timestamptz NOT NULL,
    known_to               timestamptz,
    source                 text NOT NULL,
    response_id            bigint,
    PRIMARY KEY (symbol, known_from)
);
CREATE UNIQUE INDEX company_overview_current
    ON raw.company_overview (symbol) WHERE known_to IS NULL;
COMMENT ON TABLE raw.company_overview IS
    'Companies as OVERVIEW describes them; every version ever known. Ratios are fractions, money is
in the listing''s currency.';

CREATE TABLE raw.rejected_rows (
    run_id      bigint NOT NULL,
    file        text NOT NULL,
    line        integer NOT NULL,
    reason      text NOT NULL,
    content     text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, file, line)
);
COMMENT ON TABLE raw.rejected_rows IS 'Rows of users'' files that could not be read, and why.';
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
