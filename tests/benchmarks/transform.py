"""How fast models are built, side by side in one run: python tests/benchmarks/transform.py

Uses the datapipe beside this Python, with a warehouse of its own in a temporary folder. What is
compared takes turns, so that a machine that slows down slows all of it; one round before the first
is not counted. Ends with status 1 where a target is missed.

    --dbt PATH   a dbt with dbt-postgres, to compare the shipped models with
    --only NAME  one part: shipped, small, thousand, nothing-new, new-session
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import psycopg

DATAPIPE = str(Path(sys.executable).with_name("datapipe"))
SHIPPED = Path(__file__).resolve().parents[2] / "sql_models"

Part = Callable[["Bench"], bool]


class Bench:
    """A warehouse in a folder of its own, and commands that are run against it."""

    def __init__(self, folder: Path, rounds: int, dbt: str | None) -> None:
        self.folder = folder
        self.rounds = rounds
        self.dbt = dbt
        # Nothing but what users have, who also have their Python compiled.
        ours = ("DATAPIPE_", "ALPHA_VANTAGE_", "DBT_", "PG", "PYTHONDONTWRITEBYTECODE")
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith(ours)
        }
        self.environ["DATAPIPE_DATA_DIR"] = str(folder / "data")

    def run(self, *command: str, **more: str) -> float:
        """The seconds that ``command`` takes; what it says is shown only if it fails."""
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environ, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        took = time.perf_counter() - began
        if done.returncode:
            sys.exit(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return took

    def url(self, database: str) -> str:
        """The URL of a database of its own on datapipe's server, made empty if it is missing."""
        from datapipe.settings import Settings
        from datapipe.warehouse import Warehouse

        settings = Settings.load({"DATAPIPE_DATA_DIR": self.environ["DATAPIPE_DATA_DIR"]})
        server = Warehouse.of(settings).server
        assert server is not None
        warehouse = Warehouse(
            server.url(database), server=server, created_from=server.url("postgres")
        )
        warehouse.upgrade()
        return warehouse.url

    def turns(self, contestants: Mapping[str, Callable[[], float]]) -> dict[str, float]:
        """The median time of each, which take turns."""
        taken: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(self.rounds + 1):
            for name, contestant in contestants.items():
                taken[name].append(contestant())
        medians = {name: median(times[1:]) for name, times in taken.items()}
        for name, seconds in medians.items():
            times = taken[name][1:]
            print(f"  {name:<44}{seconds:>8.3f} s   ({min(times):.3f} to {max(times):.3f})")
        return medians


def shipped(bench: Bench) -> bool:
    """The seven shipped models with their tests, over the sample prices, against ``dbt build``."""
    bench.run(DATAPIPE, "run-all", "--source", "sample", "--quiet")
    transform = (DATAPIPE, "transform", "--source", "sample", "--quiet", "--rebuild")
    contestants = {"datapipe transform": lambda: bench.run(*transform)}
    if bench.dbt:
        project = bench.folder / "dbt"
        if not project.exists():
            import shutil

            shutil.copytree(SHIPPED, project)
        contestants["dbt build"] = lambda: bench.run(
            bench.dbt or "", "build", "--project-dir", str(project),
            "--profiles-dir", str(profile(bench, "datapipe", "datapipe_sample")), "--quiet",
            DBT_SEND_ANONYMOUS_USAGE_STATS="false",
        )  # fmt: skip
    medians = bench.turns(contestants)
    if "dbt build" not in medians:
        return judged("under 0.5 s", medians["datapipe transform"] <= 0.5)
    times = medians["dbt build"] / medians["datapipe transform"]
    return judged(f"{times:.1f} times faster than dbt, at least 12", times >= 12)


