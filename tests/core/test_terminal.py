import pytest

from turnlog.core.terminal import counted


@pytest.mark.parametrize(("count", "said"), [(0, "0 turns"), (1, "1 turn"), (2, "2 turns")])
def test_one_is_not_said_like_others(count, said):
    assert counted(count, "turn") == said
