# SPDX-License-Identifier: MIT
"""scikit-learn: MLPClassifier with solver="sgd", told the order of the samples. See peer.hpp for what it is asked and answers."""
import json
import sys
import time

try:
    import numpy as np
    import sklearn
    import threadpoolctl
    from sklearn.neural_network import MLPClassifier
except ImportError as error:
    print(json.dumps({"missing": str(error)}), flush=True)
    sys.exit(0)


class GivenOrder(np.random.RandomState):
    """Draws an order as scikit-learn does, which takes its time, and answers the one given in its place."""

    order = None

    def shuffle(self, x):
        super().shuffle(x)
        if self.order is not None:
            x[:] = self.order


def start(run, classes):
    """The classifier with the starting weights and no momentum yet."""
    generator = GivenOrder(0)
    model = MLPClassifier(hidden_layer_sizes=run["sizes"][1:-1], solver="sgd", alpha=0, batch_size=run["batch_size"],
                          learning_rate_init=run["rate"], momentum=run["momentum"], nesterovs_momentum=False, random_state=generator)
    one_of_each = np.zeros((len(classes), run["sizes"][0]), np.float32)
    model.set_params(batch_size=len(classes)).partial_fit(one_of_each, classes, classes)  # makes the weights and the optimizer
    model.set_params(batch_size=run["batch_size"])
    theta = np.fromfile(run["theta"], np.float32)
    first = 0
    for layer, (d, k) in enumerate(zip(run["sizes"], run["sizes"][1:])):
        model.coefs_[layer][:] = theta[first:first + d * k].reshape(d, k)
        model.intercepts_[layer][:] = theta[first + d * k:first + d * k + k]
        first += d * k + k
    for velocity in model._optimizer.velocities:
        velocity[:] = 0
    return model, generator


def train(run, x, y):
    classes = np.arange(run["sizes"][-1], dtype=y.dtype)
    model, generator = start(run, classes)
    n, b = run["samples"], run["batch_size"]
    x, y = x[:n], y[:n]
    orders = np.fromfile(run["order"], np.int64).reshape(-1, n)[:run["epochs"]]
    losses = []
    begin = time.perf_counter()
    if run["keep_losses"]:  # a call a step, since a call answers one mean loss
        model.set_params(shuffle=False)
        for order in orders:
            for first in range(0, n, b):
                batch = order[first:first + b]
                model.set_params(batch_size=len(batch)).partial_fit(x[batch], y[batch])
                losses.append(float(model.loss_))
    else:
        for generator.order in orders:
            model.partial_fit(x, y)
    return {"seconds": time.perf_counter() - begin, "loss": float(model.loss_), "losses": losses}


def main():
    folder = sys.argv[1]
    y = np.fromfile(folder + "/labels.i32", np.int32)
    x = np.fromfile(folder + "/values.u8", np.uint8).reshape(len(y), -1).astype(np.float32) * np.float32(1 / 255)
    sklearn.set_config(assume_finite=True)  # nobody else looks for what is not finite
    pools = threadpoolctl.threadpool_info()
    blas = [f"{pool['internal_api']} {pool['version']} ({pool.get('architecture')}, {pool.get('threading_layer')})"
            for pool in pools if pool["user_api"] == "blas"]
    print(json.dumps({"version": sklearn.__version__, "numpy": np.__version__, "python": sys.version.split()[0],
                      "blas": ", ".join(blas) or "not known: the threads of NumPy's BLAS cannot be set", "data": "float"}), flush=True)
    for line in sys.stdin:
        run = json.loads(line)
        with threadpoolctl.threadpool_limits(run["threads"]):
            print(json.dumps(train(run, x, y)), flush=True)


main()
