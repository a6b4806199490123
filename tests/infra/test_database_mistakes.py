"""Each mistake in a PostgreSQL address for MLflow gives one sentence at once."""

from __future__ import annotations

import os

import pytest
from postgres import PASSWORD, Postgres

from components.registry.warm_start import find_initial
from components.tracking.server import check_destination
from gan_core.errors import InvalidInput, TryAgain
from infra.local.services import postgres_programs

PROGRAMS = postgres_programs()


@pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed: apt-get install postgresql")
def test_a_wrong_password_an_absent_database_and_an_unreachable_server_give_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    assert PROGRAMS is not None
    with Postgres(PROGRAMS) as server:
        whole = server.uri("postgres")
        for address in (whole.replace(PASSWORD, "guessed"), server.uri("absent"), whole.replace("mlflow:", "nobody:")):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            for call in (check_destination, lambda: find_initial("models:/generator@champion")):
                with pytest.raises(InvalidInput, match="must name a database, a user and a password") as raised:
                    call()
                assert "guessed" not in str(raised.value)
                assert PASSWORD not in str(raised.value)
        server.stop()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", whole)
        check_destination()
        with pytest.raises(TryAgain, match="Connection refused"):
            find_initial("models:/generator@champion")
