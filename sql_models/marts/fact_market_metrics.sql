{{ config(
    materialized='table',
    schema='marts',
    indexes=[{'columns': ['symbol', 'session_date'], 'unique': true}]
) }}

with returns as (
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
        -- float8, since a logarithm in numeric takes some fifty times as long
        case
            when close > 0 and previous_close > 0
                then ln(close::float8 / previous_close::float8)
        end as log_return
    from {{ ref('fact_daily_trading') }}
)

select
    symbol,
    session_date,
    close,
    volume,
    previous_close,
    change,
    change_percent,
    {%- for sessions in [20, 50, 200] %}
    case when count(*) over last_{{ sessions }} = {{ sessions }}
        then avg(close) over last_{{ sessions }}
    end as sma_{{ sessions }},
    {%- endfor %}
    case when count(volume) over last_20 = 20
        then avg(volume) over last_20
    end as volume_average_20,
    max(high) over last_52_weeks as high_52_week,
    min(low) over last_52_weeks as low_52_week,
    case when count(log_return) over last_20 = 20
        then stddev_samp(log_return) over last_20 * sqrt(252::float8)
    end as volatility_20,
    {%- for name, months in [('1_month', 1), ('3_month', 3), ('1_year', 12)] %}
    (close / nullif(last_value(close) over before_{{ name }}, 0) - 1) * 100 as return_{{ name }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
from returns
window
    {%- for sessions in [20, 50, 200] %}
    last_{{ sessions }} as (
        partition by symbol order by session_date rows {{ sessions - 1 }} preceding
    ),
    {%- endfor %}
    last_52_weeks as (
        partition by symbol order by session_date range interval '363 days' preceding
    ),
    -- A close of the week before the day in question stands for it; an older one does not.
    {%- for name, months in [('1_month', 1), ('3_month', 3), ('1_year', 12)] %}
    before_{{ name }} as (
        partition by symbol order by session_date
        range between interval '{{ months }} months 6 days' preceding
            and interval '{{ months }} months' preceding
    )
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
