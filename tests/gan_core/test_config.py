"""Each rule between parameters of the train section is broken once. Pydantic itself checks the other rules."""

from __future__ import annotations

import re

import pytest
from recipes import project_parameters, small_images, small_parameters, small_training

from gan_core.config import (
    FEATURE_SIZES,
    DriftConfig,
    EvaluateConfig,
    ImageSettings,
    RegisterConfig,
    Section,
    TrainConfig,
)
from gan_core.data.parameters import PrepareConfig
from gan_core.errors import InvalidInput
from gan_core.networks.size import require_trainable

BATCH_NORM = (
    "'train.normalization' must not be batch with a gradient penalty or the relativistic loss, because they need "
)


@pytest.mark.parametrize(
    ("changes", "rule", "received"),
    [
        (
            {"reconstruction": "l1"},
            "'train.reconstruction_weight' must be 0 if 'reconstruction' is none, and above 0 otherwise",
            "reconstruction='l1', reconstruction_weight=0.0",
        ),
        (
            {"reconstruction_weight": 100.0},
            "'train.reconstruction_weight' must be 0 if 'reconstruction' is none, and above 0 otherwise",
            "reconstruction='none', reconstruction_weight=100.0",
        ),
        (
            {"network": "resnet"},
            "'train.normalization' must be batch, spectral or none for dcgan and unet, spectral or none for resnet",
            "network='resnet', normalization='batch'",
        ),
        (
            {"network": "r3gan", "normalization": "spectral"},
            "spectral or none for resnet, none for r3gan",
            "network='r3gan', normalization='spectral'",
        ),
        (
            {"loss": "relativistic"},
            BATCH_NORM,
            "normalization='batch', loss='relativistic', r1_weight=0.0, r2_weight=0.0, gradient_penalty_weight=0.0",
        ),
        (
            {"r1_weight": 1.0},
            BATCH_NORM,
            "normalization='batch', loss='non_saturating', r1_weight=1.0, r2_weight=0.0, gradient_penalty_weight=0.0",
        ),
        (
            {"r2_weight": 1.0},
            BATCH_NORM,
            "normalization='batch', loss='non_saturating', r1_weight=0.0, r2_weight=1.0, gradient_penalty_weight=0.0",
        ),
        (
            {"loss": "wasserstein", "gradient_penalty_weight": 10.0},
            BATCH_NORM,
            "normalization='batch', loss='wasserstein', r1_weight=0.0, r2_weight=0.0, gradient_penalty_weight=10.0",
        ),
        (
            {"loss": "wasserstein", "normalization": "none", "r1_weight": 1.0},
            "'train.gradient_penalty_weight' must be above 0 with the wasserstein loss, which needs a discriminator "
            "with a bounded gradient",
            "loss='wasserstein', gradient_penalty_weight=0.0",
        ),
        (
            {"network": "unet", "depth": 2},
            "'train.depth' must be 1 for unet and fastgan, whose layers at each resolution are fixed",
            "network='unet', depth=2",
        ),
        (
            {"network": "unet", "conditional": True},
            "'train.conditional' must not be on for unet, because its input image takes the place of the class",
            "network='unet', conditional='on'",
        ),
        *(
            (
                {name: 0.5},
                "'train.augment_probability', 'final_augment_probability' and 'augment_target' must be 0 if "
                "'augment' is empty",
                f"{name}=0.5",
            )
            for name in ("augment_probability", "final_augment_probability", "augment_target")
        ),
        *(
            (
                {"augment": ["cutout"], **rest},
                "'train.augment' must be empty if its probability is always 0: set 'augment_probability', ",
                received,
            )
            for rest, received in (
                ({"schedule": "cosine"}, "schedule='cosine', final_augment_probability=0.0"),
                ({"final_augment_probability": 0.5}, "schedule='constant', final_augment_probability=0.5"),
            )
        ),
        (
            {"penalty_interval": 4},
            "'train.penalty_interval' must be 1 if all penalty weights are 0",
            "penalty_interval=4, r1_weight=0.0",
        ),
        (
            {"batch_size": 8, "accumulation_steps": 3},
            "'train.batch_size' must be a multiple of 'accumulation_steps'",
            "batch_size=8, accumulation_steps=3",
        ),
        (
            {"patience_images": 1000},
            "'train.patience_images' must be 0 if 'score_every_images' is 0",
            "patience_images=1000, score_every_images=0",
        ),
    ],
)
def test_incompatible_parameters_are_refused_in_one_sentence(changes, rule, received):
    with pytest.raises(InvalidInput) as error:
        TrainConfig.parse(small_parameters(**changes))
    sentence = str(error.value)
    assert re.fullmatch(r"The parameter [^\n]*\. Received: [^\n]*", sentence)
    assert rule in sentence
    assert received in sentence.partition("Received: ")[2]


