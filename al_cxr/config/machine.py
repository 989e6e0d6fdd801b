"""Where and how fast; none of it changes a result beyond its last bits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from al_cxr.config.section import Section


class Ray(Section):
    """How the engine `ray` runs: the resources of a task, and where."""

    address: str | None = Field(None, description="of a running cluster, or auto; null = a Ray of this machine alone")
    cpus: float = Field(1.0, gt=0, description="CPUs a task asks for")
    gpus: float = Field(0.0, ge=0, description="GPUs a task asks for; a fraction shares one")
    shard: int = Field(4096, ge=1, description="a pool of more images than this is scored in parts of so many")


class Machine(Section):
    """Changes the speed, not the science; resolved once per experiment and kept, so that going on repeats the bits."""

    engine: Literal["local", "processes", "ray"] = Field("local", description="what runs are computed by")
    ray: Ray = Field(default_factory=Ray)
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto = the faster one, measured")
    score_precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of Monte-Carlo passes; auto = the faster one, measured"
    )
    channels_last: bool = Field(True, description="memory layout of convolutions")
    threads: int = Field(0, ge=0, description="of torch; 0 = as many as cores")
    processes: int = Field(
        1, ge=1, le=256, description="runs at once, of `threads` threads each; for the engine processes alone"
    )
    workers: int = Field(0, ge=0, description="decoding threads; 0 = as many as cores")
    score_batch: int = Field(256, ge=1, description="images a batch when scoring or evaluating")
    checkpoint_seconds: float = Field(60.0, ge=0, description="training state is saved at most this often")
    cache: str | None = Field(None, description="folder of the pixel store; null = the user's cache folder")

    @field_validator("processes")
    @classmethod
    def _of_its_engine(cls, processes: int, info: ValidationInfo) -> int:
        """More than one is for the engine `processes`; ignored in silence, a sweep would take hours longer."""
        engine = info.data.get("engine", "processes")  # a wrong engine is an error of its own
        if processes > 1 and engine != "processes":
            raise ValueError(
                f"machine.engine is {engine}, which ignores it; set the engine to processes, or leave this key out"
            )
        return processes
