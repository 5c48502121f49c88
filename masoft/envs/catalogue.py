"""The environments that masoft knows by name, as data; nothing here imports a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ADAPTERS = "masoft.envs.adapters"
_WATERWORLD = 'pip install "pettingzoo==1.25.0" "pymunk<7" pygame-ce scipy'


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue; the fields are those of `masoft.envs.registry.Registration`."""

    id: str
    entry_point: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    extra: str | None = None
    requires: tuple[str, ...] = ()
    vector_entry_point: str | None = None
    install: str | None = None


MATRIX = (
    Entry("matrix/maxent", f"{_ADAPTERS}.matrix:maxent"),
    Entry("matrix/climbing", f"{_ADAPTERS}.matrix:climbing"),
    Entry("matrix/non_monotonic", f"{_ADAPTERS}.matrix:non_monotonic"),
    Entry("matrix/two_step", f"{_ADAPTERS}.two_step:TwoStepGame"),
)

MPE = tuple(
    Entry(f"mpe/{scenario}", f"{_ADAPTERS}.mpe:make_mpe", {"scenario": scenario}, requires=("mpe2",))
    for scenario in ("simple_spread_v3", "simple_reference_v3", "simple_speaker_listener_v4")
)

MAMUJOCO = tuple(
    Entry(
        f"mamujoco/{scenario}-{factorisation}",
        f"{_ADAPTERS}.mamujoco:make_mamujoco",
        {"scenario": scenario, "factorisation": factorisation},
        extra="mamujoco",
        requires=("gymnasium_robotics", "mujoco"),
    )
    for scenario, factorisations in (
        ("Ant", ("2x4", "4x2", "8x1")),
        ("HalfCheetah", ("2x3", "3x2", "6x1")),
        ("Hopper", ("3x1",)),
        ("Humanoid", ("17x1", "9|8")),
        ("HumanoidStandup", ("17x1", "9|8")),
        ("ManySegmentSwimmer", ("10x2",)),
        ("Swimmer", ("2x1",)),
        ("Walker2d", ("2x3", "6x1")),
    )
    for factorisation in factorisations
)

SMAC = tuple(
    Entry(
        f"smac/{map_name}",
        f"{_ADAPTERS}.smac:make_smac",
        {"map_name": map_name},
        requires=("smac.env",),  # the package index has an optimiser called smac, without this part
        install="pip install git+https://github.com/oxwhirl/smac.git",
    )
    for map_name in (
        "3m", "8m", "25m", "5m_vs_6m", "8m_vs_9m", "10m_vs_11m", "27m_vs_30m", "MMM", "MMM2", "2s3z", "3s5z",
        "3s5z_vs_3s6z", "3s_vs_3z", "3s_vs_4z", "3s_vs_5z", "1c3s5z", "2m_vs_1z", "corridor", "6h_vs_8z",
        "2s_vs_1sc", "so_many_baneling", "bane_vs_bane", "2c_vs_64zg",
    )
)  # fmt: skip

SMACV2 = tuple(
    Entry(
        f"smacv2/{race}_{n_units}_vs_{n_enemies}",
        f"{_ADAPTERS}.smac:make_smacv2",
        {"race": race, "n_units": n_units, "n_enemies": n_enemies},
        requires=("smacv2",),
        install="pip install git+https://github.com/oxwhirl/smacv2.git",
    )
    for race in ("protoss", "terran", "zerg")
    for n_units, n_enemies in ((5, 5), (10, 10), (10, 11), (20, 20), (20, 23))
)

FOOTBALL = tuple(
    Entry(
        f"football/{scenario}",
        f"{_ADAPTERS}.football:make_football",
        {"scenario": scenario},
        extra="football",
        requires=("gfootball", "gfootball_engine", "absl", "six"),
        install="python -m masoft.envs.adapters.football_build",
    )
    for scenario in (
        "3_vs_1", "corner", "counterattack_easy", "counterattack_hard", "empty_goal", "empty_goal_close",
        "pass_and_shoot", "rps", "run_to_score", "run_to_score_with_keeper", "single_goal_versus_lazy",
    )
)  # fmt: skip