@pytest.mark.parametrize(
    "changes",
    [
        {"reconstruction": "l2", "reconstruction_weight": 1.0},
        {"network": "resnet", "normalization": "spectral", "depth": 2, "conditional": "on"},
        {"network": "r3gan", "normalization": "none", "loss": "relativistic", "r1_weight": 1.0, "r2_weight": 1.0},
        {"network": "fastgan", "loss": "hinge", "conditional": "on"},
        {"network": "unet", "normalization": "spectral"},
        {"loss": "wasserstein", "normalization": "spectral", "gradient_penalty_weight": 10.0},
        {"augment": ["cutout"], "augment_probability": 0.5},
        {"augment": ["cutout"], "final_augment_probability": 0.5, "schedule": "linear"},
        {"normalization": "none", "r2_weight": 1.0, "penalty_interval": 4},
        {"augment": ["color"], "augment_target": 0.6},
        {"batch_size": 8, "accumulation_steps": 4},
        {"patience_images": 1000, "score_every_images": 100},
    ],
)
def test_compatible_parameters_are_accepted(changes):
    for name, value in changes.items():
        given = getattr(small_training(**changes), name)
        assert (list(given) if isinstance(given, tuple) else given) == value


def test_the_error_names_only_the_first_broken_rule_but_every_wrong_value():
    with pytest.raises(InvalidInput) as error:
        small_training(network="unet", depth=2, patience_images=1)
    assert "'train.depth'" in str(error.value)
    with pytest.raises(InvalidInput) as error:
        small_training(steps=0, loss="softmax")
    assert [line.split("'")[1] for line in str(error.value).splitlines()] == ["train.loss", "train.steps"]


@pytest.mark.parametrize(("written", "read"), [(True, "on"), (False, "off"), ("auto", "auto"), ("on", "on")])
def test_a_switch_may_be_a_boolean_of_yaml(written, read):
    assert small_training(xla=written).xla == read


@pytest.mark.parametrize("written", ["yes", 1, None])
def test_a_switch_must_be_auto_on_or_off(written):
    with pytest.raises(InvalidInput, match=r"'train\.mixed_precision' must be 'auto', 'on' or 'off'"):
        small_training(mixed_precision=written)


@pytest.mark.parametrize("name", ["learning_rate", "beta_1", "r1_weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, "fast"])
def test_a_number_must_be_finite_and_in_its_range(name, value):
    with pytest.raises(InvalidInput, match=f"^The parameter 'train.{name}' must be "):
        small_training(**{name: value})


@pytest.mark.parametrize("text", ["models:/generator", "models:/generator@", "generator@champion", "models:/a/b/1"])
def test_a_warm_start_must_name_a_version(text):
    with pytest.raises(InvalidInput, match=r"'train\.warm_start' must be none, champion, or a registered version"):
        small_training(warm_start=text)


@pytest.mark.parametrize("text", ["none", "champion", "models:/generator@champion", "models:/my cats-2/17"])
def test_valid_warm_starts_are_accepted(text):
    assert small_training(warm_start=text).warm_start == text


@pytest.mark.parametrize("resolution", [8, 30, 1024])
def test_a_resolution_without_a_network_is_refused(resolution):
    values = project_parameters()["prepare"]
    for side in ("height", "width"):
        with pytest.raises(
            InvalidInput, match=rf"image\.{side}' .* to 512, or be auto\. Received: {side}={resolution}$"
        ):
            PrepareConfig.parse({**values, "image": {**values["image"], side: resolution}})


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("resolution", 64, "'prepare.image.height' and 'prepare.image.width'"),
        ("channels", 3, "'prepare.image.channels'"),
        ("pairs", "none", "'prepare.image.pairs'"),
        ("max_image_megapixels", 1, "'prepare.image.max_image_megapixels'"),
    ],
)
def test_an_earlier_parameter_of_images_names_its_present_place(key, value, place):
    values = project_parameters()["prepare"]
    sentence = rf"^The parameter 'prepare\.{key}' is now {place}\. Received: {key}={value!r}$"
    with pytest.raises(InvalidInput, match=sentence):
        PrepareConfig.parse({**values, key: value})
    with pytest.raises(InvalidInput, match=sentence):  # and no other complaint
        PrepareConfig.parse({name: one for name, one in values.items() if name != "image"} | {key: value})


def test_only_the_parameters_of_the_datas_modality_are_recorded():
    values = project_parameters()["prepare"]
    config = PrepareConfig.parse(values)
    recorded = config.recorded("image", ImageSettings.parse(small_images()))
    assert recorded["modality"] == "image"
    assert {key for key in recorded if "." in key} == {f"image.{key}" for key in values["image"]}
    assert recorded["image.height"] == 16  # what was used, not auto


