"""A typed table for every endpoint.

Every table keeps all versions of its rows ever known, like those of the first migration.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE raw.weekly_prices (
    symbol text NOT NULL,
    session_date date NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    volume numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, session_date, known_from)
);
CREATE UNIQUE INDEX weekly_prices_current
    ON raw.weekly_prices (symbol, session_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.weekly_prices IS
    'Weekly bars as traded, dated by the week''s last session so far; every version ever known.';

CREATE TABLE raw.monthly_prices (
    symbol text NOT NULL,
    session_date date NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    volume numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, session_date, known_from)
);
CREATE UNIQUE INDEX monthly_prices_current
    ON raw.monthly_prices (symbol, session_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.monthly_prices IS
    'Monthly bars as traded, dated by the month''s last session so far; every version ever known.';

CREATE TABLE raw.daily_adjusted_prices (
    symbol text NOT NULL,
    session_date date NOT NULL,
    adjusted_close numeric,
    dividend_amount numeric,
    split_coefficient numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, session_date, known_from)
);
CREATE UNIQUE INDEX daily_adjusted_prices_current
    ON raw.daily_adjusted_prices (symbol, session_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.daily_adjusted_prices IS
    'What adjusts daily_prices: closes adjusted for splits and dividends, as of each time. Every
dividend restates the whole history.';

CREATE TABLE raw.weekly_adjusted_prices (
    symbol text NOT NULL,
    session_date date NOT NULL,
    adjusted_close numeric,
    dividend_amount numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, session_date, known_from)
);
CREATE UNIQUE INDEX weekly_adjusted_prices_current
    ON raw.weekly_adjusted_prices (symbol, session_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.weekly_adjusted_prices IS
    'Weekly closes adjusted for splits and dividends, as of each time.';

CREATE TABLE raw.monthly_adjusted_prices (
    symbol text NOT NULL,
    session_date date NOT NULL,
    adjusted_close numeric,
    dividend_amount numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, session_date, known_from)
);
CREATE UNIQUE INDEX monthly_adjusted_prices_current
    ON raw.monthly_adjusted_prices (symbol, session_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.monthly_adjusted_prices IS
    'Monthly closes adjusted for splits and dividends, as of each time.';

CREATE TABLE raw.intraday_adjusted_prices (
    symbol text NOT NULL,
    bar_interval text NOT NULL,
    bar_at timestamptz NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    volume numeric,
    bar_label text NOT NULL CHECK (bar_label IN ('start', 'end')),
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, bar_interval, bar_at, known_from)
);
CREATE UNIQUE INDEX intraday_adjusted_prices_current
    ON raw.intraday_adjusted_prices (symbol, bar_interval, bar_at) WHERE known_to IS NULL;
COMMENT ON TABLE raw.intraday_adjusted_prices IS
    'Intraday bars adjusted for splits and dividends, where they were asked for so.';

CREATE TABLE raw.fx_daily_prices (
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
CREATE UNIQUE INDEX fx_daily_prices_current
    ON raw.fx_daily_prices (symbol, price_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.fx_daily_prices IS
    'Daily rates of currency pairs (EUR-USD: dollars for a euro), by UTC day.';

CREATE TABLE raw.crypto_daily_prices (
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
CREATE UNIQUE INDEX crypto_daily_prices_current
    ON raw.crypto_daily_prices (symbol, price_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.crypto_daily_prices IS
    'Daily bars of digital currencies (BTC-EUR: in euros), by UTC day; today''s is unfinished.';

CREATE TABLE raw.global_quotes (
    symbol text NOT NULL,
    session_date date NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    price numeric,
    volume numeric,
    previous_close numeric,
    change numeric,
    change_percent numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, session_date, known_from)
);
CREATE UNIQUE INDEX global_quotes_current
    ON raw.global_quotes (symbol, session_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.global_quotes IS
    'The latest quote of each session that one was asked for in.';

CREATE TABLE raw.dividends (
    symbol text NOT NULL,
    ex_dividend_date date NOT NULL,
    position integer NOT NULL,
    declaration_date date,
    record_date date,
    payment_date date,
    amount numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, ex_dividend_date, position, known_from)
);
CREATE UNIQUE INDEX dividends_current
    ON raw.dividends (symbol, ex_dividend_date, position) WHERE known_to IS NULL;
COMMENT ON TABLE raw.dividends IS
    'Dividends by ex-date, as paid, not adjusted for later splits.';

CREATE TABLE raw.splits (
    symbol text NOT NULL,
    effective_date date NOT NULL,
    split_factor numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, effective_date, known_from)
);
CREATE UNIQUE INDEX splits_current
    ON raw.splits (symbol, effective_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.splits IS
    'Splits: how many shares one share became. A spin-off may show as one of 1.05.';

CREATE TABLE raw.shares_outstanding (
    symbol text NOT NULL,
    quarter_end_date date NOT NULL,
    shares_outstanding_diluted numeric,
    shares_outstanding_basic numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, quarter_end_date, known_from)
);
CREATE UNIQUE INDEX shares_outstanding_current
    ON raw.shares_outstanding (symbol, quarter_end_date) WHERE known_to IS NULL;
COMMENT ON TABLE raw.shares_outstanding IS
    'Shares outstanding at the ends of quarters.';

CREATE TABLE raw.earnings (
    symbol text NOT NULL,
    period text NOT NULL CHECK (period IN ('annual', 'quarterly', 'part_year')),
    fiscal_date_ending date NOT NULL,
    reported_date date,
    reported_eps numeric,
    estimated_eps numeric,
    surprise numeric,
    surprise_percentage numeric,
    report_time text,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, period, fiscal_date_ending, known_from)
);
CREATE UNIQUE INDEX earnings_current
    ON raw.earnings (symbol, period, fiscal_date_ending) WHERE known_to IS NULL;
COMMENT ON TABLE raw.earnings IS
    'Earnings per share, as reported and as estimated.';

CREATE TABLE raw.income_statements (
    symbol text NOT NULL,
    period text NOT NULL CHECK (period IN ('annual', 'quarterly')),
    fiscal_date_ending date NOT NULL,
    reported_currency text,
    total_revenue numeric,
    gross_profit numeric,
    cost_of_revenue numeric,
    cost_of_goods_and_services_sold numeric,
    operating_income numeric,
    selling_general_and_administrative numeric,
    research_and_development numeric,
    operating_expenses numeric,
    investment_income_net numeric,
    net_interest_income numeric,
    interest_income numeric,
    interest_expense numeric,
    non_interest_income numeric,
    other_non_operating_income numeric,
    depreciation numeric,
    depreciation_and_amortization numeric,
    income_before_tax numeric,
    income_tax_expense numeric,
    interest_and_debt_expense numeric,
    net_income_from_continuing_operations numeric,
    comprehensive_income_net_of_tax numeric,
    ebit numeric,
    ebitda numeric,
    net_income numeric,
    other_fields jsonb,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, period, fiscal_date_ending, known_from)
);
CREATE UNIQUE INDEX income_statements_current
    ON raw.income_statements (symbol, period, fiscal_date_ending) WHERE known_to IS NULL;
COMMENT ON TABLE raw.income_statements IS
    'Income statements, in the reported currency.';

CREATE TABLE raw.balance_sheets (
    symbol text NOT NULL,
    period text NOT NULL CHECK (period IN ('annual', 'quarterly')),
    fiscal_date_ending date NOT NULL,
    reported_currency text,
    total_assets numeric,
    total_current_assets numeric,
    cash_and_cash_equivalents_at_carrying_value numeric,
    cash_and_short_term_investments numeric,
    inventory numeric,
    current_net_receivables numeric,
    total_non_current_assets numeric,
    property_plant_equipment numeric,
    accumulated_depreciation_amortization_ppe numeric,
    intangible_assets numeric,
    intangible_assets_excluding_goodwill numeric,
    goodwill numeric,
    investments numeric,
    long_term_investments numeric,
    short_term_investments numeric,
    other_current_assets numeric,
    other_non_current_assets numeric,
    total_liabilities numeric,
    total_current_liabilities numeric,
    current_accounts_payable numeric,
    deferred_revenue numeric,
    current_debt numeric,
    short_term_debt numeric,
    total_non_current_liabilities numeric,
    capital_lease_obligations numeric,
    long_term_debt numeric,
    current_long_term_debt numeric,
    long_term_debt_noncurrent numeric,
    short_long_term_debt_total numeric,
    other_current_liabilities numeric,
    other_non_current_liabilities numeric,
    total_shareholder_equity numeric,
    treasury_stock numeric,
    retained_earnings numeric,
    common_stock numeric,
    common_stock_shares_outstanding numeric,
    other_fields jsonb,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, period, fiscal_date_ending, known_from)
);
CREATE UNIQUE INDEX balance_sheets_current
    ON raw.balance_sheets (symbol, period, fiscal_date_ending) WHERE known_to IS NULL;
COMMENT ON TABLE raw.balance_sheets IS
    'Balance sheets, in the reported currency.';

CREATE TABLE raw.cash_flows (
    symbol text NOT NULL,
    period text NOT NULL CHECK (period IN ('annual', 'quarterly')),
    fiscal_date_ending date NOT NULL,
    reported_currency text,
    operating_cash_flow numeric,
    payments_for_operating_activities numeric,
    proceeds_from_operating_activities numeric,
    change_in_operating_liabilities numeric,
    change_in_operating_assets numeric,
    depreciation_depletion_and_amortization numeric,
    capital_expenditures numeric,
    change_in_receivables numeric,
    change_in_inventory numeric,
    profit_loss numeric,
    cash_flow_from_investment numeric,
    cash_flow_from_financing numeric,
    proceeds_from_repayments_of_short_term_debt numeric,
    payments_for_repurchase_of_common_stock numeric,
    payments_for_repurchase_of_equity numeric,
    payments_for_repurchase_of_preferred_stock numeric,
    dividend_payout numeric,
    dividend_payout_common_stock numeric,
    dividend_payout_preferred_stock numeric,
    proceeds_from_issuance_of_common_stock numeric,
    proceeds_from_issuance_of_long_term_debt_and_capital_securities numeric,
    proceeds_from_issuance_of_preferred_stock numeric,
    proceeds_from_repurchase_of_equity numeric,
    proceeds_from_sale_of_treasury_stock numeric,
    change_in_cash_and_cash_equivalents numeric,
    change_in_exchange_rate numeric,
    net_income numeric,
    other_fields jsonb,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, period, fiscal_date_ending, known_from)
);
CREATE UNIQUE INDEX cash_flows_current
    ON raw.cash_flows (symbol, period, fiscal_date_ending) WHERE known_to IS NULL;
COMMENT ON TABLE raw.cash_flows IS
    'Cash flow statements, in the reported currency.';

CREATE TABLE raw.etf_profiles (
    symbol text NOT NULL,
    net_assets numeric,
    net_expense_ratio numeric,
    portfolio_turnover numeric,
    dividend_yield numeric,
    inception_date date,
    leveraged text,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, known_from)
);
CREATE UNIQUE INDEX etf_profiles_current
    ON raw.etf_profiles (symbol) WHERE known_to IS NULL;
COMMENT ON TABLE raw.etf_profiles IS
    'Funds as ETF_PROFILE describes them. Ratios are fractions.';

CREATE TABLE raw.etf_holdings (
    symbol text NOT NULL,
    position integer NOT NULL,
    holding_symbol text,
    description text,
    weight numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, position, known_from)
);
CREATE UNIQUE INDEX etf_holdings_current
    ON raw.etf_holdings (symbol, position) WHERE known_to IS NULL;
COMMENT ON TABLE raw.etf_holdings IS
    'The holdings of funds, in the order of the answer; weights are fractions.';

CREATE TABLE raw.etf_sectors (
    symbol text NOT NULL,
    sector text NOT NULL,
    weight numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, sector, known_from)
);
CREATE UNIQUE INDEX etf_sectors_current
    ON raw.etf_sectors (symbol, sector) WHERE known_to IS NULL;
COMMENT ON TABLE raw.etf_sectors IS
    'The sectors that funds hold; weights are fractions.';

CREATE TABLE raw.listings (
    symbol text NOT NULL,
    ipo_date date NOT NULL,
    status text NOT NULL,
    name text,
    exchange text,
    asset_type text,
    delisting_date date,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, ipo_date, status, known_from)
);
CREATE UNIQUE INDEX listings_current
    ON raw.listings (symbol, ipo_date, status) WHERE known_to IS NULL;
COMMENT ON TABLE raw.listings IS
    'Listings of shares and funds. A ticker may be given to another company later: only with its
ipo_date and status does it stand for one.';

CREATE TABLE raw.earnings_calendar (
    symbol text NOT NULL,
    fiscal_date_ending date NOT NULL,
    report_date date,
    name text,
    estimate numeric,
    currency text,
    time_of_the_day text,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, fiscal_date_ending, known_from)
);
CREATE UNIQUE INDEX earnings_calendar_current
    ON raw.earnings_calendar (symbol, fiscal_date_ending) WHERE known_to IS NULL;
COMMENT ON TABLE raw.earnings_calendar IS
    'When companies are expected to report, and the estimate.';

CREATE TABLE raw.market_status (
    symbol text NOT NULL,
    market_type text NOT NULL,
    region text NOT NULL,
    primary_exchanges text,
    local_open text,
    local_close text,
    current_status text,
    notes text,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, market_type, region, known_from)
);
CREATE UNIQUE INDEX market_status_current
    ON raw.market_status (symbol, market_type, region) WHERE known_to IS NULL;
COMMENT ON TABLE raw.market_status IS
    'Markets of the world: their hours, and whether they were open when asked. The symbol is -.';

CREATE TABLE raw.symbol_matches (
    symbol text NOT NULL,
    keywords text NOT NULL,
    name text,
    type text,
    region text,
    market_open text,
    market_close text,
    timezone text,
    currency text,
    match_score numeric,
    known_from timestamptz NOT NULL,
    known_to timestamptz,
    source text NOT NULL,
    response_id bigint,
    PRIMARY KEY (symbol, keywords, known_from)
);
CREATE UNIQUE INDEX symbol_matches_current
    ON raw.symbol_matches (symbol, keywords) WHERE known_to IS NULL;
COMMENT ON TABLE raw.symbol_matches IS
    'What a search for keywords has found.';

COMMENT ON COLUMN raw.dividends.position IS
    'Tells dividends of the same ex-date apart: 1, 2 and so on, as the answer orders them.';
COMMENT ON COLUMN raw.earnings.period IS
    'annual, quarterly, or part_year: the sum of a fiscal year that has not ended, dated by its last
quarter.';
COMMENT ON COLUMN raw.income_statements.other_fields IS
    'Fields of other years, by the API''s names.';
COMMENT ON COLUMN raw.balance_sheets.other_fields IS
    'Fields of other years, by the API''s names.';
COMMENT ON COLUMN raw.cash_flows.other_fields IS
    'Fields of other years, by the API''s names.';
COMMENT ON COLUMN raw.listings.ipo_date IS '0001-01-01 where the answer has none.';
COMMENT ON COLUMN raw.intraday_adjusted_prices.bar_at IS 'The time the answer names the bar by.';
"""


def upgrade() -> None:
    op.execute(_STATEMENTS)