DEXHANDS = tuple(
    Entry(
        f"dexhands/{task}",
        "masoft.envs.dexhands.env:DexHands",
        {"task": task},
        extra="dexhands",
        requires=("gymnasium_robotics", "mujoco"),
    )
    for task in (
        "ShadowHandCatchAbreast",
        "ShadowHandCatchOver2Underarm",
        "ShadowHandDoorCloseInward",
        "ShadowHandDoorOpenInward",
        "ShadowHandDoorOpenOutward",
        "ShadowHandLiftUnderarm",
        "ShadowHandOver",
        "ShadowHandPen",
        "ShadowHandTwoCatchUnderarm",
    )
)

LAG = tuple(
    Entry(f"lag/{task}", f"masoft.envs.lag.{place}", kwargs, extra="lag", requires=("jsbsim",))
    for task, place, kwargs in (
        ("1v1-noweapon", "combat:AirCombat", {"scenario": "1v1"}),
        ("2v2-noweapon", "combat:AirCombat", {"scenario": "2v2"}),
        ("heading", "heading:HeadingTask", {}),
    )
)

SMAX = tuple(
    Entry(
        f"smax/{map_name}",
        f"{_ADAPTERS}.smax:make_smax",
        {"map_name": map_name},
        extra="smax",
        requires=("jaxmarl", "jax"),
        vector_entry_point=f"{_ADAPTERS}.smax:make_smax_vec",
    )
    for map_name in (
        *("3m", "2s3z", "25m", "3s5z", "8m", "5m_vs_6m", "10m_vs_11m", "27m_vs_30m", "3s5z_vs_3s6z", "3s_vs_5z"),
        *("6h_vs_8z", "smacv2_5_units", "smacv2_10_units", "smacv2_20_units"),
        *("8m_vs_9m", "corridor_open"),  # not the package's own: registered by the adapter
    )
)

VMAS = tuple(
    Entry(
        f"vmas/{scenario}",
        f"{_ADAPTERS}.vmas:make_vmas",
        {"scenario": scenario},
        extra="vmas",
        requires=("vmas",),
        vector_entry_point=f"{_ADAPTERS}.vmas:make_vmas_vec",
    )
    for scenario in (
        *("balance", "ball_passage", "ball_trajectory", "buzz_wire", "discovery", "dispersion", "dropout", "flocking"),
        *("football", "give_way", "joint_passage", "joint_passage_size", "multi_give_way", "navigation", "passage"),
        *("reverse_transport", "road_traffic", "sampling", "transport", "wheel", "wind_flocking"),
        *("simple_spread", "simple_reference", "simple_speaker_listener"),
    )
)

LBF = tuple(
    Entry(
        f"lbf/Foraging-{task}",
        f"{_ADAPTERS}.gymnasium_games:make_lbf",
        {"task": f"Foraging-{task}"},
        extra="lbf",
        requires=("lbforaging",),
    )
    for task in (
        *("5x5-2p-1f", "8x8-2p-2f-coop", "2s-8x8-2p-2f-coop", "8x8-2p-3f", "10x10-3p-3f", "2s-10x10-3p-3f"),
        *("15x15-3p-5f", "15x15-4p-3f", "15x15-4p-5f"),
    )
)

RWARE = tuple(
    Entry(
        f"rware/{size}-{n_robots}ag{level}",
        f"{_ADAPTERS}.gymnasium_games:make_rware",
        {"task": f"{size}-{n_robots}ag{level}"},
        extra="rware",
        requires=("rware",),
    )
    for size in ("tiny", "small", "medium")
    for n_robots in (2, 4)
    for level in ("-easy", "", "-hard")
)

