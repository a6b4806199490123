import numpy as np
import pytest
from datasets import blobs
from recipes import small_training

from gan_core.errors import InvalidInput
from gan_core.training.draws import Batch
from gan_core.training.state import Gan
from gan_core.training.step import TrainStep
from gan_core.training.step_metrics import STEP_METRICS

SHAPE = (16, 16, 1)


def gan(xla=False, mixed_precision=False, **changes):
    """Returns a GAN with its compiled step as the attribute `step`."""
    trained = Gan(small_training(**{"dropout": 0.4} | changes), SHAPE, mixed_precision=mixed_precision)
    trained.step = TrainStep(trained, xla=xla)
    return trained


def batch(number, discriminator_steps=1):
    return Batch(blobs(8 * discriminator_steps, seed=number).reshape(1, discriminator_steps, 8, *SHAPE))


def trainable_values(network):
    return [variable.numpy().copy() for variable in network.trainable_variables]


def largest_change(before, network):
    return max(np.abs(a - b).max() for a, b in zip(before, trainable_values(network), strict=True))


@pytest.fixture(scope="module")
def _traced():
    """Returns the GAN that most tests share, and its initial state. Tracing the step of a GAN is slow."""
    traced = gan(ema_half_life_images=2.0)
    return traced, traced.state()


@pytest.fixture
def shared(_traced):
    traced, initial = _traced
    traced.restore(initial)
    yield traced
    traced.metrics.clear_failure()


def test_a_step_updates_the_generator_once_and_the_discriminator_several_times():
    # With β₁ = β₂ = 0 Adam moves a weight by the learning rate times the gradient's sign.
    trained = gan(discriminator_steps=3, beta_1=0.0, beta_2=0.0, learning_rate=0.001)
    generator, discriminator = trainable_values(trained.generator), trainable_values(trained.discriminator)
    trained.step(batch(0, discriminator_steps=3))
    assert largest_change(generator, trained.generator) == pytest.approx(0.001, rel=0.01)
    assert largest_change(discriminator, trained.discriminator) == pytest.approx(0.003, rel=0.01)
    assert trained.images_seen == 24


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "normalization": "none",
            "r1_weight": 1.0,
            "penalty_interval": 3,
            "augment": ("color",),
            "augment_target": 0.6,
            "schedule": "linear",
        },
    ],
    ids=["default", "penalised"],
)
def test_several_steps_in_one_call_give_the_bits_of_single_steps(changes):
    at_once, one_by_one = (gan(discriminator_steps=2, **changes) for _ in range(2))
    batches = [batch(number, discriminator_steps=2) for number in range(5)]
    for some in (batches[:3], batches[3:]):
        at_once.step(Batch(np.concatenate([one.images for one in some])))
    for one in batches:
        one_by_one.step(one)
    expected = one_by_one.state()
    for name, array in at_once.state().items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_several_steps_run_in_one_call_on_one_device_without_xla():
    assert gan(steps_per_execution=3).step.steps_per_execution == 3
    assert gan(steps_per_execution=3, xla=True).step.steps_per_execution == 1


def test_the_reconstruction_term_is_added_with_its_weight(shared):
    extended = gan(reconstruction="l1", reconstruction_weight=100.0)
    for trained in (shared, extended):
        trained.step(batch(0))
    without, having = shared.metrics.take_totals(), extended.metrics.take_totals()
    assert without["losses/reconstruction"] == 0
    assert 0.2 < having["losses/reconstruction"] < 2
    assert having["losses/generator"] == pytest.approx(
        without["losses/generator"] + 100 * having["losses/reconstruction"], rel=1e-5
    )


def test_the_two_generator_losses_see_the_same_logits(shared):
    trained = gan(loss="minimax")
    trained.step(batch(0))
    shared.step(batch(0))
    minimax, non_saturating = trained.metrics.take_totals(), shared.metrics.take_totals()
    assert minimax["losses/discriminator"] == non_saturating["losses/discriminator"]
    # −log σ(t) − log(1 − σ(t)) ≥ 2 log 2 for each logit.
    assert minimax["losses/generator"] < 0 < non_saturating["losses/generator"]
    assert non_saturating["losses/generator"] - minimax["losses/generator"] >= 2 * np.log(2)


