"""The presets against a transcription of the paper's tables made apart from them, row by row as printed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

import masoft
from masoft.errors import ConfigurationError
from masoft.mirror import Linear
from masoft.presets import Preset, list_presets, parse, preset

AUTO = "auto"
# Table 4, for all: (buffer size, warmup steps, polyak, train interval, update per train, hidden sizes)
TABLE_4 = (1e6, 1e4, 0.005, 50, 1, [256, 256])
# Task: (rollout threads, gamma, batch size, n step, actor lr, critic lr, alpha or AUTO, alpha lr where printed)
HASAC = {
    # Tables 7, 9, 10
    "mamujoco/Ant-2x4": (10, 0.99, 2200, 5, 3e-4, 1e-3, 0.2, None),
    "mamujoco/Ant-4x2": (10, 0.99, 1000, 5, 3e-4, 1e-3, 0.2, None),
    "mamujoco/Ant-8x1": (10, 0.99, 2200, 5, 3e-4, 1e-3, 0.2, None),
    "mamujoco/HalfCheetah-2x3": (10, 0.99, 1000, 10, 1e-3, 1e-3, AUTO, 3e-4),
    "mamujoco/HalfCheetah-3x2": (10, 0.99, 1000, 10, 1e-3, 1e-3, AUTO, 3e-4),
    "mamujoco/HalfCheetah-6x1": (10, 0.99, 1000, 10, 1e-3, 1e-3, AUTO, 3e-4),
    "mamujoco/Walker2d-2x3": (10, 0.99, 1000, 20, 5e-4, 1e-3, 0.2, None),
    "mamujoco/Walker2d-6x1": (10, 0.99, 1000, 20, 5e-4, 1e-3, 0.2, None),
    "mamujoco/ManySegmentSwimmer-10x2": (10, 0.99, 1000, 10, 1e-3, 1e-3, AUTO, 3e-4),
    "mamujoco/HumanoidStandup-17x1": (10, 0.99, 1000, 10, 1e-3, 1e-3, AUTO, 3e-4),
    # Tables 5, 6
    "dexhands/ShadowHandCatchAbreast": (20, 0.95, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "dexhands/ShadowHandTwoCatchUnderarm": (20, 0.95, 1000, 20, 5e-4, 5e-4, 5e-5, None),
    "dexhands/ShadowHandLiftUnderarm": (20, 0.95, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "dexhands/ShadowHandOver": (20, 0.95, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "dexhands/ShadowHandCatchOver2Underarm": (20, 0.95, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "dexhands/ShadowHandPen": (20, 0.95, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "dexhands/ShadowHandDoorCloseInward": (20, 0.95, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "dexhands/ShadowHandDoorOpenInward": (20, 0.95, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "dexhands/ShadowHandDoorOpenOutward": (20, 0.95, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    # Tables 13, 14
    "smac/8m_vs_9m": (20, 0.95, 1000, 5, 3e-4, 5e-4, AUTO, 3e-4),
    "smac/5m_vs_6m": (20, 0.95, 1000, 20, 3e-4, 5e-4, AUTO, 3e-4),
    "smac/3s5z": (20, 0.99, 1000, 20, 3e-4, 5e-4, AUTO, 3e-4),
    "smac/10m_vs_11m": (20, 0.95, 1000, 20, 3e-4, 5e-4, AUTO, 3e-4),
    "smac/MMM2": (20, 0.95, 1000, 20, 3e-4, 5e-4, AUTO, 3e-4),
    "smac/3s5z_vs_3s6z": (20, 0.99, 1000, 10, 3e-4, 5e-4, AUTO, 3e-4),
    "smac/corridor": (20, 0.99, 1000, 5, 5e-4, 5e-4, 2e-3, None),
    "smac/6h_vs_8z": (20, 0.99, 1000, 5, 3e-4, 5e-4, AUTO, 3e-4),
    # Tables 15, 16
    "football/rps": (20, 0.99, 1000, 10, 5e-4, 5e-4, 1e-4, None),
    "football/corner": (20, 0.99, 1000, 10, 5e-4, 5e-4, 1e-3, None),
    # Table 17
    "mpe/simple_spread_v3-continuous": (20, 0.99, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "mpe/simple_spread_v3-discrete": (20, 0.99, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "mpe/simple_reference_v3-continuous": (20, 0.99, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "mpe/simple_reference_v3-discrete": (20, 0.99, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "mpe/simple_speaker_listener_v4-continuous": (20, 0.99, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    "mpe/simple_speaker_listener_v4-discrete": (20, 0.99, 1000, 20, 5e-4, 5e-4, AUTO, 3e-4),
    # Table 18
    "lag/2v2-noweapon": (20, 0.99, 1000, 10, 5e-4, 5e-4, AUTO, 3e-4),
}  # fmt: skip
# Tables 5, 7, 8, 9: (rollout threads, gamma, n step, actor lr, critic lr); exploration noise is 0.1 everywhere
HATD3 = {
    "mamujoco/Ant-2x4": (10, 0.99, 5, 5e-4, 1e-3),
    "mamujoco/Ant-4x2": (10, 0.99, 5, 5e-4, 1e-3),
    "mamujoco/Ant-8x1": (10, 0.99, 5, 5e-4, 1e-3),
    "mamujoco/HalfCheetah-2x3": (10, 0.99, 10, 5e-4, 1e-3),
    "mamujoco/HalfCheetah-3x2": (10, 0.99, 10, 5e-4, 1e-3),
    "mamujoco/HalfCheetah-6x1": (10, 0.99, 10, 5e-4, 1e-3),
    "mamujoco/Walker2d-2x3": (10, 0.99, 20, 5e-4, 1e-3),
    "mamujoco/Walker2d-6x1": (10, 0.99, 20, 5e-4, 1e-3),
    "mamujoco/ManySegmentSwimmer-10x2": (10, 0.99, 10, 5e-4, 1e-3),
    "mamujoco/HumanoidStandup-17x1": (10, 0.99, 10, 5e-4, 1e-3),
    **{name: (20, 0.95, 20, 5e-4, 5e-4) for name in HASAC if name.startswith("dexhands")},
}
# Tables 12, 19: (linear lr decay, actor/critic lr, ppo/critic epoch, clip param, mini batches, entropy coef);
# Tables 11, 19: batch size 4000, gamma 0.99, hidden sizes [256, 256]
HAPPO = {
    "mamujoco/Ant-2x4": (False, 5e-4, 5, 0.1, 1, 0),
    "mamujoco/Ant-4x2": (False, 5e-4, 5, 0.1, 1, 0),
    "mamujoco/Ant-8x1": (False, 5e-4, 5, 0.1, 1, 0),
    "mamujoco/HalfCheetah-2x3": (False, 5e-4, 15, 0.05, 1, 0.01),
    "mamujoco/HalfCheetah-3x2": (False, 5e-4, 15, 0.05, 1, 0.01),
    "mamujoco/HalfCheetah-6x1": (False, 5e-4, 15, 0.05, 1, 0.01),
    "mamujoco/Walker2d-2x3": (True, 1e-3, 5, 0.05, 2, 0),
    "mamujoco/Walker2d-6x1": (False, 5e-4, 5, 0.1, 1, 0.01),
    "mamujoco/ManySegmentSwimmer-10x2": (False, 5e-4, 5, 0.2, 1, 0.01),
    "mamujoco/HumanoidStandup-17x1": (True, 5e-4, 5, 0.1, 1, 0),
    "lag/2v2-noweapon": (False, 5e-4, 5, 0.05, 2, 0),
}
# Table 1, Section H.2.4
PRINTED_STEPS = {
    "smac/8m_vs_9m": 1e7, "smac/5m_vs_6m": 1e7, "smac/3s5z": 1e7, "smac/10m_vs_11m": 1e7, "smac/MMM2": 2e7,
    "smac/3s5z_vs_3s6z": 2e7, "smac/corridor": 2e7, "smac/6h_vs_8z": 4e7, "football/rps": 2e7, "football/corner": 2.5e7,
}  # fmt: skip


def row_of(found: Preset) -> tuple[Any, ...]:
    """A preset in the form of the transcription; the alpha lr only where the temperature is learned."""
    values = found.parameters
    rates = values["learning_rate"]
    alpha_lr = rates["ent_coef"] if values["ent_coef"] == AUTO else None
    return (
        found.n_envs, values["gamma"], values["batch_size"], values["n_steps"],
        rates["actor"], rates["critic"], values["ent_coef"], alpha_lr,
    )  # fmt: skip


def names(algorithm: str) -> list[str]:
    """The published ones."""
    return [entry.name for entry in list_presets() if entry.algorithm == algorithm and "paper" in entry.variants]


def test_every_task_of_the_paper_is_there_and_no_other() -> None:
    assert sorted(names("HASAC")) == sorted(HASAC)
    assert sorted(names("HATD3")) == sorted(HATD3)
    assert sorted(names("HAPPO")) == sorted(names("MAPPO")) == sorted(HAPPO)


@pytest.mark.parametrize("name", HASAC)
def test_hasac_equals_the_tables(name: str) -> None:
    found = preset("HASAC", name)
    assert row_of(found) == HASAC[name]
    buffer, warm_up, polyak, interval, per_train, hidden = TABLE_4
    values = found.parameters
    assert (values["buffer_size"], values["learning_starts"], values["tau"]) == (buffer, warm_up, polyak)
    assert (values["train_freq"], values["gradient_steps"]) == (interval, interval * per_train)
    assert values["policy_kwargs"] == {
        "net_arch": hidden, "activation_fn": "relu", "final_activation": "tanh", "layer_norm": False,
    }  # fmt: skip
    discrete = name.startswith(("smac", "football", "lag")) or name.endswith("discrete")
    assert values.get("discrete_gradient") == ("gumbel" if discrete else None)


@pytest.mark.parametrize("name", HATD3)
def test_hatd3_equals_the_tables(name: str) -> None:
    found = preset("HATD3", name)
    values = found.parameters
    rates = values["learning_rate"]
    row = (found.n_envs, values["gamma"], values["n_steps"], rates["actor"], rates["critic"])
    assert row == HATD3[name]
    assert (values["exploration_noise"], values["batch_size"]) == (0.1, 1000)
    assert (values["target_policy_noise"], values["target_noise_clip"], values["policy_delay"]) == (0.2, 0.5, 2)
    assert (values["buffer_size"], values["learning_starts"], values["tau"]) == TABLE_4[:3]
    assert (values["train_freq"], values["gradient_steps"]) == (50, 50)
    assert values["policy_kwargs"] == preset("HASAC", name).parameters["policy_kwargs"]


@pytest.mark.parametrize("name", HAPPO)
@pytest.mark.parametrize("algorithm", ["HAPPO", "MAPPO"])
def test_happo_and_mappo_equal_the_tables(algorithm: str, name: str) -> None:
    found = preset(algorithm, name)
    values = found.parameters
    decay, rate, epochs, clip, mini_batches, bonus = HAPPO[name]
    assert values["learning_rate"] == (Linear(rate, 0.0) if decay else rate)
    assert (values["n_epochs"], values["n_critic_epochs"], values["clip_range"]) == (epochs, epochs, clip)
    assert found.n_envs * values["n_steps"] == 4000
    assert 4000 / values["batch_size"] == 4000 / values["critic_batch_size"] == mini_batches
    assert (values["ent_coef"], values["soft_advantage"], values["gamma"]) == (bonus, False, 0.99)
    assert (values["policy"], values["policy_kwargs"]["net_arch"]) == ("MlpPolicy", [256, 256])


@pytest.mark.parametrize("name", PRINTED_STEPS)
def test_printed_numbers_of_steps(name: str) -> None:
    assert preset("HASAC", name).total_timesteps == PRINTED_STEPS[name]


@pytest.mark.parametrize("name", [name for name in HASAC if name.startswith("mpe")])
def test_mpe_tasks_name_environment_and_kind_of_actions(name: str) -> None:
    found = preset("HASAC", name)
    env, _, kind = name.rpartition("-")
    assert found.env == env and found.env_kwargs == {"continuous_actions": kind == "continuous"}
    assert found.parameters["team_reward"] == "sum"


def test_mamujoco_agents_see_what_the_reference_lets_them_see() -> None:
    assert preset("HASAC", "mamujoco/Ant-4x2").env_kwargs == {"observation": "paper"}


def test_starcraft_has_the_state_type_of_table_13() -> None:
    for name in (name for name in HASAC if name.startswith("smac")):
        found = preset("HASAC", name)
        assert found.env_kwargs == {"state_type": "FP"} and found.sources["env_kwargs.state_type"] == "Table 13"


def test_masac_has_hasacs_settings() -> None:
    assert names("MASAC") == [name for name in HASAC if name.startswith("dexhands")]
    for name in names("MASAC"):
        assert preset("MASAC", name).parameters == preset("HASAC", name).parameters


def test_reference_variants_differ_where_its_configurations_do() -> None:
    ant, paper = preset("HASAC", "mamujoco/Ant-4x2@reference"), preset("HASAC", "mamujoco/Ant-4x2")
    assert ant.n_envs == 20 and paper.n_envs == 10
    assert (ant.parameters["learning_rate"]["actor"], ant.parameters["learning_rate"]["critic"]) == (1e-3, 3e-4)
    assert ant.full_name == "mamujoco/Ant-4x2@reference"
    cheetah = preset("HASAC", "mamujoco/HalfCheetah-2x3", variant="reference")
    assert cheetah.parameters == preset("HASAC", "mamujoco/HalfCheetah-2x3").parameters
    slow = ("ShadowHandDoorOpenOutward", "ShadowHandLiftUnderarm", "ShadowHandCatchOver2Underarm")
    assert preset("HAPPO", "mamujoco/Ant-4x2@reference").parameters["policy_kwargs"]["net_arch"] == [128, 128, 128]
    assert preset("MAPPO", "mamujoco/Ant-4x2@reference").parameters["policy_kwargs"]["share_parameters"]
    for hand in slow:
        assert preset("HASAC", f"dexhands/{hand}@reference").parameters["gamma"] == 0.99


def test_our_own_settings_stand_beside_the_papers() -> None:
    own, paper = (preset("HASAC", "mamujoco/HalfCheetah-2x3", variant=variant) for variant in ("own", "paper"))
    assert own.full_name == "mamujoco/HalfCheetah-2x3@own" and paper.full_name == "mamujoco/HalfCheetah-2x3"
    assert own.env_kwargs == {"normalize": "observations"} and own.parameters == {"gradient_steps": 1}
    assert own.sources["n_envs"].startswith("our own settings") and paper.sources["n_envs"] == "Table 7"
    assert preset("HASAC", own.full_name) == own
    walker = preset("HASAC", "mamujoco/Walker2d-2x3@own")
    assert walker.parameters == {"gradient_steps": 1, "ent_coef": 0.2} and walker.env_kwargs["observation"] == "full"
    assert preset("HATD3", "mamujoco/Walker2d-2x3@own").env_kwargs == walker.env_kwargs
    entry = next(each for each in list_presets() if (each.algorithm, each.name) == ("HASAC", own.name))
    assert entry.variants == ("paper", "reference", "own")
    assert len({(each.algorithm, each.name) for each in list_presets()}) == len(list_presets())


@pytest.mark.parametrize("entry", list_presets(), ids=lambda entry: f"{entry.algorithm} {entry.name}")
def test_every_value_cites_its_source(entry: Any) -> None:
    for variant in entry.variants:
        found = preset(entry.algorithm, entry.name, variant=variant)
        settings = {key for key in found.settings() if key != "env" or found.env != found.name}
        assert settings == set(found.sources)
        assert all(found.sources.values())


def test_sources_name_the_right_tables() -> None:
    sources = preset("HASAC", "mamujoco/Ant-4x2").sources
    assert (sources["tau"], sources["n_envs"], sources["n_steps"], sources["batch_size"]) == (
        "Table 4", "Table 7", "Table 9", "Table 10",
    )  # fmt: skip
    assert preset("HASAC", "mamujoco/Ant-4x2@reference").sources["n_envs"].startswith("the reference")


@pytest.mark.parametrize("entry", list_presets(), ids=lambda entry: f"{entry.algorithm} {entry.name}")
def test_the_constructor_takes_every_preset(entry: Any) -> None:
    for variant in entry.variants:
        found = preset(entry.algorithm, entry.name, variant=variant)
        model = getattr(masoft, entry.algorithm)(**found.parameters)
        assert {key: model.get_params()[key] for key in found.parameters} == found.parameters


def test_changing_a_preset_does_not_change_the_next_one() -> None:
    first = preset("HASAC", "mamujoco/Ant-4x2")
    first.parameters["policy_kwargs"]["net_arch"].append(7)
    first.parameters["learning_rate"]["actor"] = 9.0
    assert asdict(preset("HASAC", "mamujoco/Ant-4x2")) != asdict(first)
    assert row_of(preset("HASAC", "mamujoco/Ant-4x2")) == HASAC["mamujoco/Ant-4x2"]


@pytest.mark.parametrize(
    ("algorithm", "name", "message"),
    [
        ("HASACK", "mamujoco/Ant-4x2", r"algorithm of a preset must be one with presets.*Did you mean .*'hasac'"),
        ("HASAC", "mamujoco/Ant-4x3", r"preset of HASAC must be a published one.*Did you mean .*'mamujoco/Ant-4x2'"),
        ("HASAC", "mpe/simple_spread_v3", r"Did you mean 'mpe/simple_spread_v3-"),
        ("HASAC", "mamujoco/Ant-4x2@refrence", r"must be one of \('paper', 'reference'\). Got 'refrence'"),
        ("HASAC", "lbf/Foraging-8x8-2p-3f@reference", r"must be one of \('own',\)"),
        ("HASAC", "football/rps@reference", r"must be one of \('paper',\).*only where they differ"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(algorithm: str, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        preset(algorithm, name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("algorithm = ", "x.toml is no TOML"),
        ("algorithm = 'A'\nlayer = []", "the key 'tasks' is missing"),
        ("algorithm = 'A'\ntasks = []\nlayers = []\nlayer = []", "the key must be known. Got 'layers'"),
        ("algorithm = 'A'\ntasks = ['t']\n[[layer]]\ntasks = ['t']", "layer 1: the key 'source' is missing"),
        ("algorithm = 'A'\ntasks = ['t']\n[[layer]]\nsource='s'\ntasks = ['t']\nn_env = 3", "Did you mean 'n_envs'"),
        (
            "algorithm = 'A'\ntasks = ['t']\n[[layer]]\nsource='s'\ntasks = ['u/*']",
            "must be matched by a task. Got 'u/",
        ),
    ],
)
def test_a_faulty_file_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "x.toml")
    assert message in str(caught.value)
