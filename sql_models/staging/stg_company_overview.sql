select
    symbol,
    name,
    asset_type,
    exchange,
    currency,
    country,
    sector,
    industry,
    fiscal_year_end,
    latest_quarter,
    market_capitalization,
    shares_outstanding,
    pe_ratio,
    dividend_yield,
    beta,
    source,
    known_from
from {{ source('raw', 'company_overview') }}
where {{ known_version() }}
