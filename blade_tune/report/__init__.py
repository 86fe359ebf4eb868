"""What is shown of a study: tables, figures, the page, the dashboard."""
