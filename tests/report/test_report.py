from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from datapipe import report
from datapipe.errors import ProjectError, UsageError, WarehouseError
from datapipe.report import Column, Report
from datapipe.settings import Settings
from datapipe.warehouse import Warehouse

Write = Callable[[str, str], Path]
Trade = Callable[..., None]
Market = Callable[[], Report]


def test_the_market_has_the_last_session_of_each_symbol(market: Market, trade: Trade) -> None:
    trade("AAPL", "100", "110.5000", sma_200="99.123456789", name="Apple Inc")
    trade("MSFT", "400", "390")
    found = market()
    assert found.values("symbol") == ("AAPL", "MSFT")
    assert found.values("close") == (Decimal("110.5000"), Decimal(390))
    assert found.values("change") == (Decimal("10.5"), Decimal(-10))
    assert found.values("sma_200") == (Decimal("99.123456789"), None)
    assert found.values("high_52_week") == (Decimal("110.5"), Decimal(400))
    assert found.values("traded_value") == (Decimal("165750000"), Decimal("585000000"))
    assert found.as_of == date(2026, 5, 15)
    assert not found.synthetic


def test_a_sparkline_has_the_last_thirty_closes_oldest_first(market: Market, trade: Trade) -> None:
    trade("AAPL", *(str(close) for close in range(100, 140)))
    assert market().values("closes") == (tuple(Decimal(close) for close in range(110, 140)),)


def test_a_symbol_without_prices_keeps_its_row(market: Market, trade: Trade) -> None:
    trade("NEW", name="Not Yet Traded")
    (row,) = market().rows
    assert row[:2] == ("NEW", "Not Yet Traded")
    assert set(row[3:]) == {None}


def test_a_symbol_that_ended_earlier_keeps_its_own_session(market: Market, trade: Trade) -> None:
    trade("AAPL", "1", "2")
    trade("GONE", "1", "2", through=date(2026, 3, 2))
    found = market()
    assert found.values("session_date") == (date(2026, 5, 15), date(2026, 3, 2))
    assert found.as_of == date(2026, 5, 15)


def test_only_the_symbols_asked_for_are_reported(
    warehouse: Warehouse, project: Path, trade: Trade
) -> None:
    for symbol in ("BRK-B", "MSFT", "NA", "TRUE"):
        trade(symbol, "1", "2")
    found = report.run(warehouse, project, symbols=["true", "brk.b", "NA"])
    assert found.values("symbol") == ("BRK-B", "NA", "TRUE")


def test_an_unknown_symbol_is_answered_with_near_ones(
    warehouse: Warehouse, project: Path, trade: Trade
) -> None:
    trade("AAPL", "1")
    with pytest.raises(UsageError, match=r"Not in the warehouse: APPL\. Did you mean AAPL\?"):
        report.run(warehouse, project, symbols=["AAPL", "APPL"])
    with pytest.raises(UsageError, match=r"datapipe run-all --symbols XYZ,ZZZ"):
        report.run(warehouse, project, symbols=["XYZ", "ZZZ"])
    sample = Warehouse(warehouse.url, synthetic=True)
    with pytest.raises(UsageError, match=r"Not in the warehouse: XYZ\. The sample has only AAPL\."):
        report.run(sample, project, symbols=["XYZ"])


def test_an_unknown_report_is_answered_with_near_names(warehouse: Warehouse, project: Path) -> None:
    with pytest.raises(UsageError, match=r"no report markt\. Did you mean market\?"):
        report.run(warehouse, project, name="markt")
    with pytest.raises(UsageError, match=r"Known are market\."):
        report.run(warehouse, project, name="../../secrets")


def test_before_anything_is_published_the_cure_is_named(
    warehouse: Warehouse, project: Path
) -> None:
    with pytest.raises(WarehouseError, match="datapipe run-all --source sample"):
        report.run(warehouse, project)


def test_a_database_that_was_never_upgraded_has_nothing_to_report(
    warehouse: Warehouse, project: Path, connection: psycopg.Connection
) -> None:
    connection.execute("DROP SCHEMA meta CASCADE")
    with pytest.raises(WarehouseError, match="nothing to report yet"):
        report.run(warehouse, project)


