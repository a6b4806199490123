"""torch-fidelity's side of evaluation.py, run by the peers' Python: `python torch_fidelity_features.py FOLDER`.

Reads `images` of `images.npz`, uint8 [N, H, W, 3], writes their features under the same name into `features.npz`, and
prints the elapsed and processor seconds. The first call makes `weights.pth`, random weights for both sides.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import library as operators

# torchvision's compiled part does not load into torch's light build, so only its Python modules are used with that.
if torch.version.cuda is None:
    for operator in ("nms", "qnms"):
        operators.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import torchvision
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

BATCH_SIZE = 64  # torch-fidelity's default


@torch.no_grad()
def main(folder: Path) -> None:
    """Extracts the features of the images in `folder`."""
    if not (folder / "weights.pth").exists():
        torch.manual_seed(0)
        network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False)
        torch.save(network.state_dict(), folder / "weights.pth")
    extractor = FeatureExtractorInceptionV3(
        "inception", ["2048"], feature_extractor_weights_path=folder / "weights.pth"
    )
    images = torch.from_numpy(np.load(folder / "images.npz")["images"].transpose(0, 3, 1, 2).copy())
    extractor(images[:BATCH_SIZE])
    start, busy = time.perf_counter(), time.process_time()
    features = [extractor(batch)[0] for batch in images.split(BATCH_SIZE)]
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    np.savez(folder / "features.npz", images=torch.cat(features).numpy())
    print(seconds, busy)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
