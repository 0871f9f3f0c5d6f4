"""Whether readers ever see half a run: python tests/benchmarks/readers.py URL

In an empty database of yours, that URL names, this makes runs of which half come to nothing: a
model breaks, a test fails, a worker loses its connection, the process is killed or interrupted.
All the while readers join two marts through a view of their own. Ends with status 1 if a reader
got an error or saw two versions at once, or if the view, its grants and comments were changed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psycopg

DATAPIPE = str(Path(sys.executable).with_name("datapipe"))
TABLE = """
{{ config(materialized='table', indexes=[{'columns': ['n']}]) }}
select {{ var('run') }} as run, n from generate_series(1, 200) as n
"""
FILES = {
    "dbt_project.yml": "name: shop\nprofile: shop\n",
    "models/one.sql": TABLE,
    "models/two.sql": TABLE,
    "models/both.sql": "select n, o.run from {{ ref('one') }} o join {{ ref('two') }} using (n)",
    "models/grown.sql": """
        {{ config(materialized='incremental', unique_key='n') }}
        select {{ var('run') }} as run, n from generate_series(1, 200) as n
    """,
    "models/broken.sql": "{{ config(materialized='table') }} "
    "select run / {{ 0 if var('fails') == 'model' else 1 }} as x from {{ ref('both') }}",
    "models/slow.sql": "{{ config(materialized='table') }} select run, "
    "pg_sleep({{ 60 if var('fails') in ['worker', 'kill', 'interrupt'] and this else 0 }})::text"
    " as slept from {{ ref('one') }} limit 1",
    "tests/some.sql": "select 1 from {{ ref('both') }} where {{ var('fails') == 'test' }}",
}
FAILURES = ("model", "test", "worker", "kill", "interrupt")
STATUSES = {"": 0, "model": 1, "test": 5, "worker": 1, "kill": -9, "interrupt": 130}
VIEW = """
CREATE VIEW public.joined AS
SELECT o.run AS one, t.run AS two, b.run AS through, g.run AS grown
FROM public.one o JOIN public.two t USING (n) JOIN public.both b USING (n)
JOIN public.grown g USING (n);
COMMENT ON VIEW public.joined IS 'mine'; GRANT SELECT ON public.joined TO PUBLIC;
GRANT SELECT ON public.one TO PUBLIC; COMMENT ON TABLE public.one IS 'theirs'
"""
KEPT = """
SELECT c.relname, c.relacl::text, obj_description(c.oid, 'pg_class'),
       CASE WHEN relkind = 'v' THEN pg_get_viewdef(c.oid) END
FROM pg_class c WHERE c.oid IN ('public.joined'::regclass, 'public.one'::regclass) ORDER BY 1
"""
SLEEPERS = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("url")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    # A shell has what it starts with & ignore Ctrl-C, and so would the runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in FILES.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Trial(given.url, Path(folder), given.threads).held(given.runs)


class Trial:
    def __init__(self, url: str, folder: Path, threads: int) -> None:
        self.url = url
        self.folder = folder
        self.threads = threads
        self.seen: Counter[tuple[int, ...]] = Counter()
        self.errors: list[str] = []
        self.stop = threading.Event()

    def held(self, runs: int) -> int:
        """The exit status."""
        if self.run(0, "") != 0:
            return 1
        ended: Counter[str] = Counter()
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(VIEW)
            before = connection.execute(KEPT).fetchall()
            readers = [threading.Thread(target=self.read) for _ in range(2)]
            for reader in readers:
                reader.start()
            for number in range(1, runs + 1):
                fails = FAILURES[number // 2 % len(FAILURES)] if number % 2 else ""
                status = self.run(number, fails)
                ended[fails or "published"] += 1
                if status != STATUSES[fails]:
                    self.errors.append(f"run {number} ({fails}) ended with status {status}")
                latest = connection.execute("SELECT DISTINCT one FROM public.joined").fetchall()
                if latest != [(number - number % 2,)]:
                    self.errors.append(f"after run {number} ({fails}) readers see {latest}")
                while connection.execute(SLEEPERS).fetchall():
                    time.sleep(0.1)  # the server looks for a killed client once a second
            self.stop.set()
            for reader in readers:
                reader.join()
            if connection.execute(KEPT).fetchall() != before:
                self.errors.append("the view, grants or comments were changed")
        mixed = [versions for versions in self.seen if len(set(versions)) > 1]
        print(f"{dict(ended)}; {sum(self.seen.values()):,} rows read, {len(self.seen)} versions")
        print(f"versions mixed: {mixed}; errors: {self.errors}")
        return 1 if mixed or self.errors else 0

    def read(self) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                while not self.stop.is_set():
                    self.seen.update(connection.execute("SELECT * FROM public.joined").fetchall())
        except psycopg.Error as error:
            self.errors.append(f"a reader got: {error}")

    def run(self, number: int, fails: str) -> int:
        """The status of one run."""
        command = (DATAPIPE, "transform", "--quiet", "--threads", str(self.threads),
                   "--project-dir", str(self.folder),
                   "--vars", f"{{run: {number}, fails: '{fails}'}}")  # fmt: skip
        process = subprocess.Popen(
            command,
            env={**os.environ, "DATAPIPE_DATABASE_URL": self.url},
            stderr=subprocess.PIPE,
            text=True,
        )
        if fails in {"worker", "kill", "interrupt"}:
            self.hit(process, fails)
        said = process.communicate()[1]
        if process.returncode != STATUSES[fails]:
            print(f"run {number} ({fails}):\n{said}", file=sys.stderr)
        return process.returncode

    def hit(self, process: subprocess.Popen[str], fails: str) -> None:
        """End a worker or the whole run when a model is being built."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            while process.poll() is None:
                sleepers = connection.execute(SLEEPERS).fetchall()
                if not sleepers:
                    continue
                if fails == "worker":
                    connection.execute("SELECT pg_terminate_backend(%s)", sleepers[0])
                else:
                    process.send_signal(signal.SIGKILL if fails == "kill" else signal.SIGINT)
                return


if __name__ == "__main__":
    sys.exit(main())
