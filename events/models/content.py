from __future__ import annotations

from hashlib import sha256

from django.db import models


class ContentManager(models.Manager["Content"]):
    def keep(self, *texts: str) -> list[str]:
        """Store texts that are not there yet; their SHA-256 digests in hex, in order."""
        rows = [Content(sha256=sha256(text.encode()).hexdigest(), text=text) for text in texts]
        # A conflict means that these very bytes are there already.
        self.bulk_create({row.sha256: row for row in rows}.values(), ignore_conflicts=True)
        return [row.sha256 for row in rows]


class Content(models.Model):
    """Texts that many turns share (system prompts, tool schemas), once each."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    text = models.TextField()

    objects = ContentManager()

    class Meta:
        db_table = "turnlog_content"

    def __str__(self) -> str:
        return self.sha256
