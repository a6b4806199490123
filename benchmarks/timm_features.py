"""timm's DINOv2 network, run by the peers' Python: `python timm_features.py FOLDER WIDTH BLOCKS HEADS`.

The network has random weights. `weights.pth` gets them under the names and in the shapes of the published file, with
positions for 37 × 37 patches; the first call draws them. Reads the images of `images.npz`, each [N, H, W, 1 or 3]
uint8, resizes them as the program of FD-DINOv2's authors does, writes `features.npz` and prints the elapsed and
processor seconds without resizing.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import library as operators

# torchvision's compiled part is built for CUDA and does not load into torch's light build. Its Python modules register
# functions for two operators of that part, so these must exist. They are not called.
if torch.version.cuda is None:
    for operator in ("nms", "qnms"):
        operators.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.vision_transformer import VisionTransformer
from torchvision import transforms

AT_ONCE = 16
SIDE, PATCH, STORED_PATCHES = 224, 14, 37
PREPROCESS = transforms.Compose(
    [
        transforms.Resize((SIDE, SIDE), transforms.InterpolationMode.BICUBIC),
        transforms.ToTensor(),
        transforms.Normalize(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD),
    ]
)


def draw_weights(network: torch.nn.Module, width: int) -> dict[str, torch.Tensor]:
    """Returns weights by which every tensor changes the features."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, tensor in network.state_dict().items():
        values = torch.randn(tensor.shape, generator=generator)
        if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "gamma")):
            values = 1 + values / 4
        elif name.endswith("weight"):
            values /= tensor.shape[1:].numel() ** 0.5
        weights[name] = values
    weights["pos_embed"] = torch.randn((1, 1 + STORED_PATCHES**2, width), generator=generator)
    weights["mask_token"] = torch.randn((1, width), generator=generator)
    return weights


def positions(stored: torch.Tensor) -> torch.Tensor:
    """Resizes the stored positions with the call that the published program makes."""
    grid = stored[:, 1:].reshape(1, STORED_PATCHES, STORED_PATCHES, -1).permute(0, 3, 1, 2)
    factor = (SIDE // PATCH + 0.1) / STORED_PATCHES
    resized = torch.nn.functional.interpolate(grid, scale_factor=(factor, factor), mode="bicubic")
    return torch.cat([stored[:, :1], resized.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


@torch.no_grad()
def main(folder: Path, width: int, blocks: int, heads: int) -> None:
    """Extracts the features of the images in `folder`."""
    network = VisionTransformer(
        img_size=SIDE,
        patch_size=PATCH,
        embed_dim=width,
        depth=blocks,
        num_heads=heads,
        init_values=1e-5,
        num_classes=0,
        global_pool="token",
    ).eval()
    place = folder / "weights.pth"
    if not place.exists():
        torch.save(draw_weights(network, width), place)
    weights = torch.load(place)
    del weights["mask_token"]
    network.load_state_dict({**weights, "pos_embed": positions(weights["pos_embed"])})
    features = {}
    seconds = busy = 0.0
    for name, images in np.load(folder / "images.npz").items():
        pictures = [Image.fromarray(image.squeeze()).convert("RGB") for image in images]
        batches = torch.stack([PREPROCESS(picture) for picture in pictures]).split(AT_ONCE)
        network(batches[0])
        start, start_busy = time.perf_counter(), time.process_time()
        found = [network(batch) for batch in batches]
        seconds, busy = seconds + time.perf_counter() - start, busy + time.process_time() - start_busy
        features[name] = torch.cat(found).numpy()
    np.savez(folder / "features.npz", **features)
    print(seconds, busy)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
