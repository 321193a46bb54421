"""A schema for each tenant, by a context variable; and a PostgreSQL engine that goes by it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

schema = ContextVar("schema", default="public")


def current() -> str:
    return schema.get()


def around() -> AbstractContextManager[Any]:
    """For django-tenants, whose connections each keep their tenant."""
    from django_tenants.utils import schema_context

    chosen: AbstractContextManager[Any] = schema_context(schema.get())
    return chosen
