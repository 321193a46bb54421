"""Code in the sandbox: what comes back of it, and what it keeps from call to call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turnlog.consumers import sandbox
from turnlog.consumers.sandbox import Outcome, Table
from turnlog.core import codec
from turnlog.core.errors import SandboxRefused

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

pytestmark = pytest.mark.slow_once

PLACE = (1, "ada")


@pytest.fixture(autouse=True, scope="module")
def _no_worker_stays() -> Iterator[None]:
    yield
    sandbox.end_all()


async def run(code: str, table: Table | None = None, seconds: float = 20.0) -> Outcome:
    return await sandbox.run(PLACE, code, table=table, seconds=seconds)


async def value_of(code: str) -> Any:
    outcome = await run(code)
    assert not outcome.error
    return outcome.value


async def test_the_last_expression_is_the_value_and_variables_live() -> None:
    assert await value_of("a = 20\na + 1") == 21
    assert await value_of("a") == 20
    assert await value_of("b = a") is None


async def test_what_is_printed_and_what_goes_wrong_comes_back() -> None:
    outcome = await run("print('한글')\n[][0]")
    assert outcome.printed == "한글\n"
    assert outcome.error.endswith("IndexError: list index out of range")
    assert "[][0]" in outcome.error
    assert "session.py" not in outcome.error


async def test_a_chart_is_a_png_and_no_value() -> None:
    outcome = await run("pd.Series([1, 2]).plot()")
    assert outcome.value is None
    [chart] = outcome.charts
    assert chart.startswith(b"\x89PNG")
    assert (await run("1")).charts == ()


async def test_code_that_takes_too_long_is_interrupted_and_variables_live() -> None:
    await run("kept = 1")
    outcome = await run("while True: pass", seconds=0.2)
    assert outcome.error == "TimeoutError: the code ran for longer than it may"
    assert await value_of("kept") == 1


async def test_code_that_does_not_stop_is_killed() -> None:
    deaf = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    outcome = await run(deaf, seconds=0.1)
    assert outcome.error.startswith("TimeoutError")
    assert "started again" in outcome.notice
    assert await value_of("'kept' in globals()") is False


async def test_a_table_is_there_as_df_and_another_one_is_another_worker(tmp_path: Path) -> None:
    frame = pd.DataFrame({"도시": ["서울", "부산"], "n": [1, 2]})
    frame.to_parquet(tmp_path / "a")
    frame.head(1).to_feather(tmp_path / "b", compression="uncompressed")
    first, second = Table(tmp_path / "a", "a"), Table(tmp_path / "b", "b")
    outcome = await run("df", first)
    assert outcome.value.equals(frame)
    await run("mine = 1", first)
    assert (await run("mine", first)).value == 1
    outcome = await run("len(df), 'mine' in globals()", second)
    assert outcome.value == [1, False]
    assert "table has changed" in outcome.notice


ARROW = {
    "a file is written and read": (
        "file = io.BytesIO()\npd.DataFrame({'a': range(9)}).to_parquet(file)\npd.read_parquet(file)"
    ),
    "a text is read": "pd.read_csv(io.BytesIO(b'a\\n' + b'1\\n' * 9), engine='pyarrow')",
}


@pytest.mark.parametrize("what", ARROW)
async def test_variables_outlive_arrows_own_threads(what: str) -> None:
    sandbox.end_all()
    outcome = await run(f"import io\nkept = 1\n{ARROW[what]}")
    assert (outcome.error, outcome.notice, len(outcome.value)) == ("", "", 9)
    assert await value_of("kept") == 1


async def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"PAR1 and no more")
    for path in (tmp_path / "broken", tmp_path / "missing"):
        with pytest.raises(SandboxRefused, match="table"):
            await run("1", Table(path, path.name))


async def test_a_worker_that_is_ended_has_forgotten(tmp_path: Path) -> None:
    await run("mine = 1")
    await sandbox.end(PLACE)
    assert await value_of("'mine' in globals()") is False


async def test_what_comes_back_is_bounded() -> None:
    outcome = await run("pd.DataFrame({'a': range(10**4), 'b': 'x' * 3000})")
    assert outcome.value.shape == (1000, 2)
    assert outcome.value.a.tolist() == list(range(1000))
    assert "is cut" in outcome.notice
    outcome = await run("pd.DataFrame(index=range(10**9))")
    assert outcome.value.shape == (1000, 0)
    outcome = await run("pd.DataFrame(np.zeros((3, 10**5)))")
    assert outcome.value.shape == (3, 200)
    outcome = await run("for _ in range(20): plt.figure(figsize=(100, 1)).text(0, 0, 'x')")
    assert len(outcome.charts) == 8
    assert outcome.notice == "More was drawn than what comes back."


async def test_letters_that_no_database_has_are_kept_or_replaced() -> None:
    outcome = await run("print('a\\0b\\ud800c')\n['a\\0b\\ud800c', float('nan'), 2**63]")
    assert outcome.printed == "a\ufffdb\ufffdc\n"
    assert outcome.value[0] == "a\0b\ud800c"
    # The log's codec has a place for each of them.
    assert repr(codec.loads(codec.dumps(outcome.value))) == repr(outcome.value)


async def test_a_figure_that_cannot_be_drawn_says_why_and_the_others_come() -> None:
    outcome = await run("plt.plot([1])\nplt.figure()\nplt.title('$x_$')")
    assert len(outcome.charts) == 1
    assert "found end of text" in outcome.error


async def test_charts_have_hangul_whatever_font_they_ask_for() -> None:
    draw = "plt.title('가나다 한글')\nplt.plot([1])"
    for family in ("", "plt.rcParams['font.family'] = 'Malgun Gothic'\n"):
        outcome = await run(family + draw)
        assert (outcome.notice, outcome.printed, len(outcome.charts)) == ("", "", 1)
