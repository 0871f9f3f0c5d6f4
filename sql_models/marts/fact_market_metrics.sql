{{ config(
    materialized='table',
    schema='marts',
    indexes=[{'columns': ['symbol', 'session_date'], 'unique': true}]
) }}

{%- set moving_averages = [20, 50, 200] %}
{%- set returns = {'1_month': 1, '1_year': 12} %}

-- For every row whose window has moved, PostgreSQL computes a max() from scratch. So time is cut into
-- blocks of 52 weeks: the 52 weeks up to a session are the end of one block, of which a maximum
-- running backwards is known, and the beginning of the next, of which one running forwards is.
with blocks as (
    select
        symbol,
        session_date,
        high,
        low,
        close,
        volume,
        previous_close,
        change,
        change_percent,
        (session_date - date '1900-01-01') / 364 as block
    from {{ ref('fact_daily_trading') }}
),

running as (
    select
        *,
        max(high) over from_the_start as high_from_the_start,
        min(low) over from_the_start as low_from_the_start,
        max(high) over to_the_end as high_to_the_end,
        min(low) over to_the_end as low_to_the_end,
        -- float8, since logarithms and deviations of numerics are slow
        case
            when close > 0 and previous_close > 0
                then ln(close::float8 / previous_close::float8)
        end as log_return
    from blocks
    window
        from_the_start as (partition by symbol, block order by session_date),
        to_the_end as (partition by symbol, block order by session_date desc)
)

select
    symbol,
    session_date,
    close,
    volume,
    previous_close,
    change,
    change_percent,
    {%- for sessions in moving_averages %}
    case when count(*) over last_{{ sessions }} = {{ sessions }}
        then avg(close) over last_{{ sessions }}
    end as sma_{{ sessions }},
    {%- endfor %}
    case when count(volume) over last_20 = 20
        then avg(volume) over last_20
    end as volume_average_20,
    case when first_value(block) over last_52_weeks = block
        then high_from_the_start
        else greatest(first_value(high_to_the_end) over last_52_weeks, high_from_the_start)
    end as high_52_week,
    case when first_value(block) over last_52_weeks = block
        then low_from_the_start
        else least(first_value(low_to_the_end) over last_52_weeks, low_from_the_start)
    end as low_52_week,
    case when count(log_return) over last_20 = 20
        then stddev_samp(log_return) over last_20 * sqrt(252::float8)
    end as volatility_20
    {%- for name in returns %},
    (close / nullif(last_value(close) over before_{{ name }}, 0) - 1) * 100 as return_{{ name }}
    {%- endfor %}
from running
window
    {%- for sessions in moving_averages %}
    last_{{ sessions }} as (
        partition by symbol order by session_date rows {{ sessions - 1 }} preceding
    ),
    {%- endfor %}
    last_52_weeks as (
        partition by symbol order by session_date range interval '363 days' preceding
    ),
    -- A close of the week up to the day in question stands for it; an older one does not.
    {%- for name, months in returns.items() %}
    before_{{ name }} as (
        partition by symbol order by session_date
        range between interval '{{ months }} months 6 days' preceding
            and interval '{{ months }} months' preceding
    )
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
