-- A session that has not begun anywhere on Earth, or a bar that has not begun.
select symbol, session_date::text as bar
from {{ ref('fact_daily_trading') }}
where session_date > (now() at time zone 'Pacific/Kiritimati')::date

union all

select symbol, bar_start::text
from {{ ref('fact_intraday_trading') }}
where bar_start > now() + interval '1 day'
