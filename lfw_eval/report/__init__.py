"""Results as tables, pages and figures."""
