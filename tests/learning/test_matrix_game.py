"""Deep HASAC on the game of Figure 1 ends in the quantal response equilibria of Table 3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

import masoft
from masoft.envs.adapters.matrix import BIASED_START

TABLE_3 = {10.0: (0.0221, 0.0224, 0.9555), 15.0: (0.1278, 0.1354, 0.7368)}


class PolicyRecorder(BaseCallback):
    """Both agents' probabilities after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.policies: list[np.ndarray] = []

    def _on_step(self) -> bool:
        observation = torch.as_tensor(self.model._last_obs["agent_0"][:1])
        with torch.no_grad():
            self.policies.append(np.stack([actor(observation).probs[0].numpy() for actor in self.model.policy.actors]))
        return True


def final_policies(ent_coef: float, seed: int, steps: int = 20_000) -> np.ndarray:
    """Policies of both agents, (2, 3), averaged over the last tenth of a run from the biased start."""
    model = masoft.HASAC(
        "MlpPolicy",
        masoft.make_vec("matrix/maxent", n_envs=20, seed=seed),
        ent_coef=ent_coef,
        learning_rate=3e-3,
        gradient_steps=1,
        tau=0.05,
        policy_kwargs=dict(net_arch=[64, 64], initial_action_probabilities=BIASED_START),
        seed=seed,
    )
    recorder = PolicyRecorder()
    model.learn(steps, callback=recorder)
    policies = np.array(recorder.policies)
    return policies[-len(policies) // 10 :].mean(axis=0)


def test_one_short_run_reaches_the_equilibrium_at_temperature_ten() -> None:
    policies = final_policies(10.0, seed=0, steps=8_000)
    np.testing.assert_allclose(policies, [TABLE_3[10.0]] * 2, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("ent_coef", [10.0, 15.0])
def test_five_seeds_reach_the_equilibrium_of_table_3(ent_coef: float) -> None:
    runs = np.array([final_policies(ent_coef, seed) for seed in range(5)])
    print(f"ent_coef {ent_coef}: {np.round(runs, 4).tolist()}")
    np.testing.assert_allclose(runs, np.broadcast_to(TABLE_3[ent_coef], runs.shape), atol=0.05)
    np.testing.assert_allclose(runs.mean(axis=0), [TABLE_3[ent_coef]] * 2, atol=0.03)


@pytest.mark.slow
def test_five_of_five_seeds_escape_to_the_optimum_at_temperature_five() -> None:
    runs = np.array([final_policies(5.0, seed) for seed in range(5)])
    print(f"ent_coef 5: {np.round(runs, 4).tolist()}")
    assert (runs.argmax(axis=2) == 2).all()
