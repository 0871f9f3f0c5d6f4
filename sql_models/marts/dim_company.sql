{{ config(
    materialized='table',
    schema='marts',
    indexes=[{'columns': ['symbol'], 'unique': true}]
) }}

with sessions as (
    select
        symbol,
        min(session_date) as first_session_date,
        max(session_date) as last_session_date
    from {{ ref('stg_daily_prices') }}
    group by symbol
),

symbols as (
    select symbol from sessions
    union
    select symbol from {{ ref('stg_intraday_prices') }}
    union
    select symbol from {{ ref('stg_company_overview') }}
)

select
    symbols.symbol,
    coalesce(overview.name, symbols.symbol) as name,
    overview.asset_type,
    overview.exchange,
    overview.currency,
    overview.country,
    overview.sector,
    overview.industry,
    overview.market_capitalization,
    overview.shares_outstanding,
    overview.pe_ratio,
    overview.dividend_yield,
    overview.beta,
    overview.fiscal_year_end,
    overview.latest_quarter,
    sessions.first_session_date,
    sessions.last_session_date
from symbols
left join {{ ref('stg_company_overview') }} as overview on overview.symbol = symbols.symbol
left join sessions on sessions.symbol = symbols.symbol
