"""Storage for teams: replay (off-policy) and rollouts (on-policy)."""

from masoft.buffers.replay import TeamBatch, TeamReplayBuffer
from masoft.buffers.views import apply_view

__all__ = ["TeamBatch", "TeamReplayBuffer", "apply_view"]
