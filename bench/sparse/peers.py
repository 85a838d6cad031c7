#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Logistic regression with L2 (lambda = 1/n, no intercept) on sparse rows, by parade, scikit-learn's SGDClassifier and LIBLINEAR, in turn, on the same rows:
seconds and objective after some epochs, and the seconds until the objective is within 1e-3 of the optimum (relative).

usage: peers.py PROGRAM [--libsvm FILE] [--threads 1,2] [--repeats 3] [--rate R] [--decay C] [--batch-size B] [--json FILE] [--picture FILE]

PROGRAM is what `bench/run sparse --help` has built: .build/release/bench/bench_sparse_sparse. Without --libsvm it makes the rows; of a LIBSVM file of counts
(plain or .gz) the TF-IDF is taken (sublinear counts, smooth document frequencies, rows of length 1).
Needs python3-sklearn; LIBLINEAR is scikit-learn's copy, called through LogisticRegression: dual is -s 7, primal is -s 0. The picture needs python3-matplotlib.
parade computes in float, the others in double; all objectives are computed here, in double. Each repeat has its own seed of the order of the rows; both seconds and
objective are medians over them. parade has trained on these rows before in the same process; so have the others, in all repeats but the first.
"""
import argparse
import json
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
import sklearn
from sklearn.datasets import load_svmlight_file
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression, SGDClassifier

EPOCHS = (1, 2, 3, 4, 5, 8, 12, 20)
ITERATIONS = {"dual": (1, 2, 3, 4, 6, 8, 12), "primal": (1, 2, 3, 4, 5, 6)}


def write(folder, x, labels):
    for name, array, kind in (("offsets.i64", x.indptr, np.int64), ("indices.i32", x.indices, np.int32), ("values.f32", x.data, np.float32),
                              ("labels.i32", labels, np.int32)):
        array.astype(kind).tofile(folder / name)


def read(folder):
    offsets, indices = np.fromfile(folder / "offsets.i64", dtype=np.int64), np.fromfile(folder / "indices.i32", dtype=np.int32)
    values = np.fromfile(folder / "values.f32", dtype=np.float32).astype(np.float64)
    return scipy.sparse.csr_matrix((values, indices, offsets.astype(np.int32))), np.fromfile(folder / "labels.i32", dtype=np.int32)


def draw(file, curves, best, title):
    """Objective, relative to the optimum and at least 1e-9 above it, against seconds: of curves as --json has them, to a PNG, SVG or PDF file."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    figure, axes = plt.subplots(figsize=(7.5, 5), dpi=150)
    styles = {"parade": dict(marker="o", linewidth=2), "scikit-learn": dict(marker="s", linestyle="--"), "LIBLINEAR": dict(marker="^", linestyle=":")}
    for name, curve in curves.items():
        axes.plot([p["seconds"] for p in curve], [max(p["objective"] / best - 1, 1e-9) for p in curve], markersize=4, label=name,
                  **styles[next(of for of in styles if name.startswith(of))])
    axes.axhline(1e-3, color="#9a9a9a", linewidth=1)
    axes.annotate("1e-3 above the optimum", (1, 1e-3), xycoords=("axes fraction", "data"), xytext=(-4, 3), textcoords="offset points", ha="right",
                  fontsize=8, color="#5a5a5a")
    axes.set(xscale="log", yscale="log", xlabel="seconds of training (median)", ylabel="objective / optimum − 1", title=title)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25)
    axes.legend(fontsize=9)
    figure.savefig(file, bbox_inches="tight")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--libsvm")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--repeats", type=int, default=3)
    for name in ("--rate", "--decay", "--batch-size"):
        parser.add_argument(name, help="of parade, as PROGRAM has it")
    parser.add_argument("--json")
    parser.add_argument("--picture")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # "did not converge": that is what is measured

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.libsvm:
            counts, labels = load_svmlight_file(options.libsvm)
            x = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
            x.sort_indices()
            write(folder, x, (labels > 0).astype(np.int32))
        else:
            subprocess.run([options.program, "--write", folder], check=True)
        x, labels = read(folder)
        n = len(labels)
        signs = np.where(labels > 0, 1.0, -1.0)

        def objective(w):
            return float(np.mean(np.logaddexp(0, -signs * (x @ w))) + w @ w / (2 * n))

        def by_parade(threads, epochs, seed):
            command = [options.program, "--read", folder, "--epochs", str(epochs), "--threads", str(threads), "--seed", str(seed),
                       "--theta", folder / "theta.f32"]
            for name in ("rate", "decay", "batch_size"):
                if value := getattr(options, name):
                    command += ["--" + name.replace("_", "-"), value]
            seconds = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            return seconds, objective(np.fromfile(folder / "theta.f32", dtype=np.float32).astype(np.float64))

        def fitted(model):
            begin = time.perf_counter()
            model.fit(x, labels)
            return time.perf_counter() - begin, objective(model.coef_[0])

        def by_sgd(epochs, seed):
            return fitted(SGDClassifier(loss="log_loss", alpha=1 / n, max_iter=epochs, tol=None, fit_intercept=False, random_state=seed))

        def by_liblinear(kind, iterations, seed):
            return fitted(LogisticRegression(C=1, dual=kind == "dual", solver="liblinear", tol=1e-12, fit_intercept=False, random_state=seed,
                                             max_iter=iterations))

        best = by_liblinear("dual", 1000, 1)[1]
        runs = {}
        for threads in options.threads.split(","):
            runs[f"parade, {threads} thread{'s' * (threads != '1')}"] = [(e, lambda seed, e=e, t=threads: by_parade(t, e, seed)) for e in EPOCHS]
        runs["scikit-learn SGDClassifier"] = [(e, lambda seed, e=e: by_sgd(e, seed)) for e in EPOCHS]
        for kind, of in ITERATIONS.items():
            runs[f"LIBLINEAR, {kind}"] = [(i, lambda seed, i=i, k=kind: by_liblinear(k, i, seed)) for i in of]
        times = {name: [[] for _ in points] for name, points in runs.items()}
        values = {name: [[] for _ in points] for name, points in runs.items()}
        for repeat in range(options.repeats):
            for place in range(len(EPOCHS)):
                for name, points in runs.items():
                    if place < len(points):
                        seconds, value = points[place][1](repeat + 1)
                        times[name][place].append(seconds)
                        values[name][place].append(value)

    curves = {name: [{"epochs": points[i][0], "seconds": statistics.median(times[name][i]), "all_seconds": times[name][i],
                      "objective": statistics.median(values[name][i]), "all_objectives": values[name][i]}
                     for i in range(len(points))] for name, points in runs.items()}
    print(f"{n} rows, {x.shape[1]} features, {x.nnz} nonzeros; optimum {best:.6f}; scikit-learn {sklearn.__version__}; median of {options.repeats}")
    print("\n| | ns a nonzero and epoch, 1 epoch | 5 | 20 | objective after 1 | 5 | 20 | s until 1e-3 |\n|---|---|---|---|---|---|---|---|")
    for name, curve in curves.items():
        at = {point["epochs"]: point for point in curve}
        columns = [f"{at[e]['seconds'] * 1e9 / e / x.nnz:.1f}" if e in at else "" for e in (1, 5, 20)]
        columns += [f"{at[e]['objective']:.6f}" if e in at else "" for e in (1, 5, 20)]
        near = [point["seconds"] for point in curve if point["objective"] <= best * 1.001]
        print(f"| {name} | " + " | ".join(columns) + f" | {min(near):.2f} |" if near else f"| {name} | " + " | ".join(columns) + " | not reached |")
    if options.json:
        Path(options.json).write_text(json.dumps({"rows": n, "features": x.shape[1], "nonzeros": x.nnz, "optimum": best, "curves": curves}, indent=1))
    if options.picture:
        draw(options.picture, curves, best, f"Logistic regression, L2: {n:,} rows, {x.shape[1]:,} features, {x.nnz:,} nonzeros")


if __name__ == "__main__":
    main()
