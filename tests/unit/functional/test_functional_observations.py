"""Observations as rows."""

from __future__ import annotations

import pytest
import torch

from masoft.functional.observations import as_rows


def test_bytes_are_scaled_and_everything_is_flat() -> None:
    picture = torch.tensor([[[[0, 51], [102, 255]]]], dtype=torch.uint8)
    assert as_rows(picture).tolist() == [[0.0, pytest.approx(0.2), pytest.approx(0.4), 1.0]]
    assert as_rows(torch.tensor([[3, 200]])).tolist() == [[3.0, 200.0]]  # integers that are no bytes are what they are
    assert as_rows(torch.ones(2, 3, dtype=torch.float64)).dtype == torch.float64
