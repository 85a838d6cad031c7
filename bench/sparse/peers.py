#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Logistic regression with L2 (lambda = 1/n, no intercept) on sparse rows, by parade, scikit-learn's SGDClassifier and LIBLINEAR, in turn, on the same rows:
seconds and objective after some epochs, and the seconds until the objective is within 1e-3 of the optimum (relative), between measured points by a line on logarithmic scales.

usage: peers.py PROGRAM [--libsvm FILE] [--threads 1,2] [--repeats 3] [--rate R] [--decay C] [--batch-size B] [--liblinear LIBRARY] [--json FILE] [--picture FILE]

PROGRAM is what `bench/run sparse --help` has built: .build/release/bench/bench_sparse_sparse. Without --libsvm it makes the rows; of a LIBSVM file of counts
(plain or .gz) the TF-IDF is taken (sublinear counts, smooth document frequencies, rows of length 1).
Needs python3-sklearn and LIBLINEAR's library (package liblinear4, which liblinear-tools brings: its `train` is a reader of files around it). Of LIBLINEAR, each point
of a curve is a stopping tolerance, -e, and its seconds are those of `train()` alone, without reading the file. The picture needs python3-matplotlib.
parade's rate, decay and batch size are chosen for each set (defaults: for the rows it makes), SGDClassifier has its own rate. parade computes in float, the others in double; all objectives are computed here, in double. Each repeat has its own seed of the order of the rows; both seconds and
objective are medians over them. parade has trained on these rows before in the same process; so have the others, in all repeats but the first.
"""
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # LIBLINEAR calls BLAS; it is compared on one thread

import argparse
import ctypes
import ctypes.util
import json
import math
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
from sklearn.linear_model import SGDClassifier

EPOCHS = (1, 2, 3, 4, 5, 8, 12, 20)
SOLVERS = {7: ("dual", (30, 20, 14, 10, 7, 5, 3, 1)), 0: ("primal", (0.5, 0.3, 0.2, 0.14, 0.1, 0.05, 0.01, 0.001))}  # -s, and what is given as -e


# The structures of linear.h, of which later versions have others.
LIBLINEAR_VERSIONS = (200, 230)


class Problem(ctypes.Structure):
    _fields_ = [("l", ctypes.c_int), ("n", ctypes.c_int), ("y", ctypes.c_void_p), ("x", ctypes.c_void_p), ("bias", ctypes.c_double)]


class Parameter(ctypes.Structure):
    _fields_ = [("solver_type", ctypes.c_int), ("eps", ctypes.c_double), ("C", ctypes.c_double), ("nr_weight", ctypes.c_int), ("weight_label", ctypes.c_void_p),
                ("weight", ctypes.c_void_p), ("p", ctypes.c_double), ("init_sol", ctypes.c_void_p)]


class Model(ctypes.Structure):
    _fields_ = [("param", Parameter), ("nr_class", ctypes.c_int), ("nr_feature", ctypes.c_int), ("w", ctypes.POINTER(ctypes.c_double)),
                ("label", ctypes.POINTER(ctypes.c_int)), ("bias", ctypes.c_double)]


class Liblinear:
    """LIBLINEAR's train() with C = 1, which is lambda = 1/n, and no bias, on rows that it takes from memory."""

    def __init__(self, library, x, signs):
        name = library or ctypes.util.find_library("linear")
        if not name:
            raise SystemExit("peers.py: there is no library of LIBLINEAR (package liblinear4); or give its file: --liblinear FILE")
        self.lib = ctypes.CDLL(name)
        self.version = ctypes.c_int.in_dll(self.lib, "liblinear_version").value
        if not LIBLINEAR_VERSIONS[0] <= self.version <= LIBLINEAR_VERSIONS[1]:
            raise SystemExit(f"peers.py: knows the structures of LIBLINEAR 2.00 to 2.30; {name} is {self.version / 100:.2f}")
        self.lib.train.restype = ctypes.POINTER(Model)
        self.lib.check_parameter.restype = ctypes.c_char_p
        self.print_nothing = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda _: None)
        self.lib.set_print_string_function(self.print_nothing)
        n, entries = x.shape[0], x.nnz
        rows = np.repeat(np.arange(n), np.diff(x.indptr))
        nodes = np.zeros(entries + n, dtype=np.dtype([("index", np.int32), ("value", np.float64)], align=True))  # each row ends with index -1
        nodes["index"] = -1
        nodes["index"][np.arange(entries) + rows] = x.indices + 1
        nodes["value"][np.arange(entries) + rows] = x.data
        self.nodes, self.y = nodes, np.ascontiguousarray(signs, dtype=np.float64)
        self.begins = (nodes.ctypes.data + nodes.itemsize * (x.indptr[:-1].astype(np.int64) + np.arange(n))).astype(np.uintp)
        self.problem = Problem(n, x.shape[1], self.y.ctypes.data, self.begins.ctypes.data, -1.0)

    def train(self, solver, eps):
        """Seconds and w."""
        parameter = Parameter(solver, eps, 1.0, 0, None, None, 0.1, None)
        if wrong := self.lib.check_parameter(ctypes.byref(self.problem), ctypes.byref(parameter)):
            raise SystemExit(f"peers.py: LIBLINEAR: {wrong.decode()}")
        begin = time.perf_counter()
        model = self.lib.train(ctypes.byref(self.problem), ctypes.byref(parameter))
        seconds = time.perf_counter() - begin
        w = np.ctypeslib.as_array(model.contents.w, shape=(self.problem.n,)).copy() * model.contents.label[0]  # of the label that comes first
        self.lib.free_and_destroy_model(ctypes.byref(model))
        return seconds, w


