# SPDX-License-Identifier: MIT
"""scikit-learn's SGDClassifier on the set that `bench_sparse_sparse --write FOLDER` wrote: python3 sklearn_sgd.py FOLDER"""
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse
from sklearn.linear_model import SGDClassifier

folder = Path(sys.argv[1])
offsets = np.fromfile(folder / "offsets.i64", dtype=np.int64)
indices = np.fromfile(folder / "indices.i32", dtype=np.int32)
values = np.fromfile(folder / "values.f32", dtype=np.float32).astype(np.float64)
labels = np.fromfile(folder / "labels.i32", dtype=np.int32)
n = len(labels)
x = scipy.sparse.csr_matrix((values, indices, offsets.astype(np.int32)))
signs = np.where(labels > 0, 1.0, -1.0)
print("epochs  ns/nonzero  objective")
for epochs in (1, 5, 20):
    times = []
    for _ in range(3):
        model = SGDClassifier(loss="log_loss", alpha=1 / n, max_iter=epochs, tol=None, fit_intercept=False, random_state=1)
        begin = time.perf_counter()
        model.fit(x, labels)
        times.append((time.perf_counter() - begin) * 1e9 / epochs / x.nnz)
    w = model.coef_[0]
    print(epochs, sorted(times)[1], np.mean(np.logaddexp(0, -signs * (x @ w))) + w @ w / (2 * n))
