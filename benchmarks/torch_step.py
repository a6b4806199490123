"""PyTorch's side of train_step.py, run by the peers' Python: `python torch_step.py NETWORK STEPS`.

NETWORK is JSON: `null` for the tutorial's network at batch 64 (tutorial_dcgan.py), or what `step_sides.torch_network`
returns. Prints JSON: images per second, the number of trainable parameters of each network, and the nominal operations
of a step per image. The step is optimised for a CPU: channels last, fused Adam, images generated only once, and no
gradients by the discriminator's weights in the generator's step.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_COMPILING_STEPS = 5
_TUTORIAL = {
    "batch_size": 64,
    "latent_size": 100,
    "learning_rate": 0.0002,
    "betas": (0.9, 0.999),
    "average_decay": 0.0,
    "classes": 0,
}


class Generator(nn.Module):
    """Latents [B, latent_size], and labels [B] if there is a class map → images [B, 1, H, W] in [−1, 1]."""

    def __init__(self, smallest_map: nn.Module, class_map: nn.Module | None, rest: nn.Module) -> None:
        super().__init__()
        self.smallest_map, self.class_map, self.rest = smallest_map, class_map, rest

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the generated images."""
        smallest = self.smallest_map(latents)
        return self.rest(smallest if self.class_map is None else smallest + self.class_map(labels))


