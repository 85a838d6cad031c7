#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws what `bench/run scaling --json FILE` wrote: speed-up and efficiency against threads, with models of both, and where the time goes.

usage: picture.py RESULTS.json PICTURE.svg|png            (needs matplotlib: package python3-matplotlib)

The models, for the speed-up S on T threads:
  Amdahl      S = T / (1 + s (T - 1))                       s: the serial share
  Gunther     S = T / (1 + s (T - 1) + k T (T - 1))         the Universal Scalability Law; k: what each pair of threads costs
Both say T/S - 1 = s (T - 1) + k T (T - 1), which is linear in s and k: least squares, weighted by S²/T so that errors of S count alike.
"""
import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

MEASURED, AMDAHL, USL, IDEAL = "#1f3b73", "#d1495b", "#2a9d8f", "#9a9a9a"
PHASES = {"gradient": "#2f6690", "gather": "#81a4cd", "reduce": "#e9a23b", "update": "#c8553d", "waiting": "#d9d9d9"}


def serial_and_pair_cost(threads, speedup, with_pairs):
    """s in [0, 1] and k >= 0, or k = 0 without pairs. Where the best fit has one out of its range, the best with that one on the edge."""
    weight = speedup**2 / threads
    serial, pairs = (threads - 1) * weight, threads * (threads - 1) * weight
    target = (threads / speedup - 1) * weight

    def fit(columns, rest):
        return np.linalg.lstsq(np.stack(columns, axis=1), rest, rcond=None)[0]

    candidates = [(0.0, 0.0), (1.0, 0.0), (*fit([serial], target), 0.0)]
    if with_pairs:
        candidates += [(s, *fit([pairs], target - s * serial)) for s in (0.0, 1.0)] + [tuple(fit([serial, pairs], target))]
    return min(((s, k) for s, k in candidates if 0 <= s <= 1 and k >= 0), key=lambda c: np.sum((c[0] * serial + c[1] * pairs - target) ** 2))


def model(threads, s, k):
    return threads / (1 + s * (threads - 1) + k * threads * (threads - 1))


def fitted(result):
    """[(name, colour, s, k)]: only what the number of measured points can carry."""
    rows = result["rows"]
    threads = np.array([row["threads"] for row in rows], dtype=float)
    speedup = np.array([row["speedup"]["median"] for row in rows])
    curves = []
    if len(rows) >= 2:
        s, _ = serial_and_pair_cost(threads, speedup, with_pairs=False)
        curves.append((f"Amdahl: {100 * s:.1f} % serial", AMDAHL, s, 0.0))
    if len(rows) >= 4:
        s, k = serial_and_pair_cost(threads, speedup, with_pairs=True)
        name = f"Gunther (USL): {100 * s:.1f} % serial, {100 * k:.2g} % a pair"
        if k > 0 and s < 1:
            name += f", best on {max(1, round(((1 - s) / k) ** 0.5))}"
        curves.append((name, USL, s, k))
    return curves


def caveat(points):
    if points == 1:
        return "1 point: nothing to fit"
    if points == 2:
        return "2 points: the curve through them\nis a model, not a measurement"
    if points == 3:
        return "3 points: too few for Gunther's law"
    return ""


def draw_against_threads(axes, result, of_speedup, label, label_at):
    """The measured points, their range, the ideal line and the models, dotted where nothing was measured."""
    rows = result["rows"]
    threads = np.array([row["threads"] for row in rows])
    most = threads[-1]
    end = most + max(1, round(most / 4)) if most > 1 else 2
    measured, beyond = np.linspace(1, most, 200), np.linspace(most, end, 50)
    axes.plot([1, end], of_speedup(np.array([1, end]), np.array([1, end])), color=IDEAL, lw=1.2, ls="--", label="ideal")
    for name, colour, s, k in fitted(result):
        axes.plot(measured, of_speedup(model(measured, s, k), measured), color=colour, lw=1.6, label=name)
        axes.plot(beyond, of_speedup(model(beyond, s, k), beyond), color=colour, lw=1.6, ls=":")
    axes.axvspan(most, end, color="#f3f3f3", lw=0, zorder=0)
    axes.text((most + end) / 2, 0.03, "not measured", transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=8,
              color="#8a8a8a", rotation=90)
    low, middle, high = (of_speedup(np.array([row["speedup"][key] for row in rows]), threads) for key in ("low", "median", "high"))
    axes.errorbar(threads, middle, yerr=[middle - low, high - middle], fmt="o", ms=5.5, capsize=3, color=MEASURED, zorder=5,
                  label="measured: median, lowest, highest")
    if most <= 8:
        for t, y in zip(threads, middle):
            axes.annotate(label(y), (t, y), xytext=label_at, textcoords="offset points", fontsize=8, color=MEASURED)
    axes.set_xlim(max(0.4, 1 - 0.06 * (end - 1)), end)
    step = -(-end // 10)
    axes.set_xticks(sorted({1, *range(step, end + 1, step)}))
    axes.set_xlabel("threads")
    axes.grid(color="#ececec", lw=0.8)
    axes.set_axisbelow(True)
    return end


def draw_speedup(axes, result):
    end = draw_against_threads(axes, result, lambda s, t: s, lambda y: f"{y:.2f}", (7, -13))
    axes.set_ylim(0, end * 1.04)
    axes.set_ylabel("speed-up over one thread")
    axes.text(0.03, 0.03, caveat(len(result["rows"])), transform=axes.transAxes, ha="left", va="bottom", fontsize=8, color=AMDAHL)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: not labels[i].startswith("measured"))
    axes.legend([handles[i] for i in order], [labels[i] for i in order], fontsize=7.5, framealpha=0.85, edgecolor="none", loc="upper left")


def draw_efficiency(axes, result):
    draw_against_threads(axes, result, lambda s, t: s / t, lambda y: f"{100 * y:.0f} %", (4, 7))
    axes.set_ylim(0, max(1.12, 1.06 * max(row["speedup"]["high"] / row["threads"] for row in result["rows"])))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel("efficiency: speed-up / threads")


def draw_phases(axes, result):
    rows = result["rows"]
    at = np.arange(len(rows))
    bottom = np.zeros(len(rows))
    for phase, colour in PHASES.items():
        share = np.array([row["phases"][phase] for row in rows])
        axes.bar(at, share, bottom=bottom, width=0.62, color=colour, edgecolor="white", lw=0.6, label=phase)
        for i in range(len(rows) if len(rows) <= 6 else 0):
            if share[i] >= 0.045:
                axes.text(at[i], bottom[i] + share[i] / 2, f"{100 * share[i]:.0f} %", ha="center", va="center", fontsize=8,
                          color="black" if phase in ("waiting", "gather", "reduce") else "white")
        bottom += share
    axes.set_xticks(at, [str(row["threads"]) for row in rows])
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_ylim(0, 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("threads")
    axes.set_ylabel("share of all thread-seconds")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def main(results_file, picture):
    with open(results_file, encoding="utf-8") as file:
        data = json.load(file)
    results, machine, meanwhile = data["results"], data["machine"], data["machine_meanwhile"]
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none"})
    figure, grid = plt.subplots(len(results), 3, figsize=(13, 0.9 + 3.5 * len(results)), squeeze=False, layout="constrained",
                                gridspec_kw={"width_ratios": [1, 1, 0.9]})
    for line, result in zip(grid, results):
        for axes, draw in zip(line, (draw_speedup, draw_efficiency, draw_phases)):
            draw(axes, result)
        last = result["rows"][-1]
        shards = f"{result['shards']} shard" + ("s" if result["shards"] > 1 else "")
        line[0].set_title(f"batch {result['batch']} in {shards}", loc="left", fontweight="bold")
        line[1].set_title(f"on {last['threads']}: {last['samples_per_second']['median']:,.0f} samples/s, {last['gflops']:.0f} GFLOP/s, "
                          f"{100 * last['of_peak']:.0f} % of peak", loc="left", fontsize=9)
        for name, _, _, _ in fitted(result):
            print(f"picture     batch {result['batch']}: {name}")
        if caveat(len(result["rows"])):
            print(f"picture     batch {result['batch']}: " + caveat(len(result["rows"])).replace("\n", " "))

    where = [results[0]["model"], data["data"], machine["processor"], machine["cpus"], machine["compiler"], machine["date"]]
    if data["load"]:
        where.append(f"{data['load']} busy processes beside it")
    if not meanwhile.get("idle", True):
        where.append("THE MACHINE WAS NOT IDLE")
    if not all(result["same_bits"] for result in results):
        where.append("THETA DIFFERED BETWEEN RUNS")
    inch = 1 / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.65 * inch), h_pad=0.08, w_pad=0.08)
    figure.text(0.01, 1 - 0.22 * inch, "parade: strong scaling of Trainer::fit", fontsize=12, fontweight="bold", va="center")
    figure.text(0.01, 1 - 0.48 * inch, "   ·   ".join(where), fontsize=8, color="#555555", va="center")
    figure.savefig(picture, dpi=160)
    print(f"picture     {picture}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
