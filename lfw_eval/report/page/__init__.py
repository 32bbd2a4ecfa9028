"""The report: one HTML page that opens offline, or its figures as files."""
