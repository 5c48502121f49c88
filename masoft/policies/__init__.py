"""Policies of teams."""

from masoft.policies.agent import Actor
from masoft.policies.team_policy import TeamPolicy

__all__ = ["Actor", "TeamPolicy"]