def test_the_adaptive_probability_rises_while_real_images_are_recognised_and_otherwise_falls_to_0():
    trained = gan(augment=("color",), augment_target=0.6)
    *_, last_bias = trained.discriminator.trainable_variables
    for logit, expected in ((100.0, 8), (100.0, 16), (-100.0, 8), (-100.0, 0), (-100.0, 0)):
        last_bias.assign([logit])
        trained.step(batch(0))
        trained.metrics.take_totals()
        assert trained.state()["augment_probability/0"] == pytest.approx(expected / 500_000, abs=1e-9)


def test_totals_add_up_over_the_steps_and_are_reset_when_taken(shared):
    initial = shared.state()
    total = dict.fromkeys(STEP_METRICS, 0.0)
    for number in range(3):
        shared.step(batch(number))
        total = {name: total[name] + value for name, value in shared.metrics.take_totals().items()}
    shared.restore(initial)
    for number in range(3):
        shared.step(batch(number))
    assert shared.metrics.take_totals() == pytest.approx(total, rel=1e-5)
    assert set(shared.metrics.take_totals().values()) == {0.0}


def test_the_moving_average_has_the_configured_half_life(shared):
    expected = shared.generator.get_weights()
    for number in range(1, 9):
        shared.step(batch(number))
        half_life = min(2.0, 0.05 * 8 * number)
        decay = 0.5 ** (8 / half_life)
        expected = [decay * e + (1 - decay) * w for e, w in zip(expected, shared.generator.get_weights(), strict=True)]
    for average, value in zip(shared.averaged_generator.get_weights(), expected, strict=True):
        np.testing.assert_allclose(average, value, rtol=1e-4, atol=1e-6)


def test_the_average_equals_the_generator_if_the_half_life_is_0():
    trained = gan(ema_half_life_images=0.0)
    trained.step(batch(0))
    for average, weight in zip(trained.averaged_generator.weights, trained.generator.weights, strict=True):
        np.testing.assert_array_equal(average, weight)


def test_a_restored_state_gives_the_same_later_steps(shared):
    for number in range(3):
        shared.step(batch(number))
    restored = gan(ema_half_life_images=2.0)
    restored.step(batch(9))
    restored.restore(shared.state())
    for number in range(3, 6):
        shared.step(batch(number))
        restored.step(batch(number))
    ours, theirs = shared.state(), restored.state()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_a_state_of_other_networks_is_refused_and_changes_nothing(shared):
    before = shared.state()
    wider, missing = before | {"generator/0": np.zeros((8, 3), np.float32)}, {**before}
    del missing["images_seen"]
    longer = before | {"discriminator/99": np.zeros(2, np.float32)}
    for wrong, expected in (
        (wider, r"the shape of generator/0 is \(8, 3\), not \("),
        (missing, r"the shape of images_seen is absent, not \(\)"),
        (longer, r"the shape of discriminator/99 is \(2,\), not absent"),
    ):
        with pytest.raises(InvalidInput, match=f"with the same networks.* Received: here, where {expected}"):
            shared.restore(wrong, "here")
    for name, array in shared.state().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize(
    ("changes", "shape", "classes", "message"),
    [
        ({"conditional": "auto"}, SHAPE, 3, r"`config\.resolved\(labelled=…\)`\. Received: conditional='auto'"),
        ({"conditional": "off"}, SHAPE, 3, r"classes must be .* Received: conditional='off', classes=3"),
        ({"conditional": "on"}, SHAPE, 0, r"classes must be .* Received: conditional='on', classes=0"),
        ({"conditional": "on"}, SHAPE, -1, r"classes must be .* Received: conditional='on', classes=-1"),
        ({}, (17, 17, 1), 0, r"height and width .* Received: height=17, width=17, channels=1"),
        ({"generator_width": 4096, "growth": 64}, SHAPE, 0, r"at most about 1e\+09 parameters"),
    ],
)
def test_networks_that_cannot_be_built_are_refused(changes, shape, classes, message):
    with pytest.raises(InvalidInput, match=message):
        Gan(small_training(**changes), shape, classes)


