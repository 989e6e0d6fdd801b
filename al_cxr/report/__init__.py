"""Reports: records in, markdown, CSV, JSON and figures out. Never imports torch."""

from al_cxr.report.baseline import write_baseline_report
from al_cxr.report.evaluation import write_evaluation
from al_cxr.report.experiment import write_report

__all__ = ["write_baseline_report", "write_evaluation", "write_report"]
