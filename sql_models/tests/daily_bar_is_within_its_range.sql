-- A bar that contradicts itself is the vendor's mistake, and no reason to publish nothing.
{{ config(severity='warn') }}

select symbol, session_date, open, high, low, close, volume
from {{ ref('fact_daily_trading') }}
where low > high
    or open not between low and high
    or close not between low and high
    or low <= 0
    or volume < 0
