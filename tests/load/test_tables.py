import psycopg
import pytest

from datapipe.extract.endpoints import CATALOGUE
from datapipe.load.parse import FUNCTIONS
from datapipe.load.tables import TABLES, Table

VERSION = ["known_from", "known_to", "source", "response_id"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_warehouse_has_the_columns_that_are_written(
    table: Table, connection: psycopg.Connection
) -> None:
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        [f"raw.{table.name}"],
    ).fetchall()
    kinds = dict(rows)
    assert kinds.keys() == {*table.columns, *VERSION}
    assert kinds["symbol"] == "text"
    assert table.key[0] == "symbol"
    for name in table.values:
        if name in table.dates:
            assert kinds[name] == "date"
        elif name in table.texts or name in {"bar_label", "holding_symbol"}:
            assert kinds[name] == "text"
        else:
            others = {"other_fields": "jsonb", "position": "integer"}
            assert kinds[name] == others.get(name, "numeric")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_key_is_current_only_once(table: Table, connection: psycopg.Connection) -> None:
    row = connection.execute(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index "
        "WHERE indrelid = %s::regclass AND indpred IS NOT NULL AND indisunique",
        [f"raw.{table.name}"],
    ).fetchone()
    assert row is not None
    assert f"({', '.join(table.key)}) WHERE (known_to IS NULL)" in row[0].replace('"', "")


def test_every_endpoint_has_a_parser_that_fills_its_targets() -> None:
    for endpoint in CATALOGUE:
        filled = {table.name for table in FUNCTIONS[endpoint.function].tables}
        assert set(endpoint.targets) <= filled, endpoint.name
