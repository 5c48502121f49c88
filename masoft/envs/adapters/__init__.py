"""One file a benchmark; each gives PettingZoo parallel environments and imports its simulator on first use."""
