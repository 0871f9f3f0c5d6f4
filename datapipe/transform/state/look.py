"""The state of every relation before a run, and how it differs from what earlier runs recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

import psycopg

from datapipe.frozen import frozen
from datapipe.transform.database.catalog import Name
from datapipe.transform.database.statements import flush
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.state import tokens
from datapipe.transform.state.fingerprint import hashed
from datapipe.transform.state.functions import Functions
from datapipe.transform.state.functions import look as look_at_functions
from datapipe.transform.state.records import NodeState
from datapipe.transform.state.tokens import FUNCTION_KIND, Token, Tokens


@frozen
class Look:
    """The database as it was before a run. Relations are known by their quoted full names."""

    connection: psycopg.Connection
    tokens: Tokens
    by_oid: Mapping[int, str]
    functions: Functions
    is_quiet: bool  # PostgreSQL's counts of changed rows are complete
    is_distributed: bool  # neither counts nor digests see the rows of other servers
    # Tables that may have changed: neither counts nor a digest could tell.
    untold: set[str] = field(default_factory=set)
    # Large tables whose digest is taken only if nothing else decides.
    large: set[str] = field(default_factory=set)

    def changed(self, key: str, before: Token, *, shape_only: bool = False) -> str:
        """How the relation differs from ``before``: a sentence without its subject, or nothing."""
        now = self.tokens.get(key)
        if now is None:
            return "is gone"
        if now.kind == FUNCTION_KIND:
            return "" if now.shape == before.shape else "was made anew"
        if now.kind in {"f", "S"}:
            return "is a foreign table" if now.kind == "f" else "is a sequence"
        if now.guarded or before.guarded:
            return "has row security"
        if now.kind != before.kind or now.parts != before.parts:
            return "was made anew"
        if now.shape != before.shape:
            return _how_reshaped(before, now)
        if now.kind == "v":
            same = now.rule == before.rule or (
                now.definition and now.definition == before.definition
            )
            return "" if same else "was defined anew"
        if shape_only:
            return ""
        if before.digest and key in self.large:
            self.large.discard(key)
            tokens.digested(self.tokens, tokens.digests(self.connection, [key]))
            now = self.tokens[key]
        if before.digest and now.digest:
            return "" if now.digest == before.digest else "has other rows"
        if now.epoch == before.epoch and now.counts != before.counts:
            return "has other rows"
        if now.epoch == before.epoch and self.is_quiet:
            return ""
        self.untold.add(key)
        return "untold"


def _how_reshaped(before: Token, now: Token) -> str:
    was, is_ = before.shape.split("/"), now.shape.split("/")
    if was[0] != is_[0]:
        return "was made anew"
    if was[2] != is_[2]:
        return "has other columns"
    return "was emptied or written anew"


def look(
    connection: psycopg.Connection,
    pids: Iterable[int],
    recorded: Iterable[NodeState],
    functions: Iterable[Name] = (),
) -> Look:
    """Look at every relation; reads the rows of small tables whose counts cannot tell.

    ``pids`` are the server processes of the run's own connections, and ``functions`` the names of
    the project's own functions. ``connection`` is in autocommit.
    """
    flush(connection)
    is_quiet = tokens.is_quiet(connection, list(pids))
    found, by_oid = tokens.look(connection)
    own = list(functions)
    found |= look_at_functions(connection, own)
    compared: set[str] = set()
    doubtful: set[str] = set()
    redefined: set[str] = set()
    for key, before in _recorded_tokens(recorded):
        now = found.get(key)
        if now is None or now.shape != before.shape:
            continue
        if now.kind == "v" and now.rule != before.rule and before.definition:
            redefined.add(key)
        elif now.kind in {"r", "m"} and before.digest:
            if now.epoch == before.epoch and now.counts != before.counts:
                doubtful.add(key)  # what was rolled back is counted, too
            elif now.epoch != before.epoch or not is_quiet:
                compared.add(key)
    small = {*tokens.small(connection, compared | doubtful)}
    tokens.digested(found, tokens.digests(connection, sorted(small)))
    define(connection, found, redefined)
    return Look(
        connection,
        found,
        by_oid,
        Functions(connection, own),
        is_quiet,
        tokens.is_distributed(connection),
        large=compared - small,
    )


def of_models(connection: psycopg.Connection, models: Iterable[Model]) -> Tokens:
    """The tokens of the published relations and functions of ``models``, as they are now."""
    relations = [model.relation for model in models if not model.is_function]
    found, _ = tokens.look(connection, [(each.schema, each.identifier) for each in relations])
    functions = [model.relation.published for model in models if model.is_function]
    return found | look_at_functions(connection, functions)


def define(connection: psycopg.Connection, found: dict[str, Token], views: Iterable[str]) -> None:
    """Add hashes of their texts to ``views`` among ``found``."""
    for key, (rule, text) in tokens.definitions(connection, sorted(views)).items():
        if found[key].rule == rule:  # else somebody has changed it since
            found[key] = found[key]._replace(definition=hashed(text))


def _recorded_tokens(recorded: Iterable[NodeState]) -> Iterator[tuple[str, Token]]:
    for state in recorded:
        if state.relation and state.output:
            yield state.relation, state.output
        yield from state.inputs.items()
