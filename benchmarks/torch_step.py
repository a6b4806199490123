"""PyTorch's side of train_step.py, run by the peers' Python: `python torch_step.py NETWORK STEPS`.

NETWORK is a DescribedNetwork as JSON. Prints JSON: images per second, and the number of trainable parameters of each
network. Optimised for a CPU: channels last, fused Adam, images generated once, no gradients by the discriminator's
weights in the generator's step.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_COMPILING_STEPS = 5


class Generator(nn.Module):
    """Latents [B, latent_size], and labels [B] if the network has classes → images [B, 1, H, W] in [−1, 1]."""

    def __init__(self, network: dict[str, Any]) -> None:
        super().__init__()
        base, channels = network["base"], network["first"]
        size = base * base * channels
        unflatten = nn.Unflatten(1, (channels, base, base))
        norms = [nn.BatchNorm1d(size), unflatten] if network["flat_norm"] else [unflatten, nn.BatchNorm2d(channels)]
        self.smallest_map = nn.Sequential(nn.Linear(network["latent_size"], size, bias=False), *norms)
        classes = network["classes"]
        self.class_map = nn.Sequential(nn.Embedding(classes, size), unflatten) if classes else None
        layers: list[nn.Module] = []
        for index, (filters, kernel, stride) in enumerate(network["generator"]):
            if index > 0:
                layers.append(nn.BatchNorm2d(channels))
            layers.append(nn.LeakyReLU(network["generator_slope"]))
            last = index == len(network["generator"]) - 1
            padding = (kernel - stride + 1) // 2
            layers.append(
                nn.ConvTranspose2d(
                    channels,
                    filters,
                    kernel,
                    stride,
                    padding,
                    output_padding=stride - kernel + 2 * padding,
                    bias=last and network["last_bias"],
                )
            )
            channels = filters
        self.rest = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the generated images."""
        smallest = self.smallest_map(latents)
        return self.rest(smallest if self.class_map is None else smallest + self.class_map(labels))


class Discriminator(nn.Module):
    """Images [B, 1, H, W], and labels [B] if the network has classes → logits [B, 1]."""

    def __init__(self, network: dict[str, Any]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, side = 1, network["base"]
        for _, _, stride in network["generator"]:
            side *= stride
        for index, (filters, kernel, stride) in enumerate(network["discriminator"]):
            normed = network["discriminator_norm"] and index > 0
            layers.append(nn.Conv2d(channels, filters, kernel, stride, (kernel - stride + 1) // 2, bias=not normed))
            if normed:
                layers.append(nn.BatchNorm2d(filters))
            layers.append(nn.LeakyReLU(network["discriminator_slope"]))
            if network["convolution_dropout"]:
                layers.append(nn.Dropout(network["convolution_dropout"]))
            channels, side = filters, side // stride
        layers.append(nn.Flatten())
        if network["feature_dropout"]:
            layers.append(nn.Dropout(network["feature_dropout"]))
        self.features = nn.Sequential(*layers)
        size, classes = side * side * channels, network["classes"]
        self.linear = nn.Linear(size, 1)
        self.projection = nn.Embedding(classes, size) if classes else None

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the logits."""
        features = self.features(images)
        logits = self.linear(features)
        if self.projection is None:
            return logits
        return logits + (features * self.projection(labels)).sum(dim=1, keepdim=True)


def learned(module: nn.Module, network: dict[str, Any]) -> list[nn.Parameter]:
    """Returns the trainable parameters, without the norms' scales if those are fixed."""
    fixed = set()
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)) and not network["norm_scales"]:
            part.weight.requires_grad_(False)
            fixed.add(part.weight)
    return [parameter for parameter in module.parameters() if parameter not in fixed]


def main() -> None:
    """Measures and prints."""
    network, steps = json.loads(sys.argv[1]), int(sys.argv[2])
    batch_size = network["batch_size"]
    generator = Generator(network).to(memory_format=torch.channels_last)
    discriminator = Discriminator(network).to(memory_format=torch.channels_last)
    weights = [learned(part, network) for part in (generator, discriminator)]
    betas = (network["beta_1"], network["beta_2"])
    generator_optimizer, discriminator_optimizer = (
        torch.optim.Adam(of_network, network["learning_rate"], betas, eps=1e-7, fused=True) for of_network in weights
    )
    decay = network["average_decay"]
    averaged = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None
    labels = torch.randint(max(network["classes"], 1), (batch_size,))
    with torch.no_grad():
        real = torch.rand_like(generator(torch.randn(batch_size, network["latent_size"]), labels)) * 2 - 1
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
    print(json.dumps({"images_per_second": rate, "learned": counts}))


if __name__ == "__main__":
    main()
