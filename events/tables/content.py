from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from django.db import connections, models, router

from ...core import retrying
from ...core.errors import NotStored
from ...core.fields import WordsField


class ContentManager(models.Manager["Content"]):
    def keep(self, *texts: str) -> list[str]:
        """Store texts that are not there yet, and keep all of them until the transaction ends.

        Returns their SHA-256 digests in hex, in order. Raises NotStored if the database does not
        keep one of them.
        """
        rows = [Content(sha256=sha256(text.encode()).hexdigest(), text=text) for text in texts]
        wanted = {row.sha256: row for row in rows}
        contents = self.using(router.db_for_write(Content))
        for _ in range(retrying.VANISHED_TEXTS):
            missing = wanted.keys() - locked(contents, wanted)
            if not missing:
                break
            # A conflict means that another transaction is storing the same bytes.
            contents.bulk_create([wanted[key] for key in sorted(missing)], ignore_conflicts=True)
        else:
            if missing := wanted.keys() - locked(contents, wanted):
                what = f"expected {len(wanted)} texts, found {len(wanted) - len(missing)} of them"
                raise NotStored("turnlog_content", what)
        return [row.sha256 for row in rows]


class Content(models.Model):
    """Texts that many turns share (system prompts, tool schemas), once each."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    text = WordsField()

    objects = ContentManager()

    class Meta:
        db_table = "turnlog_content"

    def __str__(self) -> str:
        return self.sha256


def texts_of(payload: str | bytes) -> dict[str, str]:
    """The digests by which a TurnStarted's stored payload refers to texts, by field.

    Raises ValueError or RecursionError if the payload is not JSON.
    """
    started = json.loads(payload)
    if not isinstance(started, dict):
        return {}
    named = {name: started.get(name) for name in ("system_prompt", "tools")}
    return {name: key for name, key in named.items() if isinstance(key, str)}


def locked(rows: models.QuerySet[Any], digests: Iterable[str]) -> set[str]:
    """The digests, of some, by which there are rows. Locks these: an erasure that would delete one
    waits."""
    digests = list(digests)
    if connections[rows.db].vendor == "sqlite":
        # SQLite has one writer at a time.
        return set(rows.filter(pk__in=digests).values_list("pk", flat=True))
    table = rows.model._meta.db_table
    found = rows.raw(
        f"SELECT sha256 FROM {table} WHERE sha256 = ANY(%s) ORDER BY sha256 FOR KEY SHARE",
        [digests],
    )
    return {row.pk for row in found}
