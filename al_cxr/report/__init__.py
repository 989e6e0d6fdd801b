"""Reports: records in, markdown, CSV, JSON and figures out. Never imports torch.

A page is a module with a function `write_...`, which fills a `kit.page.Page` and is called from `al_cxr.api`. A new
table is a function that returns a `kit.tables.Table`, beside those of its subject (`evidence_tables.py`, `rounds.py`,
...); what stands below it is a block of `templates/SUBJECT.md.j2`; the module of the page puts it into its place.
"""

from al_cxr.report.baseline import write_baseline_report
from al_cxr.report.evaluation import write_evaluation
from al_cxr.report.experiment import write_report

__all__ = ["write_baseline_report", "write_evaluation", "write_report"]