def test_a_state_is_a_copy(shared):
    state = shared.state()
    before = {name: array.copy() for name, array in state.items()}
    shared.step(batch(0))
    for name, array in state.items():
        np.testing.assert_array_equal(array, before[name])


# oneDNN's ReLU turns NaN into 0, so a NaN in the first layer may show only in the gradients.
@pytest.mark.parametrize(
    ("layer", "names"), [(0, {"losses/generator", "norms/generator_gradient"}), (-1, {"losses/generator"})]
)
def test_the_first_metric_that_is_not_finite_is_remembered(shared, layer, names):
    shared.step(batch(0))
    assert shared.metrics.failure() is None
    weight = shared.generator.trainable_variables[layer]
    weight.assign(np.full(weight.shape, np.nan))
    for number in (1, 2):
        shared.step(batch(number))
    images_seen, name, value = shared.metrics.failure()
    assert images_seen == 16
    assert name in names
    assert np.isnan(value)


R3GAN = {"network": "r3gan", "normalization": "none", "loss": "relativistic", "r1_weight": 0.1, "r2_weight": 0.1}


def test_r3gan_trains_in_bfloat16_with_its_penalties():
    changes = {**R3GAN, "dropout": 0.0, "generator_width": 16, "discriminator_width": 16, "growth": 1}
    plain, rounded = gan(**changes), gan(mixed_precision=True, **changes)
    assert rounded.generator.layers[2].compute_dtype == "bfloat16"
    before = trainable_values(rounded.generator), trainable_values(rounded.discriminator)
    for trained in (plain, rounded):
        trained.step(batch(0))
    assert rounded.metrics.take_totals() == pytest.approx(plain.metrics.take_totals(), rel=0.05, abs=0.05)
    rounded.step(batch(1))
    assert rounded.metrics.failure() is None
    for weights, network in zip(before, (rounded.generator, rounded.discriminator), strict=True):
        assert largest_change(weights, network) > 1e-4


def test_float16_gives_the_same_metrics_up_to_rounding_and_a_float32_average(shared):
    rounded = gan(mixed_precision=True)
    shared.step(batch(0))
    rounded.step(batch(0))
    assert rounded.metrics.take_totals() == pytest.approx(shared.metrics.take_totals(), rel=0.02, abs=0.02)
    assert rounded.metrics.failure() is None
    assert rounded.generator.layers[1].compute_dtype == "float16"
    assert rounded.averaged_generator.layers[1].compute_dtype == "float32"


@pytest.mark.parametrize(
    "changes",
    [
        {**R3GAN, "augment": ("color", "translation", "cutout"), "augment_probability": 0.5},
        {"network": "resnet", "normalization": "spectral", "loss": "wasserstein", "gradient_penalty_weight": 10.0},
    ],
    ids=["r3gan", "resnet"],
)
def test_xla_compiles_every_layer_penalty_and_augmentation(changes):
    compiled = gan(xla=True, **{"generator_width": 2, "discriminator_width": 2, "growth": 1, **changes})
    before = trainable_values(compiled.generator), trainable_values(compiled.discriminator)
    for number in range(2):
        compiled.step(batch(number))
    assert compiled.metrics.take_totals()["losses/penalty"] > 0
    assert compiled.metrics.failure() is None
    for weights, network in zip(before, (compiled.generator, compiled.discriminator), strict=True):
        assert largest_change(weights, network) > 1e-4


def test_xla_computes_the_same_logits():
    # XLA draws other random numbers. The first logits of real images do not depend on them.
    plain, compiled = gan(dropout=0.0), gan(xla=True, dropout=0.0)
    plain.step(batch(0))
    compiled.step(batch(0))
    assert compiled.metrics.take_totals()["logits/real"] == pytest.approx(
        plain.metrics.take_totals()["logits/real"], rel=1e-4
    )
    assert compiled.metrics.failure() is None
