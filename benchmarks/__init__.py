"""What the product does in numbers. `python -m benchmarks [--short] [NAMES]`; `make bench` runs them all in full.

A benchmark is a module of this package with one function:

    def run(*, short: bool) -> Result

It measures, compares with its reference in the same run, and returns a `Result` (`benchmarks.results`). The runner
prints it, writes it to `benchmarks/results/NAME.json`, and makes `docs/benchmarks.md` with its charts anew from all
of these files. A short run only shows that a benchmark works: it is printed, and written to `NAME.short.json`, which
nobody commits.

The common shape of a result, as JSON:

    {"name": "end_to_end",            the module
     "title": "End to end over HTTP", a heading
     "about": "...",                  Markdown: what is measured, how, and what the reference is
     "targets": [{"what": "...", "unit": "tasks/s", "measured": 9100.0, "target": 8000.0, "stretch": 12000.0,
                  "better": "higher"}],
     "tables":  [{"title": "...", "columns": ["workers", "tasks/s"], "rows": [[1, 9100], [3, 9400]]}],
     "charts":  [{"title": "...", "kind": "bar" | "line", "x": "executors", "y": "tasks/s", "log_x": true,
                  "series": [{"name": "...", "points": [[10, 9500], [10000, 8700]]}]}],
     "texts":   [{"title": "Where the time goes", "body": "..."}],   verbatim, folded away
     "notes":   ["..."],
     "short": false, "seconds": 93.1, "made_at": "2026-01-31T12:00:00Z",
     "machine": {"cores": 2, "memory_gb": 16, "python": "3.11.9"}}

Only `name`, `title` and `about` are needed of a benchmark; the last line is the runner's. Figures are numbers, never
text with a unit in it; bars take text as x. A machine is named by cores and memory only.
"""