def profile(bench: Bench, name: str, database: str) -> Path:
    """A folder with dbt's profile for a database on datapipe's server."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(bench.url(database))
    folder = bench.folder / "profile"
    folder.mkdir(exist_ok=True)
    (folder / "profiles.yml").write_text(
        textwrap.dedent(f"""
            {name}:
              target: dev
              outputs:
                dev:
                  {{type: postgres, host: '{parts["host"]}', port: {parts.get("port") or 5432},
                   user: '{parts["user"]}', password: '{parts.get("password") or ""}',
                   dbname: {database}, schema: public, threads: 4}}
        """)
    )
    return folder


def small(bench: Bench) -> bool:
    """500 small models, in chains and fans, against a bare loop that does just the same."""
    return against_bare_loop(bench, 500, 1.5)


def thousand(bench: Bench) -> bool:
    """1,000 small models."""
    return against_bare_loop(bench, 1000, 1.5)


def against_bare_loop(bench: Bench, number: int, at_most: float) -> bool:
    project = small_models(bench.folder / f"small_{number}", number)
    ours, theirs = bench.url(f"ours_{number}"), bench.url(f"bare_{number}")
    loop = bench.folder / "bare_loop.py"
    loop.write_text(BARE_LOOP)
    command = (DATAPIPE, "transform", "--project-dir", str(project), "--quiet", "--rebuild")
    medians = bench.turns(
        {
            f"a bare loop over {number} models": lambda: bench.run(
                sys.executable, str(loop), theirs, str(project)
            ),
            f"datapipe transform of {number} models": lambda: bench.run(
                *command, DATAPIPE_DATABASE_URL=ours
            ),
        }
    )
    bare, datapipe = medians.values()
    times = datapipe / bare
    return judged(f"{times:.2f} times the bare loop, at most {at_most}", times <= at_most)


def small_models(folder: Path, number: int) -> Path:
    """A project of small models: a tenth in a chain, the others fanned out from it."""
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / "dbt_project.yml").write_text("name: small\nprofile: small\n")
    for n in range(number):
        if n == 0:
            rows = "select g as id, g * 1.5 as amount from generate_series(1, 100) as g"
        else:
            parent = n - 10 if n % 10 == 0 else n // 10 * 10
            rows = (
                f"select id, amount + {n} as amount\n"
                f"from {{{{ ref('model_{parent:04d}') }}}}\nwhere id > 0"
            )
        kind = "table" if n % 2 == 0 else "view"
        (models / f"model_{n:04d}.sql").write_text(
            f"{{{{ config(materialized='{kind}') }}}}\n\n{rows}\n"
        )
    return folder


BARE_LOOP = '''\
"""Render, create aside, swap in order: the least that can be done for such a project."""
import re, sys
from graphlib import TopologicalSorter
from pathlib import Path

import jinja2
import psycopg

url, folder = sys.argv[1], Path(sys.argv[2])
environment = jinja2.Environment()
models = {}
for path in sorted((folder / "models").glob("*.sql")):
    config, refs = {}, []
    def ref(name):
        refs.append(name)
        return f'"aside"."{name}"'
    def set_config(**given):
        config.update(given)
        return ""
    sql = environment.from_string(path.read_text()).render(ref=ref, config=set_config)
    models[path.stem] = config["materialized"], refs, sql
reads = {name: refs for name, (_, refs, _) in models.items()}
order = list(TopologicalSorter(reads).static_order())
with psycopg.connect(url, autocommit=True) as connection:
    connection.execute("SET client_min_messages = warning; SET synchronous_commit = off")
    connection.execute("DROP SCHEMA IF EXISTS aside CASCADE; CREATE SCHEMA aside")
    for name in order:
        kind, _, sql = models[name]
        connection.execute(f'CREATE {kind} "aside"."{name}" AS ({sql})')
    connection.execute("CREATE SCHEMA IF NOT EXISTS small")
    with connection.transaction():
        for name in reversed(order):
            connection.execute(f'DROP {models[name][0]} IF EXISTS small."{name}"')
        for name in order:
            connection.execute(f'ALTER {models[name][0]} "aside"."{name}" SET SCHEMA small')
'''


def nothing_new(bench: Bench) -> bool:
    """Nothing changed since the last run: the shipped models, and 1,000 small ones."""
    bench.run(DATAPIPE, "run-all", "--source", "sample", "--quiet")
    project = str(small_models(bench.folder / "small_1000", 1000))
    ours = bench.url("ours_1000")
    small = (DATAPIPE, "transform", "--project-dir", project, "--quiet")
    bench.run(*small, DATAPIPE_DATABASE_URL=ours)
    medians = bench.turns(
        {
            "the shipped models": lambda: bench.run(
                DATAPIPE, "transform", "--source", "sample", "--quiet"
            ),
            "1,000 models": lambda: bench.run(*small, DATAPIPE_DATABASE_URL=ours),
        }
    )
    few, many = medians.values()
    return judged(f"{few:.2f} s, under 0.5 s; {many:.2f} s, under 2 s", few < 0.5 and many < 2)


def new_session(bench: Bench) -> bool:
    """One new session of 500 symbols, averaged over 200 sessions, with two lengths of history."""
    folder = bench.folder / "growing"
    (folder / "models").mkdir(parents=True, exist_ok=True)
    (folder / "dbt_project.yml").write_text("name: growing\nprofile: growing\n")
    (folder / "models" / "sources.yml").write_text(
        "sources: [{name: bench, schema: bench, tables: [{name: prices}]}]\n"
    )
    (folder / "models" / "averages.sql").write_text(GROWING)
    above = []
    for sessions in (500, 5000):
        url = bench.url(f"sessions_{sessions}")
        command = (DATAPIPE, "transform", "--project-dir", str(folder), "--quiet")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(PRICES.format(sessions=sessions))
            bench.run(*command, DATAPIPE_DATABASE_URL=url)
            connection.execute("VACUUM ANALYZE bench.prices")
            connection.execute("VACUUM ANALYZE public.averages")

            def statement(connection: psycopg.Connection = connection) -> float:
                connection.execute(NEW_SESSION)
                began = time.perf_counter()
                connection.execute(f"CREATE TEMP TABLE came AS {NEW_AVERAGES}")
                took = time.perf_counter() - began
                connection.execute("DROP TABLE came")
                return took

            print(f"  {500 * sessions:,} rows:")
            alone, whole = bench.turns(
                {
                    "the statement alone": statement,
                    "datapipe transform": lambda url=url, command=command: bench.run(
                        *command, DATAPIPE_DATABASE_URL=url
                    ),
                }
            ).values()
        above.append(whole - alone)
    short, long = above
    return judged(
        f"{short:.2f} s above the statement, and {long:.2f} s with 10 times the history; "
        "at most 0.5 s",
        max(above) <= 0.5,
    )


PRICES = """
CREATE SCHEMA IF NOT EXISTS bench;
DROP TABLE IF EXISTS bench.prices;
CREATE TABLE bench.prices AS
SELECT 'S' || s AS symbol, date '1990-01-01' + d AS session_date,
       (50 + (s * 7 + d * 3) % 100)::numeric AS close
