"""The exporters, by the word that turns one on alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_tracker.export import journal, status

if TYPE_CHECKING:
    from agent_tracker.export.base import Exporter

__all__ = ["EXPORTERS"]

EXPORTERS: dict[str, Exporter] = {"status": status, "journal": journal}
