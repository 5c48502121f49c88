"""SMAX on one core, masoft's HAPPO and an IPPO loop in JAX in turn: environment steps a second, updates included.

Run: ``python -m benchmarks.beside_jaxmarl [battles] [rounds]`` where ``jaxmarl``, ``flax`` and ``optax`` are installed.
JaxMARL's own baselines are scripts that its package does not contain, so the loop is written here from its pieces: its
SMAX against the heuristic enemy, its automatic resets and its log wrapper; one feed-forward network with masked actions
for all agents, as in its feed-forward IPPO, and the whole iteration (rollout, GAE, epochs) compiled as one function.
Both: 128 steps a rollout, 4 epochs of 4 minibatches, hidden layers [128, 128], one thread. They differ in what they
are: HAPPO has an actor an agent, updates them one after the other, and a critic of the state; IPPO has one network.
"""

from __future__ import annotations

import sys
import time
from typing import Any, NamedTuple

import torch

import masoft
from masoft.envs.adapters.jax_scene import load_jax

MAP, STEPS, EPOCHS, PARTS, WIDTH = "3m", 128, 4, 4, 128
GAMMA, LAMBDA, CLIP, RATE, ENTROPY, VALUE = 0.99, 0.95, 0.2, 4e-4, 0.01, 0.5


class Step(NamedTuple):
    """What an agent did, (steps, actors) each."""

    done: Any
    action: Any
    value: Any
    reward: Any
    log_prob: Any
    seen: Any
    legal: Any


def masoft_rate(n_envs: int, iterations: int = 3) -> float:
    """Environment steps a second of HAPPO, from its second rollout on."""
    env = masoft.make_vec(f"smax/{MAP}", n_envs=n_envs, seed=0, tensors=True)
    model = masoft.HAPPO(
        env=env, n_steps=STEPS, batch_size=STEPS * n_envs // PARTS, n_epochs=EPOCHS, learning_rate=RATE, seed=0,
        device="cpu", policy_kwargs={"net_arch": [WIDTH, WIDTH], "activation_fn": "relu"},
    )  # fmt: skip
    model.learn(STEPS * n_envs)
    start = time.perf_counter()
    model.learn(iterations * STEPS * n_envs, reset_num_timesteps=False)
    return iterations * STEPS * n_envs / (time.perf_counter() - start)


def jaxmarl_rate(n_envs: int, iterations: int = 3) -> tuple[float, float]:
    """The same of the loop in JAX, compiled before the clock starts; and of its rollouts alone."""
    loop = Ippo(n_envs)
    carry, _ = loop.iterate(loop.begin(loop.jax.random.PRNGKey(0)))
    loop.jax.block_until_ready(loop.collect(carry))
    start = time.perf_counter()
    for _ in range(iterations):
        carry, _ = loop.iterate(carry)
    loop.jax.block_until_ready(carry)
    middle = time.perf_counter()
    for _ in range(iterations):
        loop.jax.block_until_ready(loop.collect(carry))
    n = iterations * STEPS * n_envs
    return n / (middle - start), n / (time.perf_counter() - middle)


