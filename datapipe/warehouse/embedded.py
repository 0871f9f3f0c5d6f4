"""PostgreSQL of datapipe's own, started on demand.

In the data directory lie

    postgresql/       the cluster, with its socket; 0700
    postgresql.lock   locked by whoever starts or stops the server
    postgresql.log    what the server says; locked for as long as one of its processes lives

Connections are trusted, because nobody but the cluster's owner and root can enter its folder, and
the server listens nowhere else.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from datapipe.errors import WarehouseError
from datapipe.warehouse import accounts, programs
from datapipe.warehouse.accounts import Account

# Written into postgresql.conf when the cluster is made; from then on that file is the user's.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",  # the cluster's own folder: whoever may enter it may connect
    "unix_socket_permissions": "0700",
    "cluster_name": "datapipe",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    # Parallel joins need shared memory of their own, and a container's /dev/shm has but 64 MB.
    "min_dynamic_shared_memory": "128MB",
    "max_wal_size": "512MB",
    # No replica: tables that are filled in the transaction that creates them need no WAL.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "recovery_init_sync_method": "syncfs",  # after a crash, one call instead of a thousand
    "random_page_cost": "1.1",  # solid-state disks
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Errors are told to the client and stay out of the log, which would repeat the user's data.
    "log_min_messages": "log",
    "log_checkpoints": "off",
    "client_connection_check_interval": "1s",  # so that the query of a killed client ends
}

# The cluster as a server sees it that was started in it. Its parents may be closed to the
# server's account, or bear quotes that initdb and pg_ctl would pass to a shell; and a server never
# leaves this folder.
_HERE = "/proc/self/cwd"
_PORT = 5432
_SOCKET = f".s.PGSQL.{_PORT}"
_LONGEST_SOCKET = 107
_NO_PROCESS = 2**31 - 1  # Linux numbers processes up to 2**22
_LOG_BYTES = 1 << 20
_START_SECONDS = 600  # a large warehouse may take that long to recover
_STOP_SECONDS = 60
_MUTE_SECONDS = 60
_SCARCE_BYTES = 32 << 20
_FREE_SPACE = "The disk is full: free some space and run the command again; nothing is lost."
_OWN_SERVER = "set DATAPIPE_DATABASE_URL to a server of your own"


class EmbeddedServer:
    """The PostgreSQL server whose files lie under ``data_dir``."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._cluster = self.data_dir / "postgresql"
        self._log = self.data_dir / "postgresql.log"

    def url(self, database: str) -> str:
        """The URL of ``database`` on this server, whether it runs or not."""
        folder, check = self._cluster, ""
        if self._detour:
            # Anyone may write to the temporary folder: talk to nobody but our own server there.
            folder = self._detour
            check = f"?requirepeer={quote(accounts.serving(self._cluster).name, safe='')}"
        host = quote(os.fsencode(folder), safe="")
        return f"postgresql://datapipe@{host}:{_PORT}/{quote(database, safe='')}{check}"

    def start(self) -> None:
        """Return when the server accepts connections; safe to repeat, and from several processes.

        The first time it makes the cluster.
        """
        with self._explained("started"):
            if self._answer() == Ping.OK:
                return
            account = accounts.serving(self._cluster)
            with self._locked(account) as lock:
                if not self.is_initialised():
                    self._initialise(account, lock)
                self._refuse_other_version()
                self._bring_up(account)

    def stop(self) -> bool:
        """Shut the server down, ending what its clients do; False when it was not running."""
        with self._explained("stopped"):
            if not self.is_initialised():
                return False
            account = accounts.serving(self._cluster)
            with self._locked(account):
                if self._answer() == Ping.NO_RESPONSE:
                    return False
                self._shut_down(account)
                if self._detour:
                    self._detour.unlink(missing_ok=True)
        return True

    def is_running(self) -> bool:
        """Whether a server answers, be it that it is still starting or already stopping."""
        with self._explained("reached"):
            return self._answer() != Ping.NO_RESPONSE

    def is_initialised(self) -> bool:
        """Whether the cluster has been made."""
        try:
            return (self._cluster / "PG_VERSION").is_file()
        except PermissionError:
            return True  # another user's: start() says whose

    def program(self, name: str) -> Path:
        """The path of ``psql``, ``pg_dump`` and the like, of the server's version."""
        return programs.find(name)

    def _answer(self) -> Ping:
        if self._detour and self.is_initialised():
            self._make_detour(self._detour)
        target = make_conninfo(self.url("postgres"), connect_timeout=10)
        answer = Ping(PGconn.ping(os.fsencode(target)))
        if answer == Ping.NO_ATTEMPT:
            raise WarehouseError(
                "PostgreSQL's client library refuses to connect. Unset the PG... variables of the "
                "environment, such as PGSSLMODE, or correct them."
            )
        return answer

    @property
    def _detour(self) -> Path | None:
        """A short way to the cluster, where its own path cannot be that of a socket.

        That is so when the path is too long, or has a comma, which separates hosts.
        """
        path = os.fsencode(self._cluster / _SOCKET)
        if len(path) <= _LONGEST_SOCKET and b"," not in path:
            return None
        # Not in TMPDIR, which may be long as well, and another one for cron.
        name = hashlib.sha256(os.fsencode(self._cluster)).hexdigest()[:16]
        return Path("/") / "tmp" / f"datapipe-{os.geteuid()}-{name}"

    def _make_detour(self, link: Path) -> None:
        try:
            link.symlink_to(self._cluster)
        except FileExistsError:
            ours = link.is_symlink() and link.lstat().st_uid == os.geteuid()
            if not ours or link.readlink() != self._cluster:
                raise WarehouseError(
                    f"{link}, through which datapipe reaches its server, is taken. "
                    "Remove it, or set DATAPIPE_DATA_DIR to a shorter path."
                ) from None

    @contextmanager
    def _locked(self, account: Account) -> Iterator[int]:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        lock = self._open(self.data_dir / "postgresql.lock", account)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def _open(self, path: Path, account: Account) -> int:
        """Open for appending and hand it to ``account``; a link planted there is not followed."""
        opened = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if os.fstat(opened).st_uid != account.uid:
            os.fchown(opened, account.uid, account.gid)
        return opened

    def _initialise(self, account: Account, lock: int) -> None:
        """Make the cluster aside and put it in its place when it is whole and on the disk."""
        fresh = self._cluster.with_suffix(".new")
        if fresh.exists():
            shutil.rmtree(fresh)  # its maker was killed
        fresh.mkdir(mode=0o700)
        try:
            os.chown(fresh, account.uid, account.gid, follow_symlinks=False)
            done = account.run(
                [
                    programs.reachable_by(account) / "initdb",
                    *("--pgdata", _HERE, "--username=datapipe"),
                    *("--auth-local=trust", "--auth-host=reject"),
                    # One sort order on every machine, that of code points.
                    *("--encoding=UTF8", "--locale=C"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                    # One call at the end, instead of one for each of a thousand files.
                    "--sync-method=syncfs",
                    *(f"--set={name}={value}" for name, value in _SETTINGS.items()),
                ],
                cwd=fresh,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # An initdb that outlives us keeps the lock until it has ended.
                pass_fds=[lock],
            )
            if done.returncode:
                raise self._failure("set up", done.stdout)
            fresh.rename(self._cluster)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        folder = os.open(self.data_dir, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _refuse_other_version(self) -> None:
        theirs = (self._cluster / "PG_VERSION").read_text().strip()
        ours = programs.major_version()
        if theirs != ours:
            raise WarehouseError(
                f"{self._cluster} was made by PostgreSQL {theirs}; this datapipe brings {ours}. "
                f"Install the datapipe that made it, dump the databases, move the folder away, and "
                f"restore them with this one; or {_OWN_SERVER}."
            )

    def _bring_up(self, account: Account) -> None:
        begun = time.monotonic()
        while (answer := self._answer()) != Ping.OK:
            if answer == Ping.NO_RESPONSE and self._launch(account):
                continue
            # Another command's server is starting or stopping, or a dead one's children linger.
            patience = _MUTE_SECONDS if answer == Ping.NO_RESPONSE else _START_SECONDS
            if time.monotonic() - begun > patience:
                raise WarehouseError(
                    f"The server of {self._cluster} is alive, but does not answer. "
                    f"End the processes that hold {self._log} (fuser names them) and run again."
                )
            time.sleep(0.02)

    def _launch(self, account: Account) -> bool:
        """Start the server and wait until it is ready; False when one is alive already.

        The log is every server process's standard error, and the lock on it ends with the last of
        them. No number in a file tells as much: it may be another process's by now, or one of
        another container.
        """
        log = self._open(self._log, account)
        try:
            try:
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if os.fstat(log).st_size > _LOG_BYTES:
                os.ftruncate(log, 0)
            before = os.fstat(log).st_size
            for name in ("postmaster.pid", f"{_SOCKET}.lock"):
                self._disown(self._cluster / name, account)
            done = self._pg_ctl(account, "start", f"--timeout={_START_SECONDS}", stdout=log)
            if done.returncode:
                said = os.pread(log, _LOG_BYTES, before).decode(errors="replace")
                raise self._failure("started", said)
            if self._answer() == Ping.NO_RESPONSE:
                raise WarehouseError(
                    f"The server of {self._cluster} runs, but not at its socket. Set port to "
                    f"{_PORT} and unix_socket_directories to '.' in its postgresql.conf."
                )
        finally:
            os.close(log)
        return True

    def _shut_down(self, account: Account) -> None:
        # PostgreSQL 18 waits for ever when it is told to stop while it recovers from a crash.
        until = time.monotonic() + _START_SECONDS
        while (answer := self._answer()) == Ping.REJECT and time.monotonic() < until:
            time.sleep(0.02)
        if answer == Ping.NO_RESPONSE:
            return  # it was stopping already
        if not self._serves_here(self._postmaster()):
            raise WarehouseError(
                f"The server of {self._cluster} was started in another container. Stop it there."
            )
        done = self._pg_ctl(account, "stop", "--mode=fast", f"--timeout={_STOP_SECONDS}")
        if done.returncode:  # the next start replays what is missing, as after a power cut
            done = self._pg_ctl(account, "stop", "--mode=immediate", f"--timeout={_STOP_SECONDS}")
        if done.returncode:
            raise self._failure("stopped", done.stdout)

    def _pg_ctl(
        self, account: Account, action: str, *options: str, stdout: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        pg_ctl = programs.reachable_by(account) / "pg_ctl"
        return account.run(
            [pg_ctl, action, "--pgdata", _HERE, "--silent", "--wait", *options],
            cwd=self._cluster,
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )

    def _disown(self, path: Path, account: Account) -> None:
        """Take a dead server's number out of its lock file.

        PostgreSQL would believe it alive if the same user has a process of that number by now. The
        rest stays: by the shared memory named there PostgreSQL finds survivors.
        """
        try:
            opened = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        with os.fdopen(opened, "r+b") as file:
            number, _, rest = file.read().partition(b"\n")
            if os.fstat(opened).st_uid == account.uid and not self._serves_here(number):
                file.seek(0)
                file.write(b"%d\n" % _NO_PROCESS + rest)
                file.truncate()

    def _postmaster(self) -> str:
        with (self._cluster / "postmaster.pid").open() as lines:
            return next(lines, "").strip()

    def _serves_here(self, process: bytes | str) -> bool:
        """Whether ``process`` works in the cluster, as its server does from beginning to end."""
        try:
            return Path(f"/proc/{int(process)}/cwd").samefile(self._cluster)
        except (OSError, ValueError):
            return False

    def _failure(self, done: str, output: str) -> WarehouseError:
        spoken = re.findall(r"(?:PANIC|FATAL|ERROR|error):\s+(.+)", output)
        lines = [line for line in output.splitlines() if line.strip()]
        said = (spoken or lines or ["it said nothing"])[-1].strip().rstrip(".")
        cure = f"Its log is {self._log}; mend the cause, or {_OWN_SERVER}."
        full = "No space left" in output or "quota exceeded" in output
        if full or shutil.disk_usage(self.data_dir).free < _SCARCE_BYTES:
            cure = _FREE_SPACE
        elif "could not look up effective user" in output:
            cure = f"Give this user a name in /etc/passwd, or {_OWN_SERVER}."
        return WarehouseError(f"datapipe's own PostgreSQL could not be {done}: {said}. {cure}")

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = os.fsdecode(error.filename) if error.filename else self.data_dir
            who = "" if os.geteuid() else "run datapipe as an ordinary user, "
            cure = (
                f"Set DATAPIPE_DATA_DIR to a folder that you can write to, {who}or {_OWN_SERVER}."
            )
            raise WarehouseError(
                f"datapipe's own PostgreSQL could not be {done}: {where}: {error.strerror}. "
                + (_FREE_SPACE if error.errno in {errno.ENOSPC, errno.EDQUOT} else cure)
            ) from error
