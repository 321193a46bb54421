"""What `manage.py check --deploy` says about the sandbox."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.core import checks

from ...core.errors import ConfigurationError, SandboxRefused
from .standing import first_worker
from .tiers import FULL, RUNNER


def check_sandbox(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report which tier of the sandbox this machine allows, by starting a worker that tries to get
    out: turnlog.I001, turnlog.W010 for one that is not complete, turnlog.W011 for none.

    Without pandas there is no analyst, and nothing to say.
    """
    if find_spec("pandas") is None:
        return []
    try:
        tier, worker = first_worker(lambda start: start(), probe=True)
    except (SandboxRefused, ConfigurationError) as error:
        return [
            checks.Warning(
                f"code that a model wrote cannot run here: {error}",
                hint="If the project has no data analyst, silence turnlog.W011.",
                id="turnlog.W011",
            )
        ]
    worker.end()
    if tier.name in (FULL, RUNNER):
        return [checks.Info(f"the sandbox's tier is {tier.name!r}", id="turnlog.I001")]
    return [
        checks.Warning(
            f"the sandbox's tier is {tier.name!r}, and not 'full': {tier.why or 'no bubblewrap'}",
            hint="See turnlog's page about the sandbox for how to get there.",
            id="turnlog.W010",
        )
    ]