class Ippo:
    """The loop in JAX: ``begin(key)`` gives what ``iterate`` takes and gives; both are compiled.

    Args:
        n_envs: battles.
    """

    def __init__(self, n_envs: int) -> None:
        import optax
        from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario
        from jaxmarl.wrappers.baselines import SMAXLogWrapper

        self.jax, self.n_envs = load_jax(), n_envs
        self.game = SMAXLogWrapper(HeuristicEnemySMAX(scenario=map_name_to_scenario(MAP)))
        self.agents = self.game.agents
        self.n_choices = self.game.action_space(self.agents[0]).n
        self.n_actors = len(self.agents) * n_envs
        self.network = _network(self.n_choices)
        self.optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(RATE, eps=1e-5))
        self.apply_updates = optax.apply_updates
        self.begin, self.iterate = self.jax.jit(self._begin), self.jax.jit(self._iterate)
        self.collect = self.jax.jit(lambda carry: self.jax.lax.scan(self._step, carry, None, STEPS))

    def _rows(self, by_agent: Any) -> Any:
        return self.jax.numpy.stack([by_agent[agent] for agent in self.agents]).reshape(self.n_actors, -1)

    def _begin(self, key: Any) -> Any:
        jax, numpy = self.jax, self.jax.numpy
        key, of_network, of_game = jax.random.split(key, 3)
        seen, state = jax.vmap(self.game.reset)(jax.random.split(of_game, self.n_envs))
        weights = self.network.init(of_network, self._rows(seen), numpy.ones((self.n_actors, self.n_choices)))
        return weights, self.optimizer.init(weights), state, seen, numpy.zeros(self.n_actors, bool), key

    def _legal(self, state: Any) -> Any:
        legal = self.jax.vmap(self.game.get_avail_actions)(state.env_state)
        return self._rows(legal).astype(self.jax.numpy.float32)

    def _step(self, carry: Any, _: Any) -> Any:
        jax, numpy = self.jax, self.jax.numpy
        weights, moments, state, seen, done, key = carry
        key, of_action, of_game = jax.random.split(key, 3)
        legal = self._legal(state)
        logits, value = self.network.apply(weights, self._rows(seen), legal)
        action = jax.random.categorical(of_action, logits)
        log_prob = jax.nn.log_softmax(logits)[numpy.arange(self.n_actors), action]
        chosen = dict(zip(self.agents, action.reshape(len(self.agents), self.n_envs), strict=True))
        now, state, rewards, dones, infos = jax.vmap(self.game.step)(
            jax.random.split(of_game, self.n_envs), state, chosen
        )
        ended, returns = infos["returned_episode"], infos["returned_episode_returns"]
        reward = self._rows(rewards)[:, 0]
        given = Step(done, action, value, reward, log_prob, self._rows(seen), legal), (ended, returns)
        ends = numpy.tile(dones["__all__"], len(self.agents))
        return (weights, moments, state, now, ends, key), given

    def _advantages(self, steps: Step, last_value: Any, last_done: Any) -> Any:
        def back(carry: Any, each: Step) -> Any:
            found, next_value, next_done = carry
            error = each.reward + GAMMA * next_value * (1 - next_done) - each.value
            found = error + GAMMA * LAMBDA * (1 - next_done) * found
            return (found, each.value, each.done), found

        start = self.jax.numpy.zeros_like(last_value), last_value, last_done
        return self.jax.lax.scan(back, start, steps, reverse=True)[1]

    def _loss(self, weights: Any, batch: Any) -> Any:
        jax, numpy = self.jax, self.jax.numpy
        steps, advantage, target = batch
        logits, value = self.network.apply(weights, steps.seen, steps.legal)
        log_probs = jax.nn.log_softmax(logits)
        ratio = numpy.exp(numpy.take_along_axis(log_probs, steps.action[:, None], 1)[:, 0] - steps.log_prob)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        gain = numpy.minimum(ratio * advantage, numpy.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
        clipped = steps.value + numpy.clip(value - steps.value, -CLIP, CLIP)
        error = 0.5 * numpy.maximum((value - target) ** 2, (clipped - target) ** 2).mean()
        entropy = -(numpy.exp(log_probs) * log_probs).sum(-1).mean()
        return VALUE * error - gain - ENTROPY * entropy

    def _minibatch(self, carry: Any, batch: Any) -> Any:
        weights, moments = carry
        changes, moments = self.optimizer.update(self.jax.grad(self._loss)(weights, batch), moments, weights)
        return (self.apply_updates(weights, changes), moments), None

    def _iterate(self, carry: Any) -> Any:
        jax, lax = self.jax, self.jax.lax
        carry, (steps, (ended, returns)) = lax.scan(self._step, carry, None, STEPS)
        weights, moments, state, seen, done, key = carry
        last_value = self.network.apply(weights, self._rows(seen), self._legal(state))[1]
        found = self._advantages(steps, last_value, done)
        n = STEPS * self.n_actors
        batch = jax.tree.map(lambda x: x.reshape(n, *x.shape[2:]), (steps, found, found + steps.value))

        def epoch(carry: Any, key: Any) -> Any:
            order = jax.random.permutation(key, n)
            parts = jax.tree.map(lambda x: x[order].reshape(PARTS, -1, *x.shape[1:]), batch)
            return lax.scan(self._minibatch, carry, parts)[0], None

        key, of_epochs = jax.random.split(key)
        (weights, moments), _ = lax.scan(epoch, (weights, moments), jax.random.split(of_epochs, EPOCHS))
        mean = (returns * ended).sum() / jax.numpy.maximum(ended.sum(), 1)
        return (weights, moments, state, seen, done, key), mean


def _network(n_choices: int) -> Any:
    from flax import linen

    class Network(linen.Module):  # type: ignore[misc]
        """Logits of the legal choices, and the value."""

        @linen.compact  # type: ignore[misc]
        def __call__(self, seen: Any, legal: Any) -> Any:
            def body(last: int, scale: float) -> Any:
                hidden = seen
                for _ in range(2):
                    hidden = linen.relu(linen.Dense(WIDTH, kernel_init=linen.initializers.orthogonal(2**0.5))(hidden))
                return linen.Dense(last, kernel_init=linen.initializers.orthogonal(scale))(hidden)

            return body(n_choices, 0.01) - (1 - legal) * 1e10, body(1, 1.0)[..., 0]

    return Network()


def main(n_envs: int = 256, rounds: int = 3) -> None:
    """Print each round's figures."""
    torch.set_num_threads(1)
    for _ in range(rounds):
        ours, (theirs, rollouts) = masoft_rate(n_envs), jaxmarl_rate(n_envs)
        figures = f"masoft HAPPO {ours:,.0f}, IPPO in JAX {theirs:,.0f} steps/s (its rollouts alone {rollouts:,.0f})"
        print(f"SMAX {MAP}, {n_envs} battles, one core: {figures}, ratio {ours / theirs:.2f}", flush=True)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
