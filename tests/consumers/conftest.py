"""What the tests of one process would otherwise leave to each other."""

from __future__ import annotations

import pytest

from turnlog.consumers.socket import limits


@pytest.fixture(autouse=True)
def _nobody_was_here(monkeypatch: pytest.MonkeyPatch) -> None:
    # A share that other tests left is forgotten on their event loop, which has ended.
    monkeypatch.setattr(limits, "_shares", {})
