"""Sentences of warning."""

from __future__ import annotations

from gan_core.evaluation.score_warnings import warnings


def warned(**changes: object) -> str:
    values = {"real_count": 3000, "generated_count": 3000, "dimensions": 64, "figures": {}}
    values |= {
        "frechet_error": 0.1,
        "shared": 0.01,
        "training_share": 1.0,
        "unknown_training": False,
        "collapsed": False,
    }
    return " ".join(warnings(**{**values, **changes}))


def test_warnings() -> None:
    assert warned() == ""
    assert "only 2047 real" in warned(real_count=2047)
    assert "only 100 generated" in warned(generated_count=100)
    assert "64 generated images cannot fill 64" in warned(generated_count=64)
    assert "does not say" in warned(real_count=0)
    assert "All of the generated images are also among the real images" in warned(shared=1.0)
    assert "40.0% of the generated images are also" in warned(shared=0.4)
    assert "collapsed" in warned(collapsed=True)
    assert "only 49% as much" in warned(figures={"diversity": 0.49})
    assert "memorised" in warned(figures={"train_preference": 0.61})
    assert "memorised" in warned(figures={"train_preference": 0.53}, training_share=0.2)
    assert warned(figures={"train_preference": 0.51}, training_share=0.2) == ""
    assert "among 20% of the training images" in warned(figures={"authenticity": 1.0}, training_share=0.2)
    assert warned(figures={"authenticity": 0.9}) == ""
    assert "by 0.31 smaller" in warned(figures={"train_gap": 0.31}, frechet_error=0.1)
    assert warned(figures={"train_gap": 0.29}, frechet_error=0.1) == ""
    assert warned(figures={"diversity": 0.51, "train_preference": 0.59, "train_gap": -1.0}) == ""