def write(folder, x, labels):
    for name, array, kind in (("offsets.i64", x.indptr, np.int64), ("indices.i32", x.indices, np.int32), ("values.f32", x.data, np.float32),
                              ("labels.i32", labels, np.int32)):
        array.astype(kind).tofile(folder / name)


def read(folder):
    offsets, indices = np.fromfile(folder / "offsets.i64", dtype=np.int64), np.fromfile(folder / "indices.i32", dtype=np.int32)
    values = np.fromfile(folder / "values.f32", dtype=np.float32).astype(np.float64)
    return scipy.sparse.csr_matrix((values, indices, offsets.astype(np.int32))), np.fromfile(folder / "labels.i32", dtype=np.int32)


def seconds_until(gap, curve, best):
    """When the objective is first within `gap` of the optimum, or None: between two points by a line on logarithmic scales."""
    points = sorted((p["seconds"], max(p["objective"] / best - 1, 1e-12)) for p in curve)
    if points[0][1] <= gap:
        return points[0][0]
    for (begin, above), (end, below) in zip(points, points[1:]):
        if above > gap >= below:
            return begin * (end / begin) ** (math.log(above / gap) / math.log(above / below))
    return None


def draw(file, curves, best, title):
    """Objective, relative to the optimum and at least 1e-9 above it, against seconds: of curves as --json has them, to a PNG, SVG or PDF file."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "parade"})
    figure, axes = plt.subplots(figsize=(7.5, 5), dpi=150)
    styles = {"parade": dict(marker="o", linewidth=2), "scikit-learn": dict(marker="s", linestyle="--"), "LIBLINEAR": dict(marker="^", linestyle=":")}
    for name, curve in curves.items():
        axes.plot([p["seconds"] for p in curve], [max(p["objective"] / best - 1, 1e-9) for p in curve], markersize=4, label=name,
                  **styles[next(of for of in styles if name.startswith(of))])
    axes.axhline(1e-3, color="#9a9a9a", linewidth=1)
    axes.annotate("1e-3 above the optimum", (0, 1e-3), xycoords=("axes fraction", "data"), xytext=(4, 3), textcoords="offset points", ha="left",
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
    parser.add_argument("--liblinear", help="the file of its library (default: the system's)")
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

        liblinear = Liblinear(options.liblinear, x, signs)

        def by_liblinear(solver, eps, seed):
            ctypes.CDLL(None).srand(seed)  # it draws its order from rand(), and train() seeds nothing
            seconds, w = liblinear.train(solver, eps)
            return seconds, objective(w)

        best = min(by_liblinear(7, 1e-6, 1)[1], by_liblinear(0, 1e-8, 1)[1])
        runs = {}
        for threads in options.threads.split(","):
            runs[f"parade, {threads} thread{'s' * (threads != '1')}"] = [(e, lambda seed, e=e, t=threads: by_parade(t, e, seed)) for e in EPOCHS]
        runs["scikit-learn SGDClassifier"] = [(e, lambda seed, e=e: by_sgd(e, seed)) for e in EPOCHS]
        for solver, (kind, tolerances) in SOLVERS.items():
            runs[f"LIBLINEAR -s {solver} ({kind})"] = [(f"-e {eps}", lambda seed, s=solver, e=eps: by_liblinear(s, e, seed)) for eps in tolerances]
        times = {name: [[] for _ in points] for name, points in runs.items()}
        values = {name: [[] for _ in points] for name, points in runs.items()}
        for repeat in range(options.repeats):
            for place in range(len(EPOCHS)):
                for name, points in runs.items():
                    if place < len(points):
                        seconds, value = points[place][1](repeat + 1)
                        times[name][place].append(seconds)
                        values[name][place].append(value)

    curves = {name: [{"after": points[i][0], "seconds": statistics.median(times[name][i]), "all_seconds": times[name][i],
                      "objective": statistics.median(values[name][i]), "all_objectives": values[name][i]}
                     for i in range(len(points))] for name, points in runs.items()}
    print(f"{n} rows, {x.shape[1]} features, {x.nnz} nonzeros; optimum {best:.6f}; scikit-learn {sklearn.__version__}, LIBLINEAR {liblinear.version / 100:.2f}; median of {options.repeats}")
    print("\n| | ns a nonzero and epoch, 1 epoch | 5 | 20 | objective after 1 | 5 | 20 | s until 1e-3 |\n|---|---|---|---|---|---|---|---|")
    for name, curve in curves.items():
        at = {point["after"]: point for point in curve}
        columns = [f"{at[e]['seconds'] * 1e9 / e / x.nnz:.1f}" if e in at else "" for e in (1, 5, 20)]
        columns += [f"{at[e]['objective']:.6f}" if e in at else "" for e in (1, 5, 20)]
        near = seconds_until(1e-3, curve, best)
        print(f"| {name} | " + " | ".join(columns) + (f" | {near:.3f} |" if near else " | not reached |"))
    if options.json:
        Path(options.json).write_text(json.dumps({"rows": n, "features": x.shape[1], "nonzeros": x.nnz, "optimum": best, "curves": curves}, indent=1))
    if options.picture:
        draw(options.picture, curves, best, f"Logistic regression, L2: {n:,} rows, {x.shape[1]:,} features, {x.nnz:,} nonzeros")


if __name__ == "__main__":
    main()
