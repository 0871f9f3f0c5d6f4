{{ config(
    materialized='table',
    schema='marts',
    indexes=[{'columns': ['symbol', 'session_date'], 'unique': true}]
) }}

with with_previous as (
    select
        *,
        lag(close) over (partition by symbol order by session_date) as previous_close
    from {{ ref('stg_daily_prices') }}
)

select
    symbol,
    session_date,
    open,
    high,
    low,
    close,
    volume,
    previous_close,
    close - previous_close as change,
    (close - previous_close) / nullif(previous_close, 0) * 100 as change_percent,
    close * volume as traded_value,
    source,
    known_from
from with_previous
