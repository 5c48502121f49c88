"""Collecting from simulators whose numbers stay on a device: no look from the host, and the numbers of arrays."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import StopTrainingOnMaxEpisodes
from stable_baselines3.common.vec_env import VecNormalize
from tensor_teams import TensorTeam

import masoft
from masoft.envs.batched import BatchMonitor
from masoft.envs.device_normalize import DeviceNormalize
from masoft.envs.wrapping import TeamFrameStack, wrapped
from masoft.errors import ConfigurationError, EnvironmentFault
from masoft.testing import check_batched, host_reads

ON = {"n_steps": 8, "batch_size": 32, "n_epochs": 2}
OFF = {"learning_starts": 60, "batch_size": 16, "buffer_size": 300, "gradient_steps": 1}
# The first layer wider than NumPy's way of acting takes: arrays then act by torch, too.
WIDE = {"policy_kwargs": {"net_arch": [256, 64]}}
GRU = {"policy": "RnnPolicy", "policy_kwargs": {"sequence_length": 4}}
OF_STEPS = {
    "HASAC": OFF, "HATD3": OFF, "HAD3QN": OFF, "QMIX": OFF, "HAPPO": ON | WIDE, "MAPPO": ON | GRU, "IPPO": ON | WIDE,
    "HAA2C": {"n_steps": 8} | WIDE, "A2PO": ON | WIDE, "HAML": ON | GRU,
    "MEHAML": OFF | {"return_rule": "retrace", "n_steps": 3},
}  # fmt: skip

OFF_POLICY = {name for name, settings in OF_STEPS.items() if "buffer_size" in settings}


def model_of(name: str, env: Any, **more: Any) -> Any:
    return getattr(masoft, name)(env=env, seed=3, device="cpu", **{**OF_STEPS[name], **more})


def kinds_of(name: str) -> tuple[str, ...]:
    return ("choice",) if name in ("HAD3QN", "QMIX") else ("box", "choice", "mixed")


CASES = [(name, kind) for name in OF_STEPS for kind in kinds_of(name)]


def learned(name: str, kind: str, device: str | None) -> Any:
    return model_of(name, BatchMonitor(TensorTeam(20, kind, device))).learn(20 * 32)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_tensors_teach_what_arrays_teach(name: str, kind: str) -> None:
    arrays, tensors = learned(name, kind, None), learned(name, kind, "cpu")
    for one, other in zip(arrays.policy.parameters(), tensors.policy.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5) if name in ("HAPPO", "IPPO") else torch.equal(one, other)
    episodes = [[(float(e["r"]), int(e["l"])) for e in model.ep_info_buffer] for model in (arrays, tensors)]
    assert episodes[0] == episodes[1] and len(episodes[0]) > 20
    assert list(arrays.ep_success_buffer) == list(tensors.ep_success_buffer)
    if name in OFF_POLICY:
        assert arrays._episode_num == tensors._episode_num > 20


def collected(name: str, n_envs: int, kind: str, look: bool = False) -> tuple[list[str], int]:
    """Looks from the host, and Python's calls, of vector steps of collecting in which episodes end."""
    more = {} if name not in OFF_POLICY else {"train_freq": 8, "gradient_steps": 0}
    whole = {} if name == "HAA2C" else {"batch_size": None, "n_epochs": 1}
    more |= {"buffer_size": 20 * n_envs, "learning_starts": 4 * n_envs} if more else {"n_steps": 8, **whole}
    model = model_of(name, BatchMonitor(TensorTeam(n_envs, kind)), **more)
    # Profiling slows down, so that a cheap count of calls and the search for looks are apart.
    counted, counting, reads = [0], [False], list[str]()

    def count(frame: Any, event: str, argument: Any) -> None:
        counted[0] += counting[0] and event in ("call", "c_call")

    taken = iter(())

    def between(scope: dict[str, Any], _: Any) -> bool:
        nonlocal taken
        step = scope["self"].num_timesteps // n_envs
        if look:
            if step in (10, 15):
                next(taken, None)
            if step == 10:
                taken = noted(reads)
                next(taken)
        counting[0] = 10 <= step < 15
        return step < 24

    def noted(into: list[str]) -> Any:
        with host_reads() as found:
            yield
            into.extend(found)
        yield

    if not look:
        sys.setprofile(count)
    try:
        model.learn(n_envs * 25, callback=between)
    finally:
        sys.setprofile(None)
    return reads, counted[0]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_no_look_from_the_host_inside_a_vector_step(name: str, kind: str) -> None:
    assert collected(name, 16, kind, look=True)[0] == []


