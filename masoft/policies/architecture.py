"""How the shape of a policy's networks is given: widths of hidden layers and names of activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from masoft.errors import ConfigurationError, explain, nearest

NetArch = Sequence[int] | Mapping[str, Sequence[int]]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "silu": nn.SiLU}


def split_arch(net_arch: NetArch, critic: str = "qf") -> tuple[list[int], list[int]]:
    """Widths for actors and critics, checked.

    Args:
        net_arch: one list for both, or ``dict(pi=[...], qf=[...])``.
        critic: the critic's key, as SB3 calls it: ``"qf"`` off-policy, ``"vf"`` on-policy.

    Raises:
        ConfigurationError: an unknown key, no layer, or a width that is no positive integer.
    """
    if isinstance(net_arch, Mapping):
        if set(net_arch) != {"pi", critic}:
            must = f"a list, or a dict with the keys 'pi' and {critic!r}"
            raise ConfigurationError(explain("net_arch", must, net_arch))
        pair = [*net_arch["pi"]], [*net_arch[critic]]
    else:
        pair = [*net_arch], [*net_arch]
    if not all(isinstance(width, int) and width > 0 for width in pair[0] + pair[1]) or not (pair[0] and pair[1]):
        raise ConfigurationError(explain("net_arch", "one positive width or more", net_arch))
    return pair


def activation_class(choice: type[nn.Module] | str) -> type[nn.Module]:
    """An activation class from itself or from its name.

    Raises:
        ConfigurationError: an unknown name.
    """
    if isinstance(choice, str):
        if choice not in ACTIVATIONS:
            raise ConfigurationError(explain("activation", "a known name", choice, nearest(choice, ACTIVATIONS)))
        return ACTIVATIONS[choice]
    return choice
