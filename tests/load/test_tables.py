import psycopg

from datapipe.extract.endpoints import CATALOGUE
from datapipe.load.parse import FUNCTIONS
from datapipe.load.tables import TABLES

VERSION = ["known_from", "known_to", "source", "response_id"]


def test_the_warehouse_has_the_columns_that_are_written(connection: psycopg.Connection) -> None:
    for table in TABLES:
        rows = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            [f"raw.{table.name}"],
        ).fetchall()
        kinds = dict(rows)
        assert kinds.keys() == {*table.columns, *VERSION}, table.name
        assert kinds["symbol"] == "text", table.name
        assert table.key[0] == "symbol", table.name
        for name in table.values:
            if name in table.dates:
                kind = "date"
            elif name in table.texts or name in {"bar_label", "holding_symbol"}:
                kind = "text"
            else:
                kind = {"other_fields": "jsonb", "position": "integer"}.get(name, "numeric")
            assert kinds[name] == kind, f"{table.name}.{name}"


def test_a_key_is_current_only_once(connection: psycopg.Connection) -> None:
    for table in TABLES:
        row = connection.execute(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indrelid = %s::regclass AND indpred IS NOT NULL AND indisunique",
            [f"raw.{table.name}"],
        ).fetchone()
        assert row is not None, table.name
        assert f"({', '.join(table.key)}) WHERE (known_to IS NULL)" in row[0].replace('"', "")


def test_every_endpoint_has_a_parser_that_fills_its_targets() -> None:
    for endpoint in CATALOGUE:
        filled = {table.name for table in FUNCTIONS[endpoint.function].tables}
        assert set(endpoint.targets) <= filled, endpoint.name
