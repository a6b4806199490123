"""Computes the results of the usual implementations in their own environment, as files for test_peers.py.

Run by that environment's Python: `python peers.py FOLDER`. FOLDER holds `inputs.npz`; this writes the same random
weights as PyTorch saves them today and before 1.6, and `outputs.npz`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import library as operators

# torchvision's compiled part is built for CUDA and does not load into torch's light build. Its Python modules register
# functions for two operators of that part, so these must exist. The peers call neither.
if torch.version.cuda is None:
    for operator in ("nms", "qnms"):
        operators.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import cleanfid.features
import cleanfid.resize
import mpmath
import PIL.Image
import prdc
import pytorch_fid.fid_score
import pytorch_fid.inception
import torchvision
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

# 12 dimensions: full rank, then rank-deficient.
EXACT_IMAGES = (500, 13, 5)


def random_weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """He-initialised kernels and random batch-norm statistics, so that every detail of the network has an effect."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, tensor in module.state_dict().items():
        shape = tensor.shape
        if name.endswith(("running_var", "bn.weight")):
            weights[name] = torch.rand(shape, generator=generator) + 0.5
        elif name.endswith(("running_mean", "bias")):
            weights[name] = 0.3 * torch.randn(shape, generator=generator)
        elif tensor.dtype == torch.float32:
            weights[name] = torch.randn(shape, generator=generator) * (2 / shape[1:].numel()) ** 0.5
        else:
            weights[name] = tensor
    return weights


def exact_distance(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """Returns the Fréchet distance to 50 digits. The eigenvalues of a covariance give its square root."""
    with mpmath.workdps(50):
        values, vectors = mpmath.eigsy(mpmath.matrix(a["sigma"].tolist()))
        root = vectors * mpmath.diag([mpmath.sqrt(max(value, 0)) for value in values]) * vectors.T
        product = root * mpmath.matrix(b["sigma"].tolist()) * root
        overlap = mpmath.fsum(mpmath.sqrt(max(value, 0)) for value in mpmath.eigsy(product, eigvals_only=True))
        shift = mpmath.fsum((mpmath.mpf(x) - mpmath.mpf(y)) ** 2 for x, y in zip(a["mu"], b["mu"], strict=True))
        traces = mpmath.fsum(np.concatenate([np.diag(a["sigma"]), np.diag(b["sigma"])]).tolist())
        return float(shift + traces - 2 * overlap)


def channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.repeat(images, 3 // images.shape[-1], axis=-1).transpose(0, 3, 1, 2).copy())


@torch.no_grad()
def main(folder: Path) -> None:
    inputs = np.load(folder / "inputs.npz")
    image_sets = {name: inputs[name] for name in inputs.files if name.startswith("images_")}
    outputs = {}

    weights = random_weights(torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False))
    torch.save(weights, folder / "weights.pth")
    torch.save(weights, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    parameters = {name: torch.nn.Parameter(tensor) for name, tensor in weights.items() if tensor.is_floating_point()}
    torch.save(parameters, folder / "parameters.pth", _use_new_zipfile_serialization=False)

    fidelity = FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=folder / "weights.pth"
    )
    pytorch_fid.inception.load_state_dict_from_url = lambda *_, **__: weights
    heusel = pytorch_fid.inception.InceptionV3().eval()
    clean = cleanfid.resize.build_resizer("clean")
    for name, images in image_sets.items():
        tensor = channels_first(images)
        outputs[f"fidelity_{name}"], logits = (part.numpy() for part in fidelity(tensor))
        outputs[f"probabilities_{name}"] = torch.from_numpy(logits).softmax(dim=1).numpy()
        outputs[f"pytorch_fid_{name}"] = heusel(tensor / 255)[0][:, :, 0, 0].numpy()
        resized = interpolate_bilinear_2d_like_tensorflow1x(tensor.float(), size=(299, 299), align_corners=False)
        outputs[f"legacy_tensorflow_{name}"] = ((resized - 128) / 128).numpy().transpose(0, 2, 3, 1)
        resized = torch.nn.functional.interpolate(tensor / 255, size=(299, 299), mode="bilinear", align_corners=False)
        outputs[f"legacy_pytorch_{name}"] = (2 * resized - 1).numpy().transpose(0, 2, 3, 1)
        outputs[f"clean_{name}"] = np.stack([clean(image) for image in tensor.numpy().transpose(0, 2, 3, 1)])

    real, generated = torch.from_numpy(inputs["real"]), torch.from_numpy(inputs["generated"])
    statistics = [fid_features_to_statistics(features.double()) for features in (generated, real)]
    outputs["fidelity_fid"] = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    outputs["pytorch_fid_fid"] = pytorch_fid.fid_score.calculate_frechet_distance(
        *(entry[key] for entry in statistics for key in ("mu", "sigma"))
    )
    outputs["exact_fid"] = [
        exact_distance(*(fid_features_to_statistics(side[:images, :12].double()) for side in (generated, real)))
        for images in EXACT_IMAGES
    ]
    kernel = kid_features_to_metric(
        generated.double(), real.double(), kid_subsets=10, kid_subset_size=200, rng_seed=7, verbose=False
    )
    outputs["kid"] = list(kernel.values())
    outputs["inception_score"] = list(isc_features_to_metric(real, splits=7, shuffle=False).values())
    for k in (3, 5):
        outputs[f"prdc_{k}"] = list(prdc.compute_prdc(inputs["real"], inputs["generated"], nearest_k=k).values())
    read = pytorch_fid.fid_score.compute_statistics_of_path(str(folder / "ours.npz"), heusel, 2, 2048, "cpu")
    outputs["pytorch_fid_mu"], outputs["pytorch_fid_sigma"] = read
    stats = Path(cleanfid.__file__).parent / "stats"
    stats.mkdir(exist_ok=True)
    place = stats / f"{folder.name}_clean_custom_na.npz".lower()  # its folder for custom statistics
    place.write_bytes((folder / "ours.npz").read_bytes())
    read = cleanfid.features.get_reference_statistics(folder.name, "na", mode="clean", split="custom", metric="FID")
    place.unlink()
    outputs["clean_fid_mu"], outputs["clean_fid_sigma"] = read
    (folder / "images").mkdir()
    PIL.Image.fromarray(image_sets["images_even"][0]).save(folder / "images" / "0.png")
    PIL.Image.fromarray(image_sets["images_even"][1]).save(folder / "images" / "1.png")
    pytorch_fid.fid_score.save_fid_stats([str(folder / "images"), str(folder / "theirs.npz")], 2, "cpu", 2048, 1)
    np.savez(folder / "outputs.npz", **outputs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
