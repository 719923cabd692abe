"""Files with secrets: their owner's alone, or not used."""

import os
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from pipelines.collect.cloud.tokens import TokenFile, Tokens
from pipelines.errors import ConfigurationError, SourceError
from pipelines.private import not_private
from pipelines.settings import Secrets
from tests.security.doors import NOW

SECRET = "hush-4c1e"


def env(folder: Path) -> Path:
    path = folder / ".env"
    path.write_text(f"SLOTFEED_A={SECRET}\n")
    path.chmod(0o600)
    return path


def tokens(folder: Path) -> Path:
    file = TokenFile(folder, "acc")
    file.write(Tokens(access="a", refresh=SECRET, expires_at=NOW))
    return file.path


def read_env(path: Path) -> str | None:
    found = Secrets(path.parent, {}).find(("SLOTFEED_A",))
    return found.get_secret_value() if found else None


def read_tokens(path: Path) -> str | None:
    found = TokenFile(path.parent, "acc").read()
    return found.refresh if found else None


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], str | None]]] = {
    ".env": (env, read_env),
    "tokens": (tokens, read_tokens),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def refused(kind: str, path: Path) -> str:
    with pytest.raises((ConfigurationError, SourceError)) as caught:
        KINDS[kind][1](path)
    assert SECRET not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_its_owner_s_alone_is_read(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    assert read(make(tmp_path)) == SECRET
    assert read(tmp_path / "nowhere" / "x") is None


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o601, 0o777])
def test_one_that_others_can_read_or_change_is_not(kind: str, mode: int, tmp_path: Path) -> None:
    path = KINDS[kind][0](tmp_path)
    path.chmod(mode)
    assert f"mode {mode:04o}" in refused(kind, path)
    assert f"chmod 600 {path}" in refused(kind, path)


def test_a_link_is_judged_by_what_it_leads_to(kind: str, tmp_path: Path) -> None:
    make, read = KINDS[kind]
    path = make(tmp_path)
    target = path.rename(tmp_path / "elsewhere")
    path.symlink_to(target)
    assert read(path) == SECRET
    target.chmod(0o644)
    assert "mode 0644" in refused(kind, path)
    path.unlink()
    path.symlink_to(tmp_path)
    assert "it is no file" in refused(kind, path)


def test_a_pipe_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind][0](tmp_path)
    path.unlink()
    os.mkfifo(path, 0o600)
    assert "it is no file" in refused(kind, path)


def test_another_user_s_is_not(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, read = KINDS[kind]
    path = make(tmp_path)
    if os.geteuid() == 0:
        os.chown(path, 4321, -1)
        assert "another user (uid 4321)" in refused(kind, path)
        # Whose the folder is, his is the file: root runs for him, as in a container.
        os.chown(tmp_path, 4321, -1)
        assert read(path) == SECRET
        monkeypatch.setattr(os, "geteuid", lambda: 1234)
        assert "another user (uid 4321)" in refused(kind, path)
    else:
        own = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)
        assert f"another user (uid {own})" in refused(kind, path)


def test_a_link_of_another_user_s_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = env(tmp_path).rename(tmp_path / "mine")
    path = tmp_path / ".env"
    path.symlink_to(target)
    if os.geteuid() != 0:
        pytest.skip("only root can give a link away")
    os.chown(path, 4321, -1, follow_symlinks=False)
    assert "another user (uid 4321)" in not_private(path)
    assert not_private(target) == ""
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert not_private(path) == "", "root's target through one's own link"


def test_tokens_are_written_for_their_owner_alone_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tokens(tmp_path / "tokens")
    finally:
        os.umask(before)
    assert {one.name: one.stat().st_mode & 0o777 for one in [path.parent, *path.parent.iterdir()]} == {
        "tokens": 0o700,
        "acc.json": 0o600,
        "acc.lock": 0o600,
    }
    assert set(orjson.loads(path.read_bytes())) == {"access", "refresh", "expires_at", "told"}


def test_a_folder_of_tokens_that_was_opened_is_closed_again(tmp_path: Path) -> None:
    folder = tokens(tmp_path / "tokens").parent
    folder.chmod(0o755)
    tokens(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