@pytest.mark.parametrize("name", ["HASAC", "HATD3", "HAPPO", "MAPPO"])
def test_python_does_as_much_for_1024_worlds_as_for_16(name: str) -> None:
    few, many = collected(name, 16, "choice")[1], collected(name, 1024, "choice")[1]
    assert few == many > 200


def test_the_counter_sees_looks() -> None:
    with host_reads() as reads:
        values = torch.ones(3)
        float(values.sum())
        values[values > 0]
        np.asarray(values)
        values.cpu()
    assert len({read.split(" at ")[0] for read in reads}) >= 4


def test_callbacks_see_stable_baselines3s_arrays_and_lists() -> None:
    """Infos, rewards and ends, looked at by a callback, are those of arrays."""

    def seen(device: str | None, name: str) -> list[Any]:
        found: list[Any] = []

        def look(scope: dict[str, Any], _: Any) -> bool:
            local = scope["self"].__dict__.get("callback_locals") or scope
            found.append([local["rewards"].tolist(), local["dones"].tolist()])
            for info in local["infos"]:
                last = info.get("terminal_observation", {})
                found.append([info["rewards"], info.get("TimeLimit.truncated"), info.get("is_success")])
                found.append({key: np.asarray(values).tolist() for key, values in last.items()})
                found.append([float(info["episode"]["r"]), int(info["episode"]["l"])] if "episode" in info else [])
            return True

        model = model_of(name, BatchMonitor(TensorTeam(5, "choice", device)))
        model.learn(5 * 12, callback=look)
        return found

    for name in ("HASAC", "HAPPO"):
        assert seen(None, name) == seen("cpu", name)


def test_stable_baselines3s_own_callback_counts_episodes() -> None:
    model = model_of("HASAC", BatchMonitor(TensorTeam(5)))
    model.learn(5 * 200, callback=StopTrainingOnMaxEpisodes(4))
    assert model.num_timesteps < 5 * 200


def test_steps_of_arrays_give_arrays() -> None:
    env = BatchMonitor(TensorTeam(4, "mixed"))
    env.reset()
    for _ in range(12):
        seen, rewards, dones, infos = env.step(np.array([[0, 1]] * 4, np.float32))
        assert isinstance(rewards, np.ndarray) and dones.dtype == bool and isinstance(seen["left"], torch.Tensor)
    with pytest.raises(EnvironmentFault, match="agent 'right' in environment 0"):
        env.step(np.array([[0, 7]] * 4, np.float32))


@pytest.mark.parametrize("fault", ["rewards", "observations", "actions"])
@pytest.mark.parametrize("name", ["HASAC", "HAPPO"])
def test_what_was_wrong_is_raised_at_the_end_of_the_rollout(fault: str, name: str, monkeypatch: Any) -> None:
    env = TensorTeam(6, "box")
    env.fault = fault if fault == "rewards" else ""
    model = model_of(name, BatchMonitor(env))
    if fault == "actions":
        monkeypatch.setattr(model, "_to_environment", lambda actions: actions * 0 + 9)
    which = {"rewards": "The rewards of environment 0", "actions": "The joint action of environment 0"}
    if fault == "observations":
        env.reset()
        env.fault = fault
        which[fault] = "What the agents see of environment 0"
        monkeypatch.setattr(env, "_start", lambda seeds: {**TensorTeam(6, "box")._seen()})
    with pytest.raises(EnvironmentFault, match=f"{which[fault]}, at a vector step from 0"):
        model.learn(6 * 20)


def test_a_batch_of_tensors_keeps_its_promises() -> None:
    for kind in ("box", "choice", "mixed"):
        check_batched(lambda n, kind=kind: TensorTeam(n, kind), n_steps=30)


def test_a_run_goes_on_where_it_stopped(tmp_path: Any) -> None:
    for name in ("HASAC", "HAPPO", "MAPPO"):
        env = BatchMonitor(TensorTeam(5, "choice"))
        model = model_of(name, env).learn(5 * 16)
        model.save(tmp_path / "model")
        again = type(model).load(tmp_path / "model", env=BatchMonitor(TensorTeam(5, "choice")))
        again.learn(5 * 16, reset_num_timesteps=False)
        actions, _ = again.predict({k: v for k, v in env.reset().items()}, deterministic=True)
        assert actions.shape == (5, 2)


