"""A study: two algorithms, two games, three seeds; interquartile means with intervals, and pictures."""

from __future__ import annotations

from masoft.studies import Study, Task, Variant, draw_curves, draw_scores, final_scores, iqm, read_results, run

SHORT = 30


def main(steps: int = 2_000) -> dict[str, float]:
    """Run what the folder does not hold yet; returns each algorithm's interquartile mean score."""
    settings = dict(ent_coef=5.0, learning_rate=3e-3, tau=0.05, learning_starts=20, batch_size=32)
    settings["policy_kwargs"] = dict(net_arch=[32])
    study = Study(
        algorithms=[Variant(name, parameters=settings) for name in ("HASAC", "MASAC")],
        environments=[
            Task("matrix/maxent", scale=(-20.0, 20.0)),
            Task("matrix/climbing", scale=(-30.0, 11.0)),
        ],
        seeds=[0, 1, 2],
        total_timesteps=steps,
        eval_every=max(steps // 5, 1),
    )
    run(study, "runs/games", progress_bar=False)  # n_jobs=2 uses two processes
    results = read_results("runs/games")
    draw_curves(results, "learning_curves.png")
    draw_scores(results, "final_returns.png")
    scores = final_scores(results, column="score")
    for algorithm, by_environment in scores.items():
        print(f"{algorithm}: {iqm(by_environment)}")
    return {algorithm: iqm(by_environment).value for algorithm, by_environment in scores.items()}


if __name__ == "__main__":
    main()
