#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes preparation.json: what scikit-learn makes of small tables, dense, with missing numbers, of counts and of categories.

    apt-get install -y python3-sklearn
    /usr/bin/python3 make_preparation.py [SEED] [FOLDER]

Everything is in double precision, one sample a row; null is a number that is missing. SEED other than 0 gives fresh cases of the same form, FOLDER puts
them elsewhere.
"""
import json
import os
import sys
import warnings

import numpy as np
import scipy.sparse as sparse
import sklearn
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, OneHotEncoder, PolynomialFeatures, StandardScaler

warnings.simplefilter("error")
seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
folder = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.abspath(__file__))
os.makedirs(folder, exist_ok=True)
rng = np.random.default_rng(seed)


def rows(x):
    return [[None if np.isnan(v) else float(v) for v in row] for row in np.asarray(x)]


def list_of(x):
    return [None if np.isnan(v) else float(v) for v in np.asarray(x, dtype=float)]


n, d, new = 30, 5, 6
# Columns of usual size, of a large mean, constant, of zeros, tiny.
X = rng.normal(size=(n + new, d)) * [1, 1, 0, 0, 1e-6] + [3, 1e8, 0.1, 0, 0]
train, test = X[:n], X[n:]
M = np.round(rng.normal(size=(n + new, 4)) * 2) + [0, 5, 0, 100]
M[rng.uniform(size=M.shape) < 0.25] = np.nan
missing, missing_test = M[:n], M[n:]
C = rng.poisson(0.7, size=(n + new, 8)).astype(float)
C[:, 6] = 0
C[:, 7] = 1 + C[:, 7]
C[3] = 0
counts, counts_test = C[:n], C[n:]
K = np.stack([rng.integers(-2, 4, size=n + new), rng.integers(0, 2, size=n + new) * 1000], axis=1).astype(float)
categories, categories_test = K[:n], K[n:].copy()
categories_test[0] = [77, 0]

out = {"source": "scikit-learn " + sklearn.__version__ + ", NumPy " + np.__version__, "train": rows(train), "test": rows(test),
       "missing": rows(missing), "missing_test": rows(missing_test), "counts": rows(counts), "counts_test": rows(counts_test),
       "categories": rows(categories), "categories_test": rows(categories_test), "cases": {}}


def case(name, transformer, fitted_to, test_part, **learned):
    transformer.fit(fitted_to)
    z = transformer.transform(test_part)
    out["cases"][name] = {"z": rows(z.toarray() if sparse.issparse(z) else z)}
    for key, of in learned.items():
        out["cases"][name][key] = list_of(of(transformer))


case("standardize", StandardScaler(), train, test, mean=lambda t: t.mean_, deviation=lambda t: t.scale_)
case("standardize_missing", StandardScaler(), missing, missing_test, mean=lambda t: t.mean_, deviation=lambda t: t.scale_)
case("standardize_center", StandardScaler(with_std=False), train, test)
case("standardize_scale", StandardScaler(with_mean=False), train, test)
case("standardize_sparse", StandardScaler(with_mean=False), sparse.csr_matrix(counts), sparse.csr_matrix(counts_test), deviation=lambda t: t.scale_)
case("min_max", MinMaxScaler(), train, test, minimum=lambda t: t.data_min_, maximum=lambda t: t.data_max_)
case("min_max_clip", MinMaxScaler((-1, 2), clip=True), train, test)
case("min_max_missing", MinMaxScaler(), missing, missing_test)
case("max_abs", MaxAbsScaler(), train, test, largest=lambda t: t.scale_)
case("max_abs_counts", MaxAbsScaler(), sparse.csr_matrix(counts), sparse.csr_matrix(counts_test))
for norm in ("l1", "l2", "max"):
    case("unit_norm_" + norm, Normalizer(norm), counts, counts_test)
    case("unit_norm_train_" + norm, Normalizer(norm), train, test)
for norm in ("l1", "l2", None):
    for smooth in (True, False):
        for sublinear in (True, False):
            if not smooth:  # scikit-learn divides by 0 for a word that no document has
                fitted_to, part = counts.copy(), counts_test
                fitted_to[0, 6] = 1
            else:
                fitted_to, part = counts, counts_test
            case(f"tf_idf_{norm}_{int(smooth)}_{int(sublinear)}", TfidfTransformer(norm=norm, smooth_idf=smooth, sublinear_tf=sublinear),
                 sparse.csr_matrix(fitted_to), sparse.csr_matrix(part), idf=lambda t: t.idf_)
case("tf_idf_plain", TfidfTransformer(use_idf=False), sparse.csr_matrix(counts), sparse.csr_matrix(counts_test))
for strategy in ("mean", "median", "most_frequent"):
    case("impute_" + strategy, SimpleImputer(strategy=strategy), missing, missing_test, fill=lambda t: t.statistics_)
case("impute_constant", SimpleImputer(strategy="constant", fill_value=-7.5), missing, missing_test)
case("one_hot", OneHotEncoder(handle_unknown="ignore"), categories, categories_test)
for degree in (0, 1, 2, 3, 4):
    for interaction in (False, True):
        for bias in (False, True):
            if degree > 0 or bias:
                case(f"polynomial_{degree}_{int(interaction)}_{int(bias)}",
                     PolynomialFeatures(degree, interaction_only=interaction, include_bias=bias), train[:, [0, 4, 2]], test[:, [0, 4, 2]])
case("pipeline", make_pipeline(SimpleImputer(strategy="median"), PolynomialFeatures(2, include_bias=False), StandardScaler()), missing, missing_test)

with open(os.path.join(folder, "preparation.json"), "w") as f:
    json.dump(out, f, indent=None, separators=(",", ":"))
    f.write("\n")
