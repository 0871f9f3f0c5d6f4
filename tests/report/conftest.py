"""A market of a few symbols in tables shaped as the published marts are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from datapipe import report
from datapipe.report import Report
from datapipe.warehouse import Warehouse

_MARTS = """
CREATE SCHEMA marts;
CREATE TABLE marts.dim_company (symbol text PRIMARY KEY, name text, currency text);
CREATE TABLE marts.fact_daily_trading (
    symbol text, session_date date, close numeric, volume numeric, traded_value numeric,
    source text, PRIMARY KEY (symbol, session_date));
CREATE TABLE marts.fact_market_metrics (
    symbol text, session_date date, close numeric, volume numeric, change numeric,
    change_percent numeric, sma_20 numeric, sma_50 numeric, sma_200 numeric,
    high_52_week numeric, low_52_week numeric,
    PRIMARY KEY (symbol, session_date));
INSERT INTO meta.models (name, resource_type, schema_name, relation_name, materialized, run_id)
SELECT name, 'model', 'marts', name, 'table', 1
FROM unnest(ARRAY['dim_company', 'fact_daily_trading', 'fact_market_metrics']) AS name;
"""

Trade = Callable[..., None]
LAST_SESSION = date(2026, 5, 15)


@pytest.fixture
def marts(connection: psycopg.Connection) -> None:
    connection.execute(_MARTS)


@pytest.fixture
def trade(connection: psycopg.Connection, marts: None) -> Trade:
    """Lists a company and gives it closes, one a day, the last one on ``through``."""

    def trade(
        symbol: str,
        *closes: str,
        name: str | None = "A Company",
        currency: str | None = "USD",
        volume: str | None = "1500000",
        sma_200: str | None = None,
        source: str = "alpha_vantage",
        through: date = LAST_SESSION,
    ) -> None:
        connection.execute(
            "INSERT INTO marts.dim_company VALUES (%s, %s, %s)", [symbol, name, currency]
        )
        prices = [Decimal(close) for close in closes]
        for index, close in enumerate(prices):
            session = through - timedelta(days=len(prices) - 1 - index)
            change = close - prices[index - 1] if index else None
            percent = change * 100 / prices[index - 1] if change is not None else None
            traded = Decimal(volume) * close if volume is not None else None
            connection.execute(
                "INSERT INTO marts.fact_daily_trading VALUES (%s, %s, %s, %s, %s, %s)",
                [symbol, session, close, volume, traded, source],
            )
            low, high = min(prices[: index + 1]), max(prices[: index + 1])
            connection.execute(
                "INSERT INTO marts.fact_market_metrics "
                "VALUES (%s, %s, %s, %s, %s, %s, NULL, NULL, %s, %s, %s)",
                [symbol, session, close, volume, change, percent, sma_200, high, low],
            )

    return trade


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without a report of its own."""
    (tmp_path / "project" / "reports").mkdir(parents=True)
    return tmp_path / "project"


@pytest.fixture
def write(project: Path) -> Callable[[str, str], Path]:
    """Writes a report of the project."""

    def write(name: str, sql: str) -> Path:
        path = project / "reports" / f"{name}.sql"
        path.write_text(sql, encoding="utf-8")
        return path

    return write


@pytest.fixture
def market(warehouse: Warehouse, project: Path, trade: Trade) -> Callable[[], Report]:
    """Runs the shipped market report on what was traded."""
    return lambda: report.run(warehouse, project)
