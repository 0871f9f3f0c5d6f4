{{ config(meta={
    'title': 'Market',
    'kinds': {
        'close': 'price', 'change': 'change', 'change_percent': 'change_percent',
        'volume': 'count', 'traded_value': 'count',
        'sma_20': 'price', 'sma_50': 'price', 'sma_200': 'price',
        'low_52_week': 'price', 'high_52_week': 'price', 'closes': 'sparkline'
    }
}) }}
{% set symbols = var('symbols', []) %}

-- Each lateral join takes its few rows from the end of an index, so that the report costs the same
-- however long the history is. A company without a price keeps its row.
select
    company.symbol,
    company.name,
    company.currency,
    trading.source,
    latest.session_date,
    latest.close,
    latest.change,
    latest.change_percent,
    latest.volume,
    trading.traded_value,
    latest.sma_20,
    latest.sma_50,
    latest.sma_200,
    latest.low_52_week,
    latest.high_52_week,
    recent.closes
from {{ ref('dim_company') }} as company
left join lateral (
    select metrics.*
    from {{ ref('fact_market_metrics') }} as metrics
    where metrics.symbol = company.symbol
    order by metrics.session_date desc
    limit 1
) as latest on true
left join lateral (
    select daily.source, daily.traded_value
    from {{ ref('fact_daily_trading') }} as daily
    where daily.symbol = company.symbol and daily.session_date = latest.session_date
    limit 1
) as trading on true
left join lateral (
    select array_agg(last_30.close order by last_30.session_date) as closes
    from (
        select metrics.session_date, metrics.close
        from {{ ref('fact_market_metrics') }} as metrics
        where metrics.symbol = company.symbol
        order by metrics.session_date desc
        limit 30
    ) as last_30
) as recent on true
{% if symbols %}
where company.symbol in (
    {% for symbol in symbols %}{{ dbt.string_literal(dbt.escape_single_quotes(symbol)) }}{{ ', ' if not loop.last }}{% endfor %}
)
{% endif %}
order by company.symbol
