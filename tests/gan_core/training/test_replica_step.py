"""The objective of a step equals numpy in float64 on networks with known gradients; then its updates are tested."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from recipes import small_training

from gan_core.training.distribution import Distribution
from gan_core.training.draws import Batch
from gan_core.training.optimizer import Adam
from gan_core.training.replica_step import ReplicaStep
from gan_core.training.step_metrics import STEP_METRICS

ROWS, SHAPE = 4, (4, 4, 1)
REAL = np.random.default_rng(0).integers(0, 256, (ROWS, *SHAPE), dtype=np.uint8)
PENALTIES = {"r1_weight": 0.3, "r2_weight": 0.7, "penalty_interval": 3}


class OneImageGenerator:
    """A generator of one image, which is its weights. The latents change only the brightness, and only if `varied`."""

    def __init__(self, varied=False):
        image = np.random.default_rng(1).uniform(-0.5, 0.5, SHAPE)
        self.trainable_variables = [keras.Variable(image.astype(np.float32))]
        self.varied = varied

    def __call__(self, arguments, training):
        latents = arguments[0] if isinstance(arguments, list) else arguments
        level = tf.math.sigmoid(latents[:, :1, None, None]) if self.varied else tf.ones((len(latents), 1, 1, 1))
        return level * self.trainable_variables[0].value[None]


class QuadraticDiscriminator:
    """A discriminator ⟨w, x⟩ + c/2·‖x‖² + b, whose gradient is w + c·x. It records the images that it is shown."""

    dropout_features = 0

    def __init__(self, curvature=0.5, bias=0.1):
        slope = np.random.default_rng(2).uniform(-0.3, 0.3, SHAPE)
        values = slope.astype(np.float32), np.float32(curvature), np.float32(bias)
        self.trainable_variables = [keras.Variable(value) for value in values]
        self.shown = []

    def __call__(self, images, labels, mask):
        self.shown.append(images.numpy())
        slope, curvature, bias = (variable.value for variable in self.trainable_variables)
        return tf.reduce_sum(slope * images + curvature / 2 * tf.square(images), axis=[1, 2, 3]) + bias


def make_step(
    generator, discriminator, penalise=True, images_seen=0, scale=0.0, probability=0.0, inputs=None, **changes
):
    """Makes one step and returns its metrics; with the default rates of 0 both losses see the same discriminator."""
    config = small_training(**{"batch_size": ROWS, "normalization": "none", "learning_rate": 0.01} | changes)
    optimizers = [Adam(network, mixed_precision=False) for network in (generator, discriminator)]
    step = ReplicaStep(config, generator, discriminator, optimizers, Distribution())
    metrics = step(
        Batch(tf.constant(REAL[None]), inputs=inputs),
        tf.constant(images_seen, tf.int64),
        tf.constant(scale),
        tf.constant(probability),
        (penalise,),
    )
    return dict(zip(STEP_METRICS, metrics.numpy().tolist(), strict=True)), optimizers


def log1p_exp(t):
    return np.logaddexp(0, t)


LOSSES = {
    "minimax": (lambda r, f: log1p_exp(-r).mean() + log1p_exp(f).mean(), lambda r, f: -log1p_exp(f).mean()),
    "non_saturating": (lambda r, f: log1p_exp(-r).mean() + log1p_exp(f).mean(), lambda r, f: log1p_exp(-f).mean()),
    "hinge": (
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
        lambda r, f: -f.mean(),
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
    "relativistic": (lambda r, f: log1p_exp(f - r).mean(), lambda r, f: log1p_exp(r - f).mean()),
}


def expected(config, image, slope, curvature, bias):
    """Returns the objectives of discriminator and generator, and the penalty, computed from the definitions."""
    real = REAL / 127.5 - 1.0
    fake = np.broadcast_to(image, real.shape)

    def logits(x):
        return (slope * x + curvature / 2 * x**2).sum(axis=(1, 2, 3)) + bias

    def squares(x):
        return ((slope + curvature * x) ** 2).sum(axis=(1, 2, 3))

    penalty = config["r1_weight"] / 2 * squares(real).mean() + config["r2_weight"] / 2 * squares(fake).mean()
    if config["gradient_penalty_weight"]:
        assert curvature == 0  # so that the gradient is the same everywhere between the images
        penalty += config["gradient_penalty_weight"] * (np.sqrt((slope**2).sum()) - 1) ** 2
    penalty *= config["penalty_interval"]
    of_discriminator, of_generator = (loss(logits(real), logits(fake)) for loss in LOSSES[config["loss"]])
    return of_discriminator + penalty, of_generator, penalty


def gradient_norm(function, values):
    """Returns the gradient norm of a function of a list of arrays, by central differences in float64."""
    total = 0.0
    for index, array in enumerate(values):
        for position in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = [one.copy() for one in values]
                moved[index][position] += sign * 1e-5
                sides.append(function(*moved))
            total += ((sides[0] - sides[1]) / 2e-5) ** 2
    return np.sqrt(total)


@pytest.mark.parametrize(
    ("loss", "changes", "curvature"),
    [
        *((loss, PENALTIES, 0.5) for loss in LOSSES if loss != "wasserstein"),
        *((loss, {"gradient_penalty_weight": 10.0, "penalty_interval": 2}, 0.0) for loss in LOSSES),
    ],
)
def test_the_losses_penalties_and_gradients_of_a_step_equal_the_formulas(loss, changes, curvature):
    config = {"r1_weight": 0.0, "r2_weight": 0.0, "gradient_penalty_weight": 0.0, **changes, "loss": loss}
    generator, discriminator = OneImageGenerator(), QuadraticDiscriminator(curvature)
    found, _ = make_step(generator, discriminator, **config)
    (image,), weights = (
        [np.array(variable, np.float64) for variable in network.trainable_variables]
        for network in (generator, discriminator)
    )
    of_discriminator, of_generator, penalty = expected(config, image, *weights)
    assert found["losses/discriminator"] + found["losses/penalty"] == pytest.approx(of_discriminator, rel=1e-5)
    assert found["losses/generator"] == pytest.approx(of_generator, rel=1e-5, abs=1e-6)
    assert found["losses/penalty"] == pytest.approx(penalty, rel=1e-5)
    if curvature:  # a curvature of 0 hides the penalty's gradient by the curvature
        norm = gradient_norm(lambda *values: expected(config, image, *values)[0], weights)
        assert found["norms/discriminator_gradient"] == pytest.approx(norm, rel=1e-4)
    norm = gradient_norm(lambda one: expected(config, one, *weights)[1], [image])
    assert found["norms/generator_gradient"] == pytest.approx(norm, rel=1e-4)


def test_there_is_no_penalty_between_two_penalised_steps():
    found, _ = make_step(OneImageGenerator(), QuadraticDiscriminator(), penalise=False, **PENALTIES)
    plain, _ = make_step(OneImageGenerator(), QuadraticDiscriminator())
    assert found["losses/penalty"] == 0
    assert found["losses/discriminator"] == plain["losses/discriminator"]


@pytest.mark.parametrize(
    ("loss", "sign", "accuracy"),
    [("non_saturating", 1.0, 0.5), ("hinge", 1.0, 0.5), ("wasserstein", -1.0, 0.0), ("relativistic", -1.0, 0.0)],
)
def test_the_accuracy_compares_logits_with_zero_or_with_each_other_depending_on_the_loss(loss, sign, accuracy):
    # All logits are positive, and each generated image has a higher logit than the real image paired with it.
    discriminator = QuadraticDiscriminator(curvature=0.0, bias=100.0)
    generator = OneImageGenerator()
    generator.trainable_variables[0].assign(50 * np.sign(discriminator.trainable_variables[0].numpy()))
    changes = {"gradient_penalty_weight": 10.0} if loss == "wasserstein" else {}
    found, _ = make_step(generator, discriminator, loss=loss, **changes)
    assert found["logits/real_sign"] == sign
    assert found["logits/discriminator_accuracy"] == accuracy


@pytest.mark.parametrize(
    ("changes", "images_seen", "scale", "of_generator", "of_discriminator"),
    [
        ({}, 0, 1.0, 0.01, 0.01),
        ({}, 0, 0.25, 0.0025, 0.0025),
        ({"discriminator_learning_rate_factor": 2.0}, 0, 1.0, 0.01, 0.02),
        ({"schedule": "linear", "schedule_images": 1000, "final_learning_rate": 0.002}, 500, 1.0, 0.006, 0.006),
    ],
    ids=["plain", "slowed down", "two time-scales", "half of a schedule"],
)
def test_a_step_moves_the_weights_by_the_learning_rate(changes, images_seen, scale, of_generator, of_discriminator):
    # With β₁ = β₂ = 0 Adam moves a weight by the learning rate times the gradient's sign.
    networks = OneImageGenerator(), QuadraticDiscriminator()
    before = [network.trainable_variables[0].numpy() for network in networks]
    make_step(*networks, images_seen=images_seen, scale=scale, beta_1=0.0, beta_2=0.0, final_beta_2=0.0, **changes)
    for network, weights, rate in zip(networks, before, (of_generator, of_discriminator), strict=True):
        moves = np.abs(network.trainable_variables[0].numpy() - weights)
        np.testing.assert_allclose(moves, rate, rtol=1e-3)


def test_both_adams_follow_the_schedule_of_beta_2():
    changes = {"schedule": "linear", "schedule_images": 1000, "beta_2": 0.9, "final_beta_2": 0.98}
    _, optimizers = make_step(OneImageGenerator(), QuadraticDiscriminator(), images_seen=250, beta_1=0.5, **changes)
    for adam in optimizers:
        count = (len(adam.variables) - 1) // 2
        for mean, square in zip(adam.variables[:count], adam.variables[count : 2 * count], strict=True):
            gradient = mean.numpy() / (1 - 0.5)
            np.testing.assert_allclose(square.numpy(), (1 - 0.92) * gradient**2, rtol=1e-4)


@pytest.mark.parametrize("loss", ["non_saturating", "relativistic"])
def test_accumulation_gives_the_metrics_and_weights_of_the_whole_batch(loss):
    changes = {"loss": loss, "scale": 1.0, **PENALTIES}
    found = []
    for parts in (1, 2):
        networks = OneImageGenerator(varied=True), QuadraticDiscriminator()
        metrics, _ = make_step(*networks, accumulation_steps=parts, **changes)
        weights = [variable.numpy() for network in networks for variable in network.trainable_variables]
        found.append((metrics, weights))
    (whole, weights_of_whole), (summed, weights_of_summed) = found
    assert summed == pytest.approx(whole, rel=1e-5, abs=1e-6)
    for ours, theirs in zip(weights_of_summed, weights_of_whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_each_forward_pass_draws_its_own_augmentations():
    # Half of the rows and columns around a random centre are cut out; the rest is unchanged.
    plain, cut = QuadraticDiscriminator(), QuadraticDiscriminator()
    make_step(OneImageGenerator(), plain)
    make_step(OneImageGenerator(), cut, augment=["cutout"], augment_probability=1.0)
    assert len(plain.shown) == len(cut.shown) == 3  # two in the discriminator's step, one in the generator's
    for images, originals in zip(cut.shown, plain.shown, strict=True):
        removed = images == 0
        np.testing.assert_array_equal(images[~removed], originals[~removed])
        assert removed.any(axis=(1, 2, 3)).all()
        assert not removed.all(axis=(1, 2, 3)).any()
    masks = [images == 0 for images in cut.shown]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (masks[one] != masks[other]).any()


def test_both_images_of_a_pair_get_the_same_augmentations():
    discriminator = QuadraticDiscriminator()
    discriminator.trainable_variables[0] = keras.Variable(np.ones((*SHAPE[:2], 2), np.float32))
    changes = {"network": "unet", "augment": ["cutout"], "augment_probability": 1.0}
    make_step(OneImageGenerator(), discriminator, inputs=tf.constant(255 - REAL[None]), **changes)
    for images in discriminator.shown:
        removed = images == 0
        np.testing.assert_array_equal(removed[..., 0], removed[..., 1])
        assert removed.any()


@pytest.mark.parametrize(
    ("changes", "images_seen", "probability"),
    [
        ({"augment_probability": 0.4}, 0, 0.4),
        ({"schedule": "linear", "schedule_images": 100, "final_augment_probability": 0.8}, 25, 0.2),
        ({"augment_target": 0.6}, 0, 0.7),
    ],
    ids=["constant", "scheduled", "adaptive"],
)
def test_the_augmentation_probability_is_scheduled_or_adaptive(changes, images_seen, probability):
    found, _ = make_step(
        OneImageGenerator(),
        QuadraticDiscriminator(),
        augment=["color"],
        images_seen=images_seen,
        probability=0.7,
        **changes,
    )
    assert found["guards/augment_probability"] == pytest.approx(probability)