SISL = tuple(
    Entry(
        f"sisl/{game}",
        f"{_ADAPTERS}.pettingzoo_games:make_sisl",
        {"game": game},
        extra="sisl",
        requires=requires,
        install=install,
    )
    for game, requires, install in (
        ("multiwalker", ("pettingzoo.sisl", "Box2D", "pygame", "scipy"), None),
        ("pursuit", ("pettingzoo.sisl", "pygame", "scipy"), None),
        # the last PettingZoo that has it
        ("waterworld", ("pettingzoo.sisl.waterworld", "pymunk", "pygame", "scipy"), _WATERWORLD),
    )
)

BUTTERFLY = tuple(
    Entry(
        f"butterfly/{game}",
        f"{_ADAPTERS}.pettingzoo_games:make_butterfly",
        {"game": game},
        extra="butterfly",
        requires=requires,
    )
    for game, requires in (
        ("cooperative_pong", ("pygame",)),
        ("knights_archers_zombies", ("pygame",)),
        ("pistonball", ("pygame", "pymunk")),
    )
)

# Small maps: the package's own have 45 to 200 fields a side and 80 to 500 agents, for map_size=... to ask for.
MAGENT2 = tuple(
    Entry(
        f"magent2/{game}",
        f"{_ADAPTERS}.magent:make_magent",
        {"game": game, **options},
        extra="magent2",
        requires=("magent2",),
    )
    for game, options in (
        ("adversarial_pursuit", {"map_size": 16}),
        ("battle", {"map_size": 16}),
        ("battlefield", {"map_size": 46}),
        ("combined_arms", {"map_size": 16}),
        ("gather", {}),
        ("tiger_deer", {"map_size": 16}),
    )
)

MOMALAND = tuple(
    Entry(
        f"momaland/{game}",
        f"{_ADAPTERS}.momaland:make_momaland",
        {"game": game},
        extra="momaland",
        requires=("momaland",),
    )
    for game in ("beach", "catch", "escort", "item_gathering", "multiwalker_stability", "surround")
)

OVERCOOKED = tuple(
    Entry(
        f"overcooked/{layout}",
        f"{_ADAPTERS}.overcooked:make_overcooked",
        {"layout": layout},
        extra="overcooked",
        requires=("jaxmarl", "jax"),
        vector_entry_point=f"{_ADAPTERS}.overcooked:make_overcooked_vec",
    )
    for layout in ("asymm_advantages", "coord_ring", "counter_circuit", "cramped_room", "forced_coord")
)

CAMAR = tuple(
    Entry(
        f"camar/{map_name}",
        f"{_ADAPTERS}.camar:make_camar",
        {"map_name": map_name},
        extra="camar",
        requires=("camar", "jax"),
        vector_entry_point=f"{_ADAPTERS}.camar:make_camar_vec",
    )
    for map_name in ("caves_cont", "random_grid")
)

CATALOGUE: tuple[Entry, ...] = (
    *MATRIX, *MPE, *MAMUJOCO, *SMAX, *VMAS, *SMAC, *SMACV2, *FOOTBALL, *DEXHANDS, *LAG,
    *LBF, *RWARE, *SISL, *BUTTERFLY, *MAGENT2, *MOMALAND, *OVERCOOKED, *CAMAR,
)  # fmt: skip

# Families of packages that do not run beside masoft, and what does; by how an id of theirs begins.
BROKEN: Mapping[str, str] = {
    "overcooked_ai": (
        "overcooked-ai 1.1 needs numpy below 2 (it reads np.Inf). Use overcooked/cramped_room or its four sisters, the "
        'same layouts in JAX: pip install "masoft[overcooked]".'
    ),
    "pogema": (
        "pogema 1.4 needs pydantic below 2, and pins gymnasium 0.28 and numpy 1.26. Use camar/random_grid, ways among "
        'obstacles with continuous moves: pip install "masoft[camar]"; or pogema in an environment without masoft.'
    ),
}