def test_replay_grows_on_the_device_and_is_saved(tmp_path: Any) -> None:
    model = model_of("HASAC", BatchMonitor(TensorTeam(20, "choice", length=2)), buffer_size=2_000, gradient_steps=0)
    model.learn(20 * 150)
    arrays = model_of("HASAC", BatchMonitor(TensorTeam(20, "choice", None, 2)), buffer_size=2_000, gradient_steps=0)
    arrays.learn(20 * 150)
    one, other = model.replay_buffer, arrays.replay_buffer
    assert len(one._finals) > 64 and (one.final_slots >= 0).sum() == (other.final_slots >= 0).sum() > 500
    used = one.final_slots[one.final_slots >= 0]
    assert len(used.unique()) == len(used) and not set(used.tolist()) & set(one._finals.free)
    assert len(used) + len(one._finals.free) == len(one._finals)
    for _ in range(5):
        drawn, expected = one.sample(64), other.sample(64)
        for name in ("state", "next_state", "actions", "rewards", "discounts", "terminated", "next_masks"):
            assert torch.equal(getattr(drawn, name), getattr(expected, name))
    model.save_replay_buffer(tmp_path / "replay")
    arrays.load_replay_buffer(tmp_path / "replay", truncate_last_traj=False)
    assert torch.equal(arrays.replay_buffer.sample(64).next_state, one.sample(64).next_state)


def normalised(name: str, device: str | None, **settings: Any) -> Any:
    env = wrapped(BatchMonitor(TensorTeam(20, "choice", device)), settings or True, None)
    return model_of(name, env)


@pytest.mark.parametrize("name", ["HASAC", "HAPPO", "MAPPO"])
def test_normalised_tensors_teach_what_normalised_arrays_teach(name: str, tmp_path: Any) -> None:
    arrays, tensors = (normalised(name, device).learn(20 * 48) for device in (None, "cpu"))
    one, other = arrays.get_vec_normalize_env(), tensors.get_vec_normalize_env()
    assert isinstance(other, DeviceNormalize) and not isinstance(one, DeviceNormalize)
    for key in ("left", "right", "state"):
        np.testing.assert_allclose(other.obs_rms[key].mean, one.obs_rms[key].mean, atol=1e-5)
        np.testing.assert_allclose(other.obs_rms[key].var, one.obs_rms[key].var, atol=1e-5)
        assert other.obs_rms[key].count == pytest.approx(one.obs_rms[key].count)
    np.testing.assert_allclose(other.ret_rms.var, one.ret_rms.var, rtol=1e-3)
    pairs = zip(arrays.policy.parameters(), tensors.policy.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=2e-2) for a, b in pairs)
    # Saved in the same place: a run of arrays goes on with the statistics of one of tensors.
    tensors.save_checkpoint(tmp_path / "half")
    again = type(tensors).resume(tmp_path / "half", env=normalised(name, "cpu").env)
    moments = again.get_vec_normalize_env().obs_rms["left"]
    assert np.array_equal(moments.mean, other.obs_rms["left"].mean)
    assert np.allclose(again.get_vec_normalize_env().returns, other.returns)
    again.learn(20 * 16, reset_num_timesteps=False)
    assert not np.array_equal(moments.mean, other.obs_rms["left"].mean) and again.score(n_eval_episodes=3) <= 0


def test_a_file_takes_statistics_from_tensors_to_arrays_and_back(tmp_path: Any) -> None:
    model = normalised("HASAC", "cpu").learn(20 * 8)
    model.save(tmp_path / "model")
    for device, kind in ((None, VecNormalize), ("cpu", DeviceNormalize)):
        bare = BatchMonitor(TensorTeam(20, "choice", device))
        again = masoft.HASAC.load(tmp_path / "model", env=bare, device="cpu")
        assert type(again.env) is kind
        assert np.array_equal(again.env.obs_rms["left"].mean, model.env.obs_rms["left"].mean)
        assert again.learn(20 * 4).env.obs_rms["left"].count > model.env.obs_rms["left"].count


@pytest.mark.parametrize("name", ["HASAC", "HAPPO"])
def test_normalising_looks_at_nothing(name: str) -> None:
    env = wrapped(BatchMonitor(TensorTeam(16, "choice")), True, None)
    env.reset()
    actions = torch.tensor([[1, 1]] * 16)
    with host_reads() as reads:
        for _ in range(12):
            env.step(actions)
    assert reads == []
    model = model_of(name, env).learn(16 * 24)
    if name == "HASAC":
        model._look_for_learners()
        with host_reads() as reads:
            model.sample_batch(16)
        assert reads == []


def test_wrappers_of_arrays_are_refused() -> None:
    for wrap in (lambda env: VecNormalize(env, norm_obs_keys=["left"]), lambda env: TeamFrameStack(env, 2)):
        with pytest.raises(ConfigurationError, match="A wrapper must be one that computes with tensors.*tensors=False"):
            masoft.HASAC(wrap(BatchMonitor(TensorTeam(4))), device="cpu")
