-- Every session has its figures, and no figure stands on a window that is not full.
select trading.symbol, trading.session_date
from {{ ref('fact_daily_trading') }} as trading
left join (
    select
        *,
        row_number() over (partition by symbol order by session_date) as session_number
    from {{ ref('fact_market_metrics') }}
) as metrics
    on metrics.symbol = trading.symbol
    and metrics.session_date = trading.session_date
where metrics.symbol is null
    or (metrics.sma_20 is not null) <> (metrics.session_number >= 20)
    or (metrics.sma_50 is not null) <> (metrics.session_number >= 50)
    or (metrics.sma_200 is not null) <> (metrics.session_number >= 200)
