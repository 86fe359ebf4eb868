"""What is shown of a study: tables, figures, the page, the dashboard."""

from typing import Any

Row = dict[str, Any]  # of a plain table, by column
