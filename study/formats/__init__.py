"""A type for each file that one program writes and another reads; writer and reader both use it.

Standard library only, since cluster/remote imports it. Names of files are in study/layout.py, pydantic's check of what
was read in study/reading.py; docs/results.md has a table for each type, which a test compares with it.

- `units`: the unit of a field is part of its type
- `json_files`: version and program on each JSON file, files written whole
- `csv_rows`: a dataclass as a row of a CSV file
- `run_json`, `manifest_json`, `facts_json`, `live_json`, `ledger_jsonl`, `samples_csv`, `background_csv`,
  `summary_json`: one file each
- `own_counts`: what a locustfile of one's own adds: a part of a ledger's record, and requests.csv

A calibration has no file of its own kind: it is a campaign of one run.
"""
