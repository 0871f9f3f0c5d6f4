"""The parameters of every request, and tables for rates, rankings and the economy.

With its parameters a request for one month or interval is told from one for another. The tables
keep all versions of their rows ever known, like those of the first migration.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = """
ALTER TABLE meta.requests ADD COLUMN params jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN meta.requests.params IS
    'The request''s parameters beside function and symbol, without the key.';
CREATE INDEX ON meta.requests (key_id, requested_at) WHERE outcome = 'rate_limit.daily';

CREATE TABLE raw.fx_weekly_prices (
    symbol text NOT NULL,
    price_date date NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, price_date, known_from)
);
CREATE UNIQUE INDEX fx_weekly_prices_current
    ON raw.fx_weekly_prices (symbol, price_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.fx_weekly_prices IS
    'Weekly rates of currency pairs, dated by the week''s last day so far.';

CREATE TABLE raw.fx_monthly_prices (
    symbol text NOT NULL,
    price_date date NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, price_date, known_from)
);
CREATE UNIQUE INDEX fx_monthly_prices_current
    ON raw.fx_monthly_prices (symbol, price_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.fx_monthly_prices IS
    'Monthly rates of currency pairs, dated by the month''s last day so far.';

CREATE TABLE raw.fx_intraday_prices (
    symbol text NOT NULL,
    bar_interval text NOT NULL,
    bar_at timestamptz NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, bar_interval, bar_at, known_from)
);
CREATE UNIQUE INDEX fx_intraday_prices_current
    ON raw.fx_intraday_prices (symbol, bar_interval, bar_at) WHERE known_to IS NULL;
COMMENT ON TABLE raw.fx_intraday_prices IS 'Intraday rates of currency pairs.';

CREATE TABLE raw.crypto_weekly_prices (
    symbol text NOT NULL,
    price_date date NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    volume numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, price_date, known_from)
);
CREATE UNIQUE INDEX crypto_weekly_prices_current
    ON raw.crypto_weekly_prices (symbol, price_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.crypto_weekly_prices IS
    'Weekly bars of digital currencies, dated by the week''s last day so far.';

CREATE TABLE raw.crypto_monthly_prices (
    symbol text NOT NULL,
    price_date date NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    volume numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, price_date, known_from)
);
CREATE UNIQUE INDEX crypto_monthly_prices_current
    ON raw.crypto_monthly_prices (symbol, price_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.crypto_monthly_prices IS
    'Monthly bars of digital currencies, dated by the month''s last day so far.';

CREATE TABLE raw.crypto_intraday_prices (
    symbol text NOT NULL,
    bar_interval text NOT NULL,
    bar_at timestamptz NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    volume numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, bar_interval, bar_at, known_from)
);
CREATE UNIQUE INDEX crypto_intraday_prices_current
    ON raw.crypto_intraday_prices (symbol, bar_interval, bar_at) WHERE known_to IS NULL;
COMMENT ON TABLE raw.crypto_intraday_prices IS 'Intraday bars of digital currencies.';

CREATE TABLE raw.exchange_rates (
    symbol text NOT NULL,
    refreshed_at timestamptz NOT NULL,
    exchange_rate numeric,
    bid_price numeric,
    ask_price numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, refreshed_at, known_from)
);
CREATE UNIQUE INDEX exchange_rates_current
    ON raw.exchange_rates (symbol, refreshed_at) WHERE known_to IS NULL;
COMMENT ON TABLE raw.exchange_rates IS
    'Rates of pairs at the times that they were asked for (EUR-USD: dollars for a euro).';

CREATE TABLE raw.ipo_calendar (
    symbol text NOT NULL,
    ipo_date date NOT NULL,
    name text,
    price_range_low numeric,
    price_range_high numeric,
    currency text,
    exchange text,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, ipo_date, known_from)
);
CREATE UNIQUE INDEX ipo_calendar_current
    ON raw.ipo_calendar (symbol, ipo_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.ipo_calendar IS
    'Expected listings; a price range that the API gives as 0 is not known yet.';

CREATE TABLE raw.top_movers (
    symbol text NOT NULL,
    updated_at timestamptz NOT NULL,
    ranking text NOT NULL,
    position integer NOT NULL,
    price numeric,
    change_amount numeric,
    change_percentage numeric,
    volume numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, updated_at, ranking, known_from)
);
CREATE UNIQUE INDEX top_movers_current
    ON raw.top_movers (symbol, updated_at, ranking) WHERE known_to IS NULL;
COMMENT ON TABLE raw.top_movers IS
    'The shares that rose, fell or were traded most, in the order of the answer.';
COMMENT ON COLUMN raw.top_movers.ranking IS
    'top_gainers, top_losers or most_actively_traded.';

CREATE TABLE raw.economic_values (
    symbol text NOT NULL,
    series text NOT NULL,
    value_interval text NOT NULL,
    value_date date NOT NULL,
    value numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, series, value_interval, value_date, known_from)
);
CREATE UNIQUE INDEX economic_values_current
    ON raw.economic_values (symbol, series, value_interval, value_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.economic_values IS
    'Commodities, yields and other figures of an economy; every revision is a version.';
COMMENT ON COLUMN raw.economic_values.series IS
    'The API''s name of it, such as WTI, CPI, or TREASURY_YIELD with its maturity.';
COMMENT ON COLUMN raw.economic_values.value_interval IS
    'daily, weekly, monthly, quarterly, semiannual or annual.';
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
