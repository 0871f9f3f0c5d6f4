"""The universe: which symbols are meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import psycopg

from datapipe import symbols as tickers
from datapipe.errors import UsageError
from datapipe.extract.endpoints import BY_FUNCTION, CATALOGUE, Endpoint
from datapipe.frozen import frozen

_ALIKE = 0.6
_CHECKED_AT_MOST = 50


@frozen
class Universe:
    """The symbols that are meant, and what seems odd about them."""

    symbols: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def resolve(
    connection: psycopg.Connection,
    *,
    named: Sequence[str] = (),
    file: Path | None = None,
    configured: Sequence[str] = (),
    endpoints: Sequence[Endpoint] = (),
) -> Universe:
    """The symbols ``named`` and those of ``file``; else the ``configured``; else the known ones.

    Known are those that the warehouse has daily prices or answers of; of pairs such as EUR-USD
    where all ``endpoints`` are of pairs. A symbol that the stored listing lacks is only warned
    about, since not all listings are in it. UsageError where no symbol is found or needed ones
    are misspelt.
    """
    if named or file is not None:
        found = tickers.unique([*named, *(read(file) if file else ())])
    elif configured:
        found = tickers.unique(configured)
    else:
        of_pairs = bool(endpoints) and all(endpoint.of_pairs for endpoint in endpoints)
        found = known(connection, of_pairs=of_pairs)
    if not found and not _needs_none(endpoints):
        raise UsageError(
            "No symbols are named. Give --symbols AAPL,MSFT or --symbols-file FILE, or set "
            "DATAPIPE_SYMBOLS."
        )
    return Universe(found, _doubts(connection, found))


def read(path: Path) -> tuple[str, ...]:
    """The symbols of a file: with commas, blanks or line ends between them, and # for comments."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text. It takes one symbol a line.") from None
    found: list[str] = []
    for number, line in enumerate(lines, start=1):
        for part in line.partition("#")[0].replace(",", " ").split():
            try:
                found.append(tickers.normalise(part))
            except UsageError as error:
                raise UsageError(f"{path}:{number}: {error}") from None
    if not found:
        raise UsageError(f"{path} names no symbols. Write one a line, or with commas between them.")
    return tuple(dict.fromkeys(found))


def known(connection: psycopg.Connection, *, of_pairs: bool = False) -> tuple[str, ...]:
    """The symbols that the warehouse holds something of, in alphabetical order."""
    functions = [
        endpoint.function
        for endpoint in CATALOGUE
        if endpoint.of_pairs == of_pairs
        and not endpoint.whole_market
        and endpoint.cadence != "once"
    ]
    rows = connection.execute(_KNOWN, {"functions": functions, "with_prices": not of_pairs})
    return tuple(row[0] for row in rows)


def _needs_none(endpoints: Sequence[Endpoint]) -> bool:
    return bool(endpoints) and all(endpoint.whole_market for endpoint in endpoints)


def _doubts(connection: psycopg.Connection, symbols: Sequence[str]) -> tuple[str, ...]:
    """Symbols that were never answered and are not in the stored listing, as warnings."""
    strange = connection.execute(
        _STRANGE, {"symbols": list(symbols), "functions": list(BY_FUNCTION)}
    ).fetchall()
    if not strange:
        return ()
    listed = [row[0] for row in connection.execute(_LISTED)]
    doubts = []
    for symbol, delisted_on, named_alike in strange[:_CHECKED_AT_MOST]:
        if delisted_on is not None:
            doubts.append(f"{symbol} was delisted on {delisted_on}.")
            continue
        near = difflib.get_close_matches(symbol, _of_like_length(symbol, listed), 200, _ALIKE)
        # APPL is rather AAPL than APP: a doubled or swapped letter is what fingers do.
        same_letters = [each for each in near if set(each) == set(symbol)]
        near = list(dict.fromkeys([*same_letters, *named_alike, *near]))[:3]
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        doubts.append(f"{symbol} is not in the stored listing.{meant}")
    if len(strange) > _CHECKED_AT_MOST:
        doubts.append(f"{len(strange) - _CHECKED_AT_MOST} more are not in the stored listing.")
    return tuple(doubts)


def _of_like_length(symbol: str, listed: Sequence[str]) -> list[str]:
    return [each for each in listed if abs(len(each) - len(symbol)) <= 1]


# One step a symbol through an index, however much each has.
_KNOWN = """
WITH RECURSIVE answered AS (
    (SELECT symbol, function FROM raw.responses ORDER BY symbol, function LIMIT 1)
    UNION ALL
    SELECT next.symbol, next.function FROM answered CROSS JOIN LATERAL (
        SELECT symbol, function FROM raw.responses
        WHERE (symbol, function) > (answered.symbol, answered.function)
        ORDER BY symbol, function LIMIT 1
    ) next
), priced AS (
    (SELECT symbol FROM raw.daily_prices WHERE known_to IS NULL ORDER BY symbol LIMIT 1)
    UNION ALL
    SELECT next.symbol FROM priced CROSS JOIN LATERAL (
        SELECT symbol FROM raw.daily_prices
        WHERE known_to IS NULL AND symbol > priced.symbol ORDER BY symbol LIMIT 1
    ) next
)
SELECT symbol FROM answered WHERE function = ANY(%(functions)s)
UNION
SELECT symbol FROM priced WHERE %(with_prices)s
ORDER BY symbol
"""

_LISTED = "SELECT DISTINCT symbol FROM raw.listings WHERE known_to IS NULL AND status = 'Active'"

# Listings outside the United States, and pairs, are not in the listing.
_STRANGE = """
SELECT asked.symbol,
    (SELECT max(delisting_date) FROM raw.listings
     WHERE symbol = asked.symbol AND known_to IS NULL),
    ARRAY(SELECT symbol FROM raw.listings
        WHERE status = 'Active' AND known_to IS NULL AND length(asked.symbol) > 3
          AND lower(name) ^@ lower(asked.symbol)
        ORDER BY length(symbol), symbol LIMIT 2)
FROM unnest(%(symbols)s::text[]) WITH ORDINALITY AS asked (symbol, place)
WHERE EXISTS (SELECT FROM raw.listings WHERE status = 'Active' AND known_to IS NULL)
  AND position('.' in asked.symbol) = 0 AND asked.symbol !~ '^[A-Z0-9]+[-/][A-Z]{3,4}$'
  AND NOT EXISTS (
      SELECT FROM raw.listings
      WHERE symbol = asked.symbol AND status = 'Active' AND known_to IS NULL
  )
  AND NOT EXISTS (
      SELECT FROM raw.responses
      WHERE symbol = asked.symbol AND function = ANY(%(functions)s)
  )
ORDER BY asked.place
"""
