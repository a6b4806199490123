"""Adam with learning rate and β's as arguments of every step, and loss scaling for float16."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_EPSILON = 1e-7
_FIRST_SCALE = 2.0**15
_STEPS_TO_DOUBLE = 2000.0


class Adam:
    """Adam for the trainable weights of one network, identical on every replica.

    In Keras's optimiser β₂ is fixed; here learning rate and β₂ may follow a schedule. With `mixed_precision`, the loss
    is multiplied by a scale that keeps float16 gradients from vanishing. A step whose gradients overflow is skipped and
    halves the scale; 2000 good steps in a row double it.

    Attributes:
        variables: the state, without the weights.

    References:
        Kingma and Ba 2015, arXiv 1412.6980, algorithm 1. Micikevicius et al. 2018, arXiv 1710.03740, section 3.2.
    """

    def __init__(self, network: Any, *, mixed_precision: bool) -> None:
        self._weights = [variable.value for variable in network.trainable_variables]
        self._means = [tf.Variable(tf.zeros(weight.shape), trainable=False) for weight in self._weights]
        self._squares = [tf.Variable(tf.zeros(weight.shape), trainable=False) for weight in self._weights]
        self._powers = tf.Variable([1.0, 1.0], trainable=False)  # β₁ᵗ and Π β₂
        self._scale = tf.Variable([_FIRST_SCALE, 0.0], trainable=False) if mixed_precision else None
        self.variables = [*self._means, *self._squares, self._powers, *([self._scale] if mixed_precision else [])]

    def tape(self) -> tf.GradientTape:
        """Returns a tape that watches only this network's weights, so the other network is constant."""
        tape = tf.GradientTape(watch_accessed_variables=False)
        with tape:
            tape.watch(self._weights)
        return tape

    def gradients(self, tape: tf.GradientTape, loss: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients of `loss` with respect to the weights, multiplied by the loss scale."""
        scale = None if self._scale is None else self._scale[0]
        found: list[tf.Tensor] = tape.gradient(loss, self._weights, output_gradients=scale)
        return found

    def apply(self, gradients: list[tf.Tensor], learning_rate: tf.Tensor, beta_1: float, beta_2: tf.Tensor) -> Any:
        """Updates the weights with the replicas' mean of `gradients`; returns its Euclidean norm, a scalar.

        Every replica must call it.
        """
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
        rates = tf.stack([learning_rate, tf.constant(beta_1), beta_2])
        if self._scale is None:
            norm = tf.linalg.global_norm(gradients)
        else:
            gradients = [gradient / self._scale[0] for gradient in gradients]
            norm = tf.linalg.global_norm(gradients)
            finite = tf.math.is_finite(norm)
            gradients = [tf.where(finite, gradient, 0.0) for gradient in gradients]
            # These rates leave the weights and the state unchanged.
            rates = tf.where(finite, rates, tf.constant([0.0, 1.0, 1.0]))
            norm = tf.where(finite, norm, 0.0)
            context.merge_call(self._rescale, args=(finite,))
        context.merge_call(self._apply_adam, args=(gradients, rates))
        return norm

    def _apply_adam(self, strategy: Any, gradients: list[Any], rates: Any) -> None:
        def apply(weight: Any, *state: Any) -> None:
            mean, square, gradient, powers, rates = state
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rates[0],
                beta1=rates[1],
                beta2=rates[2],
                epsilon=_EPSILON,
                grad=gradient,
            )

        def advance(powers: Any, rates: Any) -> None:
            powers.assign(powers * rates[1:])

        update = strategy.extended.update
        update(self._powers, advance, args=(rates,), group=False)
        for weight, mean, square, gradient in zip(self._weights, self._means, self._squares, gradients, strict=True):
            update(weight, apply, args=(mean, square, gradient, self._powers, rates), group=False)

    def _rescale(self, strategy: Any, finite: Any) -> None:
        def rescale(scale: Any, finite: Any) -> None:
            grown = tf.where(
                scale[1] + 1 < _STEPS_TO_DOUBLE, scale + tf.constant([0.0, 1.0]), scale * tf.constant([2.0, 0.0])
            )
            scale.assign(tf.where(finite, grown, scale * tf.constant([0.5, 0.0])))

        strategy.extended.update(self._scale, rescale, args=(finite,), group=False)
