"""What the choices of the LSH sampler are worth, on data of your own: one row a variant.

    python examples/ablation.py TRAIN TEST [--active 128] [--hidden 192]

Each variant trains the same network from the same seed; P@1 and P@5 score all outputs.
"""

from __future__ import annotations

import argparse

import slide_rs
from slide_rs import layers, lsh, samplers
from slide_rs.samplers import Sampler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--active", type=int, default=128)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    train, test = (slide_rs.datasets.read_xmc(path) for path in (given.train, given.test))

    n = given.active
    variants: dict[str, Sampler] = {
        "lsh": samplers.LSH(n_active=n),
        "lsh, a quarter random": samplers.LSH(n_active=n, random_share=0.25),
        "lsh, nothing corrected": samplers.LSH(n_active=n, random_share=0.0),
        "lsh, vanilla": samplers.LSH(n_active=n, strategy="vanilla"),
        "lsh, half the tables": samplers.LSH(lsh.SimHash(n_tables=48), n_active=n),
        "uniform": samplers.Uniform(n_active=n),
        "uniform, nothing corrected": samplers.Uniform(n_active=n, log_q=False),
        "full": samplers.Full(),
    }
    print(f"{'sampler':<28}{'seed':>5}{'P@1':>8}{'P@5':>8}{'recall@1':>10}{'rows/s':>9}")
    for name, sampler in variants.items():
        for seed in range(given.seeds):
            net = slide_rs.Network(
                [
                    layers.SparseInput(train.n_features),
                    layers.Dense(given.hidden),
                    layers.SampledDense(train.n_labels, sampler=sampler),
                ],
                seed=seed,
            )
            history = net.fit(train.X, train.Y, epochs=given.epochs, verbose=False)
            found = net.evaluate(test.X, test.Y, metrics=["p@1", "p@5"])
            recall, speed = net.sampling_recall(test.X), history.last["samples_per_second"]
            print(
                f"{name:<28}{seed:>5}{found['p@1']:>8.4f}{found['p@5']:>8.4f}"
                f"{recall:>10.3f}{speed:>9,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
