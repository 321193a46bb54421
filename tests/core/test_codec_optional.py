"""Libraries that may be missing, and that must not be imported before they are needed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from langchain_core.messages import HumanMessage

from turnlog.core.codec import dumps

pytestmark = pytest.mark.slow_once

HEAVY = ("numpy", "pandas", "PIL", "langchain_core", "pydantic", "django")
BLOCKED = """
import sys
for name in ("numpy", "pandas", "PIL", "langchain_core"):
    sys.modules[name] = None  # importing it raises ImportError
"""


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_plain_values_import_nothing() -> None:
    code = f"""
import sys
from turnlog.core.codec import CodecError, dumps, loads
assert loads(dumps({{"a": (1, b"x")}})) == {{"a": (1, b"x")}}
try:
    dumps(object())
except CodecError:
    pass
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run(code) == "[]"


def test_messages_import_langchain_but_no_pandas() -> None:
    code = f"""
import sys
from turnlog.core.codec import loads
print(loads({dumps(HumanMessage("hi"))!r}).content)
print([name for name in ("pandas", "PIL", "langchain_openai") if name in sys.modules])
"""
    assert run(code).splitlines() == ["hi", "[]"]


@pytest.mark.parametrize("block", ["", "sys.modules['pandas'] = None"], ids=["with", "without"])
def test_arrays_import_numpy_but_no_pandas(block: str) -> None:
    code = f"""
import sys
{block}
from turnlog.core.codec import dumps, loads
assert "numpy" not in sys.modules
array = loads({dumps(np.arange(3))!r})
print(array.tolist(), dumps(array) == {dumps(np.arange(3))!r}, bool(sys.modules.get("pandas")))
"""
    assert run(code) == "[0, 1, 2] True False"


@pytest.mark.parametrize(
    "text",
    [
        dumps(np.int8(1)),
        dumps(np.arange(3)),
        dumps(pd.DataFrame({"a": [1]})),
        dumps(pd.NaT),
        '{"_type":"PIL.Image","_value":{}}',
        '{"_type":"DataFrame","_value":{"a":{"0":1}}}',
    ],
    ids=lambda text: text[:26],
)
def test_what_to_install_is_said(text: str) -> None:
    code = f"""{BLOCKED}
from turnlog.core.codec import CodecError, loads
try:
    loads({'{"tools":[' + text + "]}"!r})
except CodecError as error:
    print(error.path, error.type_name)
    print(error)
"""
    where, message = run(code).splitlines()
    assert where.startswith("$.tools[0] ")
    assert "install django-turnlog[analyst]" in message


def test_without_langchain_messages_are_refused_and_the_rest_works() -> None:
    code = f"""{BLOCKED}
from turnlog.core.codec import CodecError, dumps, loads
print(dumps(loads('{{"_type":"tuple","_value":[1]}}')))
try:
    loads({dumps(HumanMessage("hi"))!r})
except CodecError as error:
    print(error)
"""
    plain, message = run(code).splitlines()
    assert plain == '{"_type":"tuple","_value":[1]}'
    assert "langchain-core" in message
