select
    symbol,
    session_date,
    open,
    high,
    low,
    close,
    volume,
    source,
    known_from
from {{ source('raw', 'daily_prices') }}
where {{ known_version() }}
