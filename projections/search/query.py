"""Search queries: what a query means, and which SQL it becomes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import FullResultSet
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, F, Func, Value

from ...core.errors import TurnlogError
from .index import has_index
from .texts import normalised

MAX_QUERY = 1000

_TRIGRAM = 3
_TERM = re.compile(r'"([^"]+)"(?!\S)|(\S+)')


class SearchError(TurnlogError, ValueError):
    """A search that is empty or too long."""


def terms_of(query: str) -> list[str]:
    """Return the words and phrases (in double quotes) that a text must all contain, normalised.

    Any other character stands for itself. Raises SearchError if there are none, or if the query is
    too long.
    """
    words = normalised(query)
    if len(words) > MAX_QUERY:
        raise SearchError(
            f"expected a search of at most {MAX_QUERY} characters, found {len(words)}; search for"
            " a part of it"
        )
    terms = [(phrase or word).strip() for phrase, word in _TERM.findall(words)]
    found = [term for term in dict.fromkeys(terms) if term]
    if not found:
        raise SearchError("expected a word to search for, found none; give at least one character")
    return found


def says(text: str, query: str) -> bool:
    """Return whether a text contains what a query looks for. Raises SearchError."""
    where = normalised(text)
    return all(term in where for term in terms_of(query))


def is_indexed(query: str, connection: BaseDatabaseWrapper) -> bool:
    """Return whether an index narrows a search down. Raises SearchError as `terms_of` does."""
    if connection.vendor != "sqlite":
        return True
    return has_index(connection) and any(len(term) >= _TRIGRAM for term in terms_of(query))


class Holds(Func):
    """Whether `normalised` contains a term."""

    function = "strpos"
    template = "%(function)s(%(expressions)s) > 0"
    output_field = BooleanField()

    def __init__(self, term: str) -> None:
        super().__init__(F("normalised"), Value(term))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="instr", **context)


class MayHold(Func):
    """Whether a row may contain all terms, according to the index, which never misses one."""

    output_field = BooleanField()

    def __init__(self, terms: Sequence[str]) -> None:
        super().__init__(F("pk"), F("normalised"))
        self.terms = tuple(terms)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column, parameters = compiler.compile(self.source_expressions[1])
        # The same expression as in the index's definition.
        sql = f'turnlog_grams({column} COLLATE "C") @> %s::text[]'
        return sql, (*parameters, sorted(set().union(*map(_grams, self.terms))))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # FTS5 indexes trigrams only: shorter terms are looked for in every row.
        long = [term.replace('"', '""') for term in self.terms if len(term) >= _TRIGRAM]
        if not long or not has_index(connection):
            raise FullResultSet
        key, parameters = compiler.compile(self.source_expressions[0])
        sql = f"{key} IN (SELECT rowid FROM turnlog_search_fts WHERE turnlog_search_fts MATCH %s)"
        return sql, (*parameters, " AND ".join(f'"{term}"' for term in long))


def _grams(term: str) -> set[str]:
    """Return the pairs of neighbours in a term, or its only character."""
    return {term[n : n + 2] for n in range(len(term) - 1)} or {term}
