{# The trading sessions that a symbol should have between its first and its last, and has not. #}
{% test sessions_complete(
    model, symbol='symbol', session_date='session_date', exchange=none, tolerance=0
) %}

with held as (
    select distinct
        {{ symbol }} as symbol,
        {%- if exchange %}
        {{ exchange }} as exchange,
        {%- endif %}
        cast({{ session_date }} as date) as session_date
    from {{ model }}
),

spans as (
    select
        symbol,
        {{ 'exchange' if exchange else exchange_of('symbol') ~ ' as exchange' }},
        min(session_date) as first_session_date,
        max(session_date) as last_session_date
    from held
    group by symbol{{ ', exchange' if exchange }}
),

missing as (
    select
        spans.symbol,
        spans.exchange,
        sessions.session_date,
        count(*) over (partition by spans.symbol, spans.exchange) as sessions_missing
    from spans
    inner join {{ source('meta', 'sessions') }} as sessions
        on sessions.exchange = spans.exchange
        and sessions.session_date between spans.first_session_date and spans.last_session_date
    where not exists (
        select 1
        from held
        where held.symbol = spans.symbol
            {%- if exchange %}
            and held.exchange = spans.exchange
            {%- endif %}
            and held.session_date = sessions.session_date
    )
)

select symbol, session_date, exchange, sessions_missing
from missing
where sessions_missing > {{ tolerance }}

{% endtest %}