FROM generate_series(1, 500) AS s, generate_series(1, {sessions}) AS d;
CREATE UNIQUE INDEX ON bench.prices (session_date, symbol);
ANALYZE bench.prices
"""
NEW_SESSION = """
INSERT INTO bench.prices
SELECT symbol, session_date + 1, close + 1 FROM bench.prices
WHERE session_date = (SELECT max(session_date) FROM bench.prices)
"""
NEW_AVERAGES = """
(SELECT * FROM (
    SELECT symbol, session_date, avg(close) OVER (
        PARTITION BY symbol ORDER BY session_date ROWS 199 PRECEDING) AS average
    FROM bench.prices
    WHERE session_date > (SELECT max(session_date) FROM public.averages) - 200
) AS windowed
WHERE session_date > (SELECT max(session_date) FROM public.averages))
"""
GROWING = """
{{ config(materialized='incremental', unique_key=['session_date', 'symbol'],
          indexes=[{'columns': ['session_date', 'symbol'], 'unique': true}]) }}
select * from (
    select symbol, session_date, avg(close) over (
        partition by symbol order by session_date rows 199 preceding) as average
    from {{ source('bench', 'prices') }}
    {% if is_incremental() %}
    where session_date > (select max(session_date) from {{ this }}) - 200
    {% endif %}
) as windowed
{% if is_incremental() %}
where session_date > (select max(session_date) from {{ this }})
{% endif %}
"""


def judged(said: str, is_met: bool) -> bool:
    print(f"  {said}{'' if is_met else ': MISSED'}\n")
    return is_met


PARTS: dict[str, Part] = {
    "shipped": shipped,
    "small": small,
    "thousand": thousand,
    "nothing-new": nothing_new,
    "new-session": new_session,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dbt", help="a dbt executable with dbt-postgres")
    parser.add_argument("--only", choices=PARTS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="datapipe benchmark ") as folder:
        bench = Bench(Path(folder), given.rounds, given.dbt)
        met = []
        try:
            for name, part in PARTS.items():
                if given.only in {None, name}:
                    print((part.__doc__ or "").strip())
                    met.append(part(bench))
        finally:
            bench.run(DATAPIPE, "db", "stop")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
