"""What PostgreSQL says, as a sentence and a cure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from datapipe.errors import WarehouseError

_CURES = {
    "28P01": "Correct the password in DATAPIPE_DATABASE_URL.",
    "28000": "Correct the user in DATAPIPE_DATABASE_URL, or let it in by pg_hba.conf.",
    "3D000": "Create the database (createdb), or correct its name in DATAPIPE_DATABASE_URL.",
    "42501": "Grant the user of DATAPIPE_DATABASE_URL the right to do so.",
    "53100": "Free some disk space and run the command again; nothing is lost.",
    "53200": "Give the server more memory, or run with less at once; nothing is lost.",
    "53300": "Wait for other clients to leave, or raise max_connections on the server.",
    "25006": "Point DATAPIPE_DATABASE_URL at the primary server if this one only reads, or set "
    "default_transaction_read_only to off.",
    "57P01": "Wait until the server is back and run the command again; nothing is lost.",
    "57P02": "Wait until the server is back and run the command again; nothing is lost.",
    "57P03": "The server is starting or stopping: wait a moment and run the command again.",
    "57014": "The statement was cancelled. Run the command again; nothing is lost.",
    "40P01": "Another transaction stood in the way. Run the command again; nothing is lost.",
    "55P03": "Another transaction holds a lock. Run the command again when it has ended.",
}

# Each table that is published takes some locks, until all are.
_TOO_FEW_LOCKS = (
    "Raise it in postgresql.conf and restart the server, or publish models one by one, by "
    "--publish per-model; nothing is lost."
)

# A failed connection has no sqlstate: libpq only passes on the server's words.
_REFUSED_BY_WORDS = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "the database system is": "57P03",
    "too many clients": "53300",
    "remaining connection slots": "53300",
}


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn what the driver raises while ``doing`` something into a WarehouseError."""
    try:
        yield
    except psycopg.Error as error:
        raise failure(error, doing) from error


def failure(error: psycopg.Error, doing: str) -> WarehouseError:
    """The WarehouseError that tells what PostgreSQL said while ``doing`` something."""
    state = error.sqlstate
    said = error.diag.message_primary or str(error).strip().splitlines()[0]
    if state is None and isinstance(error, psycopg.OperationalError):
        cure = "Wait until the server is back and run the command again; nothing is lost."
    else:
        cure = _CURES.get(state or "", "")
    hint = error.diag.message_hint
    if hint and "max_locks_per_transaction" in hint:
        cure = _TOO_FEW_LOCKS
    sentences = [f"PostgreSQL stopped {doing}: {_sentence(said)}", hint and _sentence(hint), cure]
    return WarehouseError(" ".join(filter(None, sentences)), sqlstate=state)


def unreachable(error: psycopg.OperationalError, where: str) -> WarehouseError:
    """The WarehouseError for a connection to ``where`` that was not made."""
    text = str(error)
    state = error.sqlstate or next(
        (state for words, state in _REFUSED_BY_WORDS.items() if words in text), None
    )
    if state is None and 'database "' in text and "does not exist" in text:
        state = "3D000"
    said = text.strip().splitlines()[-1].strip()
    said = said.rpartition("FATAL:")[2].strip() if "FATAL:" in said else said
    cure = _CURES.get(state or "") or (
        "Start the server, or correct DATAPIPE_DATABASE_URL; without it datapipe uses its own."
    )
    return WarehouseError(f"PostgreSQL at {where}: {_sentence(said)} {cure}", sqlstate=state)


def class_of(error: psycopg.Error) -> str:
    """The first two characters of the SQLSTATE, or nothing where no server answered.

    Source: the PostgreSQL manual, appendix A, PostgreSQL Error Codes.
    """
    return (error.sqlstate or "")[:2]


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."
