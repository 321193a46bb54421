"""Registers the optional libraries. Their modules are imported when the first value arrives.

This is the only place in the codec's core that knows the folder `frames`.
"""

from __future__ import annotations

from .frames import LIBRARIES as NUMPY_AND_PANDAS
from .libraries import LIBRARIES, EncoderFor, Library
from .messages import encoder_for as encoder_for_message


def _images() -> EncoderFor:
    from .images import encoder_for  # lazy: imports Pillow, which is optional

    return encoder_for


def _messages() -> EncoderFor:
    return encoder_for_message


LIBRARIES.update(NUMPY_AND_PANDAS)
LIBRARIES["PIL"] = Library("Pillow", _images)
for _package in ("langchain_core", "langchain", "langchain_classic"):
    LIBRARIES[_package] = Library("LangChain", _messages)
