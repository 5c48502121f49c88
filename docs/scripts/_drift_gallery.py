"""Draw the gallery of drifts: each as a function of the new probability of one of two actions.

Run from the repository's root: ``python docs/scripts/_drift_gallery.py``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch

from masoft.distributions import Categoricals
from masoft.mirror import ClipDrift, Drift, KLDrift, PolicyChange, SquaredRatioDrift, TotalVariationDrift

OUT = Path(__file__).parents[1] / "assets" / "drift-gallery.png"
OLD = 0.3
DRIFTS: dict[str, Drift] = {
    "KLDrift()": KLDrift(),
    'KLDrift(direction="forward")': KLDrift(direction="forward"),
    "SquaredRatioDrift()": SquaredRatioDrift(),
    "TotalVariationDrift()": TotalVariationDrift(),
    "ClipDrift(), advantage (1, -1)": ClipDrift(),
}


def policy(first: torch.Tensor) -> Categoricals:
    """Two actions with the given probabilities of the first."""
    return Categoricals(torch.stack([first, 1 - first], dim=-1).log(), (2,))


def main() -> None:
    """Draw all curves into one picture."""
    new = torch.linspace(0.01, 0.99, 393, dtype=torch.float64)
    advantage = torch.tensor([1.0, -1.0], dtype=torch.float64).expand(len(new), 2)
    change = PolicyChange(policy(torch.full_like(new, OLD)), policy(new), advantage=advantage)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, drift in DRIFTS.items():
        axes.plot(new, drift(change), label=name)
    axes.axvline(OLD, color="0.7", linewidth=1)
    axes.set(xlabel="new probability of the first action (old: 0.3)", ylabel="drift", ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(OUT, dpi=110)


if __name__ == "__main__":
    main()
