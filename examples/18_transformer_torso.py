"""A torso of your own: a transformer over the last steps, as an agent's memory in HASAC."""

from __future__ import annotations

import tempfile

import torch
from torch import Tensor, nn

import masoft
from masoft import HASAC
from masoft.networks import MemoryTorso
from masoft.spec import AgentSpec
from masoft.testing.games import CueTeam


class LastSteps(MemoryTorso):
    """Attention from the present step to the last ones, which are what the agent remembers.

    Args:
        agent: the agent's specification; it observes a vector.
        window: steps that are remembered, the present one among them.
        width: of a step's token.
        n_heads: of the attention.

    Reference:
        Parisotto et al., Stabilizing Transformers for Reinforcement Learning, 2020.
    """

    def __init__(self, agent: AgentSpec, window: int = 4, width: int = 16, n_heads: int = 2) -> None:
        super().__init__()
        self.window, self.width = window, width
        self.n_features = width
        self.memory_size = window * (width + 1)  # tokens, and for each whether there is one
        self.embed = nn.Sequential(nn.Linear(agent.observation_shape[0], width), nn.Tanh())
        self.places = nn.Parameter(torch.zeros(window, width))
        self.attention = nn.MultiheadAttention(width, n_heads, bias=False, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def step(self, observation: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, width) of the newest step, and the window (n, memory_size) with it at its end."""
        token = self.embed(observation)
        newest = torch.cat([token, torch.ones_like(token[:, :1])], dim=-1)
        steps = torch.cat([memory.view(-1, self.window, self.width + 1)[:, 1:], newest.unsqueeze(1)], dim=1)
        tokens, is_absent = steps[..., :-1] + self.places, steps[..., -1] == 0
        asked, _ = self.attention(tokens[:, -1:], tokens, tokens, key_padding_mask=is_absent, need_weights=False)
        return self.norm(token + asked.squeeze(1)), steps.flatten(1)


def build(torso: type[MemoryTorso] | None, seed: int) -> HASAC:
    """HASAC for the game of the cue, with or without a torso that remembers."""
    with_memory = dict(torso=torso, sequence_length=4, burn_in=4) if torso else {}
    return HASAC(
        masoft.make_vec(CueTeam, n_envs=8, seed=seed), policy_kwargs=dict(net_arch=[32, 32], **with_memory), gamma=0.9,
        learning_rate=3e-3, learning_starts=200, batch_size=128, gradient_steps=2, n_steps=1, target_entropy=0.05,
        seed=seed,
    )  # fmt: skip


def main(steps: int = 3_200, seed: int = 0) -> tuple[float, float]:
    """Wins with and without memory; without, half of the games are the most that can be won."""
    model = build(LastSteps, seed)
    with tempfile.TemporaryDirectory() as folder:
        model.learn(steps // 2).save_checkpoint(folder)
        model = HASAC.resume(folder, model.get_env(), trusted=[LastSteps])
        model.learn(steps - steps // 2, reset_num_timesteps=False).save(f"{folder}/model.zip")
        model = HASAC.load(f"{folder}/model.zip", trusted=[LastSteps])
        model.export(f"{folder}/actors")
    game = masoft.make_vec(CueTeam, n_envs=8, seed=99)
    return model.score(game, n_eval_episodes=200), build(None, seed).learn(steps).score(game, n_eval_episodes=200)


if __name__ == "__main__":
    print(main())
