import traceback
from pathlib import Path

import pytest

from pipelines.errors import ConfigurationError
from pipelines.settings import EXCHANGE_PASSWORD, Secrets, database_url, source_password

NAMES = ("SLOTFEED_A", "API_A")


def dotenv(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def found(secrets: Secrets, names: tuple[str, ...] = NAMES) -> str | None:
    secret = secrets.find(names)
    return secret.get_secret_value() if secret else None


def test_the_environment_comes_first_then_dotenv_then_the_store_handed_in(tmp_path: Path) -> None:
    dotenv(tmp_path, "SLOTFEED_A=from-dotenv\n")
    elsewhere = {"SLOTFEED_A": "from-store", "SLOTFEED_B": "from-store"}.get
    everywhere = Secrets(tmp_path, {"API_A": "from-environment"}, elsewhere)
    assert found(everywhere) == "from-environment"
    assert found(Secrets(tmp_path, {}, elsewhere)) == "from-dotenv"
    assert found(everywhere, ("SLOTFEED_B",)) == "from-store"
    assert found(everywhere, ("SLOTFEED_C",)) is None


def test_slotfeed_s_own_name_comes_before_gsy_s(tmp_path: Path) -> None:
    environment = {"API_CLIENT_PASSWORD": "gsy", "SLOTFEED_EXCHANGE_PASSWORD": "own"}
    assert found(Secrets(tmp_path, environment), EXCHANGE_PASSWORD) == "own"
    del environment["SLOTFEED_EXCHANGE_PASSWORD"]
    assert found(Secrets(tmp_path, environment), EXCHANGE_PASSWORD) == "gsy"


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    dotenv(tmp_path, "SLOTFEED_A=from-dotenv\n")
    assert found(Secrets(tmp_path, {"SLOTFEED_A": ""})) == "from-dotenv"


def test_dotenv_values_are_taken_as_written(tmp_path: Path) -> None:
    dotenv(tmp_path, "SLOTFEED_A='p${HOME}#w'\n")
    assert found(Secrets(tmp_path, {"HOME": "/root"})) == "p${HOME}#w"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_dotenv_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = dotenv(tmp_path, "SLOTFEED_A=hush\n", mode)
    with pytest.raises(ConfigurationError) as caught:
        Secrets(tmp_path, {}).find(NAMES)
    assert f"Run: chmod 600 {path}" in str(caught.value)
    assert f"{mode:04o}" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_missing_secret_names_every_place_that_was_looked_in(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Secrets(tmp_path, {}).need(NAMES, purpose="the exchange's password")
    told = str(caught.value)
    assert "the exchange's password is not set; looked in the environment, " + str(tmp_path / ".env") in told
    assert "Set SLOTFEED_A or API_A in one of them" in told
    assert "Prefect" not in told
    with pytest.raises(ConfigurationError, match="Prefect Secret blocks"):
        Secrets(tmp_path, {}, lambda _: None).need(NAMES, purpose="the exchange's password")


def test_a_set_secret_is_handed_over_without_being_shown(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, {"SLOTFEED_A": "hush"}, lambda _: "hush")
    assert secrets.need(NAMES, purpose="x").get_secret_value() == "hush"
    assert "hush" not in f"{secrets!r} {secrets.need(NAMES, purpose='x')!r}"


def test_the_real_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTFEED_A", "from-environment")
    assert found(Secrets(tmp_path)) == "from-environment"


def test_a_source_s_password_is_named_after_it() -> None:
    assert source_password("meters") == ("SLOTFEED_SOURCE_METERS_PASSWORD",)


def test_a_url_gets_the_password_of_its_user(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, {"SLOTFEED_A": "p@ss/w:rd"})
    url = database_url("postgresql+psycopg://reader@h:5433/d", NAMES, secrets, where="source 'meters'")
    assert (url.username, url.password, url.host, url.port) == ("reader", "p@ss/w:rd", "h", 5433)
    assert "p@ss" not in str(url)


def test_a_url_without_user_gets_no_password(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, {"SLOTFEED_A": "hush"})
    assert database_url("sqlite:///x.sqlite", NAMES, secrets, where="database").password is None
    assert database_url("postgresql+psycopg://u@h/d", NAMES, Secrets(tmp_path, {}), where="database").password is None


@pytest.mark.parametrize("url", ["meters.sqlite", "postgresql//u:hush@h/d", "postgresql://u@h:hush/d", ""])
def test_what_is_no_url_is_refused_without_being_quoted(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        database_url(url, NAMES, Secrets(tmp_path, {}), where="source 'meters'")
    assert str(caught.value).startswith("source 'meters', url: this is no database URL")
    assert "hush" not in "".join(traceback.format_exception(caught.value))
