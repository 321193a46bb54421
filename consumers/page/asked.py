"""What a call that waits for a person would be made with: nobody approves what they have not seen.

So it does not share the room of what the turn's tools have said, and where it is not shown whole,
it is not approved on a page.
"""

from __future__ import annotations

import sys
from typing import Any

from django.utils.translation import gettext as _

from ...core.codec.blobs import blobs_in
from ...core.codec.encoded import Encoded
from ...core.codec.excerpts import beginning
from ...core.errors import CodecError
from ...core.wellformed import clipped

MOST = 100_000
"""Characters of a call's input that a page shows at most before somebody approves it."""


def readable_input(document: Any) -> Any:
    """Return the code that is a call's only argument, or its input as it is."""
    code = document.get("code") if isinstance(document, dict) and len(document) == 1 else None
    # Code is read by its lines, which JSON does not have.
    return code if isinstance(code, str) else document


def shown_and_missing(document: Any) -> tuple[str, int]:
    """Return the input of a call as text for people, and how many characters are missing there;
    bytes, where they are in blobs."""
    if document is None:
        return "", 0
    apart = 0
    if type(document) is Encoded:
        text = document.text
        apart = sum(blob.size for blob in blobs_in(text))
    else:
        try:
            text = beginning(readable_input(document), sys.maxsize)
        except CodecError as error:
            return clipped(str(error), MOST), 1
    return clipped(text, MOST), max(len(text) - MOST, 0) + apart


def why_not_approved(missing: int) -> str:
    """Return why nobody approves a call here, for a user; "" if all of its input is shown."""
    if not missing:
        return ""
    return _(
        "This call cannot be approved here: %(missing)s characters of its input are not shown."
    ) % {"missing": missing}
