{{ config(
    materialized='table',
    schema='marts',
    indexes=[{'columns': ['symbol', 'bar_interval', 'bar_start'], 'unique': true}]
) }}

with local as (
    select
        *,
        bar_start at time zone 'America/New_York' as local_start
    from {{ ref('stg_intraday_prices') }}
),

with_previous as (
    select
        *,
        lag(close) over (
            partition by symbol, bar_interval, local_start::date
            order by bar_start
        ) as previous_close
    from local
)

select
    symbol,
    bar_interval,
    bar_start,
    local_start::date as session_date,
    open,
    high,
    low,
    close,
    volume,
    local_start::time >= '09:30' and local_start::time < '16:00' as is_regular_hours,
    (close - previous_close) / nullif(previous_close, 0) * 100 as change_percent
from with_previous
