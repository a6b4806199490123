"""Names a training's MLflow run after DVC's experiment, the data and the recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from components.tracking.model_name import source_name


def run_name(source: str, shape: Sequence[int], parameters: Mapping[str, object], experiment: str | None) -> str:
    """Returns a name such as `plain-base cats-64x64x3 dcgan hinge`: experiment, data, shape, network and loss.

    Outside of a DVC experiment, the name begins with six digits of a digest of all parameters, so runs of one recipe
    have one name. The part that distinguishes runs comes first, because MLflow's tables cut names off.

    Args:
        source: the value of `prepare.source`.
        shape: height, width, channels.
        parameters: the train section.
        experiment: DVC's name of the experiment; None for a plain `dvc repro`.
    """
    size = "x".join(str(extent) for extent in shape)
    recipe = [str(parameters[key]) for key in ("network", "loss") if key in parameters]
    content = json.dumps(parameters, sort_keys=True, default=str)
    first = experiment or hashlib.sha256(content.encode()).hexdigest()[:6]
    return " ".join([first, f"{source_name(source)}-{size}", *recipe])
