"""How an estimator looks in a notebook: its parameters, its team and what it has learned, as scikit-learn's do."""

from __future__ import annotations

import inspect
from typing import Any

TEMPLATE = """\
<div class="masoft-estimator">
<style>
.masoft-estimator { font-size: .9em; } .masoft-estimator table { border-collapse: collapse; margin: .4em 0 .4em 1em; }
.masoft-estimator th, .masoft-estimator td { text-align: left; padding: .1em .8em .1em 0; vertical-align: top; }
.masoft-estimator .given td { font-weight: 600; } .masoft-estimator summary { cursor: pointer; }
</style>
<strong>{{ name }}</strong>: {{ learned }}
<details{% if given %} open{% endif %}>
<summary>{{ given }} of {{ rows | length }} parameters are not the default</summary>
<table>
{%- for name, value, is_given in rows %}
<tr{% if is_given %} class="given"{% endif %}><td>{{ name }}</td><td>{{ value }}</td></tr>
{%- endfor %}
</table></details>
{%- if agents %}
<details><summary>Team of {{ agents | length }}</summary>
<table><tr><th>agent</th><th>observes</th><th>acts</th></tr>
{%- for agent in agents %}
<tr><td>{{ agent.name }}</td><td>{{ agent.observation_space }}</td><td>{{ agent.action_space }}</td></tr>
{%- endfor %}
</table></details>
{%- endif %}
</div>"""
LONGEST = 200
"""Characters of a value; an environment's repr may be pages long."""


def html_of(estimator: Any) -> str:
    """The estimator as a piece of HTML; every text is escaped.

    Args:
        estimator: built or not.
    """
    from jinja2 import Environment

    defaults = {name: each.default for name, each in inspect.signature(type(estimator)).parameters.items()}
    values = {name: (value, repr(value) != repr(defaults[name])) for name, value in estimator.get_params().items()}
    # What was given stands first.
    rows = sorted(
        ((name, _short(value), is_given) for name, (value, is_given) in values.items()), key=lambda row: not row[2]
    )
    steps, team = getattr(estimator, "num_timesteps", 0), getattr(estimator, "team", None)
    return (
        Environment(autoescape=True)
        .from_string(TEMPLATE)
        .render(
            name=type(estimator).__name__,
            learned=f"has learned for {steps:,} environment steps" if steps else "has learned nothing yet",
            rows=rows,
            given=sum(is_given for *_, is_given in rows),
            agents=() if team is None else team.agents,
        )
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
