"""Tests the warnings about an evaluation."""

from __future__ import annotations

from gan_core.evaluation.score_warnings import score_warnings


def warned(**changes: object) -> str:
    values = {"real_count": 3000, "generated_count": 3000, "dimensions": 64, "scores": {}}
    values |= {
        "frechet_error": 0.1,
        "shared": 0.01,
        "training_share": 1.0,
        "unknown_training": False,
        "collapsed": False,
        "item": "image",
    }
    return " ".join(score_warnings(**{**values, **changes}))


def test_each_warning_has_its_threshold() -> None:
    assert warned() == ""
    assert "only 2047 real" in warned(real_count=2047)
    assert warned(real_count=2047, generated_count=100).count("only 2047 real and 100 generated images") == 1
    assert "only 100 generated" in warned(generated_count=100)
    assert "Recall is 0.79 and precision only 0.20." in warned(scores={"recall": 0.79, "precision": 0.2})
    assert warned(scores={"recall": 0.79, "precision": 0.3}) == ""
    assert "covariance of the generated images is singular: there are 64 images for 64" in warned(generated_count=64)
    assert "does not say how many" in warned(real_count=0)
    assert "All of the generated images are also among the real images" in warned(shared=1.0)
    assert "40.0% of the generated images are also" in warned(shared=0.4)
    assert "collapsed" in warned(collapsed=True)
    assert "only 49% of that of the real images" in warned(scores={"diversity": 0.49})
    assert "memorised" in warned(scores={"train_preference": 0.61})
    assert "memorised" in warned(scores={"train_preference": 0.53}, training_share=0.2)
    assert warned(scores={"train_preference": 0.51}, training_share=0.2) == ""
    assert "Only 20% of the training images were searched" in warned(scores={"authenticity": 1.0}, training_share=0.2)
    assert warned(scores={"authenticity": 0.9}) == ""
    assert "smaller by 0.31" in warned(scores={"train_gap": 0.31}, frechet_error=0.1)
    assert warned(scores={"train_gap": 0.29}, frechet_error=0.1) == ""
    assert warned(scores={"diversity": 0.51, "train_preference": 0.59, "train_gap": -1.0}) == ""
