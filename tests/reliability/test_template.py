"""Runs of the program that are forks of one template."""

import os
import signal
from pathlib import Path

import pytest

from tests.reliability.template import Template, open_template

WAIT_FOR_SIGNALS = ("signal:pause",)
THIS = "tests.reliability.test_template"


def kill_myself(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture(scope="module")
def template() -> object:
    with open_template() as opened:
        yield opened


def test_runs_have_a_status_an_output_and_an_environment_each(template: Template, tmp_path: Path) -> None:
    runs = [
        template.start(
            "check",
            cwd=tmp_path,
            output=tmp_path / f"{name}.txt",
            environment={"PATH": os.environ["PATH"], "SLOTFEED_COMMUNITY": f"{name}.yaml"},
        )
        for name in ("one", "other")
    ]
    assert runs[0].pid != runs[1].pid
    assert [run.wait() for run in runs] == [1, 1]
    assert "fault one.yaml\n  there is no such file" in runs[0].printed
    assert "fault other.yaml\n  there is no such file" in runs[1].printed


def test_a_run_can_be_killed_and_can_kill_itself(template: Template, tmp_path: Path) -> None:
    waiting = template.start("check", cwd=tmp_path, output=tmp_path / "a.txt", before=[WAIT_FOR_SIGNALS])
    assert waiting.poll() is None
    dying = template.start(
        "check", cwd=tmp_path, output=tmp_path / "b.txt", before=[(f"{THIS}:kill_myself", int(signal.SIGKILL))]
    )
    assert dying.wait() == -signal.SIGKILL
    assert waiting.poll() is None
    waiting.kill()
    assert waiting.status == -signal.SIGKILL


def test_two_runs_that_end_at_once_are_both_heard_of(template: Template, tmp_path: Path) -> None:
    runs = [
        template.start("check", cwd=tmp_path, output=tmp_path / name, before=[WAIT_FOR_SIGNALS]) for name in ("a", "b")
    ]
    for run in runs:
        os.kill(run.pid, signal.SIGKILL)
    while any(Path(f"/proc/{run.pid}").exists() for run in runs):
        pass
    assert [run.wait(timeout_s=20) for run in runs] == [-signal.SIGKILL] * 2
