"""A critic of your own: values as histograms, fitted by cross-entropy (HL-Gauss), in HASAC and in MEHAML.

A critic is one class: ``forward`` gives predictions, ``expected`` turns them into numbers, ``loss`` fits them to the
soft Bellman target. The policies, the sequential update and the template stay as they are.
"""

from __future__ import annotations

import tempfile

import torch
from torch import Tensor, nn

from masoft import HASAC, MEHAML
from masoft.mirror import KLDrift
from masoft.networks import Critic
from masoft.spec import TeamSpec
from masoft.testing.games import IdentityTeam


class HistogramCritic(Critic):
    """Two networks over (state, joint action), each a histogram of the value.

    Args:
        team: the team's specification.
        low, high: range of values that the bins span.
        n_bins: number of bins.
        width: of the hidden layers.

    Reference:
        Farebrother et al., Stop Regressing: Training Value Functions via Classification, 2024.
    """

    def __init__(self, team: TeamSpec, low: float, high: float, n_bins: int = 51, width: int = 64) -> None:
        super().__init__()
        n_inputs = team.critic_state_size + team.encoded_size
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(n_inputs, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                nn.Linear(width, n_bins),
            )
            for _ in range(2)
        )  # fmt: skip
        self.register_buffer("edges", torch.linspace(low, high, n_bins + 1))
        self.spread = 0.75 * (high - low) / n_bins

    def forward(self, state: Tensor, joint_action: Tensor) -> Tensor:
        """Logits, (2, batch, n_bins)."""
        inputs = torch.cat([state, joint_action], dim=-1)
        return torch.stack([network(inputs) for network in self.networks])

    def expected(self, prediction: Tensor) -> Tensor:
        """Means of the histograms, (2, batch)."""
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        return prediction.softmax(-1) @ centres

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy to a Gaussian around the target, cut into the same bins."""
        inside = target.clamp(self.edges[0], self.edges[-1]).unsqueeze(-1)
        below = torch.special.ndtr((self.edges - inside) / self.spread)
        shares = below.diff(dim=-1) / (below[:, -1:] - below[:, :1])
        return -(shares * prediction.log_softmax(-1)).sum(-1).mean(dim=1).sum()


SHORT = 300


def main(steps: int = 600) -> tuple[float, float]:
    """Scores of HASAC before and after, at most 10; then MEHAML with a drift, saved, loaded and resumed."""
    # The team is paid at most 1 a step; with gamma = 0.5 and little entropy values lie between -1 and 4.
    settings = dict(
        policy_kwargs=dict(critic=HistogramCritic, critic_kwargs=dict(low=-1.0, high=4.0), net_arch=[64, 64]),
        gamma=0.5, ent_coef=0.01, n_steps=1, batch_size=64, learning_starts=100, learning_rate=3e-3, seed=0,
    )  # fmt: skip
    team = IdentityTeam(("box", "discrete"))
    model = HASAC(team, **settings)
    before = model.score(n_eval_episodes=10)
    after = model.learn(steps).score(n_eval_episodes=10)

    with tempfile.TemporaryDirectory() as folder:
        mehaml = MEHAML(team, drift=KLDrift(0.1), **settings).learn(steps // 2)
        mehaml.save_checkpoint(folder)
        mehaml = MEHAML.resume(folder, team, trusted=[HistogramCritic]).learn(steps // 2, reset_num_timesteps=False)
        mehaml.save(f"{folder}/model.zip")
        loaded = MEHAML.load(f"{folder}/model.zip", team, trusted=[HistogramCritic])
        assert loaded.score(n_eval_episodes=10) > before
    return before, after


if __name__ == "__main__":
    print(main())
