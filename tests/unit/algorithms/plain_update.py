"""Algorithm 2 written out slowly: one nn.Linear a layer, torch's distributions, plain autograd, nothing kept or shared.

It is the oracle for the fast update. Both draw their noise from a generator in the order in which the algorithm needs
it (each agent's action at the next state, each agent's action now, then a fresh action after each agent's update), so
equal generators give equal updates.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal, TanhTransform, TransformedDistribution
from torch.nn import functional as F

from masoft.buffers import TeamBatch


@dataclass
class Draw:
    """One agent's action: as a critic sees it, its log-probability, the noise it is made of, the policy's entropy."""

    action: Tensor
    log_prob: Tensor
    noise: Tensor
    entropy: Tensor


class PlainActor:
    """One agent's network, copied layer by layer from an actor."""

    def __init__(self, actor: nn.Module, action: Any) -> None:
        self.layers = [copy.deepcopy(m) for m in actor.modules() if isinstance(m, nn.Linear)]
        self.activations = [m for m in actor.modules() if isinstance(m, nn.ReLU | nn.Tanh | nn.ELU)]
        self.action = action
        self.parameters = [p for layer in self.layers for p in layer.parameters()]

    def __call__(self, obs: Tensor) -> Tensor:
        hidden = obs
        for layer, activation in zip(self.layers[:-1], self.activations, strict=True):
            hidden = plain_activation(activation)(layer(hidden))
        return self.layers[-1](hidden)

    def gaussian(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self(obs).chunk(2, dim=-1)
        return mean, log_std.clamp(-20, 2)

    def log_probs(self, obs: Tensor, mask: Tensor | None) -> list[Tensor]:
        """Log-probabilities of each part's choices."""
        logits = self(obs)
        if mask is not None:
            logits = torch.where(mask, logits, -1e9)
        return [F.log_softmax(part, dim=-1) for part in logits.split(self.action.nvec, dim=-1)]


class PlainCritic:
    """One Q-network, copied layer by layer."""

    def __init__(self, network: nn.Module) -> None:
        self.layers = [copy.deepcopy(layer) for layer in network.children()]
        self.parameters = [p for layer in self.layers for p in layer.parameters()]

    def __call__(self, state: Tensor, actions: Tensor) -> Tensor:
        hidden = torch.cat([state, actions], dim=-1)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                hidden = hidden @ layer.weight.t() + layer.bias
            elif isinstance(layer, nn.LayerNorm):
                deviation, mean = torch.var_mean(hidden, dim=-1, keepdim=True, correction=0)
                hidden = (hidden - mean) / torch.sqrt(deviation + layer.eps) * layer.weight + layer.bias
            else:
                hidden = plain_activation(layer)(hidden)
        return hidden.squeeze(-1)


class PlainHASAC:
    """A copy of a HASAC, MASAC or MEHAML model (without drift) that does its updates the slow way.

    Args:
        model: the model; its networks, optimiser settings, temperatures and generators are copied.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.team = model, model.team
        distinct = {id(actor): actor for actor in model.policy.actors}
        plain = {key: PlainActor(actor, self._action_of(actor)) for key, actor in distinct.items()}
        self.actors = [plain[id(actor)] for actor in model.policy.actors]
        self.critics = [PlainCritic(network) for network in model.policy.critic.networks]
        self.targets = [PlainCritic(network) for network in model.policy.critic_target.networks]
        settings = model.policy_kwargs.get("optimizer_kwargs") or {}
        rate = model.learning_rate
        adam = {key: torch.optim.Adam(net.parameters, rate, foreach=False, **settings) for key, net in plain.items()}
        self.actor_optimizers = [adam[id(actor)] for actor in model.policy.actors]
        weights = [p for critic in self.critics for p in critic.parameters]
        self.critic_optimizer = torch.optim.Adam(weights, rate, foreach=False, **settings)
        self.learns_temperature = hasattr(model.temperature, "log_values")
        current = model.temperature.current()
        self.log_alphas = [(value + (value == 0)).log().requires_grad_() for value in current]
        self.fixed = None if self.learns_temperature else current
        self.rate = rate
        self.alpha_optimizers = [torch.optim.Adam([each], rate, foreach=False) for each in self.log_alphas]
        self.generator = copy_of(model.generator)
        self.cpu_generator = copy_of(model.cpu_generator)

    def _action_of(self, actor: nn.Module) -> Any:
        owners = zip(self.team.agents, self.model.policy.actors, strict=True)
        return next(agent.action for agent, known in owners if known is actor)

    @property
    def log_alpha(self) -> Tensor:
        """Logarithms of all temperatures, (n_agents + 1,)."""
        return torch.stack(self.log_alphas)

    def update(self, batch: TeamBatch) -> dict[str, float]:
        """One update; returns the losses."""
        alpha = self.fixed if self.fixed is not None else self.log_alpha.detach().exp()
        critic_loss = self.fit_critics(batch, self.target(batch, alpha[-1]))
        n = self.team.n_agents
        with torch.no_grad():
            draws = [self.draw(i, batch.observations[i], self.mask_of(i, batch.masks)) for i in range(n)]
        joint = [draw.action for draw in draws]
        signals = [self.signal(i, draw) for i, draw in enumerate(draws)]
        losses = []
        for place, i in enumerate(self.model.order.draw(n, self.cpu_generator)):
            noise = draws[i].noise
            if place > 0 and self.model.policy.share_parameters:  # its network has moved: its draw is made anew
                noise = self.draw(i, batch.observations[i], self.mask_of(i, batch.masks)).noise
            loss = self.actor_loss(i, joint, noise, batch, alpha[i])
            self.actor_optimizers[i].zero_grad()
            loss.backward()
            share = 1.0 if batch.active is None else float(batch.active[:, i].sum()) / len(batch.active)
            self.step(self.actor_optimizers[i], share)
            losses.append(loss.item())
            if self.model.order.sequential and place < n - 1:
                with torch.no_grad():
                    joint[i] = self.draw(i, batch.observations[i], self.mask_of(i, batch.masks)).action
        if self.learns_temperature:
            self.fit_temperatures(signals, batch)
        with torch.no_grad():
            for target, critic in zip(self.targets, self.critics, strict=True):
                for old, new in zip(target.parameters, critic.parameters, strict=True):
                    old.copy_((1 - self.model.tau) * old + self.model.tau * new)
        return {"critic_loss": critic_loss, "actor_loss": sum(losses) / n}

    def step(self, optimizer: torch.optim.Optimizer, share: float) -> None:
        """A step whose length is weighed by a share of rows; at 0 there is none."""
        optimizer.param_groups[0]["lr"] = self.rate * share
        if share > 0:
            optimizer.step()

    def fit_temperatures(self, signals: list[Tensor], batch: TeamBatch) -> None:
        """Row by row: an agent counts where it is there and has a choice."""
        n_rows, n = len(batch.rewards), self.team.n_agents
        excess: list[list[float]] = [[] for _ in range(n + 1)]
        n_counted = [0] * (n + 1)
        for row in range(n_rows):
            in_row = []
            for i, agent in enumerate(self.team.agents):
                is_there = batch.active is None or bool(batch.active[row, i])
                target = -float(agent.action.size)
                if not agent.action.is_box:
                    legal = [1.0] * agent.action.mask_size
                    if batch.masks is not None:
                        legal = batch.masks[row, self.team.mask_slices[i]].tolist()
                    ends = np.cumsum([0, *agent.action.nvec])
                    counts = [sum(legal[a:b]) for a, b in itertools.pairwise(ends.tolist())]
                    target = 0.3 * math.log(math.prod(counts))
                if is_there and target != 0:
                    in_row.append(float(signals[i][row]) + target)
                    excess[i].append(in_row[-1])
            excess[n].append(sum(in_row))
            n_counted[n] += bool(in_row)
        for k, (each, optimizer) in enumerate(zip(self.log_alphas, self.alpha_optimizers, strict=True)):
            each.grad = torch.tensor(-sum(excess[k]) / max(len(excess[k]), 1), dtype=each.dtype)
            self.step(optimizer, (len(excess[k]) if k < n else n_counted[n]) / n_rows)

    def target(self, batch: TeamBatch, alpha: Tensor) -> Tensor:
        """Eq. 5 and 6."""
        actions, bonus = [], torch.zeros_like(batch.rewards)
        with torch.no_grad():
            for i, agent in enumerate(self.team.agents):
                draw = self.draw(i, batch.next_observations[i], self.mask_of(i, batch.next_masks))
                surprise = draw.log_prob if agent.action.is_box else -draw.entropy
                active = 1 if batch.next_active is None else batch.next_active[:, i]
                bonus = bonus - alpha * surprise * active
                actions.append(draw.action)
            joint = torch.cat(actions, dim=-1)
            each = torch.stack([critic(batch.next_state, joint) for critic in self.targets])
            values = each.mean(0) if self.model.q_target == "mean" else each.min(0).values
            return batch.rewards + batch.discounts * (1 - batch.terminated) * (values + bonus)

    def fit_critics(self, batch: TeamBatch, target: Tensor) -> float:
        """The mean squared Bellman residual of every critic, one step."""
        parts = []
        for agent, where in zip(self.team.agents, self.team.action_slices, strict=True):
            own = batch.actions[:, where]
            parts.append(own if agent.action.is_box else one_hots(own.long(), agent.action.nvec, own.dtype))
        joint = torch.cat(parts, dim=-1)
        loss = sum(F.mse_loss(critic(batch.state, joint), target) for critic in self.critics)
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        return loss.item()

    def is_exact(self, i: int) -> bool:
        """Whether agent i's own actions are enumerated."""
        return self.team.agents[i].action.n_joint > 0 and self.model.discrete_gradient != "gumbel"

    def signal(self, i: int, draw: Draw) -> Tensor:
        """What agent i's temperature is fitted to, (batch,)."""
        return -draw.entropy if self.is_exact(i) else draw.log_prob

    def draw(self, i: int, obs: Tensor, mask: Tensor | None, noise: Tensor | None = None) -> Draw:
        """An action of agent i, made of the given noise or of fresh one."""
        actor, action = self.actors[i], self.team.agents[i].action
        if action.is_box:
            mean, log_std = actor.gaussian(obs)
            if noise is None:
                noise = torch.randn(mean.shape, generator=self.generator, dtype=mean.dtype)
            squash = TanhTransform(cache_size=1)
            policy = TransformedDistribution(Normal(mean, log_std.exp()), [squash])
            value = squash(mean + log_std.exp() * noise)
            return Draw(value, policy.log_prob(value).sum(-1), noise, torch.zeros(len(obs)))
        parts = actor.log_probs(obs, mask)
        log_probs = torch.cat(parts, dim=-1)
        if noise is None:
            noise = torch.empty_like(log_probs).exponential_(generator=self.generator)
        perturbed = (log_probs - noise.log()).split(action.nvec, dim=-1)
        hard = one_hots(torch.stack([part.argmax(-1) for part in perturbed], dim=-1), action.nvec, obs.dtype)
        soft = torch.cat([part.softmax(-1) for part in perturbed], dim=-1)
        relaxed = hard + soft - soft.detach()
        entropy = -sum((part.exp() * part).sum(-1) for part in parts)
        return Draw(relaxed, (relaxed * log_probs).sum(-1), noise, entropy)

    def actor_loss(self, i: int, joint: list[Tensor], noise: Tensor, batch: TeamBatch, alpha: Tensor) -> Tensor:
        """Eq. 10 for agent i, the others playing ``joint``."""
        obs, mask = batch.observations[i], self.mask_of(i, batch.masks)
        if not self.is_exact(i):
            draw = self.draw(i, obs, mask, noise)
            q_values = self.smallest_q(batch.state, [*joint[:i], draw.action, *joint[i + 1 :]])
            return mean_over(alpha * draw.log_prob - q_values, batch.active, i)
        loss = torch.zeros(len(obs), dtype=obs.dtype)
        log_probs, nvec = self.actors[i].log_probs(obs, mask), self.team.agents[i].action.nvec
        for choice in itertools.product(*(range(n) for n in nvec)):
            own = sum(part[:, k] for part, k in zip(log_probs, choice, strict=True))
            mine = one_hots(torch.tensor([choice] * len(obs)), nvec, obs.dtype)
            with torch.no_grad():
                q_values = self.smallest_q(batch.state, [*joint[:i], mine, *joint[i + 1 :]])
            loss = loss + own.exp() * (alpha * own - q_values)
        return mean_over(loss, batch.active, i)

    def smallest_q(self, state: Tensor, joint: list[Tensor]) -> Tensor:
        return torch.stack([critic(state, torch.cat(joint, dim=-1)) for critic in self.critics]).min(0).values

    def mask_of(self, i: int, masks: Tensor | None) -> Tensor | None:
        return None if masks is None else masks[:, self.team.mask_slices[i]]


def plain_activation(module: nn.Module) -> Any:
    return {nn.ReLU: F.relu, nn.Tanh: torch.tanh, nn.ELU: F.elu}[type(module)]


def one_hots(choices: Tensor, nvec: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Choice numbers (batch, parts) as one-hot vectors side by side."""
    return torch.cat([F.one_hot(choices[:, k], n) for k, n in enumerate(nvec)], dim=-1).to(dtype)


def mean_over(values: Tensor, active: Tensor | None, i: int) -> Tensor:
    """Mean over the states where agent i is in the game; 0 where there is none."""
    kept = values if active is None else values[active[:, i] == 1]
    return kept.mean() if len(kept) else (values * 0).sum()


def copy_of(generator: torch.Generator) -> torch.Generator:
    """Another generator in the same state."""
    twin = torch.Generator()
    twin.set_state(generator.get_state())
    return twin