def test_a_report_does_not_set_up_a_server(tmp_path: Path, project: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with pytest.raises(WarehouseError, match="nothing to report yet"):
        report.run(Warehouse.of(settings), project)
    assert not settings.data_dir.exists()


def test_a_project_has_reports_of_its_own(
    warehouse: Warehouse, project: Path, write: Write, trade: Trade
) -> None:
    trade("AAPL", "1.50", "3.00")
    write(
        "new_highs",
        "{{ config(meta={'kinds': {'high': 'price'}}) }}\n"
        "select symbol, max(close) as high, count(*) as sessions\n"
        "from {{ ref('shop', 'fact_daily_trading') }} group by symbol",
    )
    found = report.run(warehouse, project, name="new_highs")
    assert found.title == "New highs"
    assert found.columns == (
        Column("symbol", "text"),
        Column("high", "price"),
        Column("sessions", "count"),
    )
    assert found.rows == (("AAPL", Decimal("3.00"), 2),)
    assert found.as_of is None


def test_a_projects_own_market_report_comes_before_the_shipped_one(
    warehouse: Warehouse, project: Path, write: Write, marts: None
) -> None:
    write("market", "select 1 as one")
    assert report.run(warehouse, project).rows == ((1,),)


def test_a_dbt_project_may_keep_reports_where_its_analyses_are(
    warehouse: Warehouse, tmp_path: Path, marts: None
) -> None:
    (tmp_path / "ours" / "deep").mkdir(parents=True)
    (tmp_path / "ours" / "deep" / "one.sql").write_text("select 1 as one")
    (tmp_path / "dbt_project.yml").write_text("name: x\nanalysis-paths: [ours]\n")
    assert report.run(warehouse, tmp_path, name="one").rows == ((1,),)


def test_a_report_reads_the_models_where_they_were_published(
    warehouse: Warehouse, project: Path, write: Write, connection: psycopg.Connection
) -> None:
    connection.execute('CREATE SCHEMA "My ""Marts"; CREATE TABLE "My ""Marts"."T 1" AS SELECT 7 x')
    connection.execute(
        "INSERT INTO meta.models (name, resource_type, schema_name, relation_name, materialized, "
        """run_id) VALUES ('facts', 'model', 'My "Marts', 'T 1', 'table', 1)"""
    )
    write("seven", "select x from {{ ref('facts') }} where 'a%s' like 'a%'")
    assert report.run(warehouse, project, name="seven").rows == ((7,),)


def test_a_mistake_in_the_sql_of_a_report_is_shown_at_its_line(
    warehouse: Warehouse, project: Path, write: Write, marts: None
) -> None:
    mistakes = {
        "select symbol\nfrom marts.dim_company\nwhere nam = 1": r':3: column "nam" does not exist',
        "select *\nfrom marts.gone": r':2: relation "marts.gone" .* datapipe transform',
        "select 1 / 0": r": division by zero",
        "create table marts.mine (x int)": r": cannot execute CREATE TABLE in a read-only",
        "set local work_mem = '4MB'": r": It gives no rows\. A report is one SELECT",
        "select 1 as x, 2 as x": r": Two of its columns have one name",
        "{{ config(meta={'kinds': {'y': 'price'}}) }} select 1 as x": r"names the column y, but",
        "{{ config(meta={'kinds': {'x': 'prise'}}) }} select 1 as x": r"calls x a prise, but",
        "{{ config(meta={'kinds': {'x': 'price'}}) }} select 'a' as x": r"Cast it in the SQL",
    }
    for sql, says in mistakes.items():
        path = write("bad", sql)
        with pytest.raises(ProjectError, match=rf"bad\.sql.*{says}") as caught:
            report.run(warehouse, project, name="bad")
        assert caught.value.path == path


def test_a_report_that_takes_no_symbols_says_so(
    warehouse: Warehouse, project: Path, write: Write, trade: Trade
) -> None:
    trade("AAPL", "1")
    write("one", "select 1 as one")
    with pytest.raises(UsageError, match=r"cannot be narrowed to symbols"):
        report.run(warehouse, project, name="one", symbols=["AAPL"])


def test_every_row_of_the_sample_warehouse_says_so(
    database_url: str, project: Path, write: Write, trade: Trade
) -> None:
    trade("AAPL", "1", "2", source="sample")
    trade("NEW")
    sample = Warehouse(database_url, synthetic=True)
    found = report.run(sample, project)
    assert found.synthetic
    assert found.values("source") == ("sample", "sample")
    write("one", "select 1 as one")
    one = report.run(sample, project, name="one")
    assert one.rows == ((1, "sample"),)
    assert one.columns[-1] == Column("source", "text")


def test_sample_prices_are_told_from_real_ones_wherever_they_lie(
    market: Market, trade: Trade
) -> None:
    trade("AAPL", "1", "2", source="sample")
    assert market().synthetic


def test_numbers_stay_exact_in_pandas_until_floats_are_asked_for(
    market: Market, trade: Trade
) -> None:
    trade("NA", "0.1000000000000000055511151231257827", "1.1")
    trade("NAN")
    frame = market().to_pandas()
    assert frame["symbol"].tolist() == ["NA", "NAN"]
    assert frame["low_52_week"].tolist()[0] == Decimal("0.1000000000000000055511151231257827")
    assert frame["session_date"].isna().tolist() == [False, True]
    assert frame["session_date"].dtype.kind == "M"
    floats = market().to_pandas(floats=True)
    assert floats["close"].dtype == float
    assert floats["close"][0] == 1.1
    assert floats["close"].isna().tolist() == [False, True]


def test_a_reader_who_may_not_read_the_marts_is_told_by_the_warehouse(
    database_url: str, project: Path, trade: Trade, connection: psycopg.Connection
) -> None:
    trade("AAPL", "1")
    connection.execute("DROP ROLE IF EXISTS report_reader")
    connection.execute("CREATE ROLE report_reader LOGIN")
    connection.execute("GRANT USAGE ON SCHEMA meta TO report_reader")
    connection.execute("GRANT SELECT ON meta.models TO report_reader")
    options = "?options=-c%20role%3Dreport_reader"
    try:
        with pytest.raises(WarehouseError, match="permission denied"):
            report.run(Warehouse(database_url + options), project)
    finally:
        connection.execute("DROP OWNED BY report_reader; DROP ROLE report_reader")


def test_a_summary_counts_only_the_last_session(market: Market, trade: Trade) -> None:
    from datapipe.report.summary import Mover, summary

    trade("UP", "10", "11")
    trade("DOWN", "10", "8", currency="EUR")
    trade("SAME", "10", "10")
    trade("FIRST", "10")
    trade("GONE", "10", "99", through=date(2026, 5, 15) - timedelta(days=1))
    trade("NEW")
    told = summary(market())
    assert told is not None
    assert (told.symbols, told.advancers, told.decliners, told.unchanged) == (6, 1, 1, 1)
    assert (told.behind, told.without_prices) == (1, 1)
    assert told.gainer == Mover("UP", Decimal(10))
    assert told.loser == Mover("DOWN", Decimal(-20))
    assert told.traded_value == {"USD": Decimal("46500000"), "EUR": Decimal("12000000")}
