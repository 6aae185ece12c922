"""Base class of the JSON that commands print with ``--json``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base class of all answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")
