import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.lazily import lazily

HEAVY = ("scipy.stats._stats_py", "altair.vegalite")


def test_a_module_is_run_when_it_is_used_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("seldom_used", "often_used"):
        (tmp_path / f"{name}.py").write_text("from pathlib import Path\nPath(__file__ + '.ran').touch()\nVALUE = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = list(sys.meta_path)
    with lazily("seldom_used", "not_even_there"):
        import often_used  # type: ignore[import-not-found]  # noqa: F401, PLC0415
        import seldom_used  # type: ignore[import-not-found]  # noqa: PLC0415

        with pytest.raises(ModuleNotFoundError, match="not_even_there"):
            import not_even_there  # type: ignore[import-not-found]  # noqa: F401, PLC0415
    assert sys.meta_path == before
    assert sorted(path.name for path in tmp_path.glob("*.ran")) == ["often_used.py.ran"]
    assert seldom_used.VALUE == 7
    assert (tmp_path / "seldom_used.py.ran").exists()


def test_a_run_that_judges_readings_loads_neither_statistics_nor_charts() -> None:
    """In a process of its own: here others have loaded them."""
    judges = (
        "from pipelines.validate.engine import warm_up; from expectations.names import Suite; warm_up(Suite.READINGS)"
    )
    told = f"{judges}; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