@pytest.mark.parametrize(
    ("score", "accepted"),
    [
        ("auto", True),
        ("fid", True),
        ("kid_classifier", True),
        ("fd_infinity_random", True),
        ("target_l1", True),
        ("target_psnr", False),
        ("precision_classifier", False),
        ("", False),
    ],
)
def test_the_score_that_decides_must_be_a_distance(score, accepted):
    values = project_parameters()["register"] | {"score": score}
    if accepted:
        assert RegisterConfig.parse(values).score == score
    else:
        with pytest.raises(InvalidInput, match=r"'register\.score' must be auto or name a distance"):
            RegisterConfig.parse(values)


@pytest.mark.parametrize(
    ("changes", "labelled", "conditional"),
    [
        ({"conditional": "auto"}, True, "on"),
        ({"conditional": "auto"}, False, "off"),
        ({"conditional": "auto", "network": "unet"}, True, "off"),
        ({"conditional": "off"}, True, "off"),
        ({"conditional": "on"}, False, "on"),  # the command refuses this later
    ],
)
def test_auto_is_conditional_for_labelled_images_and_an_unpaired_network(changes, labelled, conditional):
    config = small_training(**changes)
    assert config.resolved(labelled=labelled) == config.model_copy(update={"conditional": conditional})


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": 10**12},
        {"samples": 10**30},
        {"sampling_seeds": 10**9},
        {"extractor": "inception", "samples": 2, "sampling_seeds": 200},  # the covariances exceed the limit
        {"extractor": "inception", "samples": 600_000},
    ],
)
def test_features_beyond_the_memory_limit_are_refused(changes: dict[str, object]) -> None:
    values = project_parameters()["evaluate"] | changes
    with pytest.raises(
        InvalidInput, match=r"'evaluate\.samples' or 'sampling_seeds' must be smaller: .* 4294967296 bytes\. Received: "
    ):
        EvaluateConfig.parse(values)


def test_usual_numbers_of_features_are_accepted() -> None:
    values = project_parameters()["evaluate"]
    EvaluateConfig.parse(values | {"extractor": "inception", "samples": 50_000, "sampling_seeds": 8})


def test_the_feature_sizes_are_those_of_the_extractors() -> None:
    from gan_core.evaluation.extractors import (
        classifier,
        dinov2_network,
        inception_network,
        ngram,
        random_network,
        vggish_network,
    )

    assert {
        "classifier": classifier.RECIPE["features"],
        "random": random_network.FEATURES,
        "ngram": ngram.FEATURES,
        "inception": inception_network.FEATURES,
        "dinov2": dinov2_network.FEATURES,
        "vggish": vggish_network.FEATURES,
    } == FEATURE_SIZES


@pytest.mark.parametrize(
    "section", [PrepareConfig, ImageSettings, TrainConfig, EvaluateConfig, RegisterConfig, DriftConfig]
)
def test_every_whole_number_has_an_upper_limit(section: type[Section]) -> None:
    for name, field in section.model_fields.items():
        # The sides of an image have a list of values; the memory of the features limits samples and sampling seeds.
        if field.annotation is int and name not in ("height", "width", "samples", "sampling_seeds"):
            limits = [limit for one in field.metadata for limit in (getattr(one, "le", None), getattr(one, "lt", None))]
            assert any(limit is not None for limit in limits), name


@pytest.mark.parametrize(
    "changes",
    [
        {"generator_width": 4096, "growth": 64},
        {"discriminator_width": 4096, "growth": 64},
        {"depth": 64, "generator_width": 1024},
        {"batch_size": 2**16, "generator_width": 1024, "growth": 1},
        {"latent_size": 2**14, "generator_width": 4096, "growth": 1},
    ],
)
def test_networks_beyond_the_size_limit_are_refused_before_they_are_built(changes: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match=r"^A network may have at most about [^\n]* Received: about [^\n]*$"):
        require_trainable(small_training(**changes), (64, 64, 3))
    require_trainable(small_training(), (256, 256, 3))
    require_trainable(small_training(), (512, 64, 3))


@pytest.mark.parametrize(
    ("section", "name", "key"),
    [(TrainConfig, "train", "steps"), (TrainConfig, "train", "beta_1"), (PrepareConfig, "prepare", "seed")],
)
def test_a_boolean_is_not_accepted_as_a_number(section: type[Section], name: str, key: str) -> None:
    parameters = project_parameters()[name]
    with pytest.raises(InvalidInput, match=rf"The parameter '{name}.{key}' must be .*Received: {key}=(True|False)"):
        section.parse(parameters | {key: key != "beta_1"})


def test_an_element_of_a_list_has_one_name_in_a_message():
    values = project_parameters()["evaluate"]
    with pytest.raises(InvalidInput, match=r"'evaluate\.metrics\.1' must .*Received: evaluate\.metrics\.1='nope'$"):
        EvaluateConfig.parse({**values, "metrics": [values["metrics"][0], "nope"]})
