"""A critic of your own: five networks in one product a layer, a random pair of them as target (REDQ)."""

from __future__ import annotations

import math
import tempfile

import torch
from torch import Tensor, nn

from masoft import HASAC, MEHAML
from masoft.mirror import KLDrift, Subset
from masoft.networks import Critic
from masoft.spec import TeamSpec
from masoft.testing.games import IdentityTeam


class Ensemble(Critic):
    """Networks of two hidden layers over (state, joint action), all at once; actors climb their mean.

    Args:
        team: the team's specification.
        n_critics: number of networks.
        width: of the hidden layers.

    Reference:
        Chen et al., Randomized Ensembled Double Q-Learning, 2021.
    """

    def __init__(self, team: TeamSpec, n_critics: int = 5, width: int = 64) -> None:
        super().__init__()
        sizes = [team.critic_state_size + team.encoded_size, width, width, 1]
        shapes = list(zip(sizes[:-1], sizes[1:], strict=True))
        self.weights = nn.ParameterList(
            torch.empty(n_critics, *shape).uniform_(-1, 1) / math.sqrt(shape[0]) for shape in shapes
        )
        self.biases = nn.ParameterList(torch.zeros(n_critics, 1, shape[1]) for shape in shapes)

    def forward(self, state: Tensor, joint_action: Tensor) -> Tensor:
        """Q-values, (n_critics, batch)."""
        hidden = torch.cat([state, joint_action], dim=-1)
        hidden = hidden.expand(len(self.weights[0]), *hidden.shape)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = torch.baddbmm(bias, hidden, weight).relu()
        return torch.baddbmm(self.biases[-1], hidden, self.weights[-1]).squeeze(-1)

    def judged(self, values: Tensor) -> Tensor:
        """Their mean."""
        return values.mean(dim=0)


SHORT = 300


def main(steps: int = 600) -> tuple[float, float]:
    """Scores of HASAC before and after, at most 10; then MEHAML with a drift, saved, loaded and resumed."""
    settings = dict(
        policy_kwargs=dict(critic=Ensemble, critic_kwargs=dict(n_critics=5), net_arch=[64, 64]),
        q_target=Subset(2), gamma=0.5, ent_coef=0.01, n_steps=1, batch_size=64, learning_starts=100,
        learning_rate=3e-3, seed=0,
    )  # fmt: skip
    team = IdentityTeam(("box", "discrete"))
    model = HASAC(team, **settings)
    before = model.score(n_eval_episodes=10)
    after = model.learn(steps).score(n_eval_episodes=10)

    with tempfile.TemporaryDirectory() as folder:
        mehaml = MEHAML(team, drift=KLDrift(0.1), **settings).learn(steps // 2)
        mehaml.save_checkpoint(folder)
        mehaml = MEHAML.resume(folder, team, trusted=[Ensemble]).learn(steps // 2, reset_num_timesteps=False)
        mehaml.save(f"{folder}/model.zip")
        loaded = MEHAML.load(f"{folder}/model.zip", team, trusted=[Ensemble])
        assert loaded.score(n_eval_episodes=10) > before
    return before, after


if __name__ == "__main__":
    print(main())
