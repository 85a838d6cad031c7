#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes metrics.json and losses_sklearn.json, the figures that tests/metrics and tests/reference compare with: scikit-learn's metrics,
and those of its losses that PyTorch has not. What it does not have either (calibration error, focal loss) is computed by its definition in
NumPy.

    apt-get install -y python3-sklearn
    /usr/bin/python3 make_metrics.py [SEED] [FOLDER]

Everything is in double precision. SEED other than 0 gives fresh cases of the same form, FOLDER puts them elsewhere.
"""
import json
import os
import sys
import warnings

import numpy as np
import sklearn
import sklearn.metrics as metrics
from scipy.special import expit, log_softmax, softmax
from sklearn._loss.loss import HalfGammaLoss, HalfPoissonLoss, HalfTweedieLoss
from sklearn.linear_model import _sgd_fast as sgd

warnings.simplefilter("error")
seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
folder = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.abspath(__file__))
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(seed)
source = "scikit-learn " + sklearn.__version__ + ", NumPy " + np.__version__


def write(name, body):
    with open(os.path.join(folder, name), "w") as f:
        json.dump(body, f, indent=1)
        f.write("\n")


def confusion(truth, guess, k, weights):
    classes = list(range(k))
    out = {"matrix": metrics.confusion_matrix(truth, guess, labels=classes, sample_weight=weights).tolist(),
           "accuracy": metrics.accuracy_score(truth, guess, sample_weight=weights)}
    for average in (None, "macro", "micro", "weighted"):
        p, r, f, _ = metrics.precision_recall_fscore_support(truth, guess, labels=classes, average=average, sample_weight=weights,
                                                             zero_division=0)
        out[average or "classes"] = {"precision": np.asarray(p).tolist(), "recall": np.asarray(r).tolist(), "f1": np.asarray(f).tolist()}
    return out


def calibration_error(truth, p, bins, weights):
    guess, confidence = p.argmax(axis=1), p.max(axis=1)
    error = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if weights[inside].sum() > 0:
            w = weights[inside]
            gap = np.average(guess[inside] == truth[inside], weights=w) - np.average(confidence[inside], weights=w)
            error += w.sum() / weights.sum() * abs(gap)
    return error


def some_weights(n):
    """None, and some that are often 0."""
    return [("plain", None), ("weighted", np.round(rng.uniform(0, 3, size=n) * (rng.uniform(size=n) > 0.2), 3))]


n = 60
out = {"source": source, "cases": {}}

# Two classes, one output; scores are rounded, so that there are ties, also between the classes.
truth = rng.integers(0, 2, size=n)
z = np.round(rng.normal(size=n) + truth - 0.5, 1)
case = out["cases"]["two_classes"] = {"scores": z.tolist(), "labels": truth.tolist()}
for name, w in some_weights(n):
    ones = np.ones(n) if w is None else w
    guess, p = (z > 0).astype(int), np.stack([expit(-z), expit(z)], axis=1)
    fpr, tpr, thresholds = metrics.roc_curve(truth, z, sample_weight=w, drop_intermediate=False)
    precision, recall, pr_thresholds = metrics.precision_recall_curve(truth, z, sample_weight=w)
    case[name] = {"weights": [] if w is None else w.tolist(), "confusion": confusion(truth, guess, 2, w),
                  "log_loss": metrics.log_loss(truth, p, sample_weight=w),
                  "roc": {"false_positive_rate": fpr.tolist(), "true_positive_rate": tpr.tolist(), "thresholds": thresholds[1:].tolist(),
                          "area": metrics.roc_auc_score(truth, z, sample_weight=w)},
                  "precision_recall": {"precision": precision.tolist(), "recall": recall.tolist(), "thresholds": pr_thresholds.tolist(),
                                       "average_precision": metrics.average_precision_score(truth, z, sample_weight=w)},
                  "calibration_error": {str(bins): calibration_error(truth, p, bins, ones) for bins in (1, 7, 15)}}

# Five classes; ties within a sample; class 4 is never predicted.
k = 5
truth = rng.integers(0, k, size=n)
Z = np.round(2 * (rng.normal(size=(n, k)) + 1.5 * np.eye(k)[truth])) / 2
Z[:, 4] -= 9
case = out["cases"]["five_classes"] = {"scores": Z.tolist(), "labels": truth.tolist()}
for name, w in some_weights(n):
    ones = np.ones(n) if w is None else w
    p = softmax(Z, axis=1)
    case[name] = {"weights": [] if w is None else w.tolist(), "confusion": confusion(truth, Z.argmax(axis=1), k, w),
                  "log_loss": metrics.log_loss(truth, p, sample_weight=w, labels=list(range(k)), eps=1e-300),
                  "top": {str(t): metrics.top_k_accuracy_score(truth, Z, k=t, sample_weight=w, labels=list(range(k))) for t in range(1, k)},
                  "roc_area_of_class": [metrics.roc_auc_score(truth == c, Z[:, c], sample_weight=w) for c in range(k)],
                  "calibration_error": {str(bins): calibration_error(truth, p, bins, ones) for bins in (1, 7, 15)}}

# Regression, one and three outputs.
for name_of_case, outputs in (("one_output", 1), ("three_outputs", 3)):
    Y = rng.normal(size=(n, outputs)) * 3 + 10
    P = Y + rng.normal(size=(n, outputs))
    case = out["cases"][name_of_case] = {"scores": P.tolist(), "targets": Y.tolist()}
    for name, w in some_weights(n):
        case[name] = {"weights": [] if w is None else w.tolist(),
                      "mean_squared_error": metrics.mean_squared_error(Y, P, sample_weight=w),
                      "root_mean_squared_error": metrics.mean_squared_error(Y, P, sample_weight=w, squared=False),
                      "mean_absolute_error": metrics.mean_absolute_error(Y, P, sample_weight=w),
                      "r_squared": metrics.r2_score(Y, P, sample_weight=w)}
write("metrics.json", out)

# Losses by scikit-learn, in the form of losses.json.
b = 17
z = rng.normal(size=b) * 3
signs = rng.choice([-1.0, 1.0], size=b)
real = rng.normal(size=b)
amounts = rng.gamma(2.0, size=b)
claims = amounts * (rng.uniform(size=b) > 0.3)
Z, labels = rng.normal(size=(b, 4)) * 3, rng.integers(0, 4, size=b)
out = {"source": source, "Z": Z.tolist(), "labels": labels.tolist(), "z": z.tolist(), "signs": signs.tolist(), "targets": real.tolist(),
       "amounts": amounts.tolist(), "claims": claims.tolist(), "cases": {}}


def loss_case(name, values, gradient, **settings):
    out["cases"][name] = {"settings": settings, "value": float(np.sum(values)), "gradient": np.asarray(gradient).tolist()}


def of_sgd(name, loss, targets, target_name, **settings):
    loss_case(name, [loss.py_loss(p, y) for p, y in zip(z, targets)], [loss.py_dloss(p, y) for p, y in zip(z, targets)],
              scores="z", targets=target_name, **settings)


of_sgd("modified_huber", sgd.ModifiedHuber(), signs, "signs")
of_sgd("epsilon_insensitive", sgd.EpsilonInsensitive(0.7), real, "targets", epsilon=0.7)
of_sgd("squared_epsilon_insensitive", sgd.SquaredEpsilonInsensitive(0.7), real, "targets", epsilon=0.7)


def of_glm(name, loss, targets, target_name, **settings):
    loss_case(name, loss.loss(targets, z), loss.gradient(targets, z), scores="z", targets=target_name, **settings)


of_glm("poisson", HalfPoissonLoss(), claims, "claims")
of_glm("gamma", HalfGammaLoss(), amounts, "amounts")
for power in (1.2, 1.9):
    of_glm("tweedie_" + str(power), HalfTweedieLoss(power=power), claims, "claims", power=power)
of_glm("tweedie_3", HalfTweedieLoss(power=3), amounts, "amounts", power=3.0)

# Multilabel and focal losses by their definitions, with gradients by hand.
Y = (rng.uniform(size=(b, 4)) > 0.5).astype(float)
Y[:5] = rng.uniform(size=(5, 4))
out["probabilities"] = Y.tolist()
loss_case("multilabel_logistic", np.logaddexp(0, Z) - Y * Z, expit(Z) - Y, scores="Z", targets="probabilities")
for gamma in (0.5, 2.0):
    u = signs * z
    p, q, entropy = expit(u), expit(-u), np.logaddexp(0, -u)
    loss_case("focal_logistic_" + str(gamma), q**gamma * entropy, -signs * q**gamma * (q + gamma * p * entropy),
              scores="z", targets="signs", gamma=gamma)
    log_p, own = log_softmax(Z, axis=1), np.eye(4)[labels]
    entropy = -(log_p * own).sum(axis=1, keepdims=True)
    p = np.exp(-entropy)
    q = (np.exp(log_p) * (1 - own)).sum(axis=1, keepdims=True)
    loss_case("focal_softmax_" + str(gamma), q**gamma * entropy,
              -(q**gamma + gamma * q ** (gamma - 1) * p * entropy) * (own - np.exp(log_p)), scores="Z", targets="labels", gamma=gamma)
write("losses_sklearn.json", out)
