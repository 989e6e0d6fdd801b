"""The settings of an experiment as frozen, validated objects.

Science settings (all sections but `machine`) change the result and are hashed; `machine` settings change only the speed
and are not. `al_cxr.config.files` reads them from YAML.
"""

from al_cxr.config.baseline import Baseline, Figures, Publication, Variant
from al_cxr.config.data import DataSettings
from al_cxr.config.labelling import Arm, Budget, Regime, Scoring, Stop
from al_cxr.config.machine import Machine, Ray
from al_cxr.config.search import Dimension, Search, Value
from al_cxr.config.settings import Settings
from al_cxr.config.source import SourceSettings
from al_cxr.config.training import AugmentSettings, LossSettings, ModelSettings, ScannerSettings, TrainSettings

__all__ = [
    "Arm",
    "AugmentSettings",
    "Baseline",
    "Budget",
    "DataSettings",
    "Dimension",
    "Figures",
    "LossSettings",
    "Machine",
    "ModelSettings",
    "Publication",
    "Ray",
    "Regime",
    "ScannerSettings",
    "Scoring",
    "Search",
    "Settings",
    "SourceSettings",
    "Stop",
    "TrainSettings",
    "Value",
    "Variant",
]
