"""A critic of your own: agents as tokens that attend to each other, in HASAC and in MEHAML."""

from __future__ import annotations

import tempfile

import torch
from torch import Tensor, nn

from masoft import HASAC, MEHAML
from masoft.mirror import KLDrift
from masoft.networks import Critic
from masoft.spec import TeamSpec
from masoft.testing.games import IdentityTeam


class AttentionCritic(Critic):
    """Twin networks; each makes a token of the state with one agent's action, lets the tokens attend, and adds them up.

    Args:
        team: the team's specification.
        width: of tokens.
        n_heads: of the attention.

    Reference:
        Iqbal and Sha, Actor-Attention-Critic for Multi-Agent Reinforcement Learning, 2019.
    """

    def __init__(self, team: TeamSpec, width: int = 64, n_heads: int = 4) -> None:
        super().__init__()
        self.places = team.encoded_slices
        self.networks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "tokens": nn.ModuleList(
                        nn.Linear(team.critic_state_size + where.stop - where.start, width) for where in self.places
                    ),
                    "block": nn.TransformerEncoderLayer(width, n_heads, 2 * width, dropout=0.0, batch_first=True),
                    "value": nn.Linear(width, 1),
                }
            )
            for _ in range(2)
        )

    def forward(self, state: Tensor, joint_action: Tensor) -> Tensor:
        """Q-values, (2, batch)."""
        views = [torch.cat([state, joint_action[:, where]], dim=-1) for where in self.places]
        values = []
        for network in self.networks:
            tokens = torch.stack([embed(view) for embed, view in zip(network["tokens"], views, strict=True)], dim=1)
            values.append(network["value"](network["block"](tokens)).sum(dim=(1, 2)))
        return torch.stack(values)


SHORT = 300


def main(steps: int = 600) -> tuple[float, float]:
    """Scores of HASAC before and after, at most 10; then MEHAML with a drift, saved, loaded and resumed."""
    settings = dict(
        policy_kwargs=dict(critic=AttentionCritic, critic_kwargs=dict(width=64), net_arch=[64, 64]),
        gamma=0.5, ent_coef=0.01, n_steps=1, batch_size=64, learning_starts=100, learning_rate=3e-3, seed=0,
    )  # fmt: skip
    team = IdentityTeam(("box", "discrete"))
    model = HASAC(team, **settings)
    before = model.score(n_eval_episodes=10)
    after = model.learn(steps).score(n_eval_episodes=10)

    with tempfile.TemporaryDirectory() as folder:
        mehaml = MEHAML(team, drift=KLDrift(0.1), **settings).learn(steps // 2)
        mehaml.save_checkpoint(folder)
        mehaml = MEHAML.resume(folder, team, trusted=[AttentionCritic]).learn(steps // 2, reset_num_timesteps=False)
        mehaml.save(f"{folder}/model.zip")
        loaded = MEHAML.load(f"{folder}/model.zip", team, trusted=[AttentionCritic])
        assert loaded.score(n_eval_episodes=10) > before
    return before, after


if __name__ == "__main__":
    print(main())