class Discriminator(nn.Module):
    """Images [B, 1, H, W], and labels [B] if there are classes → logits [B, 1]."""

    def __init__(self, layers: list[nn.Module], size: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(size, 1)
        self.projection = nn.Embedding(classes, size) if classes else None

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the logits."""
        features = self.features(images)
        logits = self.linear(features)
        if self.projection is None:
            return logits
        return logits + (features * self.projection(labels)).sum(dim=1, keepdim=True)


def tutorial() -> tuple[Generator, Discriminator]:
    """Builds the network of tutorial_dcgan.py."""
    smallest = [nn.Linear(100, 12544, bias=False), nn.BatchNorm1d(12544), nn.Unflatten(1, (256, 7, 7))]
    rest = [
        *(nn.LeakyReLU(0.3), nn.ConvTranspose2d(256, 128, 5, 1, 2, bias=False), nn.BatchNorm2d(128)),
        *(nn.LeakyReLU(0.3), nn.ConvTranspose2d(128, 64, 5, 2, 2, 1, bias=False), nn.BatchNorm2d(64)),
        *(nn.LeakyReLU(0.3), nn.ConvTranspose2d(64, 1, 5, 2, 2, 1, bias=False), nn.Tanh()),
    ]
    features = [
        *(nn.Conv2d(1, 64, 5, 2, 2), nn.LeakyReLU(0.3), nn.Dropout(0.3)),
        *(nn.Conv2d(64, 128, 5, 2, 2), nn.LeakyReLU(0.3), nn.Dropout(0.3), nn.Flatten()),
    ]
    return Generator(nn.Sequential(*smallest), None, nn.Sequential(*rest)), Discriminator(features, 6272, 0)


def dcgan(network: dict[str, Any]) -> tuple[Generator, Discriminator]:
    """Builds gan_core's plain `dcgan` for grey images: 4×4 kernels at stride 2, batch norm without a scale."""
    side, classes, dropout = network["base"], network["classes"], network["dropout"]
    channels = network["generator_channels"]  # from the smallest feature map to the image
    size, unflatten = side * side * channels[0], nn.Unflatten(1, (channels[0], side, side))
    smallest = [nn.Linear(network["latent_size"], size, bias=False), unflatten, _norm(channels[0])]
    class_map = nn.Sequential(nn.Embedding(classes, size), unflatten) if classes else None
    rest: list[nn.Module] = []
    for inputs, filters in pairwise([*channels, 1]):
        last = len(rest) == 3 * (len(channels) - 1)
        rest += [nn.ReLU(), nn.ConvTranspose2d(inputs, filters, 4, 2, 1, bias=last)]
        rest.append(nn.Tanh() if last else _norm(filters))
    features: list[nn.Module] = []
    for inputs, filters in pairwise([1, *network["discriminator_channels"]]):
        first = not features
        features.append(nn.Conv2d(inputs, filters, 4, 2, 1, bias=first))
        features += [nn.LeakyReLU(0.2)] if first else [_norm(filters), nn.LeakyReLU(0.2)]
    features += [nn.Flatten(), nn.Dropout(dropout)] if dropout else [nn.Flatten()]
    discriminator = Discriminator(features, side * side * network["discriminator_channels"][-1], classes)
    return Generator(nn.Sequential(*smallest), class_map, nn.Sequential(*rest)), discriminator


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    norm.weight.requires_grad_(False)
    return norm


def products(network: nn.Module, *inputs: torch.Tensor) -> list[int]:
    """Returns the multiplications of each convolution and linear layer in a forward pass of one image, in order."""
    found: list[int] = []

    def count(layer: Any, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        # A transposed convolution spreads each input pixel over the kernel; a convolution gathers each output pixel.
        pixels = given[0] if isinstance(layer, nn.ConvTranspose2d) else output
        found.append(layer.weight.numel() * pixels[0, 0].numel())

    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    return found


def operations_per_image(generator: list[int], discriminator: list[int]) -> int:
    """Returns the nominal operations of a step per image; a multiplication and an addition count as two.

    Only convolutions and dense layers count, including the multiplications beyond an image's edge. Layers for labels do
    not count, because they are look-ups. The gradient by the weights and the gradient by the inputs each cost as much
    as one forward pass, which is G for the generator and D for the discriminator (G₁ and D₁ for the first layers):

    - generator: forward, gradient by weights, and gradient by inputs without its first layer: 3 G − G₁;
    - discriminator's step, on real and on generated images: forward 2 D, by weights 2 D, by inputs 2 (D − D₁);
    - generator's step through the updated discriminator: forward D, by inputs D.

    Together 3 G − G₁ + 8 D − 2 D₁.
    """
    return 2 * (3 * sum(generator) - generator[0] + 8 * sum(discriminator) - 2 * discriminator[0])


def main() -> None:
    """Measures and prints."""
    described, steps = json.loads(sys.argv[1]), int(sys.argv[2])
    parts: tuple[nn.Module, nn.Module] = dcgan(described) if described else tutorial()
    network = described or _TUTORIAL
    batch_size, classes, decay = network["batch_size"], network["classes"], network["average_decay"]
    generator, discriminator = (part.to(memory_format=torch.channels_last) for part in parts)
    weights = [[weight for weight in part.parameters() if weight.requires_grad] for part in parts]
    generator_optimizer, discriminator_optimizer = (
        torch.optim.Adam(of_network, network["learning_rate"], network["betas"], eps=1e-7, fused=True)
        for of_network in weights
    )
    averaged = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None
    labels = torch.randint(max(classes, 1), (batch_size,))
    latents = torch.randn(batch_size, network["latent_size"])
    with torch.no_grad():
        real = torch.rand_like(generator(latents, labels)) * 2 - 1
        operations = operations_per_image(products(generator, latents, labels), products(discriminator, real, labels))
    real = real.contiguous(memory_format=torch.channels_last)
    ones, zeros = torch.ones(batch_size, 1), torch.zeros(batch_size, 1)
    cross_entropy = nn.functional.binary_cross_entropy_with_logits

    def step() -> None:
        fake = generator(torch.randn(batch_size, network["latent_size"]), labels)
        for weight in weights[1]:
            weight.requires_grad_(True)
        loss = cross_entropy(discriminator(real, labels), ones)
        loss += cross_entropy(discriminator(fake.detach(), labels), zeros)
        discriminator_optimizer.zero_grad()
        loss.backward()
        discriminator_optimizer.step()
        for weight in weights[1]:
            weight.requires_grad_(False)
        loss = cross_entropy(discriminator(fake, labels), ones)
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        if averaged:
            averaged.update_parameters(generator)

    for _ in range(_COMPILING_STEPS):
        step()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    rate = steps * batch_size / (time.perf_counter() - started)
    counts = [sum(weight.numel() for weight in of_network) for of_network in weights]
    print(json.dumps({"images_per_second": rate, "learned": counts, "operations_per_image": operations}))


if __name__ == "__main__":
    main()
