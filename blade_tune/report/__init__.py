"""Presentation of a study: plain tables, figures, the report page, and the dashboard."""

from typing import Any

Row = dict[str, Any]  # a row of a plain table: column -> value
