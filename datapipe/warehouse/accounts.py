"""The account that PostgreSQL runs under, since it refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datapipe.errors import WarehouseError
from datapipe.frozen import frozen

_PREFERRED = ("datapipe", "postgres", "nobody")


@frozen
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
