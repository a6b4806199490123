"""Overrides give the same parameters as in DVC, and wrong ones are refused."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

from gan_core.config import Section
from gan_core.errors import InvalidInput
from gan_core.modalities import MODALITIES
from pipelines import changes, parameters
from pipelines.overrides import Override, words

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sections() -> dict[str, parameters.Values]:
    return parameters.read(ROOT / "params.yaml")


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.steps=20000", "train", "steps", 20000),
        ("train.learning_rate=1e-4", "train", "learning_rate", 0.0001),
        ("train.loss=minimax", "train", "loss", "minimax"),
        ("train.learning_rate=0.00005", "train", "learning_rate", 0.00005),
        ("train.xla=off", "train", "xla", "off"),
        ("prepare.source=data/raw/cats", "prepare", "source", "data/raw/cats"),
    ],
)
def test_an_override_changes_one_value(sections, override, section, key, value) -> None:
    changed = parameters.override(sections, [override])
    assert changed == {**sections, section: {**sections[section], key: value}}


SOURCES = [
    "data/raw/été (1)",
    "o'brien",
    'the "best"',
    "a,b",
    "a b",
    "x=1",
    "[cats]",
    "{a}",
    "1e5",
    "null",
    "inf",
    "-NaN",
    "${oc.env:HOME}",
    "a\tb",
    "#1",
    "ü\\n",
    "~",
]


@pytest.mark.parametrize("source", SOURCES)
def test_text_is_not_interpreted_and_dvc_reads_the_same(sections, source: str, tmp_path: Path) -> None:
    text = f"prepare.source={source}"
    assert parameters.override(sections, [text])["prepare"]["source"] == source
    if "\\" in source or "${" in source or not source.isprintable():  # DVC's parser cannot express these
        with pytest.raises(InvalidInput, match="write it into params"):
            parameters.for_dvc([text])
        return
    (written,) = parameters.for_dvc([text])
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(sections))
    apply_overrides(path, [written])
    assert load_yaml(path)["prepare"]["source"] == source
    (again,) = shlex.split(shlex.quote(written))
    assert parameters.override(sections, [again])["prepare"]["source"] == source


@pytest.mark.parametrize(
    "text", ["train.steps=20", "train.augment=[color,cutout]", "train.learning_rate=1e-4", "train.xla=off"]
)
def test_other_values_are_parsed_as_dvc_parses_them(sections, text: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"train": sections["train"]}))
    assert parameters.for_dvc([text]) == [text]
    apply_overrides(path, [text])
    section, key = text.partition("=")[0].split(".")
    value = Override.read(text).value(is_text=False)
    assert (value, type(value)) == (load_yaml(path)[section][key], type(load_yaml(path)[section][key]))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("train.stepz=3", "'train.stepz', the nearest is 'steps'"),
        ("trian.steps=3", "'trian', the nearest is 'train'"),
        ("train.learning-rate=3", "must be section.key=value"),
    ],
)
def test_the_error_for_an_unknown_key_names_the_nearest_key(sections, text: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(hint)):
        parameters.override(sections, [text])


def test_a_nested_parameter_is_overridden_as_in_dvc(sections, tmp_path: Path) -> None:
    text = "prepare.image.height=64"
    changed = parameters.override(sections, [text])
    image = {**sections["prepare"]["image"], "height": 64}
    assert changed == {**sections, "prepare": {**sections["prepare"], "image": image}}
    assert sections["prepare"]["image"]["height"] == "auto"
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(sections))
    assert parameters.for_dvc([text]) == [text]
    apply_overrides(path, [text])
    assert load_yaml(path) == changed
    assert changes.between(sections, changed) == [text]


class _Sound(Section):
    section = "prepare.sound"
    rate: int


@pytest.fixture
def with_sound(sections, monkeypatch: pytest.MonkeyPatch) -> dict[str, parameters.Values]:
    """The sections with those of a second modality, which has the built-in source `speech`."""
    sound = SimpleNamespace(settings=_Sound, built_in={"speech": None}, suffixes={".wav"}, item="clip")
    monkeypatch.setitem(MODALITIES, "sound", sound)
    return {**sections, "prepare": {**sections["prepare"], "sound": {"rate": 8000}}}


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        ([], {"image"}),
        (["prepare.image.height=64"], {"image"}),
        (["prepare.source=names", "prepare.text.max_length=9"], {"text"}),
        (["prepare.source=speech", "prepare.sound.rate=9"], {"sound"}),
        (["prepare.modality=sound", "prepare.source=data/raw/clips", "prepare.sound.rate=9"], {"sound"}),
        (["prepare.source=data/raw/clips", "prepare.sound.rate=9"], {*MODALITIES, "sound"}),  # its files decide
    ],
)
def test_only_the_section_of_the_datas_modality_is_kept(with_sound, overrides: list[str], kept: set[str]) -> None:
    changed = parameters.override(with_sound, overrides)
    assert parameters.chosen_only(changed["prepare"]).keys() & MODALITIES.keys() == kept


@pytest.mark.parametrize(
    "overrides",
    [
        ["prepare.sound.rate=9"],
        ["prepare.source=speech", "prepare.image.height=64"],
        ["prepare.source=data/raw/cats", "prepare.modality=image", "prepare.sound.rate=9"],
    ],
)
def test_a_parameter_of_another_modality_is_refused(with_sound, overrides: list[str]) -> None:
    with pytest.raises(
        InvalidInput, match=rf"one of the data's modality\. Received: {re.escape(overrides[-1])}, source="
    ):
        parameters.override(with_sound, overrides)


def test_words_are_split_as_in_a_shell_but_a_single_quotation_mark_is_a_character() -> None:
    assert words("""prepare.source='a b' train.steps=3""") == ["prepare.source=a b", "train.steps=3"]
    assert words("prepare.source=o'brien train.steps=3") == ["prepare.source=o'brien", "train.steps=3"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", "train.stepz"),
        ("foo.bar=1", "foo.bar"),
        ("+foo=1", "without + or ~"),
        ("+train.steps=1", "without + or ~"),
        ("++train.steps=1", "without + or ~"),
        ("~train", "without + or ~"),
        ("train=1", "without + or ~"),
        ("train.steps", "must be section.key=value"),
        ("prepare.resolution=64", "is now 'prepare.image.height' and 'prepare.image.width'. Received: resolution=64"),
        ("prepare.image.colour=3", "There is no parameter 'prepare.image.colour'"),
        ("prepare.image={height: 64}", "An override changes one parameter"),
        ("prepare.image.height.top=64", "must be section.key=value"),
        ("train.image.height=64", "There is no parameter 'train.image'"),
        ("train.steps.more=64", "There is no section 'train.steps'"),
        ("train.steps=0", "'train.steps' must be greater than or equal to 1"),
        ("train.steps=10.5", "'train.steps' must be a valid integer"),
        ("train.seed=0,1", "must be section.key=value"),
        ("~train.steps", "without + or ~"),
        ("~train.steps=3", "without + or ~"),
        (f"train.steps={'9' * 10**5}", "…"),
        (f"{'x' * 10**5}.steps=1", "…"),
    ],
)
def test_a_wrong_override_gives_one_sentence(sections, override, message) -> None:
    with pytest.raises(InvalidInput, match=r"^[^\n]*$") as caught:
        parameters.override(sections, [override])
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1100


def test_the_error_for_an_override_of_a_sweep_names_the_options_for_trials(sections) -> None:
    without_train = {name: values for name, values in sections.items() if name != "train"}
    with pytest.raises(InvalidInput, match=r"--grid or --trial of `compile`\. Received: train\.steps=5$"):
        parameters.override(without_train, ["train.steps=5"])


def test_integers_that_kubeflow_turned_into_floats_are_valid(sections) -> None:
    floats = {**sections, "train": {**sections["train"], "steps": 6000.0}}
    assert parameters.override(floats, ["train.seed=3"])["train"]["steps"] == 6000.0


def test_a_grid_gives_every_combination_and_listed_trials_follow(sections) -> None:
    grid = ["train.learning_rate=0.0001,0.0002", "train.seed=5,6"]
    found = parameters.trials(sections, grid, ["train.loss=minimax train.seed=7"])
    default = sections["train"]["learning_rate"]
    chosen = [tuple(trial["train"][key] for key in ("learning_rate", "seed", "loss")) for trial in found]
    assert chosen == [
        (0.0001, 5, "auto"),
        (0.0001, 6, "auto"),
        (0.0002, 5, "auto"),
        (0.0002, 6, "auto"),
        (default, 7, "minimax"),
    ]
    assert all(set(trial["train"]) == set(sections["train"]) for trial in found)


def test_a_trials_label_says_in_which_parameters_the_trials_differ(sections) -> None:
    found = parameters.trials(sections, ["train.seed=5,6"], ["train.loss=minimax train.seed=5"])
    labelled = changes.labelled(found)
    assert [trial.pop("label") for trial in labelled] == [
        *("seed=5, loss=auto", "seed=6, loss=auto", "seed=5, loss=minimax"),
    ]
    assert labelled == found
    assert [trial["label"] for trial in changes.labelled(found[:1])] == [""]


@pytest.mark.parametrize(
    ("grid", "listed", "message"),
    [
        ([], [], "needs --grid or --trial"),
        (["evaluate.seed=1,2"], [], "may differ only in the train section"),
        (["train.seed=1"], ["train.seed=1"], "must differ from the others"),
        (["train.seed=glob(*)"], [], "glob"),
        ([], ["'"], "quotation"),
        (["train.stepz=1,2"], [], "train.stepz"),
    ],
)
def test_a_wrong_sweep_is_refused(sections, grid, listed, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        parameters.trials(sections, grid, listed)


@pytest.mark.parametrize("text", ["[", "- a", "train: {}", ""])
def test_an_invalid_params_file_is_refused(text, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InvalidInput, match="parameters must"):
        parameters.read(tmp_path / "params.yaml")


def test_a_preset_becomes_overrides_in_its_order_and_later_overrides_win(sections, tmp_path: Path) -> None:
    values = {
        "prepare": {"source": 'data/raw/my cats, "all" = 2=1', "image": {"channels": 3, "fit": "pad"}},
        "train": {"augment": ["color", "cutout"], "augment_probability": 0.00005, "conditional": True, "xla": "off"},
        "evaluate": {"inception_weights": "1e-4"},
    }
    path = tmp_path / "cats.yaml"
    path.write_text(json.dumps(values))  # JSON quotes text
    found = parameters.preset(path)
    assert [one.partition("=")[0] for one in found] == [
        f"{name}.{key}" for name in values for key in parameters.flat(values[name])
    ]
    expected = {name: {**section, **values.get(name, {})} for name, section in sections.items()}
    expected["prepare"]["image"] = {**sections["prepare"]["image"], **values["prepare"]["image"]}
    assert parameters.override(sections, found) == expected
    changed = parameters.override(sections, [*found, "train.augment=[translation]", "prepare.image.channels=1"])
    assert (changed["train"]["augment"], changed["prepare"]["image"]["channels"]) == (["translation"], 1)


@pytest.mark.parametrize("text", ["", "# nothing differs\n", "{}"])
def test_a_preset_may_be_empty(text, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text(text)
    assert parameters.preset(tmp_path / "empty.yaml") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian: {steps: 3}", "There is no section 'trian'"),
        ("drift: {blocks: 3}", "There is no section 'drift'"),
        ("train: {stepz: 3}", "There is no parameter 'train.stepz'"),
        ("train: {1: 3}", "There is no parameter 'train.1'"),
        ("prepare: {image: {colour: 3}}", "There is no parameter 'prepare.image.colour'"),
        ("prepare: {image: 3}", "There is no parameter 'prepare.image'"),
        ("prepare: {channels: 3}", "The parameter 'prepare.channels' is now 'prepare.image.channels'"),
        ("train:", "must have sections of parameters"),
        ("train: 3", "must have sections of parameters"),
        ("- train", "must have sections of parameters"),
        ("train: [", "must be a readable YAML file"),
    ],
)
def test_a_wrong_preset_gives_one_sentence_with_its_name(text, message, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=r"^[^\n]*Received: [^\n]*wrong\.yaml$") as caught:
        parameters.preset(tmp_path / "wrong.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {steps: 0}", "'train.steps' must be greater than or equal to 1"),
        ("train: {steps: null}", "'train.steps' must be a valid integer"),
        ("train: {learning_rate: .nan}", "'train.learning_rate' must be a finite number"),
        ("train: {learning_rate: 2020-01-01}", "'train.learning_rate' must be a valid number"),
        ("train: {loss: {a: 1}}", "must be"),
        ("train: {network: unet, depth: 2}", "'train.depth' must be 1 for unet"),
    ],
)
def test_a_wrong_value_of_a_preset_is_refused_like_any_other(sections, text, message, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(InvalidInput, match=r"^[^\n]*$") as caught:
        parameters.override(sections, parameters.preset(tmp_path / "wrong.yaml"))
    assert message in str(caught.value)


def test_a_score_that_the_evaluation_does_not_compute_is_refused(
    sections: dict[str, parameters.Values],
) -> None:
    for extractor in ("auto", "random"):
        parameters.override(sections, [f"evaluate.extractor={extractor}"])
        parameters.override(sections, [f"evaluate.extractor={extractor}", "register.score=fd_random"])
    with pytest.raises(InvalidInput, match=r"one of \['fd_random'.*Received: register.score='fd_classifier'"):
        parameters.override(sections, ["evaluate.extractor=random", "register.score=fd_classifier"])
    with pytest.raises(InvalidInput, match=r"one of \['target_l1'.*evaluate.metrics=\['prdc'\].*score='auto'"):
        parameters.override(sections, ["evaluate.metrics=[prdc]"])
