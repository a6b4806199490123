"""The section `evaluate`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gan_core.config.section import OR_AUTO, Section, Seed

FEATURE_SIZES = {"classifier": 64, "random": 128, "ngram": 128, "inception": 2048, "dinov2": 1024, "vggish": 128}
"""Length of a feature vector of each extractor. `auto` chooses one of the first three."""
MOST_FEATURE_BYTES = 2**32


class EvaluateConfig(Section):
    """How a generator is scored.

    >>> EvaluateConfig.parse(params["evaluate"] | {"metrics": ["fid", "kid"]}).metrics
    ('fid', 'kid')
    """

    section = "evaluate"

    extractor: Annotated[Literal["classifier", "random", "ngram", "inception", "dinov2", "vggish"], OR_AUTO]
    inception_weights: str
    dinov2_weights: str = ""  # earlier versions of params.yaml lack it, and the next one
    vggish_weights: str = ""
    resize: Literal["legacy_tensorflow", "legacy_pytorch", "clean"]
    reference: Literal["held_out", "train"]
    metrics: Annotated[tuple[Literal["fid", "kid", "prdc", "memorisation"], ...], Field(min_length=1)]
    samples: Annotated[int, Field(ge=2)]
    sampling_seeds: Annotated[int, Field(ge=1)]
    seed: Seed
    batch_size: Annotated[int, Field(ge=1, le=2**14)]
    kid_subsets: Annotated[int, Field(ge=1, le=10**4)]
    kid_subset_size: Annotated[int, Field(ge=2, le=10**4)]
    bootstrap_replicates: Annotated[int, Field(ge=2, le=10**4)]

    @model_validator(mode="after")
    def _features_fit_in_memory(self) -> Self:
        dimensions = FEATURE_SIZES["random" if self.automatic else self.extractor]
        # float32 features, and a float64 covariance for each sampling seed
        if self.sampling_seeds * (self.samples + 2 * dimensions) * dimensions * 4 > MOST_FEATURE_BYTES:
            raise ValueError(
                "The parameter 'evaluate.samples' or 'sampling_seeds' must be smaller: the features of all generated "
                f"examples ({dimensions} numbers of 4 bytes each) and their covariances must fit into "
                f"{MOST_FEATURE_BYTES} bytes. Received: samples={self.samples}, sampling_seeds={self.sampling_seeds}, "
                f"extractor={self.extractor!r}"
            )
        return self
