"""Find, fetch, trim and verify clips; keep the workspace; freeze releases."""
