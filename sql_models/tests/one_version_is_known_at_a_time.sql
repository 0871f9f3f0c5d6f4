-- The versions of a bar must follow each other: as_of would find two of them otherwise, or none.
with versions as (
    select
        symbol,
        session_date,
        known_from,
        known_to,
        lead(known_from) over (
            partition by symbol, session_date
            order by known_from
        ) as next_known_from
    from {{ source('raw', 'daily_prices') }}
)

select *
from versions
where known_to <= known_from
    or (next_known_from is not null and known_to is null)
    or next_known_from < known_to
