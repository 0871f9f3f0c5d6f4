with known as (
    select
        symbol,
        bar_interval,
        case bar_label
            when 'end' then bar_at - bar_interval::interval
            else bar_at
        end as bar_start,
        open,
        high,
        low,
        close,
        volume,
        source,
        known_from
    from {{ source('raw', 'intraday_prices') }}
    where {{ known_version() }}
)

-- A bar that was stored under both labels is one bar: the answer that came last counts.
select distinct on (symbol, bar_interval, bar_start)
    symbol,
    bar_interval,
    bar_start,
    open,
    high,
    low,
    close,
    volume,
    source,
    known_from
from known
order by symbol, bar_interval, bar_start, known_from desc, close
