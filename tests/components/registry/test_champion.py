"""The champion that a generator is compared with, from a real registry on sqlite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from evaluations import evaluation, generator
from registrations import CONFIG, MARKS
from storage_emulator import BUCKET
from storage_proxy import StorageProxy

from components import evaluate
from components.registry.champion import champion_folder, find_champion, registry_name
from components.registry.registration import register
from components.storage import paths, transfer
from components.storage.bucket import Address
from gan_core.errors import InvalidInput
from gan_core.evaluation.champion import Champion
from gan_core.output_files import METADATA_FILE, MODEL_FILE

SECTION = CONFIG.model_dump_json()

pytestmark = MARKS


def test_the_registered_champion_is_found_with_its_generator_and_record() -> None:
    for name, score in (("first", 100.0), ("better", 10.0), ("worse", 50.0)):
        folder = generator(Path(name), seed=len(name))
        register(CONFIG, folder, evaluation(score, 0.1, of=folder))
    with find_champion(SECTION, Path("worse")) as champion:
        assert isinstance(champion, Champion)
        assert champion.name == "version 2 of generator"
        assert champion.recorded == evaluation(10.0, 0.1, of=Path("better"))
        for file in (METADATA_FILE, MODEL_FILE):
            assert (champion.folder / file).read_bytes() == (Path("better") / file).read_bytes()
    assert not champion.folder.exists()
    with find_champion(SECTION, Path("better")) as champion:
        assert champion == "This generator is the champion, version 2 of the model 'generator'."
    for section in (SECTION, "models:/generator@champion"):
        with find_champion(section, Path("images")) as champion:
            assert isinstance(champion, Champion)


def test_an_address_gives_the_champions_folder() -> None:
    with pytest.raises(InvalidInput, match=r"must have a champion .* Received: models:/generator@champion"):
        champion_folder("models:/generator@champion").__enter__()
    register(CONFIG, generator(Path("first")), evaluation(1.0, 0.1))
    with champion_folder("models:/generator@champion") as folder:
        for file in (METADATA_FILE, MODEL_FILE):
            assert (folder / file).read_bytes() == (Path("first") / file).read_bytes()
    assert not folder.exists()


def test_a_model_without_a_champion_gives_a_sentence() -> None:
    with find_champion(SECTION, Path("images")) as champion:
        assert champion == "The model 'generator' has no champion yet."


def test_an_unreachable_server_gives_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with find_champion(SECTION, Path("images")) as champion:
        assert str(champion).startswith(
            "The champion of the model 'generator' is not compared, because it could not be loaded: "
        )


def test_missing_files_of_the_champion_give_a_sentence() -> None:
    register(CONFIG, generator(Path("first")), evaluation(1.0, 0.1))
    for file in Path("mlruns").rglob("MLmodel"):
        file.unlink()
    with find_champion(SECTION, Path("images")) as champion:
        assert "is not compared, because it could not be loaded: " in str(champion)


@pytest.mark.parametrize("target", ["../../elsewhere", "/elsewhere"])
def test_a_path_that_leads_out_of_the_model_is_not_followed(target: str) -> None:
    """Otherwise, anyone who can write artifacts could make the report show any generator on this machine."""
    register(CONFIG, generator(Path("first")), evaluation(1.0, 0.1))
    (description,) = Path("mlruns").rglob("MLmodel")
    path = yaml.safe_load(description.read_text())["flavors"]["python_function"]["artifacts"]["generator"]["path"]
    description.write_text(description.read_text().replace(f"path: {path}\n", f"path: {target}\n"))
    with find_champion(SECTION, Path("images")) as found:
        assert isinstance(found, str)
        assert "must lie in the model's folder" in found
        assert target in found


def test_a_generator_in_a_bucket_is_downloaded(proxy: StorageProxy, tmp_path: Path) -> None:
    (tmp_path / METADATA_FILE).write_text("{}")
    transfer.upload(tmp_path, Address.parse(f"gs://{BUCKET}/models/generator"))
    options = ["--real", "data", "--generated", "model", "--champion", f"gs://{BUCKET}/models/generator"]
    with paths.local_paths(evaluate.parser().parse_args(options)) as local:
        assert (local.champion / METADATA_FILE).read_text() == "{}"
        assert registry_name(str(local.champion), Path("images")) is None


def test_the_option_accepts_a_generator_and_a_register_section() -> None:
    with find_champion(str(generator(Path("other"))), Path("images")) as champion:
        assert champion == Champion("other", Path("other"), None)
    Path("params.yaml").write_text(f"register: {SECTION}")
    assert registry_name("params.yaml", Path("images")) == registry_name(SECTION, Path("images")) == "generator"
    for wrong in ("nowhere", json.dumps({"model_name": "x" * 300})):
        with pytest.raises(InvalidInput):
            registry_name(wrong, Path("images"))


def test_the_automatic_name_gives_the_champion_for_the_generators_own_data() -> None:
    auto = CONFIG.model_copy(update={"model_name": "auto"})
    first = generator(Path("first"), dataset_source="data/raw/cats")
    register(auto, first, evaluation(9.0, 0.1, of=first))
    other = generator(Path("other"), seed=1, dataset_source="gs://bucket/cats")
    with find_champion(auto.model_dump_json(), other) as champion:
        assert isinstance(champion, Champion)
        assert champion.name == "version 1 of cats-16x16x1"
    with find_champion(auto.model_dump_json(), generator(Path("dogs"), dataset_source="dogs")) as champion:
        assert champion == "The model 'dogs-16x16x1' has no champion yet."
    with pytest.raises(
        InvalidInput, match=r"'register.model_name' must name the model .* Received: model_name='auto', images"
    ):
        registry_name(auto.model_dump_json(), Path("images"))
