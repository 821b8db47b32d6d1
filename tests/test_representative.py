import numpy as np
from scipy.stats import ks_2samp

from trainer.representative import compare


def test_distance_is_that_of_kolmogorov_and_smirnov():
    rng = np.random.default_rng(0)
    score = rng.random(900).astype(np.float32)
    labelled = rng.random(900) < score
    found = compare(score, score > 0.9, labelled)
    assert found.distance == ks_2samp(score[labelled], score[~labelled]).statistic
    assert found.distance > found.by_chance
    assert (found.labelled, found.missing) == (labelled.sum(), 900 - labelled.sum())
    assert found.changed > found.missing_changed


def test_labels_that_are_missing_at_random_seldom_look_otherwise():
    beyond = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        score = rng.random(400).astype(np.float32)
        found = compare(score, score > 0.5, rng.random(400) < 0.3)
        beyond += found.distance > found.by_chance
    assert beyond <= 7  # about one in a hundred


def test_one_kind_alone_cannot_be_compared():
    score = np.zeros(5, np.float32)
    for labelled in (np.ones(5, bool), np.zeros(5, bool)):
        assert compare(score, labelled, labelled) is None
